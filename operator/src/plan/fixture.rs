//! Fleets and pods for tests.

use jiff::Timestamp;
use scrapefleet_api::{ScrapeFleet, ScrapeFleetSpec, manifest};

use super::{Exit, ExitReason, ObservedPod, Report, ReportedState, Role, Stage};
use crate::Observed;

/// A fleet on RabbitMQ and S3 with bots from `min` to `max`.
pub(crate) fn fleet(min: i32, max: i32) -> ScrapeFleet {
    let yaml = format!(
        "{{ apiVersion: scrapefleet.io/v1alpha1, kind: ScrapeFleet, metadata: {{ name: fleet }}, spec: {{ \
         site: {{ preset: showdown, url: 'https://site.example' }}, \
         bots: {{ min: {min}, max: {max}, holdsPerBot: 10 }}, \
         queue: {{ rabbitmq: {{ url: 'amqp://rabbitmq', secretName: queue }} }}, \
         store: {{ s3: {{ bucket: logs, secretName: store }} }} }} }}"
    );
    let mut fleet = manifest::load(&yaml, &[]).unwrap();
    fleet.metadata.namespace = Some("space".to_owned());
    fleet.metadata.uid = Some("fleet-uid".to_owned());
    fleet
}

/// Its spec.
pub(crate) fn spec(min: i32, max: i32) -> ScrapeFleetSpec {
    fleet(min, max).spec
}

/// A second of the tests' time.
pub(crate) fn second(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// A bot that is ready, works and holds nothing.
pub(crate) fn pod(slot: u32) -> ObservedPod {
    ObservedPod {
        name: format!("fleet-bot-{slot}-x"),
        uid: format!("uid-{slot}"),
        role: Role::Bot,
        slot,
        revision: "r1".to_owned(),
        stage: Stage::Ready,
        since: None,
        terminating: false,
        fenced: false,
        failures: 0,
        probes_site: false,
        share: None,
        node: None,
        node_gone: false,
        obstacle: None,
        silent_since: None,
        last_said: None,
        report: Observed::Read {
            value: Report { state: ReportedState::Working, ..Report::default() },
            at: Timestamp::from_second(0).unwrap(),
        },
    }
}

impl ObservedPod {
    /// The same with a report of this time.
    pub(crate) fn reporting(mut self, state: ReportedState, held: u32, at: Timestamp) -> Self {
        self.report = Observed::Read { value: Report { state, held, ..Report::default() }, at };
        self
    }

    /// The same, silent.
    pub(crate) fn silent(mut self) -> Self {
        self.report = Observed::unread("no answer");
        self
    }

    /// The same with this many held items, as reported at `at`.
    pub(crate) fn holding(self, held: u32, at: Timestamp) -> Self {
        self.reporting(ReportedState::Working, held, at)
    }

    /// The same, not yet scheduled.
    pub(crate) fn pending(mut self) -> Self {
        self.stage = Stage::Pending;
        self.silent()
    }

    /// The same, not ready yet.
    pub(crate) fn starting(mut self) -> Self {
        self.stage = Stage::Starting;
        self.silent()
    }

    /// The same, ended with `code` after a second.
    pub(crate) fn ended(mut self, code: i32, at: Timestamp) -> Self {
        let started = at.checked_sub(std::time::Duration::from_secs(1)).ok();
        self.stage =
            Stage::Ended(Exit { why: ExitReason::from_code(code), at, started, message: None, stored: None });
        self.silent()
    }

    /// The same as a watcher.
    pub(crate) fn watcher(mut self) -> Self {
        self.role = Role::Watcher;
        self.name = format!("fleet-watcher-{}-x", self.slot);
        self.uid = format!("watcher-uid-{}", self.slot);
        self.revision = "w1".to_owned();
        self
    }

    /// The same, changed.
    pub(crate) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}
