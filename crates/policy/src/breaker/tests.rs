use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const COOLDOWN: Duration = Duration::from_secs(15);

fn breaker() -> Breaker {
    Breaker::after(3).failures_within(60 * SECOND).cooldown(COOLDOWN)
}

fn opened_at(now: Instant) -> Breaker {
    let mut breaker = breaker();
    for _ in 0..3 {
        assert!(breaker.try_pass(now));
        breaker.failure(now);
    }
    assert_eq!(breaker.state(now), BreakerState::Open);
    breaker
}

#[test]
fn opens_after_failures_within_the_window() {
    let start = Instant::now();
    let mut breaker = breaker();
    breaker.failure(start);
    breaker.failure(start + 50 * SECOND);
    breaker.failure(start + 61 * SECOND);
    assert_eq!(breaker.state(start + 61 * SECOND), BreakerState::Closed, "the first is out of the window");
    breaker.failure(start + 62 * SECOND);
    assert_eq!(breaker.state(start + 62 * SECOND), BreakerState::Open);
    assert!(!breaker.allows(start + 62 * SECOND));
}

#[test]
fn lets_one_probe_through_after_the_cooldown() {
    let start = Instant::now();
    let mut breaker = opened_at(start);
    let almost = start + COOLDOWN - SECOND;
    assert!(!breaker.try_pass(almost));
    assert_eq!(breaker.wait(almost), SECOND);
    let cooled = start + COOLDOWN;
    assert_eq!(breaker.state(cooled), BreakerState::HalfOpen);
    assert_eq!(breaker.wait(cooled), Duration::ZERO);
    assert!(breaker.allows(cooled) && breaker.try_pass(cooled));
    assert!(!breaker.allows(cooled) && !breaker.try_pass(cooled), "the probe is on its way");
}

#[test]
fn a_probe_that_succeeds_closes_it() {
    let start = Instant::now();
    let mut breaker = opened_at(start);
    assert!(breaker.try_pass(start + COOLDOWN));
    breaker.success(start + COOLDOWN);
    assert_eq!(breaker.state(start + COOLDOWN), BreakerState::Closed);
    breaker.failure(start + COOLDOWN);
    assert_eq!(breaker.state(start + COOLDOWN), BreakerState::Closed, "old failures are forgotten");
}

#[test]
fn a_probe_that_fails_opens_it_for_another_cooldown() {
    let start = Instant::now();
    let mut breaker = opened_at(start);
    assert!(breaker.try_pass(start + COOLDOWN));
    breaker.failure(start + COOLDOWN + SECOND);
    assert!(!breaker.try_pass(start + 2 * COOLDOWN));
    assert!(breaker.try_pass(start + 2 * COOLDOWN + SECOND));
}

#[test]
fn a_lost_probe_is_replaced() {
    let start = Instant::now();
    let mut breaker = opened_at(start);
    assert!(breaker.try_pass(start + COOLDOWN));
    assert!(!breaker.try_pass(start + 2 * COOLDOWN - SECOND));
    assert!(breaker.try_pass(start + 2 * COOLDOWN));
}

#[test]
fn late_outcomes_do_not_move_an_open_breaker() {
    let start = Instant::now();
    let mut breaker = opened_at(start);
    breaker.success(start + SECOND);
    breaker.failure(start + 10 * SECOND);
    assert_eq!(breaker.state(start + 10 * SECOND), BreakerState::Open);
    assert!(breaker.try_pass(start + COOLDOWN), "the cooldown is counted from the opening");
}

#[test]
fn successes_between_do_not_hide_failures() {
    let now = Instant::now();
    let mut breaker = breaker();
    for _ in 0..3 {
        breaker.failure(now);
        breaker.success(now);
    }
    assert_eq!(breaker.state(now), BreakerState::Open);
}

#[derive(Debug, Clone, Copy)]
enum Event {
    Wait(u64),
    Pass,
    Succeed,
    Fail,
    Lose,
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        2 => (1..20_u64).prop_map(Event::Wait),
        4 => Just(Event::Pass),
        1 => Just(Event::Succeed),
        3 => Just(Event::Fail),
        1 => Just(Event::Lose),
    ]
}

proptest! {
    /// Whatever happens, two calls let through while not closed are a cooldown apart, or the first one's outcome
    /// came between them; and after a cooldown without a call the next one is let through.
    #[test]
    fn one_probe_at_a_time_and_never_open_for_ever(events in prop::collection::vec(any_event(), 1..200)) {
        let mut now = Instant::now();
        let mut breaker = breaker();
        let mut in_flight = 0_u32;
        let mut probe: Option<Instant> = None;
        for event in events {
            match event {
                Event::Wait(seconds) => now += Duration::from_secs(seconds),
                Event::Pass => {
                    let before = breaker.state(now);
                    let passed = breaker.try_pass(now);
                    let expected = match before {
                        BreakerState::Closed => true,
                        BreakerState::Open => false,
                        BreakerState::HalfOpen => probe.is_none_or(|sent| now - sent >= COOLDOWN),
                    };
                    prop_assert_eq!(passed, expected, "{:?}", breaker);
                    in_flight += u32::from(passed);
                    if passed && before == BreakerState::HalfOpen {
                        probe = Some(now);
                    }
                }
                Event::Succeed | Event::Fail | Event::Lose if in_flight == 0 => {}
                Event::Lose => in_flight -= 1,
                Event::Succeed => {
                    in_flight -= 1;
                    breaker.success(now);
                }
                Event::Fail => {
                    in_flight -= 1;
                    breaker.failure(now);
                }
            }
            if breaker.state(now) != BreakerState::HalfOpen {
                probe = None;
            }
            prop_assert!(breaker.allows(now + COOLDOWN), "stuck: {:?}", breaker);
            prop_assert!(breaker.wait(now) <= COOLDOWN);
        }
    }
}
