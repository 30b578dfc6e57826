//! What is remembered of a fleet from one plan to the next. Losing it, as a restart does, delays a decision at most.

use jiff::{SignedDuration, Timestamp};

use super::target::Needs;

/// The time in which replacements are counted.
const WINDOW: SignedDuration = SignedDuration::from_mins(1);

/// The fewest replacements that every fleet may have within [`WINDOW`].
const FEWEST: usize = 10;

/// What is remembered of a fleet from one plan to the next.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory {
    /// How many bots were needed lately.
    pub(super) needs: Needs,
    /// When ended pods were replaced, within the last minute.
    replaced: Vec<Timestamp>,
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replacements_are_bounded_within_a_minute() {
        let second = |second| Timestamp::from_second(second).unwrap();
        let mut memory = Memory::default();
        assert_eq!(memory.replacements(3, second(0)), 10);
        memory.replace(10, second(0));
        assert_eq!(memory.replacements(3, second(59)), 0);
        assert_eq!(memory.replacements(25, second(59)), 15);
        assert_eq!(memory.replacements(3, second(60)), 10);
    }
}
