//! One held item.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;
use scrapefleet_browser::{Item, Placement};
use scrapefleet_queue::{Claim, Reason, Task};
use tokio::time::{Duration, Instant};

use crate::{
    blame::{Ruling, Standing},
    claims::Claims,
};

/// Where a held item is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Stage {
    /// Waiting for its turn to be opened.
    Waiting,
    /// Open and watched.
    Open,
    /// Ended; its artifact is not complete yet.
    Completing,
    /// Its artifact, or the record that it is gone, is being stored and acknowledged.
    Storing,
}

/// One held item: the claims on its tasks and what the bot knows of it.
#[derive(Debug)]
pub struct Hold {
    /// What to open.
    pub item: Item,
    /// The claims on its tasks; away while its end is carried out.
    pub claims: Option<Claims>,
    /// What has come while its end is carried out, and is held anew after that: it may be what the end put on the queue.
    pub late: Option<Claims>,
    /// Where it is on its way.
    pub stage: Stage,
    /// How it is opened.
    pub placement: Placement,
    /// Whether it is suspected of killing pages.
    pub standing: Standing,
    /// When the task was claimed, for deadlines.
    pub claimed: Instant,
    /// The same on the wall clock, for people.
    pub since: Timestamp,
    /// When it was last opened, if it was.
    pub opened: Option<Instant>,
    /// The longest that it has been open in one browser, as far as that is known.
    pub survived: Duration,
    /// When the item was first seen to have ended.
    pub ended: Option<Instant>,
    /// How often it had to be opened again because it was lost from its page.
    pub reopened: u32,
    /// Whether the one re-opening that the soft hold timeout asks for was done.
    pub refreshed: bool,
    /// Changes whenever the item moves.
    pub progress: String,
    /// When it last moved.
    pub moved: Instant,
    /// Named groups of the recipe's id pattern.
    pub groups: BTreeMap<String, String>,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// An artifact that was taken but cannot be stored as it is.
    pub taken: Option<Bytes>,
}

impl Hold {
    /// A hold on a claimed task, not yet open.
    #[must_use]
    pub fn new(claims: Claims, groups: BTreeMap<String, String>, now: Instant, since: Timestamp) -> Self {
        let task = claims.task();
        let item = Item { id: task.id.clone(), url: task.url.clone() };
        let (placement, attempt) = (placement(task), task.attempt);
        Self {
            item,
            claims: Some(claims),
            late: None,
            stage: Stage::Waiting,
            placement,
            standing: Standing::default(),
            claimed: now,
            since,
            opened: None,
            survived: Duration::ZERO,
            ended: None,
            reopened: 0,
            refreshed: false,
            progress: String::new(),
            moved: now,
            groups,
            attempt,
            taken: None,
        }
    }

    /// The task that counts; none while the end is carried out.
    #[must_use]
    pub fn task(&self) -> Option<&Task> {
        self.claims.as_ref().map(Claims::task)
    }

    /// Keeps the claim on a further task of the item; `most` are handed out over one connection.
    pub fn keep(&mut self, claim: Box<dyn Claim>, most: usize) {
        let claims = if self.stage == Stage::Storing { &mut self.late } else { &mut self.claims };
        match claims {
            Some(claims) => claims.add(claim, most),
            None => *claims = Some(Claims::of(claim)),
        }
        self.attempt = self.task().map_or(self.attempt, |task| task.attempt);
    }

    /// It was open until `end`.
    pub fn survive(&mut self, end: Instant) {
        let open = self.opened.map_or(Duration::ZERO, |opened| end.saturating_duration_since(opened));
        self.survived = self.survived.max(open);
    }

    /// Does as was ruled when its page died.
    pub fn abide(&mut self, ruling: Ruling) {
        (self.placement, self.standing) = match ruling {
            Ruling::Clear => (Placement::Ordinary, Standing::Cleared),
            Ruling::IsolateLater => (Placement::Ordinary, Standing::Suspected),
            Ruling::IsolateFirst => (Placement::Alone, Standing::Isolated),
        };
    }

    /// Puts it back in line to be opened.
    pub fn wait_again(&mut self) {
        self.stage = Stage::Waiting;
        self.reopened += 1;
    }
}

/// An item that crashed a page before is opened alone, so that nothing else is lost with it.
fn placement(task: &Task) -> Placement {
    match &task.last_failure {
        Some(failure) if failure.reason == Reason::PageCrashed => Placement::Alone,
        _ => Placement::Ordinary,
    }
}
