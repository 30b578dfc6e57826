use std::{
    future::pending,
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use tokio::time::{Instant, sleep};

use super::*;
use crate::{Backoff, Deadline};

const SECOND: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Refusal {
    #[error("busy")]
    Busy,
    #[error("banned")]
    Banned,
}

/// Three attempts, a second between them, ten seconds each.
fn take() -> Policy<Refusal> {
    Policy::named("take").within(10 * SECOND).retry(Retry::times(3).backoff(Backoff::constant(SECOND)))
}

#[tokio::test(start_paused = true)]
async fn what_succeeds_is_done_once() {
    let calls = AtomicU32::new(0);
    let done = take().run(|attempt| async move { Ok(attempt) }).await;
    assert_eq!(done, Ok(1));
    let done = take()
        .run(|_| async {
            calls.fetch_add(1, Ordering::Relaxed);
            Ok(())
        })
        .await;
    assert_eq!((done, calls.into_inner()), (Ok(()), 1));
}

#[tokio::test(start_paused = true)]
async fn tries_again_until_it_succeeds() {
    let start = Instant::now();
    let done =
        take().run(|attempt| async move { if attempt < 3 { Err(Refusal::Busy) } else { Ok(attempt) } }).await;
    assert_eq!(done, Ok(3));
    assert_eq!(start.elapsed(), 2 * SECOND, "a second before each further attempt");
}

#[tokio::test(start_paused = true)]
async fn gives_up_after_its_attempts() {
    let failed = take().run(|_| async { Err::<(), _>(Refusal::Busy) }).await.unwrap_err();
    assert_eq!(failed.to_string(), "take failed after 3 attempts in 2.0s: busy");
    assert_eq!(failed.cause, Cause::Error(Refusal::Busy));
}

#[tokio::test(start_paused = true)]
async fn one_attempt_unless_told_otherwise() {
    let once: Policy<Refusal> = Policy::named("once").within(SECOND);
    let failed = once.run(|_| async { Err::<(), _>(Refusal::Busy) }).await.unwrap_err();
    assert_eq!(failed.attempts, 1);
}

#[tokio::test(start_paused = true)]
async fn tries_again_only_when_it_is_worth_it() {
    let policy = take().when(|error| *error == Refusal::Busy);
    let refusals = [Refusal::Busy, Refusal::Banned, Refusal::Busy];
    let mut refused = refusals.into_iter();
    let failed = policy
        .run(|_| {
            let refusal = refused.next().unwrap();
            async move { Err::<(), _>(refusal) }
        })
        .await
        .unwrap_err();
    assert_eq!((failed.attempts, failed.cause), (2, Cause::Error(Refusal::Banned)));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_an_attempt_and_the_next_may_succeed() {
    let start = Instant::now();
    let done = take()
        .run(|attempt| async move {
            if attempt == 1 {
                pending::<()>().await;
            }
            Ok(attempt)
        })
        .await;
    assert_eq!(done, Ok(2));
    assert!(start.elapsed() >= 11 * SECOND && start.elapsed() < 12 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_can_be_final() {
    let failed = take().unless_expired().run(|_| pending::<Result<(), _>>()).await.unwrap_err();
    assert_eq!(failed.attempts, 1);
    assert_eq!(failed.cause.expired().map(|expired| expired.limit), Some(10 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn a_condition_on_errors_says_nothing_of_deadlines() {
    let failed = take().when(|_| false).run(|_| pending::<Result<(), _>>()).await.unwrap_err();
    assert_eq!(failed.attempts, 3);
}

#[tokio::test(start_paused = true)]
async fn an_overall_deadline_cuts_an_attempt_short() {
    let start = Instant::now();
    let failed = take().overall(15 * SECOND).run(|_| pending::<Result<(), _>>()).await.unwrap_err();
    let expired = failed.cause.expired().copied().unwrap();
    assert_eq!((failed.attempts, expired.deadline, expired.limit), (2, Deadline::Overall, 15 * SECOND));
    assert!(start.elapsed() >= 15 * SECOND && start.elapsed() < 16 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn no_wait_that_would_pass_the_overall_deadline() {
    let start = Instant::now();
    let policy = take().retry(Retry::times(3).backoff(Backoff::constant(20 * SECOND))).overall(15 * SECOND);
    let failed = policy
        .run(|_| async {
            sleep(2 * SECOND).await;
            Err::<(), _>(Refusal::Busy)
        })
        .await
        .unwrap_err();
    assert_eq!((failed.attempts, failed.cause), (1, Cause::Error(Refusal::Busy)));
    assert_eq!(start.elapsed(), 2 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn every_slow_attempt_is_told_of() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let seen = told.clone();
    let policy = Policy::named("open")
        .within(Timeout::hard(10 * SECOND).soft(3 * SECOND))
        .retry(Retry::times(2).backoff(Backoff::constant(SECOND)))
        .on_slow(move |name, elapsed| seen.lock().unwrap().push((name, elapsed)));
    let slow = async || {
        sleep(5 * SECOND).await;
        Err::<(), _>(Refusal::Busy)
    };
    policy.run(|_| slow()).await.unwrap_err();
    assert_eq!(*told.lock().unwrap(), [("open", 3 * SECOND), ("open", 3 * SECOND)]);
}

#[tokio::test(start_paused = true)]
async fn every_failure_but_the_last_is_told_of() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let seen = told.clone();
    let policy = take()
        .on_retry(move |attempt, cause, delay| seen.lock().unwrap().push((attempt, cause.clone(), delay)));
    policy
        .run(
            |attempt| async move { Err::<(), _>(if attempt == 1 { Refusal::Banned } else { Refusal::Busy }) },
        )
        .await
        .unwrap_err();
    let expected = [(1, Cause::Error(Refusal::Banned), SECOND), (2, Cause::Error(Refusal::Busy), SECOND)];
    assert_eq!(*told.lock().unwrap(), expected);
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_waits_the_same() {
    let waited = async |seed| {
        let start = Instant::now();
        let retry = Retry::times(5).backoff(Backoff::from(SECOND).jitter(1.0));
        let policy = take().retry(retry).jitter(Jitter::seeded(seed));
        policy.run(|_| async { Err::<(), _>(Refusal::Busy) }).await.unwrap_err();
        start.elapsed()
    };
    assert_eq!(waited(7).await, waited(7).await);
    assert_ne!(waited(7).await, waited(8).await);
}

#[tokio::test(start_paused = true)]
async fn an_operation_on_something_borrowed_sees_what_it_did_before() {
    let mut log = Vec::new();
    let done = take()
        .run_on(&mut log, |log, attempt| {
            Box::pin(async move {
                log.push(attempt);
                if log.len() < 3 { Err(Refusal::Busy) } else { Ok(log.len()) }
            })
        })
        .await;
    assert_eq!((done, log), (Ok(3), vec![1, 2, 3]));
}

#[test]
fn shows_its_name_and_limits() {
    let shown = format!("{:?}", take().when(|_| true));
    for part in ["\"take\"", "10s", "attempts: 3", "conditional: true"] {
        assert!(shown.contains(part), "{shown}");
    }
}
