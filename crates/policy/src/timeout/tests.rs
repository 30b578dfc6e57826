use std::{
    future::pending,
    sync::atomic::{AtomicBool, Ordering},
};

use tokio::time::sleep;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn gives_what_finishes_in_time() {
    let start = Instant::now();
    let answer = within(SECOND, "answer", async {
        sleep(SECOND / 2).await;
        42
    })
    .await;
    assert_eq!(answer, Ok(42));
    assert_eq!(start.elapsed(), SECOND / 2);
}

#[tokio::test(start_paused = true)]
async fn says_what_did_not_finish() {
    let expired = within(15 * SECOND, "take", pending::<()>()).await.unwrap_err();
    assert_eq!(expired.to_string(), "take did not finish within 15s");
    assert_eq!((expired.name, expired.deadline, expired.limit), ("take", Deadline::Hard, 15 * SECOND));
    assert!(expired.elapsed >= 15 * SECOND && expired.elapsed < 16 * SECOND, "{expired:?}");
}

#[tokio::test(start_paused = true)]
async fn drops_what_did_not_finish() {
    struct Alive<'a>(&'a AtomicBool);
    impl Drop for Alive<'_> {
        fn drop(&mut self) {
            self.0.store(false, Ordering::Relaxed);
        }
    }
    let alive = AtomicBool::new(true);
    let held = Alive(&alive);
    let run = within(SECOND, "hold", async move {
        let _held = held;
        pending::<()>().await;
    });
    run.await.unwrap_err();
    assert!(!alive.load(Ordering::Relaxed));
}

#[tokio::test(start_paused = true)]
async fn tells_once_when_it_is_slow_and_goes_on() {
    let mut told = Vec::new();
    let timeout = Timeout::hard(10 * SECOND).soft(3 * SECOND);
    let output = timeout.watch("open", sleep(7 * SECOND), |name, elapsed| told.push((name, elapsed))).await;
    assert_eq!(output, Ok(()));
    assert_eq!(told, [("open", 3 * SECOND)]);
}

#[tokio::test(start_paused = true)]
async fn a_soft_deadline_does_not_lengthen_the_hard_one() {
    let start = Instant::now();
    let timeout = Timeout::hard(10 * SECOND).soft(3 * SECOND);
    timeout.run("open", pending::<()>()).await.unwrap_err();
    assert!(start.elapsed() < 11 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn what_is_quick_or_cannot_be_slow_is_not_called_slow() {
    let quick = Timeout::hard(10 * SECOND).soft(3 * SECOND);
    let soft_above_hard = Timeout::hard(2 * SECOND).soft(3 * SECOND);
    let never = |name, _| panic!("{name} is not slow");
    assert_eq!(quick.watch("quick", sleep(2 * SECOND), never).await, Ok(()));
    soft_above_hard.watch("dead", pending::<()>(), never).await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn the_longest_deadline_is_no_overflow() {
    assert_eq!(within(Duration::MAX, "wait", sleep(SECOND)).await, Ok(()));
}
