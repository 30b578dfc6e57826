//! What lies outside the cluster: the depth of every fleet's queue, and the Secrets that pods need.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use scrapefleet_api::{ScrapeFleet, ScrapeFleetSpec};
use scrapefleet_policy::Clock;
use tokio_util::sync::CancellationToken;

use super::{
    rounds::rounds,
    secrets::{Data, Secrets, Supply},
};
use crate::{
    Observed,
    broker::{self, Broker, Credentials, Depths, Password, Unread},
    plan::Depth,
};

/// Pause between two looks at a fleet's queue.
const PERIOD: Duration = Duration::from_secs(1);

/// What is known of a fleet from outside the cluster.
#[derive(Debug, Clone)]
pub struct Outside {
    /// What waits in its queue.
    pub depth: Observed<Depth>,
    /// Whether the broker's management API answered as it should; none where that is not known.
    pub broker_answers: Option<bool>,
    /// The Secret of the queue.
    pub queue_secret: Supply,
    /// What was in it when it was there last: who deletes a namespace mostly takes the Secret from a fleet that still drains.
    pub last_login: Option<Arc<Data>>,
    /// The Secret of the store.
    pub store_secret: Supply,
}

/// Reads depths and Secrets of all fleets. Clones share what was read.
#[derive(Debug, Clone)]
pub struct DepthReader {
    secrets: Secrets,
    depths: Depths,
    known: Arc<Mutex<HashMap<Key, Outside>>>,
}

/// Namespace and name.
type Key = (String, String);

impl DepthReader {
    /// Nothing is read yet.
    #[must_use]
    pub fn new(secrets: Secrets, clock: Arc<dyn Clock>) -> Self {
        Self { secrets, depths: Depths::new(clock), known: Arc::default() }
    }

    /// What is known of a fleet; none before the first look.
    #[must_use]
    pub fn of(&self, namespace: &str, name: &str) -> Option<Outside> {
        self.lock().get(&(namespace.to_owned(), name.to_owned())).cloned()
    }

    /// Looks at the queues of all fleets that `list` names, again and again, until `stop`.
    pub async fn keep(&self, list: impl Fn() -> Vec<Arc<ScrapeFleet>>, stop: &CancellationToken) {
        let list = || {
            let fleets: Vec<_> = list().into_iter().filter_map(|fleet| Some((key(&fleet)?, fleet))).collect();
            let there: HashSet<&Key> = fleets.iter().map(|(key, _)| key).collect();
            self.lock().retain(|key, _| there.contains(key));
            fleets
        };
        rounds(PERIOD, stop, list, |fleet| self.look(fleet)).await;
    }

    async fn look(&self, fleet: Arc<ScrapeFleet>) {
        let Some(key) = key(&fleet) else { return };
        let mut outside = self.read(&key.0, &fleet).await;
        let mut known = self.lock();
        outside.last_login = last_login(&outside.queue_secret, known.get(&key));
        known.insert(key, outside);
    }

    async fn read(&self, namespace: &str, fleet: &ScrapeFleet) -> Outside {
        let spec = &fleet.spec;
        let queue_secret = self.queue_secret(namespace, spec).await;
        let store_secret = self.store_secret(namespace, spec).await;
        let read = self.depth(namespace, fleet, &queue_secret).await;
        let broker_answers = match &read {
            Ok(_) | Err(Failed::Read(Unread::NotDeclared { .. } | Unread::Unknown { .. })) => Some(true),
            Err(Failed::Read(_)) => Some(false),
            Err(Failed::NotAsked(_)) => None,
        };
        let depth = read.unwrap_or_else(|failed| match failed {
            Failed::Read(unread) => Observed::unread(unread.to_string()),
            Failed::NotAsked(why) => Observed::unread(why),
        });
        Outside { depth, broker_answers, queue_secret, last_login: None, store_secret }
    }

    async fn queue_secret(&self, namespace: &str, spec: &ScrapeFleetSpec) -> Supply {
        let name = spec.queue.rabbitmq.as_ref().and_then(|queue| queue.secret_name.as_deref());
        let field = "spec.queue.rabbitmq.secretName";
        self.secrets.supply(namespace, field, name, &["username", "password"]).await
    }

    async fn store_secret(&self, namespace: &str, spec: &ScrapeFleetSpec) -> Supply {
        let name = spec.store.s3.as_ref().and_then(|store| store.secret_name.as_deref());
        let field = "spec.store.s3.secretName";
        match self.secrets.supply(namespace, field, name, &[]).await {
            // What was looked up a moment ago is remembered.
            Supply::Found(data) => self.secrets.supply(namespace, field, name, store_keys(&data)).await,
            other => other,
        }
    }

