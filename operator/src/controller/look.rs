//! One look at one fleet, from what there is to what is told of it.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, api::ListParams};
use scrapefleet_api::ScrapeFleet;
use scrapefleet_policy::within;

use super::{Context, Key, PERIOD, Trouble, telling};
use crate::{
    Observed,
    api::{Applied, Apply, CALL, Doomed, Failed, words},
    failpoint::{Failpoint, Step},
    names,
    observe::{Heard, Outside, Supply, Target, ends_by, lanes, observe},
    plan::{Action, Depth, Fleet, ObservedPod, Plan, Situation, plan, share_of_new},
    prepared::Prepared,
    session::Session,
    status::{View, status},
};

/// How long a fleet's pods may take to say how they are before it is looked at for the first time without: they are asked
/// within a second, and each has two to answer.
pub(crate) const FIRST_REPORTS: Duration = Duration::from_secs(3);

/// One look at one fleet.
pub(super) struct Look<'a> {
    pub(super) context: &'a Context,
    pub(super) fleet: &'a ScrapeFleet,
    pub(super) key: &'a Key,
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
    /// Takes it; how long until the next.
    pub(super) async fn take(&self, session: &mut Session) -> Result<Duration, Trouble> {
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
            self.failpoint().pass(Step::Planned);
        }
        let applied = self.apply(&seen, &prepared, &planned).await;
        if let Some(left) = &applied.left {
            self.context.announcer.announce_left(self.fleet, left).await;
        }
        session.memory = planned.memory.clone();
        session.tally.count(&seen.pods, seen.now);
        let labels = [self.key.0.as_str(), self.key.1.as_str()];
        self.context.metrics.count(labels, &applied.done);
        self.context.metrics.show(labels, &self.situation(&seen, &prepared), &planned);
        if !applied.done.contains(&Action::RemoveFinalizer) && !self.is_leaving() {
            Box::pin(self.tell(session, &seen, &prepared, &planned, &applied)).await?;
        }
        match applied.failed {
            None => Ok(PERIOD),
            // The next look sees what the other did.
            Some(Failed::Conflict { .. }) => Ok(PERIOD / 4),
            Some(failed) => Err(Trouble(failed.to_string())),
        }
    }

    /// Where a test has this operator die.
    fn failpoint(&self) -> Failpoint<'_> {
        Failpoint::of(self.fleet, &self.context.pod)
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
        let heard = |pod: &Pod| match &pod.metadata.uid {
            Some(uid) => self.context.reports.of(uid),
            None => Heard::nothing("it has no uid"),
        };
        Seen {
            pods: ours().filter_map(|pod| observe(pod, heard(pod))).collect(),
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
            failpoint: self.failpoint(),
        };
        let applied = apply.all(planned.actions.clone()).await;
        tracing::info!(namespace = self.key.0, fleet = self.key.1, done = ?applied.done, failed = ?applied.failed, "applied");
        applied
    }

    fn doomed(&self, seen: &Seen) -> Option<Doomed> {
        let outside = seen.outside.as_ref();
        let secret = outside.map(|outside| outside.queue_secret.clone());
        Some(Doomed {
            namespace: self.key.0.clone(),
            fleet: self.fleet.fleet_name().ok()?,
            lanes: lanes(&self.fleet.spec),
            queue: self.fleet.spec.queue.rabbitmq.clone()?,
            secret: secret.unwrap_or_else(|| Supply::Unknown("the Secret was not looked up yet".to_owned())),
            login: outside.and_then(|outside| outside.last_login.clone()),
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
        let thrown_away = session.abandonments.news(&seen.pods, seen.now);
        self.context.announcer.announce_thrown_away(self.fleet, thrown_away).await;
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
            // Numbers are written all the time: a look that a test is about has done something.
            let failpoint = if applied.done.is_empty() { Failpoint::default() } else { self.failpoint() };
            failpoint.pass(Step::BeforeStatus);
            telling::write(self.context, self.key, &after).await?;
            failpoint.pass(Step::AfterStatus);
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
