//! What a page showed in which an item failed, kept for whoever gives that item up: the page itself is cleared away.

use std::time::Duration;

use scrapefleet_api::ItemId;

use super::RecipeBrowser;
use crate::{
    Evidence, StepError,
    session::{Under, Window},
};

/// How long such a page is looked at. It has just answered, and on a busy machine gives all within a second.
pub(super) const LAST_LOOK: Duration = Duration::from_secs(2);

/// The item that failed last in this browser, and what was seen of it.
#[derive(Debug, Default)]
pub(super) struct LastSight(Option<(ItemId, Evidence)>);

impl LastSight {
    /// What was seen of `id`, if it is the one that failed last.
    pub(super) fn of(&self, id: &ItemId) -> Option<&Evidence> {
        self.0.as_ref().filter(|(failed, _)| failed == id).map(|(_, seen)| seen)
    }
}

impl RecipeBrowser {
    /// Keeps what `window` shows, in which an item failed. A page that may hang is not asked; what is left of the step's time
    /// for clearing it away is not used up.
    pub(super) async fn keep_sight(&mut self, under: Under, window: &Window, id: &ItemId, error: &StepError) {
        let seen = if error.fault.is_an_answer() {
            let limit = LAST_LOOK.min(under.left() / 2);
            self.runner.evidence_under(under.at_most(limit), window).await
        } else {
            Evidence::default()
        };
        self.sight = LastSight(Some((id.clone(), seen)));
    }

    /// Forgets what was kept: another attempt begins.
    pub(super) fn forget_sight(&mut self) {
        self.sight = LastSight::default();
    }

    /// The window that shows an item; without one, that of the page that items share. None: there is no such window, or not
    /// any more.
    pub(super) fn scene(&self, item: Option<&ItemId>) -> Option<Window> {
        let home = || Some(self.runner.home.clone());
        let Some(id) = item else { return home() };
        if self.held.contains_key(id) {
            return self.window_of(id).map(|(window, _)| window);
        }
        // Beside tabs there is only Chrome's own empty page.
        if self.shares() && self.sight.of(id).is_none() { home() } else { None }
    }
}