    async fn depth(
        &self,
        namespace: &str,
        fleet: &ScrapeFleet,
        secret: &Supply,
    ) -> Result<Observed<Depth>, Failed> {
        let not_asked = |why: &str| Err(Failed::NotAsked(why.to_owned()));
        let Some(queue) = &fleet.spec.queue.rabbitmq else { return not_asked("the queue is not RabbitMQ") };
        let credentials = match secret {
            Supply::Found(data) => credentials(data),
            Supply::NotNamed => return not_asked("the fleet names no Secret of the broker"),
            Supply::Absent(why) | Supply::Missing(why) | Supply::Unknown(why) => return not_asked(why),
        };
        let Ok(name) = fleet.fleet_name() else { return not_asked("the fleet has no name") };
        let lanes = lanes(&fleet.spec);
        let asked = broker::Fleet { namespace: namespace.to_owned(), name, lanes };
        let broker = Broker::new(queue, credentials).map_err(|error| Failed::Read(error.into()))?;
        let reading = self.depths.read(&broker, &asked).await.map_err(Failed::Read)?;
        Ok(Observed::Read { value: reading.depth.total(), at: reading.at })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Outside>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Failed {
    Read(Unread),
    NotAsked(String),
}

fn key(fleet: &ScrapeFleet) -> Option<Key> {
    Some((fleet.metadata.namespace.clone()?, fleet.metadata.name.clone()?))
}

/// What is in the queue's Secret, or was when it was there last.
fn last_login(secret: &Supply, before: Option<&Outside>) -> Option<Arc<Data>> {
    match secret {
        Supply::Found(data) => Some(Arc::clone(data)),
        _ => before?.last_login.clone(),
    }
}

/// The keys that a store's Secret must have: both halves of a key, or none, where the platform's own identity is used.
fn store_keys(data: &Data) -> &'static [&'static str] {
    const HALVES: &[&str] = &["accessKeyId", "secretAccessKey"];
    if HALVES.iter().any(|half| data.bytes(half).is_some()) { HALVES } else { &[] }
}

/// The credentials of a broker in a Secret.
pub(crate) fn credentials(data: &Data) -> Credentials {
    // Who makes a Secret of a file mostly has a line break at its end.
    let line = |key: &str| data.text(key).unwrap_or_default().trim_end_matches(['\r', '\n']).to_owned();
    Credentials {
        username: line("username"),
        password: Password::new(line("password")),
        ca: data.bytes("ca.crt").map(<[u8]>::to_vec),
    }
}

/// The fleet's lanes; one, `default`, where it names none.
pub(crate) fn lanes(spec: &ScrapeFleetSpec) -> Vec<scrapefleet_api::LaneName> {
    let named: Vec<_> = spec.lanes.iter().map(|lane| lane.name.clone()).collect();
    if named.is_empty() { vec![scrapefleet_api::LaneName::default()] } else { named }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::fixture::spec;

    #[test]
    fn half_a_key_of_a_store_is_not_enough() {
        let keys = |of: &[&str]| store_keys(&Data::of(of)).len();
        assert_eq!((keys(&[]), keys(&["ca.crt"])), (0, 0));
        assert_eq!((keys(&["accessKeyId"]), keys(&["secretAccessKey"])), (2, 2));
    }

    #[test]
    fn what_was_in_a_secret_is_remembered_when_it_is_gone_and_replaced_when_it_is_back() {
        let data = |key: &str| Arc::new(Data::of(&[key]));
        let knew = |login: &Arc<Data>| Outside {
            depth: Observed::unread("not asked"),
            broker_answers: None,
            queue_secret: Supply::Absent("gone".into()),
            last_login: Some(Arc::clone(login)),
            store_secret: Supply::NotNamed,
        };
        let (old, new) = (data("old"), data("new"));
        let has = |login: Option<Arc<Data>>, key: &str| login.is_some_and(|data| data.bytes(key).is_some());
        for secret in [Supply::Absent("x".into()), Supply::Unknown("x".into()), Supply::NotNamed] {
            assert!(has(last_login(&secret, Some(&knew(&old))), "old"), "{secret:?}");
            assert!(last_login(&secret, None).is_none());
        }
        assert!(has(last_login(&Supply::Found(new), Some(&knew(&old))), "new"));
    }

    #[test]
    fn a_fleet_without_lanes_has_one() {
        let mut spec = spec(1, 1);
        let names = |spec: &ScrapeFleetSpec| lanes(spec).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(names(&spec), ["default"]);
        spec.lanes =
            serde_json::from_str(r#"[{ "name": "fast", "match": "^a" }, { "name": "slow" }]"#).unwrap();
        assert_eq!(names(&spec), ["fast", "slow"]);
    }
}
