//! Looking at a fleet: observe, plan, apply, tell. Everything that decides is elsewhere.

use std::{collections::BTreeMap, convert::Infallible, sync::Arc, time::Duration};

use futures::StreamExt as _;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client,
    api::{ListParams, Patch, PatchParams},
    core::error_boundary::InvalidObject,
    runtime::controller::{self, Controller},
};
use scrapefleet_api::{ScrapeFleet, ScrapeFleetStatus, crd};
use scrapefleet_policy::{Clock, Instant, within};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::{
    Observed,
    api::{Announcer, Applied, Apply, CALL, Doomed, Failed, QueueRemoval, code, words},
    metrics::{CONTROLLER, OperatorMetrics},
    names,
    observe::{DepthReader, Outside, Reports, Supply, Target, ends_by, observe},
    plan::{Action, Depth, Fleet, Images, ObservedPod, Plan, Situation, plan, share_of_new},
    prepared::Prepared,
    session::{Session, Sessions},
    status::{View, status},
    watches::{Caches, Guarded},
};

/// Pause between two looks at a fleet when nothing changes. A look that finds nothing to do asks nobody.
const PERIOD: Duration = Duration::from_secs(1);

/// How long one look may take.
const LOOK: Duration = Duration::from_secs(60);

/// How many fleets are looked at at once.
const AT_ONCE: u16 = 8;

/// Changes of many pods of a fleet within this time are one look.
const DEBOUNCE: Duration = Duration::from_millis(50);

/// How long a fleet's pods may take to say how they are before it is looked at for the first time without.
const FIRST_REPORTS: Duration = Duration::from_secs(4);

/// What every look needs.
pub struct Context {
    /// The API server.
    pub client: Client,
    /// What it told.
    pub caches: Caches,
    /// What pods say of themselves.
    pub reports: Reports,
    /// What lies outside the cluster.
    pub depths: DepthReader,
    /// What was remembered.
    pub sessions: Sessions,
    /// The images of fleets that name none.
    pub images: Images,
    /// Who deletes queues.
    pub removal: Arc<dyn QueueRemoval>,
    /// Who tells people.
    pub announcer: Announcer,
    /// What is counted.
    pub metrics: OperatorMetrics,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// Namespace and name of a fleet.
type Key = (String, String);

/// Looks after all fleets until `stop`. Only the leader does.
pub async fn run(context: Arc<Context>, http: reqwest::Client, stop: CancellationToken) {
    let (trigger, reader) = (context.caches.changes(), context.caches.fleets.clone());
    let config = controller::Config::default().concurrency(AT_ONCE).debounce(DEBOUNCE);
    let looks = Controller::for_shared_stream(futures::stream::pending(), reader)
        .reconcile_on(trigger)
        .with_config(config)
        .graceful_shutdown_on(stop.clone().cancelled_owned())
        .run(look, |_, never: &Infallible, _| match *never {}, context.clone())
        .for_each(async |looked| {
            // A fleet that is gone when its turn comes is nothing to look at.
            if let Err(error) = looked {
                tracing::debug!(%error, "a look was not taken");
            }
        });
    let caches = context.caches.clone();
    let askable = || caches.pods().iter().filter_map(|pod| Target::of(pod)).collect();
    let reports = context.reports.keep(&http, askable, &stop);
    let fleets = context.caches.clone();
    let depths = context.depths.keep(|| fleets.readable(), &stop);
    futures::join!(looks, reports, depths, tidy(&context, &stop));
}

/// Forgets what is gone, and shows what is overdue.
async fn tidy(context: &Context, stop: &CancellationToken) {
    let mut tick = tokio::time::interval(PERIOD);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        let there: std::collections::HashSet<Key> =
            context.caches.fleets.state().iter().filter_map(|fleet| key_of(fleet)).collect();
        for (namespace, name) in context.sessions.retain(|key| there.contains(key)) {
            context.metrics.forget([&namespace, &name]);
        }
        let overdue = i64::try_from(context.sessions.overdue(Instant::now())).unwrap_or(i64::MAX);
        context.metrics.waiting.with_label_values(&[CONTROLLER]).set(overdue);
    }
}

