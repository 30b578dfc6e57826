//! What is known when every attempt has failed.

use std::{error::Error, fmt, sync::Arc, time::Duration};

use crate::Expired;

/// Every attempt failed: what, how often, how long, and why the last one did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed<E> {
    /// The name of the policy.
    pub name: &'static str,
    /// Attempts made.
    pub attempts: u32,
    /// How long it took in all, waits included.
    pub elapsed: Duration,
    /// Why the last attempt failed.
    pub cause: Cause<E>,
    /// The failure of the first way, when this is the failure of a fallback.
    pub before: Option<Arc<Failed<E>>>,
}

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause<E> {
    /// A deadline passed.
    Expired(Expired),
    /// The operation's own error.
    Error(E),
}

impl<E> Failed<E> {
    /// Whether the last attempt ended at a deadline.
    #[must_use]
    pub fn is_expired(&self) -> bool {
        matches!(self.cause, Cause::Expired(_))
    }

    /// The operation's own error, unless a deadline passed.
    #[must_use]
    pub fn error(&self) -> Option<&E> {
        match &self.cause {
            Cause::Error(error) => Some(error),
            Cause::Expired(_) => None,
        }
    }

    /// The operation's own error, or one made from the deadline that passed.
    pub fn into_error(self, expired: impl FnOnce(Expired) -> E) -> E {
        match self.cause {
            Cause::Error(error) => error,
            Cause::Expired(deadline) => expired(deadline),
        }
    }
}

impl<E: fmt::Display> fmt::Display for Failed<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.attempts == 1 { "" } else { "s" };
        write!(f, "{} failed after {} attempt{plural} in {:.1?}: ", self.name, self.attempts, self.elapsed)?;
        match &self.cause {
            Cause::Expired(expired) => write!(f, "no answer within {:.1?}", expired.limit)?,
            Cause::Error(error) => write!(f, "{error}")?,
        }
        match &self.before {
            Some(before) => write!(f, "; before that, {before}"),
            None => Ok(()),
        }
    }
}

/// The message says the cause too, so the source is what stands behind the cause.
impl<E: Error + 'static> Error for Failed<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error().and_then(Error::source)
    }
}
