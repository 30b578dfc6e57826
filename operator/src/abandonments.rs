//! Browsers that bots threw away, noticed in what the bots say of themselves.

use std::collections::{BTreeMap, VecDeque};

use jiff::{SignedDuration, Timestamp};

use crate::{
    observe::shown,
    plan::{ObservedPod, Role},
};

/// The most that is told of a fleet within [`WINDOW`]. A fleet whose browsers all die says the same in ten events.
const MOST: usize = 10;

/// See [`MOST`].
const WINDOW: SignedDuration = SignedDuration::from_mins(1);

/// A bot threw browsers away since it was last heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThrownAway {
    /// The bot's pod.
    pub pod: String,
    /// Its uid.
    pub uid: String,
    /// The bot's number.
    pub slot: u32,
    /// How many browsers.
    pub browsers: u64,
    /// How many since the pod started.
    pub in_all: u64,
    /// What the bot says went wrong last: bounded, on one line.
    pub why: Option<String>,
    /// Browsers of this fleet that were thrown away before and of which nothing was told, because too much was.
    pub untold: u64,
}

/// What bots of one fleet have thrown away, as far as it was told. Who forgets it tells nothing twice: the first report of a
/// pod is where counting begins.
#[derive(Debug, Default)]
pub struct Abandonments {
    /// By uid of the pod.
    counted: BTreeMap<String, u64>,
    told: VecDeque<Timestamp>,
    untold: u64,
}

impl Abandonments {
    /// What is to be told, now that the pods say this.
    pub fn news(&mut self, pods: &[ObservedPod], now: Timestamp) -> Vec<ThrownAway> {
        self.counted.retain(|uid, _| pods.iter().any(|pod| pod.uid == *uid));
        while self.told.front().is_some_and(|at| now.duration_since(*at) >= WINDOW) {
            self.told.pop_front();
        }
        pods.iter().filter_map(|pod| self.of(pod, now)).collect()
    }

    fn of(&mut self, pod: &ObservedPod, now: Timestamp) -> Option<ThrownAway> {
        let report = pod.report.value().filter(|_| pod.role == Role::Bot)?;
        let in_all = report.browser.abandoned;
        let browsers = in_all.saturating_sub(self.counted.insert(pod.uid.clone(), in_all)?);
        if browsers == 0 {
            return None;
        }
        if self.told.len() >= MOST {
            self.untold = self.untold.saturating_add(browsers);
            return None;
        }
        self.told.push_back(now);
        Some(ThrownAway {
            pod: pod.name.clone(),
            uid: pod.uid.clone(),
            slot: pod.slot,
            browsers,
            in_all,
            why: report.last_reason.as_deref().map(shown),
            untold: std::mem::take(&mut self.untold),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Observed,
        plan::{
            Browser, Report,
            fixture::{pod, second},
        },
    };

    fn bot(slot: u32, abandoned: u64, why: &str) -> ObservedPod {
        let (browser, last_reason) = (Browser { abandoned }, Some(why.to_owned()));
        let value = Report { last_reason, browser, ..Report::default() };
        pod(slot).with(|pod| pod.report = Observed::Read { value, at: second(0) })
    }

    #[test]
    fn only_what_is_new_is_told() {
        let mut seen = Abandonments::default();
        assert_eq!(seen.news(&[bot(1, 7, "old")], second(0)), [], "what was before us was told before");
        assert_eq!(seen.news(&[bot(1, 7, "old")], second(1)), []);
        let news = seen.news(&[bot(1, 9, "it\nhangs\u{1b}[2J"), bot(2, 0, "")], second(2));
        let expected = ThrownAway {
            pod: "fleet-bot-1-x".into(),
            uid: "uid-1".into(),
            slot: 1,
            browsers: 2,
            in_all: 9,
            why: Some("it\\nhangs\\u001b[2J".into()),
            untold: 0,
        };
        assert_eq!(news, [expected]);
        assert_eq!(seen.news(&[bot(1, 9, "it hangs"), bot(2, 0, "")], second(3)), []);
    }

    #[test]
    fn a_silent_bot_is_told_of_when_it_speaks_again() {
        let mut seen = Abandonments::default();
        seen.news(&[bot(1, 0, "")], second(0));
        assert_eq!(seen.news(&[bot(1, 1, "x").silent()], second(1)), []);
        assert_eq!(seen.news(&[bot(1, 1, "x")], second(2)).len(), 1);
        assert_eq!(seen.news(&[], second(3)), []);
        assert_eq!(seen.news(&[bot(1, 5, "x")], second(4)), [], "another pod: where counting begins");
    }

    #[test]
    fn a_watcher_has_no_browsers_to_tell_of_here() {
        let mut seen = Abandonments::default();
        seen.news(&[bot(1, 0, "").watcher()], second(0));
        assert_eq!(seen.news(&[bot(1, 3, "").watcher()], second(1)), []);
    }

    #[test]
    fn so_much_is_told_in_a_minute_and_the_rest_is_counted() {
        let mut seen = Abandonments::default();
        let all = |count| (0..30).map(|slot| bot(slot, count, "x")).collect::<Vec<_>>();
        seen.news(&all(0), second(0));
        assert_eq!(seen.news(&all(1), second(1)).len(), MOST);
        assert_eq!(seen.news(&all(3), second(60)).len(), 0);
        let news = seen.news(&all(4), second(61));
        assert_eq!(news.len(), MOST);
        // 20 of the first second, 60 of the second one.
        assert_eq!(news.iter().map(|news| news.untold).collect::<Vec<_>>(), [80, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(seen.news(&all(5), second(121))[0].untold, 20);
    }
}
