//! A second way when the first has failed.

use std::{fmt, sync::Arc};

use crate::{Attempt, Failed, Policy, policy::Condition};

/// Two ways to the same thing: the second is tried when every attempt of the first has failed.
///
/// ```
/// # use std::time::Duration;
/// # use scrapefleet_policy::{Failed, Policy, Way};
/// # #[derive(Clone, Copy)] enum Placement { Shared, Alone }
/// # struct Browser;
/// # impl Browser { async fn open(&mut self, _: Placement) -> Result<(), String> { Ok(()) } }
/// # async fn example(browser: &mut Browser, shared: Policy<String>, alone: Policy<String>) -> Result<(), Failed<String>> {
/// shared
///     .or_else(alone)
///     .run_on(browser, |browser, way| match way {
///         Way::First { .. } => Box::pin(browser.open(Placement::Shared)),
///         Way::Second { .. } => Box::pin(browser.open(Placement::Alone)),
///     })
///     .await
/// # }
/// ```
pub struct Fallback<E> {
    first: Policy<E>,
    second: Policy<E>,
    only_if: Option<Condition<Failed<E>>>,
}

/// Which way is being tried.
#[derive(Debug)]
pub enum Way<E> {
    /// The first.
    First {
        /// The number of the attempt, from 1.
        attempt: u32,
    },
    /// The second.
    Second {
        /// The number of the attempt by this way, from 1.
        attempt: u32,
        /// How the first way failed.
        first: Arc<Failed<E>>,
    },
}

impl<E> Fallback<E> {
    pub(crate) fn new(first: Policy<E>, second: Policy<E>) -> Self {
        Self { first, second, only_if: None }
    }

    /// Tries the second way only if `condition` is true of how the first failed.
    #[must_use]
    pub fn only_if(self, condition: impl Fn(&Failed<E>) -> bool + Send + Sync + 'static) -> Self {
        Self { only_if: Some(Arc::new(condition)), ..self }
    }

    /// Runs `operation` the first way and then, if need be, the second. The failure of both has the first's in
    /// [`Failed::before`].
    pub async fn run<T, F>(&self, mut operation: impl FnMut(Way<E>) -> F) -> Result<T, Failed<E>>
    where
        F: Future<Output = Result<T, E>>,
    {
        let first = match self.first.run(|attempt| operation(Way::First { attempt })).await {
            Err(failed) if self.has_second_way(&failed) => Arc::new(failed),
            done => return done,
        };
        let second =
            self.second.run(|attempt| operation(Way::Second { attempt, first: first.clone() })).await;
        second.map_err(|failed| Failed { before: Some(first), ..failed })
    }

    /// The same on something the operation needs for itself, see [`Policy::run_on`].
    pub async fn run_on<C, T>(
        &self,
        target: &mut C,
        mut operation: impl for<'a> FnMut(&'a mut C, Way<E>) -> Attempt<'a, T, E>,
    ) -> Result<T, Failed<E>> {
        let first =
            self.first.run_on(target, |target, attempt| operation(target, Way::First { attempt })).await;
        let first = match first {
            Err(failed) if self.has_second_way(&failed) => Arc::new(failed),
            done => return done,
        };
        let second = self
            .second
            .run_on(target, |target, attempt| {
                operation(target, Way::Second { attempt, first: first.clone() })
            })
            .await;
        second.map_err(|failed| Failed { before: Some(first), ..failed })
    }

    fn has_second_way(&self, failed: &Failed<E>) -> bool {
        self.only_if.as_ref().is_none_or(|only_if| only_if(failed))
    }
}

impl<E> Clone for Fallback<E> {
    fn clone(&self) -> Self {
        Self { first: self.first.clone(), second: self.second.clone(), only_if: self.only_if.clone() }
    }
}

impl<E> fmt::Debug for Fallback<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fallback")
            .field("first", &self.first)
            .field("second", &self.second)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
