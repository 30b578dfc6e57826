//! How long one future may take.

use std::{pin::pin, time::Duration};

use tokio::time::Instant;

/// How long something may take: past `soft` it is called slow and goes on, past `hard` it has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeout {
    /// Past this an observer is told; none, or one that is not below `hard`, never is.
    pub soft: Option<Duration>,
    /// Past this the future is dropped.
    pub hard: Duration,
}

/// Which deadline passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deadline {
    /// That of one attempt.
    Hard,
    /// That of all attempts together.
    Overall,
}

/// Something did not finish before its deadline and was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{name} did not finish within {limit:?}")]
pub struct Expired {
    /// What did not finish.
    pub name: &'static str,
    /// Which deadline passed.
    pub deadline: Deadline,
    /// The deadline.
    pub limit: Duration,
    /// How long it was waited for; at least `limit`, more on a busy machine.
    pub elapsed: Duration,
}

impl Timeout {
    /// A hard deadline only.
    #[must_use]
    pub const fn hard(hard: Duration) -> Self {
        Self { soft: None, hard }
    }

    /// The same, called slow past `soft`.
    #[must_use]
    pub const fn soft(self, soft: Duration) -> Self {
        Self { soft: Some(soft), ..self }
    }

    /// Waits for `future` until the hard deadline, then drops it. Past the soft deadline a warning is logged.
    pub async fn run<F: Future>(&self, name: &'static str, future: F) -> Result<F::Output, Expired> {
        self.watch(name, future, warn_slow).await
    }

    /// The same, telling `on_slow` how long it has been when the soft deadline passes.
    pub async fn watch<F: Future>(
        &self,
        name: &'static str,
        future: F,
        on_slow: impl FnOnce(&'static str, Duration),
    ) -> Result<F::Output, Expired> {
        let start = Instant::now();
        let mut future = pin!(future);
        if let Some(soft) = self.soft.filter(|soft| *soft < self.hard) {
            if let Some(output) = wait(soft, future.as_mut()).await {
                return Ok(output);
            }
            on_slow(name, start.elapsed());
        }
        let left = self.hard.saturating_sub(start.elapsed());
        wait(left, future).await.ok_or_else(|| Expired {
            name,
            deadline: Deadline::Hard,
            limit: self.hard,
            elapsed: start.elapsed(),
        })
    }
}

impl From<Duration> for Timeout {
    fn from(hard: Duration) -> Self {
        Self::hard(hard)
    }
}

/// Waits for `future` no longer than `limit`, then drops it.
pub async fn within<F: Future>(limit: Duration, name: &'static str, future: F) -> Result<F::Output, Expired> {
    Timeout::hard(limit).run(name, future).await
}

/// What happens at a soft expiry unless told otherwise.
pub(crate) fn warn_slow(name: &'static str, elapsed: Duration) {
    tracing::warn!(step = name, ?elapsed, "slow");
}

#[expect(clippy::disallowed_methods, reason = "the one place where deadlines are made")]
async fn wait<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    tokio::time::timeout(limit, future).await.ok()
}

#[cfg(test)]
mod tests;
