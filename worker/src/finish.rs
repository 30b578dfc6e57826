//! Ends of holds: stored, gone, tried again, dead, given back.

use bytes::Bytes;
use scrapefleet_api::ItemId;
use scrapefleet_policy::within;
use scrapefleet_queue::{Failure, Reason, Task};
use scrapefleet_store::{
    Key, Metadata, Origin, Put,
    compression::{Encoded, encode},
};
use tokio::{
    task::JoinError,
    time::{Duration, Instant},
};

use crate::{
    bot::Bot,
    hold::{Hold, Stage},
    storing::{Ending, Object, Outcome, carry_out},
};

/// The longest message kept with a failure, in bytes.
const LONGEST_MESSAGE: usize = 2_000;

/// How long evidence of a failure is collected before the item is given up without it.
const EVIDENCE: Duration = Duration::from_secs(5);

impl Bot {
    /// Has the artifact of `id` stored and its task acknowledged; `partial` says what is missing of it.
    pub(crate) fn store(&mut self, id: &ItemId, artifact: &Bytes, partial: Option<&str>) {
        let Some(hold) = self.holds.get(id) else { return };
        let Some(claims) = &hold.claims else { return };
        let rules = &self.config.artifacts;
        let key = rules.key.key(&self.config.fleet, id, &hold.groups);
        let Encoded { bytes, encoding } = encode(rules.compression, artifact.clone());
        let metadata = self
            .metadata(claims.task(), &bytes, &rules.content_type)
            .encoded(encoding)
            .partial(partial)
            .with_facts(rules.facts(artifact));
        self.begin_end(id, Ending::Stored(Object { key, bytes, metadata }));
    }

    /// Has the record that `id` is gone stored, with what the site said, and its task acknowledged.
    pub(crate) fn record_gone(&mut self, id: &ItemId, proof: &str) {
        let Some(task) = self.holds.get(id).and_then(Hold::task) else { return };
        tracing::info!(item = %id, %proof, "gone");
        let record = serde_json::json!({
            "item": task.id, "url": task.url, "discoveredAt": task.discovered_at,
            "goneAt": self.parts.clock.now(), "attempt": task.attempt, "proof": proof,
        });
        let bytes = Bytes::from(format!("{record:#}\n"));
        let metadata = self.metadata(task, &bytes, "application/json");
        let key = Key::gone(&self.config.fleet, id);
        self.begin_end(id, Ending::Gone(Object { key, bytes, metadata }));
    }

    /// The attempt has failed: the item is tried again later, elsewhere, or was tried often enough.
    pub(crate) async fn fail(&mut self, id: &ItemId, reason: Reason, why: &str) {
        let Some(attempt) = self.attempt(id) else { return };
        match self.config.retry.next(attempt, self.rng.f64()) {
            Some(delay) => {
                let failure = self.failure(reason, why);
                self.parts.metrics.abandoned.with_label_values(&["item", &format!("{reason:?}")]).inc();
                self.begin_end(id, Ending::Retried { delay, failure });
            }
            None => self.give_up(id, reason, why).await,
        }
    }

    /// The artifact can never be right as it was taken; on the last attempt it is kept as evidence.
    pub(crate) async fn fail_incomplete(&mut self, id: &ItemId, artifact: Bytes, why: &str) {
        if let Some(hold) = self.holds.get_mut(id) {
            hold.taken = Some(artifact);
        }
        self.fail(id, Reason::Incomplete, why).await;
    }

    /// Makes a dead letter of an item, with what can be seen of it now.
    pub(crate) async fn give_up(&mut self, id: &ItemId, reason: Reason, why: &str) {
        let evidence = self.evidence(id).await;
        tracing::warn!(item = %id, ?reason, why, "given up: a dead letter");
        let failure = self.failure(reason, why);
        self.begin_end(id, Ending::Dead { failure, evidence });
    }

    async fn evidence(&mut self, id: &ItemId) -> Vec<Object> {
        let Some(hold) = self.holds.get(id) else { return Vec::new() };
        let Some(task) = hold.task().cloned() else { return Vec::new() };
        let taken = hold.taken.clone();
        let seen = match self.browser.as_mut() {
            Some(browser) => {
                within(EVIDENCE, "collect evidence", browser.evidence(Some(id))).await.unwrap_or_default()
            }
            None => scrapefleet_browser::Evidence::default(),
        };
        let parts = [
            ("screenshot.png", "image/png", seen.screenshot),
            ("page.html", "text/html; charset=utf-8", seen.html),
            ("artifact", "application/octet-stream", taken),
        ];
        let object = |name, content_type: &str, bytes: Bytes| Object {
            key: Key::evidence(&self.config.fleet, id, task.attempt, name),
            metadata: self.metadata(&task, &bytes, content_type),
            bytes,
        };
        parts.into_iter().filter_map(|(name, kind, bytes)| Some(object(name, kind, bytes?))).collect()
    }

