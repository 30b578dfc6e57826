//! The attempts of one run of a policy.

use std::time::Duration;

use tokio::time::Instant;

use crate::{Cause, Deadline, Expired, Failed, Policy, Timeout};

/// The attempts made so far in one run.
pub(crate) struct Attempts<'p, E> {
    policy: &'p Policy<E>,
    start: Instant,
    number: u32,
}

impl<'p, E> Attempts<'p, E> {
    /// No attempt made, the first to come.
    pub(crate) fn of(policy: &'p Policy<E>) -> Self {
        Self { policy, start: Instant::now(), number: 1 }
    }

    /// The number of the attempt to come, from 1.
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// Makes one attempt. None when there is to be another, once the wait before it is over.
    pub(crate) async fn make<T>(
        &mut self,
        attempt: impl Future<Output = Result<T, E>>,
    ) -> Option<Result<T, Failed<E>>> {
        let cause = match self.under_deadline(attempt).await {
            Ok(output) => return Some(Ok(output)),
            Err(cause) => cause,
        };
        let Some(delay) = self.delay_after(&cause) else {
            return Some(Err(self.failed(cause)));
        };
        self.tell_of_retry(&cause, delay);
        tokio::time::sleep(delay).await;
        self.number = self.number.saturating_add(1);
        None
    }

    async fn under_deadline<T>(&self, attempt: impl Future<Output = Result<T, E>>) -> Result<T, Cause<E>> {
        let Policy { name, timeout, on_slow, .. } = self.policy;
        let hard = timeout.hard.min(self.left());
        let limited = Timeout { hard, ..*timeout };
        match limited.watch(name, attempt, |name, elapsed| on_slow(name, elapsed)).await {
            Ok(result) => result.map_err(Cause::Error),
            Err(expired) if hard < timeout.hard => Err(Cause::Expired(self.overall_expired(expired))),
            Err(expired) => Err(Cause::Expired(expired)),
        }
    }

    /// What is left of the overall deadline.
    fn left(&self) -> Duration {
        self.policy.overall.map_or(Duration::MAX, |overall| overall.saturating_sub(self.start.elapsed()))
    }

    fn overall_expired(&self, expired: Expired) -> Expired {
        Expired {
            deadline: Deadline::Overall,
            limit: self.policy.overall.unwrap_or(expired.limit),
            elapsed: self.start.elapsed(),
            ..expired
        }
    }

    /// The wait before another attempt, if there is to be one and there is time for it.
    fn delay_after(&self, cause: &Cause<E>) -> Option<Duration> {
        let worth_it = match cause {
            Cause::Expired(expired) => self.policy.retry_expired && expired.deadline == Deadline::Hard,
            Cause::Error(error) => self.policy.when.as_ref().is_none_or(|when| when(error)),
        };
        if !worth_it {
            return None;
        }
        let delay = self.policy.retry.next(self.number, self.policy.jitter.draw())?;
        (delay < self.left()).then_some(delay)
    }

    fn tell_of_retry(&self, cause: &Cause<E>, delay: Duration) {
        let Policy { name, on_retry, .. } = self.policy;
        tracing::debug!(step = name, attempt = self.number, ?delay, "trying again");
        if let Some(on_retry) = on_retry {
            on_retry(self.number, cause, delay);
        }
    }

    fn failed(&self, cause: Cause<E>) -> Failed<E> {
        Failed {
            name: self.policy.name,
            attempts: self.number,
            elapsed: self.start.elapsed(),
            cause,
            before: None,
        }
    }
}
