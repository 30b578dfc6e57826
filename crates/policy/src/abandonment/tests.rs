use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn abandons_after_failures_in_a_row_however_slow_they_come() {
    let start = Instant::now();
    let mut strikes = Abandonment::after(3).in_a_row();
    assert_eq!(strikes.strike(start), Verdict::Keep);
    assert_eq!(strikes.strike(start + 3600 * SECOND), Verdict::Keep);
    assert_eq!(strikes.strike(start + 7200 * SECOND), Verdict::Abandon);
}

#[test]
fn a_pardon_starts_the_count_anew() {
    let now = Instant::now();
    let mut strikes = Abandonment::after(2).in_a_row();
    assert_eq!(strikes.strike(now), Verdict::Keep);
    strikes.pardon();
    assert_eq!(strikes.count(now), 0);
    assert_eq!(strikes.strike(now), Verdict::Keep);
    assert_eq!(strikes.strike(now), Verdict::Abandon);
}

#[test]
fn only_failures_within_the_window_count() {
    let start = Instant::now();
    let mut strikes = Abandonment::after(3).within(10 * SECOND);
    assert_eq!(strikes.strike(start), Verdict::Keep);
    assert_eq!(strikes.strike(start + 6 * SECOND), Verdict::Keep);
    assert_eq!(strikes.strike(start + 11 * SECOND), Verdict::Keep);
    assert_eq!(strikes.count(start + 11 * SECOND), 2);
    assert_eq!(strikes.strike(start + 16 * SECOND), Verdict::Abandon, "6, 11 and 16 are within 10 seconds");
}

#[test]
fn zero_and_one_abandon_at_the_first_failure() {
    let now = Instant::now();
    assert_eq!(Abandonment::after(0).in_a_row().strike(now), Verdict::Abandon);
    assert_eq!(Abandonment::after(1).within(SECOND).strike(now), Verdict::Abandon);
}

#[test]
fn stays_abandoned_until_pardoned() {
    let now = Instant::now();
    let mut strikes = Abandonment::after(2).in_a_row();
    let verdicts: Vec<_> = (0..4).map(|_| strikes.strike(now)).collect();
    assert_eq!(verdicts, [Verdict::Keep, Verdict::Abandon, Verdict::Abandon, Verdict::Abandon]);
    strikes.pardon();
    assert_eq!(strikes.strike(now), Verdict::Keep);
}

proptest! {
    /// Against the plain definition: abandon when at least `after` of all strikes so far are in the window.
    #[test]
    fn is_what_the_definition_says(
        after in 1..6_u32,
        window in 1..20_u64,
        gaps in prop::collection::vec(0..8_u64, 1..60),
    ) {
        let start = Instant::now();
        let mut strikes = Abandonment::after(after).within(Duration::from_secs(window));
        let mut at = Vec::new();
        let mut now = 0;
        for gap in gaps {
            now += gap;
            at.push(now);
            let lately = at.iter().filter(|at| now - **at <= window).count();
            let expected = if lately >= after as usize { Verdict::Abandon } else { Verdict::Keep };
            let verdict = strikes.strike(start + Duration::from_secs(now));
            prop_assert_eq!(verdict, expected, "at {} after {:?}", now, at);
            prop_assert!(strikes.count(start + Duration::from_secs(now)) <= after, "remembers too much");
        }
    }
}
