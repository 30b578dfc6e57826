//! What the API server tells of fleets and pods, kept up to date by leaders and standbys alike.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use futures::{Stream, StreamExt as _, TryStreamExt as _, future};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client, ResourceExt as _,
    core::DeserializeGuard,
    runtime::{
        WatchStreamExt as _,
        reflector::{self, ObjectRef, Store, store::Writer},
        watcher,
    },
};
use prometheus::IntCounterVec;
use scrapefleet_api::ScrapeFleet;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use crate::names;

/// A fleet, or why it could not be read: one malformed object harms no other.
pub type Guarded = DeserializeGuard<ScrapeFleet>;

/// How many changes may wait for the controller. It looks at every fleet again soon, so a lost one delays.
const WAITING: usize = 4096;

/// Pods by namespace and fleet.
type Index = HashMap<(String, String), Vec<Arc<Pod>>>;

/// The caches of fleets and pods. Clones share them.
#[derive(Clone)]
pub struct Caches {
    /// All fleets.
    pub fleets: Store<Guarded>,
    pods: Store<Pod>,
    version: Arc<AtomicU64>,
    index: Arc<Mutex<(u64, Arc<Index>)>>,
    changes: broadcast::Sender<ObjectRef<Guarded>>,
    /// Cancelled once both caches are filled.
    filled: CancellationToken,
}

/// What fills the caches; see [`Feed::run`].
pub struct Feed {
    caches: Caches,
    fleets: Writer<Guarded>,
    pods: Writer<Pod>,
    client: Client,
    namespace: Option<String>,
    errors: IntCounterVec,
}

/// Empty caches, and what fills them from one namespace or all. Errors of watches are counted in `errors{watch}`.
#[must_use]
pub fn caches(client: Client, namespace: Option<String>, errors: IntCounterVec) -> (Caches, Feed) {
    let (fleets, fleets_writer) = reflector::store();
    let (pods, pods_writer) = reflector::store();
    let caches = Caches {
        fleets,
        pods,
        version: Arc::new(AtomicU64::new(1)),
        index: Arc::default(),
        changes: broadcast::channel(WAITING).0,
        filled: CancellationToken::new(),
    };
    let feed =
        Feed { caches: caches.clone(), fleets: fleets_writer, pods: pods_writer, client, namespace, errors };
    (caches, feed)
}

impl Feed {
    /// Follows fleets and pods for ever, each with a backoff of its own.
    pub async fn run(self) {
        let Self { caches, fleets, pods, client, namespace, errors } = self;
        let fleets_api: Api<Guarded> = api(&client, namespace.as_deref());
        let fleets = watcher(fleets_api, watcher::Config::default()).default_backoff().reflect(fleets);
        let fleets = counted(fleets, &errors, "scrapefleets").for_each(|event| {
            match &event {
                // What was listed shows in the cache only when the list is whole.
                watcher::Event::InitDone => caches.all().into_iter().for_each(|fleet| caches.changed(fleet)),
                event => {
                    if let Some(fleet) = touched(event) {
                        caches.changed(ObjectRef::from_obj(fleet));
                    }
                }
            }
            future::ready(())
        });
        let pods_api: Api<Pod> = api(&client, namespace.as_deref());
        let ours = watcher::Config::default().labels(&format!("{},{}", names::FLEET, names::ROLE));
        let pods = watcher(pods_api, ours).default_backoff().modify(lighten).reflect(pods);
        let pods = counted(pods, &errors, "pods").for_each(|event| {
            caches.version.fetch_add(1, Ordering::Relaxed);
            if let Some((namespace, fleet)) = touched(&event).and_then(fleet_of) {
                caches.news_of(&namespace, &fleet);
            }
            future::ready(())
        });
        futures::join!(caches.tell_when_filled(), fleets, pods);
    }
}

fn api<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

/// The events of a watch; its errors are logged and counted, and the watch tries again.
fn counted<K>(
    stream: impl Stream<Item = watcher::Result<watcher::Event<K>>>,
    errors: &IntCounterVec,
    watch: &'static str,
) -> impl Stream<Item = watcher::Event<K>> {
    let errors = errors.with_label_values(&[watch]);
    let seen = stream.inspect_err(move |error| {
        errors.inc();
        tracing::warn!(watch, %error, "a watch failed and is begun anew");
    });
    seen.filter_map(|event| future::ready(event.ok()))
}

