//! What is remembered of a fleet from one plan to the next. Losing it, as a restart does, delays a decision at most.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::{ObservedPod, target::Needs};

/// The time in which replacements are counted.
const WINDOW: SignedDuration = SignedDuration::from_mins(1);

/// The fewest replacements that every fleet may have within [`WINDOW`].
const FEWEST: usize = 10;

/// When the end of each pod was first seen, by uid. A node dates an end by its own clock, which may be minutes ahead or
/// behind: how long ago one was is told by ours.
pub(super) type Ends = BTreeMap<String, Timestamp>;

/// What is remembered of a fleet from one plan to the next.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory {
    /// How many bots were needed lately.
    pub(super) needs: Needs,
    /// When ended pods were replaced, within the last minute.
    replaced: Vec<Timestamp>,
    ends: Ends,
}

impl Memory {
    /// How many ended pods may be replaced now: in a minute as many as the fleet should have, at least [`FEWEST`].
    pub(super) fn replacements(&mut self, count: usize, now: Timestamp) -> usize {
        self.replaced.retain(|at| now.duration_since(*at) < WINDOW);
        count.max(FEWEST).saturating_sub(self.replaced.len())
    }

    /// So many are replaced now.
    pub(super) fn replace(&mut self, pods: usize, now: Timestamp) {
        self.replaced.extend(std::iter::repeat_n(now, pods));
    }

    /// When the ends of `pods` were first seen, those seen now included; what is not there any more is forgotten.
    pub(super) fn ends(&mut self, pods: &[ObservedPod], now: Timestamp) -> &Ends {
        let ended = pods.iter().filter(|pod| pod.exit().is_some());
        let first_seen = |pod: &ObservedPod| self.ends.get(&pod.uid).copied().unwrap_or(now);
        self.ends = ended.map(|pod| (pod.uid.clone(), first_seen(pod))).collect();
        &self.ends
    }

    /// The end of the pod with this uid was first seen then.
    #[cfg(test)]
    pub(super) fn saw_end(&mut self, uid: &str, at: Timestamp) {
        self.ends.insert(uid.to_owned(), at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::fixture::{pod, second};

    #[test]
    fn an_end_is_dated_by_who_sees_it_and_forgotten_with_its_pod() {
        let mut memory = Memory::default();
        let ended = pod(0).ended(10, second(7_000));
        assert_eq!(
            memory.ends(&[ended.clone(), pod(1)], second(100)),
            &Ends::from([("uid-0".into(), second(100))])
        );
        assert_eq!(memory.ends(std::slice::from_ref(&ended), second(200))["uid-0"], second(100));
        assert!(memory.ends(&[pod(1)], second(300)).is_empty());
        assert_eq!(memory.ends(&[ended], second(400))["uid-0"], second(400));
    }

    #[test]
    fn replacements_are_bounded_within_a_minute() {
        let mut memory = Memory::default();
        assert_eq!(memory.replacements(3, second(0)), 10);
        memory.replace(10, second(0));
        assert_eq!(memory.replacements(3, second(59)), 0);
        assert_eq!(memory.replacements(25, second(59)), 15);
        assert_eq!(memory.replacements(3, second(60)), 10);
    }
}