fn key_of(fleet: &Guarded) -> Option<Key> {
    let metadata = match &fleet.0 {
        Ok(fleet) => &fleet.metadata,
        Err(invalid) => &invalid.metadata,
    };
    Some((metadata.namespace.clone()?, metadata.name.clone()?))
}

/// One look. It never fails: what went wrong is counted, told, and tried again later.
async fn look(fleet: Arc<Guarded>, context: Arc<Context>) -> Result<controller::Action, Infallible> {
    let Some(key) = key_of(&fleet) else { return Ok(controller::Action::await_change()) };
    let readable = fleet.0.as_ref().ok();
    let mut session = context.sessions.take(&key, readable);
    let now = Instant::now();
    if let Some(later) = session.not_before.filter(|later| *later > now) {
        session.due = later;
        context.sessions.put(&key, session);
        return Ok(controller::Action::requeue(later - now));
    }
    let looked = within(LOOK, "looking at a fleet", async {
        match &fleet.0 {
            Ok(fleet) => Look { context: &context, fleet, key: &key }.take(&mut session).await,
            Err(invalid) => unreadable(&context, &key, invalid, &mut session).await,
        }
    });
    let looked = looked.await.unwrap_or_else(|expired| Err(Trouble(expired.to_string())));
    let taken = now.elapsed().as_secs_f64();
    context.metrics.seconds.with_label_values(&[CONTROLLER]).observe(taken);
    let (result, next) = match looked {
        Ok(next) => {
            session.succeeded();
            ("requeue_after", next)
        }
        Err(Trouble(why)) => {
            tracing::warn!(namespace = key.0, fleet = key.1, why, "a fleet could not be looked after");
            ("error", session.failed())
        }
    };
    context.metrics.reconciles.with_label_values(&[CONTROLLER, result]).inc();
    session.due = Instant::now() + next + PERIOD;
    context.sessions.put(&key, session);
    Ok(controller::Action::requeue(next))
}

/// What went wrong in a look, in words.
struct Trouble(String);

/// One look at one fleet.
struct Look<'a> {
    context: &'a Context,
    fleet: &'a ScrapeFleet,
    key: &'a Key,
}

/// What a look found.
struct Seen {
    pods: Vec<ObservedPod>,
    ends_by: BTreeMap<String, Timestamp>,
    outside: Option<Outside>,
    depth: Observed<Depth>,
    now: Timestamp,
}

