use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn slots_are_evenly_spread() {
    let now = Instant::now();
    let mut pacer = Pacer::per_second(2.0);
    let waits: Vec<_> = (0..4).map(|_| pacer.next_slot(now)).collect();
    assert_eq!(waits, [0, 500, 1000, 1500].map(Duration::from_millis));
}

#[test]
fn unused_slots_can_be_used_at_once_up_to_the_burst() {
    let start = Instant::now();
    let mut pacer = Pacer::per_second(1.0).burst(3);
    let waits: Vec<_> = (0..5).map(|_| pacer.next_slot(start)).collect();
    assert_eq!(waits, [0, 0, 0, 1, 2].map(Duration::from_secs));
    let rested = start + 100 * SECOND;
    let waits: Vec<_> = (0..5).map(|_| pacer.next_slot(rested)).collect();
    assert_eq!(waits, [0, 0, 0, 1, 2].map(Duration::from_secs), "rest is saved up to the burst only");
}

#[test]
fn a_minute_is_sixty_seconds() {
    let now = Instant::now();
    let mut pacer = Pacer::per_minute(15.0);
    let _ = pacer.next_slot(now);
    assert_eq!(pacer.next_slot(now), 4 * SECOND);
}

#[test]
fn asking_takes_nothing() {
    let now = Instant::now();
    let pacer = Pacer::per_second(1.0);
    assert_eq!((pacer.wait(now), pacer.wait(now)), (Duration::ZERO, Duration::ZERO));
}

#[test]
fn a_wrong_rate_is_slow() {
    let now = Instant::now();
    for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MIN_POSITIVE] {
        let mut pacer = Pacer::per_second(rate);
        let _ = pacer.next_slot(now);
        assert_eq!(pacer.next_slot(now).as_secs(), 86_400, "rate {rate}");
    }
}

#[test]
fn the_pace_can_change() {
    let start = Instant::now();
    let mut pacer = Pacer::per_second(1.0);
    let _ = pacer.next_slot(start);
    pacer.set_per_second(0.1);
    assert_eq!(pacer.next_slot(start), SECOND, "what was handed out stays");
    assert_eq!(pacer.next_slot(start), 11 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn acquire_waits_for_the_slot() {
    let start = Instant::now();
    let mut pacer = Pacer::per_second(2.0).burst(2);
    for _ in 0..6 {
        pacer.acquire().await;
    }
    assert_eq!(start.elapsed(), 2 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_acquire_takes_nothing() {
    let mut pacer = Pacer::per_second(1.0);
    pacer.acquire().await;
    for _ in 0..10 {
        crate::within(Duration::from_millis(1), "acquire", pacer.acquire()).await.unwrap_err();
    }
    let start = Instant::now();
    pacer.acquire().await;
    assert!(start.elapsed() < SECOND);
}

proptest! {
    /// In any stretch of time there are no more slots than the burst and what the rate gives for its length.
    #[test]
    fn never_faster_than_the_pace(
        per_second in 0.2..20.0,
        burst in 1..5_u32,
        gaps in prop::collection::vec(0..2000_u64, 1..80),
    ) {
        let start = Instant::now();
        let mut pacer = Pacer::per_second(per_second).burst(burst);
        let mut asked = Duration::ZERO;
        let mut slots = Vec::new();
        for gap in gaps {
            asked += Duration::from_millis(gap);
            slots.push(asked + pacer.next_slot(start + asked));
        }
        for (from, first) in slots.iter().enumerate() {
            for (to, last) in slots.iter().enumerate().skip(from) {
                let allowed = f64::from(burst) + last.saturating_sub(*first).as_secs_f64() * per_second;
                let used = u32::try_from(to - from + 1).unwrap();
                prop_assert!(f64::from(used) <= allowed + 1e-6, "{} slots from {:?} to {:?}", used, first, last);
            }
        }
    }

    /// A slot that nobody else uses is there after one interval at the latest.
    #[test]
    fn never_slower_than_the_pace(per_second in 0.2..20.0, asks in 1..50_u32) {
        let now = Instant::now();
        let mut pacer = Pacer::per_second(per_second);
        let last = (0..asks).map(|_| pacer.next_slot(now)).last().unwrap();
        let expected = f64::from(asks - 1) / per_second;
        prop_assert!((last.as_secs_f64() - expected).abs() < 1e-6);
    }
}
