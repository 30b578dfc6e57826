//! Which lane a consumer takes its next task from: pure, so that it can be read and proven on its own.
//!
//! Each lane keeps one hold free of the others, so that a lane full of long items never keeps a short one
//! waiting. The holds beyond those are shared: they go to the lanes with ready tasks in proportion to their
//! weights, by smooth weighted round robin (the way nginx spreads requests), which mixes the lanes instead of
//! serving them in runs.

use std::collections::HashSet;

use scrapefleet_api::LaneName;

use crate::{ConsumerOptions, Lane, QueueError};

/// The most holds a consumer may ask for: far above what one machine can hold, low enough to be counted.
const MAX_HOLDS: usize = 65_536;

/// Chooses lanes for one consumer.
#[derive(Debug, Clone)]
pub(crate) struct Picker {
    holds: usize,
    lanes: Vec<Lane>,
    /// What each lane is owed, in the units of its weight.
    credit: Vec<i64>,
    /// How many tasks of each lane the consumer holds.
    held: Vec<usize>,
}

impl Picker {
    /// A picker for a consumer; refused when it could never take anything or names a lane twice.
    pub(crate) fn new(options: &ConsumerOptions) -> Result<Self, QueueError> {
        let refuse = |why: String| Err(QueueError::Refused(format!("consumer `{}`: {why}", options.name)));
        if !(1..=MAX_HOLDS).contains(&options.holds) {
            return refuse(format!("{} holds; allowed are 1 to {MAX_HOLDS}", options.holds));
        }
        if options.lanes.is_empty() {
            return refuse("no lanes; name at least one to take from".to_owned());
        }
        let mut names = HashSet::new();
        if let Some(twice) = options.lanes.iter().find(|lane| !names.insert(&lane.name)) {
            return refuse(format!("lane `{}` is named twice", twice.name));
        }
        let count = options.lanes.len();
        Ok(Self {
            holds: options.holds,
            lanes: options.lanes.clone(),
            credit: vec![0; count],
            held: vec![0; count],
        })
    }

    /// The lane to take from now, counted as taken; none when nothing is ready in a lane that may take more.
    pub(crate) fn take(&mut self, ready: impl Fn(&LaneName) -> bool) -> Option<&LaneName> {
        let candidates: Vec<usize> =
            open_lanes(self.holds, &self.held).filter(|i| ready(&self.lanes[*i].name)).collect();
        let weights: Vec<i64> = self.lanes.iter().map(|lane| i64::from(lane.weight.max(1))).collect();
        let chosen = smooth(&weights, &mut self.credit, &candidates)?;
        self.held[chosen] += 1;
        Some(&self.lanes[chosen].name)
    }

    /// A task of `lane` is no longer held.
    pub(crate) fn give_back(&mut self, lane: &LaneName) {
        if let Some(i) = self.lanes.iter().position(|known| known.name == *lane) {
            self.held[i] = self.held[i].saturating_sub(1);
        }
    }
}

/// The lanes that may take one more: one that holds nothing may use the hold kept for it, the others only what is
/// shared. With fewer holds than lanes nothing can be kept, and all are shared.
fn open_lanes(holds: usize, held: &[usize]) -> impl Iterator<Item = usize> {
    let kept = if holds >= held.len() { held.len() } else { 0 };
    let own = usize::from(kept > 0);
    let shared_in_use: usize = held.iter().map(|n| n.saturating_sub(own)).sum();
    let shared_free = shared_in_use < holds - kept;
    let open = move |(i, n): (usize, &usize)| (*n < own || shared_free).then_some(i);
    held.iter().enumerate().filter_map(open)
}

