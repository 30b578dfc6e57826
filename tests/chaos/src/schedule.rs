//! Which faults are done when: the same seed gives the same schedule.

use std::time::Duration;

use crate::Scenario;

/// The shortest and the longest pause between two faults: all is mostly well again by then.
const PAUSE: (u64, u64) = (20, 60);
/// No fault begins so shortly before the end: its effect belongs to the run.
const LAST: Duration = Duration::from_mins(1);

/// Random faults for so long: when each is done after the beginning, and which it is. One that lasts has ended before the
/// next begins.
#[must_use]
pub fn random(seed: u64, length: Duration, among: &[Scenario]) -> Vec<(Duration, Scenario)> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut faults = Vec::new();
    let mut at = Duration::ZERO;
    loop {
        at += Duration::from_secs(rng.u64(PAUSE.0..=PAUSE.1));
        let Some(scenario) = rng.choice(among) else { break };
        if !is_time_left(at, *scenario, length) {
            break;
        }
        faults.push((at, *scenario));
        at += scenario.lasts();
    }
    faults
}

/// Whether a fault that begins so long after the beginning has an end, and its effect, within the run.
#[must_use]
pub fn is_time_left(at: Duration, scenario: Scenario, length: Duration) -> bool {
    at + scenario.lasts() + LAST <= length
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn faults_are_apart_and_within_the_run(seed: u64, minutes in 1_u64..120) {
            let length = Duration::from_mins(minutes);
            let faults = random(seed, length, &Scenario::ALL);
            prop_assert_eq!(&faults, &random(seed, length, &Scenario::ALL));
            for pair in faults.windows(2) {
                let [(first, scenario), (second, _)] = pair else { unreachable!() };
                prop_assert!(*first + scenario.lasts() + Duration::from_secs(PAUSE.0) <= *second);
            }
            for (at, scenario) in faults {
                prop_assert!(at + scenario.lasts() + LAST <= length);
            }
        }
    }

    #[test]
    fn a_run_of_20_minutes_has_faults_of_many_kinds() {
        let faults = random(7, Duration::from_mins(20), &Scenario::ALL);
        let kinds: std::collections::BTreeSet<_> = faults.iter().map(|(_, scenario)| scenario).collect();
        assert!(kinds.len() >= 8, "{faults:?}");
        assert_ne!(faults, random(8, Duration::from_mins(20), &Scenario::ALL));
    }
}
