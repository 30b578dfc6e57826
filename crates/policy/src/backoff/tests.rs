use proptest::prelude::*;

use super::*;

fn millis(delays: impl IntoIterator<Item = Duration>) -> Vec<u128> {
    delays.into_iter().map(|delay| delay.as_millis()).collect()
}

#[test]
fn delays_grow_by_the_factor_up_to_the_most() {
    let backoff = Backoff::from(Duration::from_secs(1)).to(Duration::from_secs(10)).factor(3.0).jitter(0.0);
    assert_eq!(
        millis((1..=5).map(|attempt| backoff.delay(attempt, 0.0))),
        [1000, 3000, 9000, 10_000, 10_000]
    );
}

#[test]
fn a_share_of_each_delay_is_random() {
    let backoff = Backoff::from(Duration::from_secs(10)).jitter(0.2);
    assert_eq!(millis([0.0, 0.5, 1.0].map(|random| backoff.delay(1, random))), [8000, 9000, 10_000]);
}

#[test]
fn the_random_share_is_of_the_capped_delay() {
    let backoff = Backoff::from(Duration::from_secs(1)).to(Duration::from_secs(10)).jitter(0.5);
    assert_eq!(millis([0.0, 1.0].map(|random| backoff.delay(1000, random))), [5000, 10_000]);
}

#[test]
fn attempt_zero_counts_as_one() {
    let backoff = Backoff::default();
    assert_eq!(backoff.delay(0, 0.3), backoff.delay(1, 0.3));
}

#[test]
fn a_constant_delay_is_always_the_same() {
    let backoff = Backoff::constant(Duration::from_millis(50));
    assert_eq!(millis([1, 2, 1000].map(|attempt| backoff.delay(attempt, 0.1))), [50, 50, 50]);
}

#[test]
fn numbers_that_are_none_are_harmless() {
    let backoff = Backoff::from(Duration::from_secs(1)).factor(f64::NAN).jitter(f64::NAN);
    assert_eq!(backoff.delay(7, f64::NAN), Duration::from_secs(1));
}

fn any_duration() -> impl Strategy<Value = Duration> {
    prop_oneof![
        Just(Duration::ZERO),
        Just(Duration::MAX),
        any::<u64>().prop_map(Duration::from_nanos),
        any::<u64>().prop_map(Duration::from_secs),
    ]
}

prop_compose! {
    fn any_backoff()(
        initial in any_duration(),
        max in any_duration(),
        factor in any::<f64>(),
        jitter in any::<f64>(),
    ) -> Backoff {
        Backoff { initial, max, factor, jitter }
    }
}

proptest! {
    #[test]
    fn never_over_the_most(backoff in any_backoff(), attempt: u32, random in any::<f64>()) {
        prop_assert!(backoff.delay(attempt, random) <= backoff.max);
    }

    #[test]
    fn never_shorter_for_a_later_attempt(backoff in any_backoff(), attempt in 0..u32::MAX, random in 0.0..=1.0) {
        prop_assert!(backoff.delay(attempt, random) <= backoff.delay(attempt + 1, random));
    }

    #[test]
    fn never_less_than_what_is_not_random(seconds in 1..3600_u64, jitter in 0.0..=1.0, random in 0.0..=1.0) {
        let whole = Duration::from_secs(seconds);
        let delay = Backoff::constant(whole).jitter(jitter).delay(1, random);
        let least = whole.mul_f64(1.0 - jitter);
        prop_assert!(delay + Duration::from_nanos(1) >= least, "{delay:?} < {least:?}");
    }
}