/// One step of smooth weighted round robin: each candidate earns its weight, the richest is chosen and pays what all earned.
fn smooth(weights: &[i64], credit: &mut [i64], candidates: &[usize]) -> Option<usize> {
    let earned: i64 = candidates.iter().map(|i| weights[*i]).sum();
    for i in candidates {
        credit[*i] += weights[*i];
    }
    // The first of equals, so that the order of the manifest decides.
    let chosen = candidates.iter().copied().rev().max_by_key(|i| credit[*i])?;
    credit[chosen] -= earned;
    Some(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picker(holds: usize, weights: &[u32]) -> Picker {
        let name = |i| LaneName::new(format!("l{i}")).unwrap();
        let lanes = weights.iter().enumerate().map(|(i, w)| Lane { name: name(i), weight: *w }).collect();
        Picker::new(&ConsumerOptions { name: "c".to_owned(), holds, lanes }).unwrap()
    }

    fn taken(picker: &mut Picker, ready: &[&str], times: usize) -> Vec<String> {
        let mut take = || picker.take(|lane| ready.contains(&lane.as_str())).map(ToString::to_string);
        std::iter::from_fn(&mut take).take(times).collect()
    }

    #[test]
    fn a_full_lane_leaves_one_hold_for_each_other() {
        for (holds, weights, most) in
            [(5, &[1, 1, 1][..], 3), (3, &[9, 1, 1], 1), (2, &[1, 1], 1), (10, &[1], 10), (2, &[1, 1, 1], 2)]
        {
            let mut picker = picker(holds, weights);
            assert_eq!(taken(&mut picker, &["l0"], 100).len(), most, "{holds} holds, weights {weights:?}");
            if holds >= weights.len() {
                for other in 1..weights.len() {
                    let lane = format!("l{other}");
                    assert_eq!(taken(&mut picker, &[&lane], 100).len(), 1, "{lane} of {weights:?}");
                }
            }
        }
    }

    #[test]
    fn shared_holds_follow_the_weights_and_are_mixed() {
        let mut picker = picker(700, &[5, 1, 1]);
        let order = taken(&mut picker, &["l0", "l1", "l2"], 700);
        assert_eq!(order[..7], ["l0", "l0", "l1", "l0", "l2", "l0", "l0"]);
        let share = |lane: &str| order.iter().filter(|l| *l == lane).count();
        assert_eq!([share("l0"), share("l1"), share("l2")], [500, 100, 100]);
    }

    #[test]
    fn a_lane_without_tasks_costs_the_others_nothing() {
        let mut picker = picker(12, &[1, 3, 100]);
        let order = taken(&mut picker, &["l0", "l1"], 100);
        assert_eq!(order.len(), 11);
        assert_eq!(order.iter().filter(|l| *l == "l1").count(), 8);
    }

    #[test]
    fn never_more_than_the_holds_whatever_is_taken_and_given_back() {
        for seed in 0..300 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let weights: Vec<u32> = (0..rng.usize(1..5)).map(|_| rng.u32(0..9)).collect();
            let holds = rng.usize(1..12);
            let mut picker = picker(holds, &weights);
            let mut held: Vec<LaneName> = Vec::new();
            for _ in 0..200 {
                if rng.bool() {
                    let pattern = rng.u8(..);
                    let ready = |lane: &LaneName| pattern >> (lane.as_str().as_bytes()[1] - b'0') & 1 == 1;
                    held.extend(picker.take(ready).cloned());
                } else if !held.is_empty() {
                    let lane = held.swap_remove(rng.usize(..held.len()));
                    picker.give_back(&lane);
                }
                assert!(held.len() <= holds, "seed {seed}");
                assert_eq!(picker.held.iter().sum::<usize>(), held.len(), "seed {seed}");
            }
        }
    }

    #[test]
    fn senseless_consumers_are_refused_by_name() {
        let lane = |name: &str| Lane { name: LaneName::new(name).unwrap(), weight: 1 };
        let cases = [
            (0, vec![lane("a")], "0 holds"),
            (1, vec![], "no lanes"),
            (2, vec![lane("a"), lane("a")], "twice"),
        ];
        for (holds, lanes, said) in cases {
            let error = Picker::new(&ConsumerOptions { name: "bot-1".to_owned(), holds, lanes }).unwrap_err();
            let error = error.to_string();
            assert!(error.contains("bot-1") && error.contains(said), "{error}");
        }
    }
}
