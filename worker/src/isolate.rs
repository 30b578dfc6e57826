//! Suspects: who is one when a browser dies, and taking them out of the page that they share with others.

use scrapefleet_api::ItemId;
use scrapefleet_browser::{Layer, Placement};
use scrapefleet_policy::BreakerState;
use tokio::time::Instant;

use crate::{
    blame::{Ruling, Standing, Witness, rule},
    bot::Bot,
    exit::BotExit,
    hold::{Hold, Stage},
    open::crashed,
    probe::is_shared,
};

impl Bot {
    /// Suspects what may have killed the page, and clears what cannot have.
    pub(crate) fn suspect(&mut self) {
        let (mut witnesses, mut alone) = (Vec::new(), 0);
        for (id, hold) in self.holds.iter().filter(|(_, hold)| hold.stage == Stage::Open) {
            if !is_shared(hold.placement) && hold.standing != Standing::Isolated {
                alone += 1;
            } else {
                let (standing, survived) = (hold.standing, hold.survived);
                witnesses.push(Witness { id: id.clone(), standing, survived });
            }
        }
        for (id, ruling) in rule(&witnesses, alone) {
            tracing::info!(item = %id, ?ruling, "its page died");
            self.rule(&id, ruling);
        }
    }

    /// The suspect in the shared page that has survived least, when the site and politeness let it be opened alone now.
    pub(crate) fn next_to_isolate(&self) -> Option<ItemId> {
        let suspect = |hold: &Hold| {
            hold.standing == Standing::Suspected && is_shared(hold.placement) && hold.stage == Stage::Open
        };
        let suspects = self.holds.iter().filter(|(_, hold)| suspect(hold));
        let (id, _) = suspects.min_by_key(|(_, hold)| hold.survived)?;
        let now = Instant::now();
        let polite = self.browser.as_ref()?.wait_before_open(Placement::Alone).is_zero();
        (polite && self.breaker.state(now) == BreakerState::Closed).then(|| id.clone())
    }

    /// Opens a suspect alone that is in the shared page. Its own crash is held against it. When the browser dies, something
    /// else in it may be at fault; and what cannot be opened alone for any other reason goes back to where it was.
    pub(crate) async fn isolate_next(&mut self) -> Result<(), BotExit> {
        let Some(id) = self.next_to_isolate() else { return Ok(()) };
        self.rule(&id, Ruling::IsolateFirst);
        let Some((placement, opened)) = self.open(&id).await else { return Ok(()) };
        let Err(error) = opened else {
            self.opened(&id);
            return Ok(());
        };
        match error.layer() {
            Layer::Item if crashed(&error) => return self.open_failed(&id, placement, error).await,
            Layer::Browser => {
                self.line_up(&id, Ruling::IsolateFirst);
                return self.abandon_browser(&error).await;
            }
            Layer::Site => self.breaker.failure(Instant::now()),
            Layer::Item => {}
        }
        self.count_failure(&error);
        tracing::info!(item = %id, %error, "not opened alone");
        self.line_up(&id, Ruling::Clear);
        Ok(())
    }

    /// Has an item abide by a ruling.
    pub(crate) fn rule(&mut self, id: &ItemId, ruling: Ruling) {
        if let Some(hold) = self.holds.get_mut(id) {
            hold.abide(ruling);
        }
    }

    /// Puts an item last in line, to be opened as was ruled.
    pub(crate) fn line_up(&mut self, id: &ItemId, ruling: Ruling) {
        self.rule(id, ruling);
        if let Some(hold) = self.holds.get_mut(id) {
            hold.stage = Stage::Waiting;
            self.line.push_back(id.clone());
        }
    }
}
