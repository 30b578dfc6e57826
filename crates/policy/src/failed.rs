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
        self.cause.expired().is_some()
    }

    /// The operation's own error, unless a deadline passed.
    #[must_use]
    pub fn error(&self) -> Option<&E> {
        self.cause.error()
    }

    /// The operation's own error, or one made from the deadline that passed.
    pub fn into_error(self, expired: impl FnOnce(Expired) -> E) -> E {
        match self.cause {
            Cause::Error(error) => error,
            Cause::Expired(deadline) => expired(deadline),
        }
    }
}

impl<E> Cause<E> {
    /// The deadline, if one passed.
    #[must_use]
    pub fn expired(&self) -> Option<&Expired> {
        match self {
            Self::Expired(expired) => Some(expired),
            Self::Error(_) => None,
        }
    }

    /// The operation's own error, unless a deadline passed.
    #[must_use]
    pub fn error(&self) -> Option<&E> {
        match self {
            Self::Error(error) => Some(error),
            Self::Expired(_) => None,
        }
    }
}

impl<E: fmt::Display> fmt::Display for Failed<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.attempts == 1 { "" } else { "s" };
        write!(f, "{} failed after {} attempt{plural} in {:.1?}: ", self.name, self.attempts, self.elapsed)?;
        match &self.cause {
            Cause::Expired(expired) => write!(f, "no answer within {:?}", expired.limit)?,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Deadline;

    fn expired() -> Failed<std::fmt::Error> {
        let limit = Duration::from_secs(15);
        let elapsed = Duration::from_millis(15_001);
        let cause = Cause::Expired(Expired { name: "open", deadline: Deadline::Hard, limit, elapsed });
        Failed { name: "open", attempts: 1, elapsed, cause, before: None }
    }

    #[test]
    fn says_the_name_the_attempts_the_time_and_the_cause() {
        assert_eq!(expired().to_string(), "open failed after 1 attempt in 15.0s: no answer within 15s");
        let both = Failed {
            name: "open alone",
            attempts: 3,
            elapsed: Duration::from_millis(1234),
            cause: Cause::Error(std::fmt::Error),
            before: Some(Arc::new(expired())),
        };
        assert_eq!(
            both.to_string(),
            "open alone failed after 3 attempts in 1.2s: an error occurred when formatting an argument; \
             before that, open failed after 1 attempt in 15.0s: no answer within 15s"
        );
    }

    #[test]
    fn gives_the_error_or_makes_one_from_the_deadline() {
        assert!(expired().is_expired());
        assert_eq!(expired().error(), None);
        let error: Failed<String> = Failed {
            name: "take",
            attempts: 2,
            elapsed: Duration::ZERO,
            cause: Cause::Error("refused".to_owned()),
            before: None,
        };
        assert!(!error.is_expired());
        assert_eq!(error.error().map(String::as_str), Some("refused"));
        assert_eq!(error.clone().into_error(|_| String::new()), "refused");
        let late = Failed { cause: Cause::Expired(*expired().cause.expired().unwrap()), ..error };
        assert_eq!(late.into_error(|expired| expired.to_string()), "open did not finish within 15s");
    }
}