fn touched<K>(event: &watcher::Event<K>) -> Option<&K> {
    match event {
        watcher::Event::Apply(object)
        | watcher::Event::InitApply(object)
        | watcher::Event::Delete(object) => Some(object),
        watcher::Event::Init | watcher::Event::InitDone => None,
    }
}

/// Namespace and name of the fleet that a pod names.
pub(crate) fn fleet_of(pod: &Pod) -> Option<(String, String)> {
    Some((pod.namespace()?, pod.labels().get(names::FLEET)?.clone()))
}

/// Leaves out what is large and not looked at.
fn lighten(pod: &mut Pod) {
    pod.metadata.managed_fields = None;
    pod.annotations_mut().remove(names::MANIFEST);
    if let Some(spec) = &mut pod.spec {
        *spec =
            k8s_openapi::api::core::v1::PodSpec { node_name: spec.node_name.take(), ..Default::default() };
    }
}

impl Caches {
    /// Waits until both caches are filled.
    pub async fn ready(&self) {
        self.filled.cancelled().await;
    }

    /// Tells everyone who waits when both caches are filled. A store itself tells but one: whoever asked it last.
    async fn tell_when_filled(&self) {
        if let (Ok(()), Ok(())) = futures::join!(self.fleets.wait_until_ready(), self.pods.wait_until_ready())
        {
            self.filled.cancel();
        }
    }

    /// The pods that name this fleet.
    #[must_use]
    pub fn pods_of(&self, namespace: &str, fleet: &str) -> Vec<Arc<Pod>> {
        self.index().get(&(namespace.to_owned(), fleet.to_owned())).cloned().unwrap_or_default()
    }

    /// All pods of all fleets.
    #[must_use]
    pub fn pods(&self) -> Vec<Arc<Pod>> {
        self.pods.state()
    }

    /// All fleets that can be read.
    #[must_use]
    pub fn readable(&self) -> Vec<Arc<ScrapeFleet>> {
        let fleets = self.fleets.state();
        fleets.iter().filter_map(|guarded| guarded.0.as_ref().ok().cloned().map(Arc::new)).collect()
    }

    /// What changes from now on, and before that everything there is.
    pub fn changes(&self) -> impl Stream<Item = ObjectRef<Guarded>> + Send + use<> {
        let changes = self.changes.subscribe();
        let all = self.all();
        let later = futures::stream::unfold(changes, async |mut changes| {
            loop {
                match changes.recv().await {
                    Ok(change) => return Some((change, changes)),
                    // Every fleet is looked at again soon.
                    Err(broadcast::error::RecvError::Lagged(missed)) => {
                        tracing::warn!(missed, "changes came faster than they could be looked at");
                    }
                    Err(broadcast::error::RecvError::Closed) => return None,
                }
            }
        });
        futures::stream::iter(all).chain(later)
    }

    fn all(&self) -> Vec<ObjectRef<Guarded>> {
        self.fleets.state().iter().map(|fleet| ObjectRef::from_obj(&**fleet)).collect()
    }

    /// There is news of a fleet that the API server does not tell.
    pub fn news_of(&self, namespace: &str, fleet: &str) {
        self.changed(ObjectRef::new(fleet).within(namespace));
    }

    fn changed(&self, fleet: ObjectRef<Guarded>) {
        // Nobody listens on a standby.
        let _ = self.changes.send(fleet);
    }

    /// Made anew only when a pod has changed: thousands of fleets ask every second.
    fn index(&self) -> Arc<Index> {
        let version = self.version.load(Ordering::Relaxed);
        let mut known = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        if known.0 != version {
            let mut index = Index::new();
            for pod in self.pods.state() {
                if let Some(key) = fleet_of(&pod) {
                    index.entry(key).or_default().push(pod);
                }
            }
            *known = (version, Arc::new(index));
        }
        known.1.clone()
    }
}
