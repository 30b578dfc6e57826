//! A deadline and a retry under one name.

use std::{fmt, sync::Arc, time::Duration};

use crate::{
    Attempt, Cause, Failed, Fallback, Jitter, Retry, Timeout, attempts::Attempts, timeout::warn_slow,
};

/// What is told of a soft expiry: the policy's name and how long the attempt has taken so far.
pub(crate) type OnSlow = Arc<dyn Fn(&'static str, Duration) + Send + Sync>;

/// What is told of an attempt after which there is another: its number, why it failed, the wait to come.
pub(crate) type OnRetry<E> = Arc<dyn Fn(u32, &Cause<E>, Duration) + Send + Sync>;

/// A question about a failure.
pub(crate) type Condition<T> = Arc<dyn Fn(&T) -> bool + Send + Sync>;

/// How one operation is done: under which deadlines, how often, and what else is tried.
///
/// A plain value, cheap to clone; one is usually kept beside the thing it is used on. Unless told otherwise there
/// is one attempt, every failure is worth another one, and a soft expiry is logged as a warning.
///
/// An attempt whose deadline passes is dropped where it stands, so an operation must bear that.
pub struct Policy<E> {
    pub(crate) name: &'static str,
    pub(crate) timeout: Timeout,
    pub(crate) overall: Option<Duration>,
    pub(crate) retry: Retry,
    pub(crate) retry_expired: bool,
    pub(crate) when: Option<Condition<E>>,
    pub(crate) on_slow: OnSlow,
    pub(crate) on_retry: Option<OnRetry<E>>,
    pub(crate) jitter: Jitter,
}

/// The name of a policy that has no deadline yet, and so cannot be used.
#[derive(Debug, Clone, Copy)]
pub struct Named(&'static str);

impl Named {
    /// Gives each attempt its deadline.
    #[must_use]
    pub fn within<E>(self, timeout: impl Into<Timeout>) -> Policy<E> {
        Policy {
            name: self.0,
            timeout: timeout.into(),
            overall: None,
            retry: Retry::never(),
            retry_expired: true,
            when: None,
            on_slow: Arc::new(warn_slow),
            on_retry: None,
            jitter: Jitter::random(),
        }
    }
}

impl Policy<()> {
    /// Starts a policy. The name is that of the step, for errors, logs and metrics.
    #[must_use]
    pub const fn named(name: &'static str) -> Named {
        Named(name)
    }
}

impl<E> Policy<E> {
    /// Tries again.
    #[must_use]
    pub fn retry(self, retry: Retry) -> Self {
        Self { retry, ..self }
    }

    /// Tries again only after errors of which `condition` is true. Deadlines are not asked about, see
    /// [`unless_expired`](Self::unless_expired).
    #[must_use]
    pub fn when(self, condition: impl Fn(&E) -> bool + Send + Sync + 'static) -> Self {
        Self { when: Some(Arc::new(condition)), ..self }
    }

    /// Does not try again after an attempt whose deadline passed.
    #[must_use]
    pub fn unless_expired(self) -> Self {
        Self { retry_expired: false, ..self }
    }

    /// Ends everything, attempts and waits together, at this deadline. When the wait before another attempt would
    /// pass it, the last failure is returned at once.
    #[must_use]
    pub fn overall(self, limit: Duration) -> Self {
        Self { overall: Some(limit), ..self }
    }

    /// Tells `observer` the policy's name and how long an attempt has taken when its soft deadline passes. Instead
    /// of a warning in the log.
    #[must_use]
    pub fn on_slow(self, observer: impl Fn(&'static str, Duration) + Send + Sync + 'static) -> Self {
        Self { on_slow: Arc::new(observer), ..self }
    }

    /// Tells `observer` of each attempt after which there is another: its number, why it failed, and the wait to come.
    /// Only the last failure is returned, so this is where the others are seen.
    #[must_use]
    pub fn on_retry(self, observer: impl Fn(u32, &Cause<E>, Duration) + Send + Sync + 'static) -> Self {
        Self { on_retry: Some(Arc::new(observer)), ..self }
    }

    /// Takes the random share of the delays from `jitter`.
    #[must_use]
    pub fn jitter(self, jitter: Jitter) -> Self {
        Self { jitter, ..self }
    }

    /// Tries a second way when this one has failed.
    #[must_use]
    pub fn or_else(self, second: Self) -> Fallback<E> {
        Fallback::new(self, second)
    }

    /// The policy's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The deadlines of one attempt.
    #[must_use]
    pub fn timeout(&self) -> Timeout {
        self.timeout
    }

    /// Runs `operation`, which is given the number of the attempt, from 1.
    ///
    /// For operations on something shared; see [`run_on`](Self::run_on) for those that need `&mut`.
    pub async fn run<T, F>(&self, mut operation: impl FnMut(u32) -> F) -> Result<T, Failed<E>>
    where
        F: Future<Output = Result<T, E>>,
    {
        let mut attempts = Attempts::of(self);
        loop {
            let attempt = operation(attempts.number());
            if let Some(done) = attempts.make(attempt).await {
                return done;
            }
        }
    }

    /// Runs `operation` on something it needs for itself.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use scrapefleet_policy::{Failed, Policy};
    /// # #[derive(Default)] struct Browser(Vec<String>);
    /// # impl Browser { async fn open(&mut self, id: &str) -> Result<(), String> { self.0.push(id.into()); Ok(()) } }
    /// # async fn example(browser: &mut Browser, id: &str, open: Policy<String>) -> Result<(), Failed<String>> {
    /// open.run_on(&mut (browser, id), |(browser, id), _attempt| Box::pin(browser.open(id))).await
    /// # }
    /// ```
    ///
    /// Everything the operation borrows goes through `target`, several things as a tuple. (An `AsyncFnMut` would
    /// need no such thing, but the compiler cannot yet see that its future may move between threads.) What an
    /// `async_trait` method returns is boxed already.
    pub async fn run_on<C, T>(
        &self,
        target: &mut C,
        mut operation: impl for<'a> FnMut(&'a mut C, u32) -> Attempt<'a, T, E>,
    ) -> Result<T, Failed<E>> {
        let mut attempts = Attempts::of(self);
        loop {
            let attempt = operation(target, attempts.number());
            if let Some(done) = attempts.make(attempt).await {
                return done;
            }
        }
    }
}

impl<E> Clone for Policy<E> {
    fn clone(&self) -> Self {
        Self {
            when: self.when.clone(),
            on_slow: self.on_slow.clone(),
            on_retry: self.on_retry.clone(),
            jitter: self.jitter.clone(),
            ..*self
        }
    }
}

impl<E> fmt::Debug for Policy<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("name", &self.name)
            .field("timeout", &self.timeout)
            .field("overall", &self.overall)
            .field("retry", &self.retry)
            .field("retry_expired", &self.retry_expired)
            .field("conditional", &self.when.is_some())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
