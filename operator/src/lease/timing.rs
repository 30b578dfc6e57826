//! How long leading lasts, and how often it is asked for.

use std::time::Duration;

/// The share of [`Timing::retry`] that is added at random, so that those who wait do not ask in step.
const JITTER: f64 = 0.2;

/// How long leading lasts, and how often it is asked for. The default is client-go's, known to every cluster.
///
/// Two leaders are impossible while no machine's clock runs faster than another's by more than
/// `lease / renew_deadline`; which time of day the clocks show does not matter.
///
/// A leader that gives the lease back is followed within `1.2 * retry`. One that is killed is followed when the standby has
/// seen no renewal for `lease`, at most `lease + 1.2 * retry` later: 17.4 s with the default, 10.2 s with [`Timing::BRISK`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// How long others wait, from when they saw the last renewal, before they take the lease. Whole seconds.
    pub lease: Duration,
    /// How long a leader leads, from when it began its last renewal that succeeded.
    pub renew_deadline: Duration,
    /// How often a leader renews, and about how often the others look.
    pub retry: Duration,
}

/// Lengths of time that do not go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "leader election with a lease of {lease:?}, a renew deadline of {renew_deadline:?} and a retry of {retry:?}: the \
     lease has to be whole seconds and longer than the deadline, and the deadline longer than two retries"
)]
pub struct InvalidTiming {
    lease: Duration,
    renew_deadline: Duration,
    retry: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry: Duration::from_secs(2),
        }
    }
}

impl Timing {
    /// For work that stands still for seconds only when its leader dies. Clocks may differ as much as with the default; what it
    /// costs is a renewal a second, and a leader that ends when the API server is away for six seconds.
    pub const BRISK: Self = Self {
        lease: Duration::from_secs(9),
        renew_deadline: Duration::from_secs(6),
        retry: Duration::from_secs(1),
    };

    /// Checks that a leader stops before others may take over, and that it has more than one try to renew.
    pub fn checked(self) -> Result<Self, InvalidTiming> {
        let Self { lease, renew_deadline, retry } = self;
        let good = lease.subsec_nanos() == 0
            && i32::try_from(lease.as_secs()).is_ok()
            && lease > renew_deadline
            && renew_deadline > retry.saturating_mul(2)
            && !retry.is_zero();
        if good { Ok(self) } else { Err(InvalidTiming { lease, renew_deadline, retry }) }
    }

    /// How long one call to the API server may take: two of them fit before the deadline.
    pub(crate) fn call(&self) -> Duration {
        self.renew_deadline / 2
    }

    /// The time between two looks of one who waits; `random` is from 0 to 1.
    pub(crate) fn look(&self, random: f64) -> Duration {
        self.retry.mul_f64(1.0 + JITTER * random.clamp(0.0, 1.0))
    }

    /// The lease as it is written down.
    pub(crate) fn seconds(&self) -> i32 {
        i32::try_from(self.lease.as_secs()).unwrap_or(i32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timing(lease: u64, renew_deadline: u64, retry: u64) -> Timing {
        let [lease, renew_deadline, retry] = [lease, renew_deadline, retry].map(Duration::from_millis);
        Timing { lease, renew_deadline, retry }
    }

    #[test]
    fn a_leader_stops_before_others_may_take_over_and_can_try_twice() {
        for (lease, deadline, retry, good) in [
            (15_000, 10_000, 2_000, true),
            (2_000, 1_000, 400, true),
            (10_000, 10_000, 2_000, false),
            (15_000, 4_000, 2_000, false),
            (15_500, 10_000, 2_000, false),
            (15_000, 10_000, 0, false),
            (u64::MAX / 2 / 1000 * 1000, 10_000, 2_000, false),
        ] {
            let found = timing(lease, deadline, retry).checked();
            assert_eq!(found.is_ok(), good, "{lease} {deadline} {retry}: {found:?}");
        }
        for ours in [Timing::default(), Timing::BRISK] {
            assert_eq!(ours.checked(), Ok(ours));
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_what_is_allowed() {
        let error = timing(10_000, 10_000, 2_000).checked().unwrap_err().to_string();
        assert!(error.contains("a lease of 10s, a renew deadline of 10s"), "{error}");
        assert!(error.contains("longer than the deadline"), "{error}");
    }
}
