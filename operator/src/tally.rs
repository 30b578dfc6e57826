//! What a fleet has stored and missed, counted from what its pods say, and how fast it stores.

use std::collections::{BTreeMap, VecDeque};

use jiff::{SignedDuration, Timestamp};
use scrapefleet_api::ScrapeFleetStatus;

use crate::plan::{ObservedPod, Role};

/// The time over which the rate is taken.
const WINDOW: SignedDuration = SignedDuration::from_mins(5);

/// How far apart the points are that the rate is taken from.
const STEP: SignedDuration = SignedDuration::from_secs(5);

/// Sums of what pods count since they started. Goes on from the last status after a restart; what was counted between
/// that and the restart is not seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    stored: u64,
    gaps: u64,
    /// What each pod, by uid, has been counted for.
    counted: BTreeMap<String, (u64, u64)>,
    /// Points of the last minutes: when, and how many were stored.
    points: VecDeque<(Timestamp, u64)>,
    begun: bool,
}

impl Tally {
    /// Goes on from what the status says.
    #[must_use]
    pub fn resumed(status: Option<&ScrapeFleetStatus>) -> Self {
        let items = status.and_then(|status| status.items).unwrap_or_default();
        let number = |count: i64| u64::try_from(count).unwrap_or(0);
        Self { stored: number(items.stored), gaps: number(items.gaps), ..Self::default() }
    }

    /// Counts what the pods say now.
    pub fn count(&mut self, pods: &[ObservedPod], now: Timestamp) {
        self.counted.retain(|uid, _| pods.iter().any(|pod| pod.uid == *uid));
        for pod in pods {
            let report = pod.report.value();
            let at_its_end = pod.exit().and_then(|exit| exit.stored);
            let Some(stored) = report.map(|report| report.totals.stored).max(at_its_end) else { continue };
            let gaps = report.filter(|_| pod.role == Role::Watcher).map_or(0, |report| report.gaps);
            let said = (stored, gaps);
            // Pods that were there before the operator were counted by the one before it.
            let fresh = if self.begun { (0, 0) } else { said };
            let before = self.counted.insert(pod.uid.clone(), said).unwrap_or(fresh);
            self.stored += said.0.saturating_sub(before.0);
            self.gaps += said.1.saturating_sub(before.1);
        }
        // The first pass knows no pod's report yet, since none was asked; the next ones do.
        self.begun |= pods.iter().any(|pod| pod.report.value().is_some());
        self.point(now);
    }

    fn point(&mut self, now: Timestamp) {
        if self.points.back().is_none_or(|(at, _)| now.duration_since(*at) >= STEP) {
            self.points.push_back((now, self.stored));
        }
        while self.points.front().is_some_and(|(at, _)| now.duration_since(*at) > WINDOW) {
            self.points.pop_front();
        }
    }

    /// Items stored.
    #[must_use]
    pub const fn stored(&self) -> u64 {
        self.stored
    }

    /// Possible gaps.
    #[must_use]
    pub const fn gaps(&self) -> u64 {
        self.gaps
    }

    /// Items stored a minute, over the last minutes.
    #[must_use]
    pub fn per_minute(&self, now: Timestamp) -> u64 {
        let Some((at, stored)) = self.points.front() else { return 0 };
        let seconds = u64::try_from(now.duration_since(*at).as_secs()).unwrap_or(0).max(60);
        ((self.stored - stored) * 60).div_ceil(seconds)
    }
}

#[cfg(test)]
mod tests {
    use scrapefleet_api::status::ItemCounts;

    use super::*;
    use crate::{
        Observed,
        plan::{
            Exit, ExitReason, Report, Stage, Totals,
            fixture::{pod, second},
        },
    };

    fn bot(uid: &str, stored: u64) -> ObservedPod {
        pod(0).with(|pod| {
            pod.uid = uid.to_owned();
            let value = Report { totals: Totals { stored }, ..Report::default() };
            pod.report = Observed::Read { value, at: second(0) };
        })
    }

    #[test]
    fn what_pods_say_is_added_up() {
        let mut tally = Tally::default();
        tally.count(&[], second(0));
        for (pods, sum) in [
            (vec![bot("a", 0)], 0),
            (vec![bot("a", 3)], 3),
            (vec![bot("a", 5), bot("b", 2)], 7),
            (vec![bot("b", 4)], 9),
            (vec![bot("b", 4).silent()], 9),
            (vec![bot("b", 6)], 11),
        ] {
            tally.count(&pods, second(1));
            assert_eq!(tally.stored(), sum);
        }
    }

    #[test]
    fn what_a_bot_stored_last_it_says_at_its_end() {
        let ended = |stored| {
            bot("a", 3).with(|pod| {
                let (why, at) = (ExitReason::Released, second(1));
                pod.stage = Stage::Ended(Exit { why, at, started: None, message: None, stored });
            })
        };
        for (at_its_end, sum) in [(Some(5), 5), (None, 3), (Some(1), 3)] {
            let mut tally = Tally::default();
            tally.count(&[bot("a", 0)], second(0));
            tally.count(&[bot("a", 3)], second(0));
            tally.count(&[ended(at_its_end)], second(1));
            tally.count(&[ended(at_its_end).silent()], second(2));
            assert_eq!(tally.stored(), sum, "{at_its_end:?}");
        }
    }

    #[test]
    fn a_restart_goes_on_from_the_status() {
        let items = ItemCounts { stored: 100, gaps: 2, ..ItemCounts::default() };
        let status = ScrapeFleetStatus { items: Some(items), ..ScrapeFleetStatus::default() };
        let mut tally = Tally::resumed(Some(&status));
        tally.count(&[bot("old", 40).silent()], second(0));
        tally.count(&[bot("old", 40)], second(1));
        tally.count(&[bot("old", 41), bot("new", 1)], second(2));
        assert_eq!((tally.stored(), tally.gaps()), (102, 2));
    }

    #[test]
    fn an_idle_fleet_comes_to_rest() {
        let mut tally = Tally::default();
        tally.count(&[bot("a", 0)], second(0));
        for at in 1..=120 {
            tally.count(&[bot("a", u64::try_from(at).unwrap())], second(at));
        }
        assert!((59..=61).contains(&tally.per_minute(second(120))), "{}", tally.per_minute(second(120)));
        for at in 121..=500 {
            tally.count(&[bot("a", 120)], second(at));
        }
        assert_eq!(tally.per_minute(second(500)), 0);
    }
}