impl Look<'_> {
    async fn take(&self, session: &mut Session) -> Result<Duration, Trouble> {
        let pods = self.context.caches.pods_of(&self.key.0, &self.key.1);
        let pods: Vec<&Pod> = pods.iter().map(|pod| &**pod).collect();
        if session.begun.elapsed() < FIRST_REPORTS && !self.have_reported(&pods) {
            return Ok(PERIOD / 4);
        }
        let prepared = session.prepared(self.fleet, &self.context.images);
        let mut seen = self.see(&pods);
        let mut planned = plan(&self.situation(&seen, &prepared), &session.memory);
        if touches_pods(&planned) {
            // The cache may be a moment behind; what is made or deleted is decided on what is there.
            let live = self.list().await?;
            seen = self.see(&live.iter().collect::<Vec<_>>());
            planned = plan(&self.situation(&seen, &prepared), &session.memory);
        }
        let applied = self.apply(&seen, &prepared, &planned).await;
        session.memory = planned.memory.clone();
        session.tally.count(&seen.pods, seen.now);
        let labels = [self.key.0.as_str(), self.key.1.as_str()];
        self.context.metrics.count(labels, &applied.done);
        self.context.metrics.show(labels, &self.situation(&seen, &prepared), &planned);
        if !applied.done.contains(&Action::RemoveFinalizer) && !self.is_leaving() {
            self.tell(session, &seen, &prepared, &planned, &applied).await?;
        }
        match applied.failed {
            None => Ok(PERIOD),
            // The next look sees what the other did.
            Some(Failed::Conflict { .. }) => Ok(PERIOD / 4),
            Some(failed) => Err(Trouble(failed.to_string())),
        }
    }

    /// Whether it is being deleted and nothing of ours keeps it.
    fn is_leaving(&self) -> bool {
        self.fleet.metadata.deletion_timestamp.is_some() && !self.has_finalizer()
    }

    fn has_finalizer(&self) -> bool {
        self.fleet.metadata.finalizers.iter().flatten().any(|finalizer| finalizer == names::FINALIZER)
    }

    /// Whether every pod that can be asked was asked: who has just taken over knows of nothing yet.
    fn have_reported(&self, pods: &[&Pod]) -> bool {
        let mut targets = pods.iter().filter_map(|pod| Target::of(pod));
        self.context.depths.of(&self.key.0, &self.key.1).is_some()
            && targets.all(|target| self.context.reports.was_asked(&target.uid))
    }

    fn see(&self, pods: &[&Pod]) -> Seen {
        let ours = || pods.iter().filter(|pod| self.owns(pod));
        let outside = self.context.depths.of(&self.key.0, &self.key.1);
        let depth = outside.as_ref().map(|outside| outside.depth.clone());
        let report = |pod: &Pod| match &pod.metadata.uid {
            Some(uid) => self.context.reports.of(uid),
            None => Observed::unread("it has no uid"),
        };
        Seen {
            pods: ours().filter_map(|pod| observe(pod, report(pod))).collect(),
            ends_by: ours().filter_map(|pod| ends_by(pod)).collect(),
            depth: depth.unwrap_or_else(|| Observed::unread("the queue was not looked at yet")),
            outside,
            now: self.context.clock.now(),
        }
    }

    /// A pod with our labels that another owns, or nobody, is not ours.
    fn owns(&self, pod: &Pod) -> bool {
        let uid = self.fleet.metadata.uid.as_deref();
        let mut owners = pod.metadata.owner_references.iter().flatten();
        owners.any(|owner| owner.controller == Some(true) && Some(owner.uid.as_str()) == uid)
    }

    fn situation<'s>(&'s self, seen: &'s Seen, prepared: &'s Prepared) -> Situation<'s> {
        let metadata = &self.fleet.metadata;
        let paused = metadata.annotations.as_ref().and_then(|annotations| annotations.get(names::PAUSED));
        let missing = |supply: &Supply| supply.missing().is_some();
        Situation {
            spec: &self.fleet.spec,
            fleet: Fleet {
                deleting: metadata.deletion_timestamp.is_some(),
                has_finalizer: self.has_finalizer(),
                paused: paused.is_some_and(|paused| paused == "true"),
                invalid: !prepared.problems.is_empty(),
            },
            revisions: &prepared.revisions,
            blocked: seen
                .outside
                .as_ref()
                .is_some_and(|outside| missing(&outside.queue_secret) || missing(&outside.store_secret)),
            pods: &seen.pods,
            ends_by: &seen.ends_by,
            depth: &seen.depth,
            now: seen.now,
        }
    }

    async fn list(&self) -> Result<Vec<Pod>, Trouble> {
        let pods: Api<Pod> = Api::namespaced(self.context.client.clone(), &self.key.0);
        let parameters = ListParams::default().labels(&format!("{}={}", names::FLEET, self.key.1));
        match within(CALL, "listing a fleet's pods", pods.list(&parameters)).await {
            Ok(Ok(list)) => Ok(list.items),
            Ok(Err(error)) => Err(Trouble(format!("its pods cannot be listed: {}", words(&error)))),
            Err(expired) => Err(Trouble(expired.to_string())),
        }
    }

    async fn apply(&self, seen: &Seen, prepared: &Prepared, planned: &Plan) -> Applied {
        if planned.actions.is_empty() {
            return Applied::default();
        }
        let apply = Apply {
            client: &self.context.client,
            fleet: self.fleet,
            namespace: &self.key.0,
            images: &prepared.images,
            revisions: &prepared.revisions,
            share: share_of_new(&self.situation(seen, prepared), planned),
            removal: &*self.context.removal,
            doomed: self.doomed(seen),
        };
        let applied = apply.all(planned.actions.clone()).await;
        tracing::info!(namespace = self.key.0, fleet = self.key.1, done = ?applied.done, failed = ?applied.failed, "applied");
        applied
    }

    fn doomed(&self, seen: &Seen) -> Option<Doomed> {
        let secret = seen.outside.as_ref().and_then(|outside| match &outside.queue_secret {
            Supply::Found(data) => Some(data.clone()),
            _ => None,
        });
        Some(Doomed {
            namespace: self.key.0.clone(),
            fleet: self.fleet.fleet_name().ok()?,
            queue: self.fleet.spec.queue.rabbitmq.clone()?,
            lanes: crate::observe::lanes(&self.fleet.spec),
            secret,
        })
    }

    /// Writes the status where it is due, and tells people what happened.
    async fn tell(
        &self,
        session: &mut Session,
        seen: &Seen,
        prepared: &Prepared,
        planned: &Plan,
        applied: &Applied,
    ) -> Result<(), Trouble> {
        let cached = self.fleet.status.clone().unwrap_or_default();
        let before = session.writer.known(&cached, seen.now).clone();
        let list_is_broken = session.list_is_broken(&seen.pods, seen.now);
        let refused = applied.failed.as_ref().filter(|failed| !matches!(failed, Failed::Conflict { .. }));
        let refused = refused.map(ToString::to_string);
        let situation = self.situation(seen, prepared);
        let view = View {
            fleet: self.fleet,
            situation: &situation,
            plan: planned,
            outside: seen.outside.as_ref(),
            problems: &prepared.problems,
            refused: refused.as_deref(),
            tally: &session.tally,
            list_is_broken,
        };
        let after = status(&view, &before);
        if session.writer.is_due(&after, &cached, seen.now) {
            write(self.context, self.key, &after).await?;
            session.writer.written(after.clone(), seen.now);
            self.context.announcer.announce(self.fleet, &applied.done, &before, &after).await;
        } else {
            self.context.announcer.announce(self.fleet, &applied.done, &before, &before).await;
        }
        Ok(())
    }
}

