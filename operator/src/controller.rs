//! Looking at a fleet: observe, plan, apply, tell. Everything that decides is elsewhere.

#[cfg(test)]
mod fake;
mod look;
mod telling;
#[cfg(test)]
mod tests;

use std::{convert::Infallible, sync::Arc, time::Duration};

use futures::StreamExt as _;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{
    Client,
    runtime::controller::{self, Controller},
};
use scrapefleet_policy::{Clock, Instant, within};
use tokio_util::sync::CancellationToken;

use crate::{
    api::{Announcer, QueueRemoval},
    metrics::{CONTROLLER, OperatorMetrics},
    observe::{DepthReader, Reports, Target},
    plan::Images,
    session::Sessions,
    watches::{Caches, Guarded},
};
#[cfg(test)]
pub(crate) use look::FIRST_REPORTS;
use look::Look;

/// Pause between two looks at a fleet when nothing changes. A look that finds nothing to do asks nobody.
const PERIOD: Duration = Duration::from_secs(1);

/// How long one look may take.
const LOOK: Duration = Duration::from_mins(1);

/// How many fleets are looked at at once.
const AT_ONCE: u16 = 8;

/// Changes of many pods of a fleet within this time are one look.
const DEBOUNCE: Duration = Duration::from_millis(50);

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
    /// The name of this operator's pod.
    pub pod: String,
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
    let news = |namespace: &str, fleet: &str| context.caches.news_of(namespace, fleet);
    let reports = context.reports.keep(&http, askable, news, &stop);
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

fn metadata(fleet: &Guarded) -> &ObjectMeta {
    match &fleet.0 {
        Ok(fleet) => &fleet.metadata,
        Err(invalid) => &invalid.metadata,
    }
}

fn key_of(fleet: &Guarded) -> Option<Key> {
    let metadata = metadata(fleet);
    Some((metadata.namespace.clone()?, metadata.name.clone()?))
}

/// One look. It never fails: what went wrong is counted, told, and tried again later.
async fn look(fleet: Arc<Guarded>, context: Arc<Context>) -> Result<controller::Action, Infallible> {
    let Some(key) = key_of(&fleet) else { return Ok(controller::Action::await_change()) };
    let readable = fleet.0.as_ref().ok();
    let mut session = context.sessions.take(&key, readable);
    session.saw(metadata(&fleet).generation);
    let now = Instant::now();
    if let Some(later) = session.not_before.filter(|later| *later > now) {
        session.due = later;
        context.sessions.put(&key, session);
        return Ok(controller::Action::requeue(later - now));
    }
    let looked = Box::pin(async {
        match &fleet.0 {
            Ok(fleet) => Look { context: &context, fleet, key: &key }.take(&mut session).await,
            Err(invalid) => telling::unreadable(&context, &key, invalid, &mut session).await,
        }
    });
    let looked = within(LOOK, "looking at a fleet", looked).await;
    let looked = looked.unwrap_or_else(|expired| Err(Trouble(expired.to_string())));
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