    fn metadata(&self, task: &Task, bytes: &Bytes, content_type: &str) -> Metadata {
        let origin = Origin {
            fleet: task.fleet.clone(),
            item: task.id.clone(),
            discovered_at: task.discovered_at,
            scraped_at: self.parts.clock.now(),
            attempt: task.attempt,
        };
        Metadata::of(bytes, origin, content_type)
    }

    pub(crate) fn failure(&self, reason: Reason, why: &str) -> Failure {
        let end =
            (0..=why.len().min(LONGEST_MESSAGE)).rev().find(|end| why.is_char_boundary(*end)).unwrap_or(0);
        Failure { reason, message: why[..end].to_owned(), at: self.parts.clock.now(), evidence: Vec::new() }
    }

    fn attempt(&self, id: &ItemId) -> Option<u32> {
        self.holds.get(id)?.task().map(|task| task.attempt)
    }

    /// Hands a hold over to be ended; its place in the browser is freed when that is done.
    pub(crate) fn begin_end(&mut self, id: &ItemId, ending: Ending) {
        let Some(hold) = self.holds.get_mut(id) else { return };
        let Some(claims) = hold.claims.take() else { return };
        hold.stage = Stage::Storing;
        let repeats = self.parts.metrics.repeats.clone();
        let repeated = move |what: &str| repeats.with_label_values(&[what]).inc();
        let (store, trouble) = (self.parts.store.clone(), self.store_trouble.clone());
        self.ends.spawn(carry_out(claims, ending, store, trouble, Box::new(repeated)));
    }

    /// Takes note of every end that has been carried out.
    pub(crate) fn collect_ends(&mut self) {
        while let Some(end) = self.ends.try_join_next() {
            self.ended(end);
        }
    }

    /// Takes note of one end.
    pub(crate) fn ended(&mut self, end: Result<Outcome, JoinError>) {
        let outcome = match end {
            Ok(outcome) => outcome,
            Err(error) => {
                // Its claim went down with it, so its task comes back; which hold it was nobody can say, and
                // the sweep for holds without a claim or a task finds it.
                tracing::error!(%error, "carrying out an end failed");
                return self.forget_orphans();
            }
        };
        let Outcome { item, ending, put, settled } = outcome;
        let mut hold = self.holds.remove(&item);
        if hold.as_ref().is_some_and(|hold| hold.opened.is_some()) && self.browser.is_some() {
            self.leaving.push_back(item.clone());
        }
        if let Some(late) = hold.as_mut().and_then(|hold| hold.late.take()) {
            self.hold(late);
        }
        match settled {
            Ok(further) => self.parts.metrics.items.with_label_values(&["repeated"]).inc_by(further),
            Err(error) => {
                tracing::error!(%item, %error, "not finished; its task comes back");
                self.last_reason = Some(error.to_string());
                self.count_outcome("released", |t| t.released += 1);
                return;
            }
        }
        let time = hold.map(|hold| Instant::now() - hold.claimed).unwrap_or_default();
        self.count_end(&ending, put, time);
    }

    fn count_end(&self, ending: &Ending, put: Option<Put>, held: Duration) {
        match (ending, put) {
            (Ending::Stored(object), Some(Put::Stored)) => {
                self.parts.metrics.hold_seconds.observe(held.as_secs_f64());
                self.parts.tally.held_for(held);
                let (bytes, partial) =
                    (object.bytes.len() as u64, u64::from(object.metadata.partial.is_some()));
                self.count_outcome("stored", |t| {
                    t.stored += 1;
                    t.bytes += bytes;
                    t.partial += partial;
                });
            }
            (Ending::Stored(_) | Ending::Known, _) => {
                self.count_outcome("already_stored", |t| t.already_stored += 1);
            }
            (Ending::Gone(_), _) => self.count_outcome("gone", |t| t.gone += 1),
            (Ending::Retried { .. }, _) => self.count_outcome("retried", |t| t.retried += 1),
            (Ending::Dead { .. }, _) => self.count_outcome("dead", |t| t.dead += 1),
            (Ending::Released, _) => self.count_outcome("released", |t| t.released += 1),
        }
    }

    pub(crate) fn count_outcome(&self, outcome: &str, count: impl FnOnce(&mut crate::tally::Totals)) {
        self.parts.metrics.items.with_label_values(&[outcome]).inc();
        self.parts.tally.add(count);
    }

    fn forget_orphans(&mut self) {
        if self.ends.is_empty() {
            self.holds.retain(|_, hold| hold.stage != Stage::Storing);
        }
    }
}
