//! Which item is suspected when a browser dies under many.
//!
//! A page that many items share dies with all of them, and nothing says which one was at fault. What had been
//! in the page for long was harmless so far, so suspicion falls on the newest. Suspects are opened alone from
//! then on: when a page that holds one item dies, that item is to blame for certain.

use scrapefleet_api::ItemId;
use scrapefleet_browser::Placement;
use tokio::time::{Duration, Instant};

/// How many of the newest items are suspected at one crash.
pub const SUSPECTS: usize = 3;

/// How many items a bot opens alone at once; each costs a renderer of its own.
pub const ALONE: usize = 6;

/// An item that has been open for longer than this when its page dies is not suspected: what it did, it would
/// have done before.
pub const HARMLESS_AFTER: Duration = Duration::from_mins(2);

/// An item that was in a browser when it died.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness {
    /// The item.
    pub id: ItemId,
    /// How it was opened.
    pub placement: Placement,
    /// When it was first open.
    pub opened: Instant,
}

/// What becomes of the suspects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sentence {
    /// Opened again in this bot, alone.
    pub alone: Vec<ItemId>,
    /// Given back with a crash on their record, because the bot has no room to open more items alone.
    pub handed_back: Vec<ItemId>,
}

/// Whom to suspect of the death of a shared page.
#[must_use]
pub fn sentence(witnesses: &[Witness], now: Instant) -> Sentence {
    let alone = witnesses.iter().filter(|w| w.placement == Placement::Alone).count();
    let mut shared: Vec<_> = witnesses
        .iter()
        .filter(|w| w.placement == Placement::Ordinary && now.duration_since(w.opened) <= HARMLESS_AFTER)
        .collect();
    shared.sort_by_key(|w| std::cmp::Reverse(w.opened));
    let mut suspects = shared.into_iter().take(SUSPECTS).map(|w| w.id.clone());
    let room = ALONE.saturating_sub(alone);
    Sentence { alone: suspects.by_ref().take(room).collect(), handed_back: suspects.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn witness(id: &str, placement: Placement, opened: Instant) -> Witness {
        Witness { id: ItemId::new(id).unwrap(), placement, opened }
    }

    fn ids(list: &[ItemId]) -> Vec<&str> {
        list.iter().map(ItemId::as_str).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn the_newest_are_suspected() {
        let start = Instant::now();
        let at = |s| start + Duration::from_secs(s);
        let all: Vec<_> = (0..10).map(|n| witness(&format!("i{n}"), Placement::Ordinary, at(n))).collect();
        let sentence = sentence(&all, at(20));
        assert_eq!(ids(&sentence.alone), ["i9", "i8", "i7"]);
        assert!(sentence.handed_back.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_long_harmless_is_not_suspected() {
        let start = Instant::now();
        let old = [witness("old", Placement::Ordinary, start)];
        let later = start + HARMLESS_AFTER + Duration::from_secs(1);
        assert_eq!(sentence(&old, later), Sentence::default());
    }

    #[tokio::test(start_paused = true)]
    async fn without_room_suspects_are_handed_back() {
        let now = Instant::now();
        let mut all: Vec<_> =
            (0..ALONE - 1).map(|n| witness(&format!("a{n}"), Placement::Alone, now)).collect();
        all.extend((0..4).map(|n| witness(&format!("s{n}"), Placement::Ordinary, now)));
        let sentence = sentence(&all, now);
        assert_eq!(sentence.alone.len(), 1);
        assert_eq!(sentence.handed_back.len(), SUSPECTS - 1);
    }

    #[tokio::test(start_paused = true)]
    async fn an_empty_browser_accuses_nobody() {
        assert_eq!(sentence(&[], Instant::now()), Sentence::default());
    }
}
