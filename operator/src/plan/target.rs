//! How many bots there should be.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};
use scrapefleet_api::bots::BotsSpec;

use super::{Depth, Situation};

/// A depth older than this is as good as unread.
pub(super) const DEPTH_FRESH: SignedDuration = SignedDuration::from_secs(15);

/// How many bots there should be, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// How many.
    pub count: usize,
    /// Why as many.
    pub because: Because,
    /// Why the number is held still, if it is.
    pub hold: Option<Hold>,
}

/// What decided the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Because {
    /// The queue's depth.
    Queue,
    /// `bots.replicas`.
    Replicas,
    /// The number that there was: nothing better is known.
    Kept,
    /// The fleet is suspended.
    Suspended,
    /// The fleet is being deleted.
    Deleted,
}

/// Why the number of bots is held still.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hold {
    /// The depth could not be read, for this reason.
    DepthUnread(String),
    /// The site is unavailable: more bots would not help, and fewer would have to come back.
    SiteUnavailable,
}

/// What is remembered of how many bots were needed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Needs {
    /// The last number decided on; none while suspended.
    last: Option<usize>,
    /// Times and numbers, later ones smaller: the largest of a window stands first.
    window: VecDeque<(Timestamp, usize)>,
}

/// How many bots there should be. `present` are those that there are, and those that have ended and are to be
/// replaced.
pub(super) fn target(situation: &Situation, needs: &mut Needs, present: usize) -> Target {
    let decided = |count, because| Target { count, because, hold: None };
    if situation.fleet.deleting || situation.spec.suspend {
        *needs = Needs::default();
        let because = if situation.fleet.deleting { Because::Deleted } else { Because::Suspended };
        return decided(0, because);
    }
    let bots = &situation.spec.bots;
    let kept = within(bots, needs.last.unwrap_or(present));
    let target = if let Some(replicas) = bots.replicas {
        decided(within(bots, usize::try_from(replicas).unwrap_or(0)), Because::Replicas)
    } else {
        match situation.depth.fresh(situation.now, DEPTH_FRESH) {
            None => Target {
                count: kept,
                because: Because::Kept,
                hold: Some(Hold::DepthUnread(unread(situation))),
            },
            Some(_) if is_site_down(situation) => {
                Target { count: kept, because: Because::Kept, hold: Some(Hold::SiteUnavailable) }
            }
            Some(depth) => {
                let steady = needs.steady(situation, needed(bots, depth), present);
                decided(within(bots, steady), Because::Queue)
            }
        }
    };
    needs.last = Some(target.count);
    target
}

/// How many bots the queue needs. While something waits for another attempt one bot stays: it will be due soon.
fn needed(bots: &BotsSpec, depth: &Depth) -> usize {
    let needed = usize::try_from(bots.desired(depth.ready, depth.held, 0)).unwrap_or(0);
    needed.max(usize::from(depth.delayed > 0))
}

fn within(bots: &BotsSpec, count: usize) -> usize {
    let bound = |bound: i32| usize::try_from(bound).unwrap_or(0);
    count.min(bound(bots.max)).max(bound(bots.min))
}

fn unread(situation: &Situation) -> String {
    situation.depth.why().map_or_else(|| "it was last read too long ago".to_owned(), str::to_owned)
}

/// Whether bots say that the site is unavailable, or ended for it, and none says that it works.
#[must_use]
pub fn is_site_down(situation: &Situation) -> bool {
    use super::{Blame, ReportedState as State, Role, Vacancy};
    let bots = || situation.pods.iter().filter(|pod| pod.role == Role::Bot);
    let states: Vec<State> = bots()
        .filter(|pod| pod.is_live())
        .filter_map(|pod| pod.fresh_report(situation.now).map(|report| report.state))
        .collect();
    let ended = bots().filter_map(Vacancy::of).any(|vacancy| vacancy.exit.why.blame() == Blame::Site);
    (ended || states.contains(&State::SiteUnavailable)) && !states.contains(&State::Working)
}

impl Needs {
    /// The most that was needed within the time that fewer must be enough before one is drained. Who has just
    /// started knows of nothing, and takes what there is for what was needed.
    fn steady(&mut self, situation: &Situation, needed: usize, present: usize) -> usize {
        let now = situation.now;
        let window = situation.spec.bots.scaling.scale_in_after.get();
        if self.window.is_empty() {
            self.window.push_back((now, self.last.unwrap_or(present)));
        }
        while self.window.back().is_some_and(|(_, earlier)| *earlier <= needed) {
            self.window.pop_back();
        }
        self.window.push_back((now, needed));
        let ended = now.checked_sub(window).unwrap_or(Timestamp::MIN);
        while self.window.len() > 1 && self.window.front().is_some_and(|(at, _)| *at <= ended) {
            self.window.pop_front();
        }
        self.window.front().map_or(needed, |(_, most)| *most)
    }
}
