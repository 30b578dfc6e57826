//! A slot whose pod has ended, and when it may be filled again.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use scrapefleet_policy::Backoff;

use super::{Blame, Exit, ExitReason, ObservedPod};

/// A pod that ran at least as long was well: what went wrong before it is forgotten.
const WELL: SignedDuration = SignedDuration::from_mins(10);

/// Delays of a slot that keeps failing; the first end is answered at once.
const POD: Backoff = Backoff::from(Duration::from_secs(5)).to(Duration::from_mins(5)).jitter(0.0);

/// Delays while the queue or the store cannot be reached: short, so that the fleet mends itself soon after they are back.
const SERVICE: Backoff = Backoff::from(Duration::from_secs(2)).to(Duration::from_secs(30)).jitter(0.0);

/// Delays while a queue is one that was made otherwise: a person has to delete it.
const MISMATCH: Backoff = Backoff::from(Duration::from_secs(10)).to(Duration::from_mins(5)).jitter(0.0);

/// The longest pause before another pod finds out whether the site is back.
const SITE_MOST: Duration = Duration::from_mins(10);

/// A slot whose pod has ended.
#[derive(Debug, Clone, Copy)]
pub struct Vacancy<'a> {
    /// The pod that ended.
    pub pod: &'a ObservedPod,
    /// How it ended.
    pub exit: &'a Exit,
}

/// When a vacancy may be filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Due {
    /// From this time on.
    From(Timestamp),
    /// Not before the manifest changes.
    Never,
}

impl<'a> Vacancy<'a> {
    /// The vacancy that `pod` leaves, if it has ended and is nobody's to clean up yet.
    #[must_use]
    pub fn of(pod: &'a ObservedPod) -> Option<Self> {
        let exit = pod.exit()?;
        (!pod.terminating && !pod.fenced).then_some(Self { pod, exit })
    }

    /// Ends in a row, this one included, that the slot has had when its next pod starts. What was made of another
    /// revision says nothing of the next.
    #[must_use]
    pub fn failures(&self, revision: &str) -> u32 {
        let ran =
            self.exit.started.map_or(SignedDuration::ZERO, |started| self.exit.at.duration_since(started));
        match self.exit.why.blame() {
            Blame::Nobody => 0,
            _ if self.pod.revision != revision => 0,
            _ if ran >= WELL => 1,
            _ => self.pod.failures.saturating_add(1),
        }
    }

    /// When it may be filled with a pod of `revision`. `seen` is when its end was first seen, by our own clock: that of its
    /// node says nothing here. `cooldown` is how long the site is left alone at first.
    #[must_use]
    pub fn due(&self, revision: &str, cooldown: Duration, seen: Timestamp) -> Due {
        let failures = self.failures(revision);
        let delay = match self.exit.why.blame() {
            Blame::Manifest if self.pod.revision == revision => return Due::Never,
            _ if failures == 0 => Duration::ZERO,
            Blame::Pod if failures == 1 => Duration::ZERO,
            Blame::Pod => POD.delay(failures - 1, 1.0),
            Blame::Service if self.exit.why == ExitReason::QueueMismatch => MISMATCH.delay(failures, 1.0),
            Blame::Service => SERVICE.delay(failures, 1.0),
            Blame::Site => {
                Backoff::from(cooldown).to(SITE_MOST.max(cooldown)).jitter(0.0).delay(failures, 1.0)
            }
            Blame::Nobody | Blame::Manifest => Duration::ZERO,
        };
        Due::From(seen.checked_add(delay).unwrap_or(Timestamp::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::fixture::pod;

    const COOLDOWN: Duration = Duration::from_secs(15);

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn delay_of(code: i32, failures: u32, ran: i64) -> Option<i64> {
        let mut ended = pod(0).ended(code, second(10_000));
        ended.failures = failures;
        if let crate::plan::Stage::Ended(exit) = &mut ended.stage {
            exit.started = Some(second(10_000 - ran));
        }
        match Vacancy::of(&ended).unwrap().due("r1", COOLDOWN, second(10_000)) {
            Due::From(at) => Some(at.as_second() - 10_000),
            Due::Never => None,
        }
    }

    #[test]
    fn a_slot_waits_longer_the_more_often_it_fails() {
        for (code, failures, ran, expected) in [
            (0, 0, 1, Some(0)),
            (11, 7, 1, Some(0)),
            (16, 7, 1, Some(0)),
            (10, 0, 1, Some(0)),
            (20, 1, 1, Some(5)),
            (10, 2, 1, Some(10)),
            (137, 3, 1, Some(20)),
            (10, 30, 1, Some(300)),
            (10, 30, 600, Some(0)),
            (13, 0, 1, Some(2)),
            (14, 1, 1, Some(4)),
            (13, 20, 1, Some(30)),
            (12, 0, 1, Some(15)),
            (12, 1, 1, Some(30)),
            (12, 20, 1, Some(600)),
            (15, 0, 1, None),
            (15, 0, 6000, None),
        ] {
            assert_eq!(delay_of(code, failures, ran), expected, "{code} {failures} {ran}");
        }
    }

    #[test]
    fn another_manifest_is_another_chance() {
        for code in [10, 12, 13, 15, 137] {
            let mut ended = pod(0).ended(code, second(100));
            ended.failures = 9;
            let vacancy = Vacancy::of(&ended).unwrap();
            assert_eq!(vacancy.due("r2", COOLDOWN, second(100)), Due::From(second(100)), "{code}");
            assert_eq!(vacancy.failures("r2"), 0);
        }
    }

    #[test]
    fn what_the_nodes_clock_says_neither_delays_nor_hurries() {
        for clock in [-600, 0, 600] {
            let ended = pod(0).ended(12, second(10_000 + clock));
            let due = Vacancy::of(&ended).unwrap().due("r1", COOLDOWN, second(10_000));
            assert_eq!(due, Due::From(second(10_015)), "{clock} s off");
        }
    }

    #[test]
    fn what_is_fenced_or_being_deleted_leaves_no_vacancy() {
        let mut ended = pod(0).ended(10, second(1));
        ended.fenced = true;
        assert!(Vacancy::of(&ended).is_none());
        ended.fenced = false;
        ended.terminating = true;
        assert!(Vacancy::of(&ended).is_none() && Vacancy::of(&pod(0)).is_none());
    }
}