/// Whether it makes or deletes something; a share may be dealt from what the cache has.
fn touches_pods(planned: &Plan) -> bool {
    planned.actions.iter().any(|action| !matches!(action, Action::Deal { .. } | Action::AddFinalizer))
}

async fn write(context: &Context, key: &Key, status: &ScrapeFleetStatus) -> Result<(), Trouble> {
    apply_status(context, key, json!(status)).await
}

async fn apply_status(context: &Context, key: &Key, status: serde_json::Value) -> Result<(), Trouble> {
    let fleets: Api<ScrapeFleet> = Api::namespaced(context.client.clone(), &key.0);
    let object = json!({
        "apiVersion": crd::api_version(),
        "kind": crd::kind(),
        "metadata": { "name": key.1 },
        "status": status,
    });
    let parameters = PatchParams::apply(names::MANAGER).force();
    let patch = Patch::Apply(object);
    match within(CALL, "writing a status", fleets.patch_status(&key.1, &parameters, &patch)).await {
        Ok(Ok(_)) => Ok(()),
        // It is gone.
        Ok(Err(error)) if code(&error) == Some(404) => Ok(()),
        // What was written comes back unreadable only where the object is; that is told by its own look.
        Ok(Err(kube::Error::SerdeError(_))) => Ok(()),
        Ok(Err(error)) => Err(Trouble(format!("its status cannot be written: {}", words(&error)))),
        Err(expired) => Err(Trouble(expired.to_string())),
    }
}

/// A fleet that cannot be read, as after a change of the definition: it is told so once for each generation, and its
/// pods are left as they are.
async fn unreadable(
    context: &Context,
    key: &Key,
    invalid: &InvalidObject,
    session: &mut Session,
) -> Result<Duration, Trouble> {
    let generation = invalid.metadata.generation.unwrap_or(0);
    if session.unreadable == Some(generation) {
        return Ok(PERIOD * 30);
    }
    let message = format!(
        "the fleet cannot be read: {}; correct it, bots go on with what they were made of",
        crate::observe::shown(&invalid.error)
    );
    tracing::warn!(namespace = key.0, fleet = key.1, message, "a fleet cannot be read");
    let at = context.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let ready = json!({
        "type": "Ready", "status": "False", "reason": "InvalidSpec", "message": message,
        "lastTransitionTime": at, "observedGeneration": generation,
    });
    let status = json!({
        "observedGeneration": generation, "phase": "Failed", "message": message, "conditions": [ready],
    });
    apply_status(context, key, status).await?;
    session.unreadable = Some(generation);
    Ok(PERIOD * 30)
}
