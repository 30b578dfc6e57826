//! Which item is suspected when a browser dies under many.
//!
//! A page that many items share dies with all of them, and nothing says which one was at fault. What was open in one for
//! long was harmless so far, so suspicion falls on those that have survived least. Suspects are opened alone: when a page
//! that holds one item dies, that item is to blame for certain, and no other is ever blamed.
//!
//! A page of its own takes many times as long to open as a place in the shared one, and most browsers die of something
//! else. So a suspect goes back into the shared page with all others at first, and is taken out of it as soon as everything is
//! held again: what took a while to do harm will not do it sooner. Only one that was quick, or has done it again before it
//! was taken out, is opened alone from the start. When the page dies without the suspects they are cleared, and twice as many
//! others are suspected.

use scrapefleet_api::ItemId;
use tokio::time::Duration;

/// How many items are suspected at first.
pub const SUSPECTS: usize = 3;

/// How many items a bot opens alone at once; each costs a renderer of its own.
pub const ALONE: usize = 6;

/// An item that was once open for longer than this is not suspected: what it did, it would have done before.
pub const HARMLESS_AFTER: Duration = Duration::from_mins(2);

/// An item whose page dies so soon is opened alone before it can do that again. Others are alone by then: ten items are
/// back in a shared page within two seconds, and each suspect leaves it within one more.
pub const QUICK: Duration = Duration::from_secs(5);

/// How an item stands with the bot that holds it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Standing {
    /// Nothing is held against it.
    #[default]
    Trusted,
    /// Suspected; it is opened alone as soon as there is time for it.
    Suspected,
    /// Suspected, and opened alone.
    Isolated,
    /// Was suspected, but a page died without it.
    Cleared,
}

/// An item that was open in a browser when that died, unless it was alone for another reason than suspicion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness {
    /// The item.
    pub id: ItemId,
    /// How it stands.
    pub standing: Standing,
    /// The longest that it has been open in one browser, by the last answer of that.
    pub survived: Duration,
}

/// What becomes of a witness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ruling {
    /// It is not suspected any more.
    Clear,
    /// It is suspected, and opened alone once everything is held again.
    IsolateLater,
    /// It is suspected, and opened alone from the start.
    IsolateFirst,
}

/// What becomes of the witnesses of a death, where anything does. Another `alone` items were alone for another reason.
#[must_use]
pub fn rule(witnesses: &[Witness], alone: usize) -> Vec<(ItemId, Ruling)> {
    let all = |standing| witnesses.iter().filter(move |witness| witness.standing == standing);
    let mut rulings: Vec<_> = all(Standing::Isolated).map(|w| (w.id.clone(), Ruling::Clear)).collect();
    let before = rulings.len();
    rulings.extend(all(Standing::Suspected).map(|w| (w.id.clone(), Ruling::IsolateFirst)));
    if rulings.len() > before {
        return rulings;
    }
    let young = |standing| all(standing).filter(|witness| witness.survived <= HARMLESS_AFTER);
    let mut suspects: Vec<_> = young(Standing::Trusted).collect();
    if suspects.is_empty() {
        // Whoever it is was cleared too soon.
        suspects = young(Standing::Cleared).collect();
    }
    suspects.sort_by_key(|witness| witness.survived);
    let most = SUSPECTS.max(2 * (before + all(Standing::Cleared).count()));
    suspects.truncate(most.min(ALONE.saturating_sub(alone).max(1)));
    rulings.extend(suspects.into_iter().map(|witness| {
        let quick = witness.survived <= QUICK;
        (witness.id.clone(), if quick { Ruling::IsolateFirst } else { Ruling::IsolateLater })
    }));
    rulings
}

#[cfg(test)]
mod tests;
