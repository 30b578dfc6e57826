//! When a status is written: at once when something changed that people act on, every few seconds when only numbers
//! did, never when nothing did.

use jiff::{SignedDuration, Timestamp};
use scrapefleet_api::ScrapeFleetStatus;

/// How long numbers that move wait for the next write.
const NUMBERS: SignedDuration = SignedDuration::from_secs(5);

/// How long what was written may take to show in the cache. After that what the cache has is what is there.
const CACHE: SignedDuration = SignedDuration::from_secs(10);

/// Remembers what was written last.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Writer {
    last: Option<(Timestamp, ScrapeFleetStatus)>,
}

impl Writer {
    /// What the status is now, as far as is known: what was written a moment ago, else what the cache has.
    #[must_use]
    pub fn known<'a>(&'a self, cached: &'a ScrapeFleetStatus, now: Timestamp) -> &'a ScrapeFleetStatus {
        match &self.last {
            Some((at, written)) if now.duration_since(*at) < CACHE => written,
            _ => cached,
        }
    }

    /// Whether `wanted` is to be written now.
    #[must_use]
    pub fn is_due(&self, wanted: &ScrapeFleetStatus, cached: &ScrapeFleetStatus, now: Timestamp) -> bool {
        let known = self.known(cached, now);
        if known == wanted {
            return false;
        }
        let rested = self.last.as_ref().is_none_or(|(at, _)| now.duration_since(*at) >= NUMBERS);
        rested || still(known) != still(wanted)
    }

    /// It was written.
    pub fn written(&mut self, status: ScrapeFleetStatus, now: Timestamp) {
        self.last = Some((now, status));
    }
}

/// The status without what moves while a fleet works.
fn still(status: &ScrapeFleetStatus) -> ScrapeFleetStatus {
    let mut still = status.clone();
    still.items = None;
    still.rate = None;
    still.message = None;
    for condition in &mut still.conditions {
        condition.message.clear();
    }
    for bot in &mut still.bots {
        bot.held = None;
        bot.last_reason = None;
        bot.since = None;
    }
    still
}

#[cfg(test)]
mod tests {
    use scrapefleet_api::status::{ItemCounts, Phase};

    use super::*;
    use crate::plan::fixture::second;

    fn status(phase: Phase, held: i64) -> ScrapeFleetStatus {
        let items = Some(ItemCounts { held, ..ItemCounts::default() });
        ScrapeFleetStatus { phase: Some(phase), items, ..ScrapeFleetStatus::default() }
    }

    #[test]
    fn nothing_new_is_not_written() {
        let writer = Writer::default();
        let same = status(Phase::Running, 3);
        assert!(!writer.is_due(&same, &same, second(100)));
    }

    #[test]
    fn numbers_wait_and_news_do_not() {
        let mut writer = Writer::default();
        let cached = status(Phase::Running, 0);
        writer.written(status(Phase::Running, 1), second(100));
        assert!(!writer.is_due(&status(Phase::Running, 2), &cached, second(104)));
        assert!(writer.is_due(&status(Phase::Running, 2), &cached, second(105)));
        assert!(writer.is_due(&status(Phase::Degraded, 2), &cached, second(101)));
    }

    #[test]
    fn a_stale_cache_makes_nobody_write_twice_and_what_others_wrote_is_mended() {
        let mut writer = Writer::default();
        let (old, new) = (status(Phase::Pending, 0), status(Phase::Running, 0));
        writer.written(new.clone(), second(100));
        assert!(!writer.is_due(&new, &old, second(103)));
        assert!(writer.is_due(&new, &old, second(111)), "somebody else wrote it");
    }
}
