//! The Secrets that fleets name: whether they are there with the right keys, and what the operator needs of them.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{Api, Client};
use scrapefleet_policy::{Instant, within};

use crate::api::CALL;

/// How long a Secret that was there is taken to be as it was.
const FOUND: Duration = Duration::from_secs(15);

/// How long one that was not there is.
const NOT_FOUND: Duration = Duration::from_secs(2);

/// After this time a Secret that nobody asks for is forgotten.
const FORGOTTEN: Duration = Duration::from_mins(2);

/// The data of a Secret. Nothing shows it.
#[derive(Clone, Default)]
pub struct Data(BTreeMap<String, ByteString>);

/// What is known of a Secret.
#[derive(Debug, Clone)]
pub enum Supply {
    /// The fleet names none.
    NotNamed,
    /// It is there, with the keys that are needed.
    Found(Arc<Data>),
    /// There is none of that name; what to do, for people.
    Absent(String),
    /// It is there and lacks a key; what to do, for people.
    Missing(String),
    /// The operator may not look, or could not.
    Unknown(String),
}

/// Looks Secrets up, and remembers them for a moment. Clones share what is remembered.
#[derive(Clone)]
pub struct Secrets {
    client: Client,
    known: Arc<Mutex<Known>>,
}

/// By namespace and name: when it was looked up, and what was found.
type Known = HashMap<(String, String), (Instant, Looked)>;

#[derive(Debug, Clone)]
enum Looked {
    There(Arc<Data>),
    NotThere,
    Failed(String),
}

#[cfg(test)]
impl Data {
    /// These keys, each with some value.
    pub(crate) fn of(keys: &[&str]) -> Self {
        Self(keys.iter().map(|key| ((*key).to_owned(), ByteString(b"x".to_vec()))).collect())
    }
}

impl Data {
    /// The value of a key as text.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        std::str::from_utf8(self.bytes(key)?).ok()
    }

    /// The value of a key.
    #[must_use]
    pub fn bytes(&self, key: &str) -> Option<&[u8]> {
        self.0.get(key).map(|value| value.0.as_slice())
    }
}

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").finish_non_exhaustive()
    }
}

impl Supply {
    /// What is missing, if something is.
    #[must_use]
    pub fn missing(&self) -> Option<&str> {
        match self {
            Self::Absent(what) | Self::Missing(what) => Some(what),
            _ => None,
        }
    }
}

impl Secrets {
    /// Nothing is looked up yet.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client, known: Arc::default() }
    }

    /// The Secret `name` of `field`, which must have `keys`; takes as long as one call to the API server at most.
    pub async fn supply(&self, namespace: &str, field: &str, name: Option<&str>, keys: &[&str]) -> Supply {
        let Some(name) = name else { return Supply::NotNamed };
        judge(namespace, field, name, keys, self.look_up(namespace, name).await)
    }

    async fn look_up(&self, namespace: &str, name: &str) -> Looked {
        let (now, key) = (Instant::now(), (namespace.to_owned(), name.to_owned()));
        if let Some((at, looked)) = self.lock().get(&key).cloned() {
            let serves = if matches!(looked, Looked::There(_)) { FOUND } else { NOT_FOUND };
            if now.saturating_duration_since(at) < serves {
                return looked;
            }
        }
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let looked = match within(CALL, "reading a Secret", api.get_opt(name)).await {
            Ok(Ok(Some(secret))) => Looked::There(Arc::new(Data(secret.data.unwrap_or_default()))),
            Ok(Ok(None)) => Looked::NotThere,
            Ok(Err(error)) => Looked::Failed(crate::api::words(&error)),
            Err(expired) => Looked::Failed(expired.to_string()),
        };
        let mut known = self.lock();
        known.retain(|_, (at, _)| now.saturating_duration_since(*at) < FORGOTTEN);
        known.insert(key, (now, looked.clone()));
        looked
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn judge(namespace: &str, field: &str, name: &str, keys: &[&str], looked: Looked) -> Supply {
    match looked {
        Looked::NotThere => Supply::Absent(format!(
            "there is no Secret `{name}` in namespace `{namespace}`, which `{field}` names: create it"
        )),
        Looked::Failed(why) => Supply::Unknown(format!("the Secret `{name}` cannot be read: {why}")),
        Looked::There(data) => match keys.iter().find(|key| data.bytes(key).is_none_or(<[u8]>::is_empty)) {
            Some(key) => Supply::Missing(format!(
                "the Secret `{name}`, which `{field}` names, has no `{key}`: add the key"
            )),
            None => Supply::Found(data),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(keys: &[(&str, &str)]) -> Looked {
        let keys = keys.iter().map(|(key, value)| ((*key).to_owned(), ByteString(value.as_bytes().to_vec())));
        Looked::There(Arc::new(Data(keys.collect())))
    }

    #[test]
    fn what_is_missing_is_named() {
        let judged =
            |looked| judge("space", "queue.rabbitmq.secretName", "login", &["username", "password"], looked);
        assert_eq!(
            judged(Looked::NotThere).missing().unwrap(),
            "there is no Secret `login` in namespace `space`, which `queue.rabbitmq.secretName` names: create it"
        );
        for lacking in [&[("username", "u")][..], &[("username", "u"), ("password", "")]] {
            assert_eq!(
                judged(data(lacking)).missing().unwrap(),
                "the Secret `login`, which `queue.rabbitmq.secretName` names, has no `password`: add the key"
            );
        }
        assert!(matches!(judged(data(&[("username", "u"), ("password", "p")])), Supply::Found(_)));
        assert!(matches!(judged(Looked::NotThere), Supply::Absent(_)));
        assert!(matches!(judged(Looked::Failed("forbidden".into())), Supply::Unknown(_)));
    }

    #[test]
    fn nothing_shows_what_is_secret() {
        let Looked::There(data) = data(&[("password", "hunter2")]) else { panic!() };
        assert_eq!(format!("{data:?}"), r#"{"password"}"#);
        assert_eq!(data.text("password"), Some("hunter2"));
    }
}
