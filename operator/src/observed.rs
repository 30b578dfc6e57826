//! What was read from outside, or why it was not.

use jiff::{SignedDuration, Timestamp};

/// Something that is read from outside again and again: the last value with its time, or why there is none.
///
/// There is no default value: who decides must say what happens when nothing could be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observed<T> {
    /// It could not be read.
    Unread {
        /// Why, for people; short, without secrets.
        why: String,
    },
    /// It was read.
    Read {
        /// What was read.
        value: T,
        /// When.
        at: Timestamp,
    },
}

impl<T> Observed<T> {
    /// It was not read, for this reason.
    pub fn unread(why: impl Into<String>) -> Self {
        Self::Unread { why: why.into() }
    }

    /// The value, if it was read.
    pub const fn value(&self) -> Option<&T> {
        match self {
            Self::Read { value, .. } => Some(value),
            Self::Unread { .. } => None,
        }
    }

    /// The value, if it was read no longer than `age` before `now`.
    #[must_use]
    pub fn fresh(&self, now: Timestamp, age: SignedDuration) -> Option<&T> {
        match self {
            Self::Read { value, at } if now.duration_since(*at) <= age => Some(value),
            _ => None,
        }
    }

    /// Why there is no value.
    pub fn why(&self) -> Option<&str> {
        match self {
            Self::Unread { why } => Some(why),
            Self::Read { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_old_is_not_fresh() {
        let at = Timestamp::from_second(100).unwrap();
        let read = Observed::Read { value: 7, at };
        let age = SignedDuration::from_secs(5);
        assert_eq!(read.fresh(Timestamp::from_second(105).unwrap(), age), Some(&7));
        assert_eq!(read.fresh(Timestamp::from_second(106).unwrap(), age), None);
        assert_eq!(Observed::<u8>::unread("down").fresh(at, age), None);
        assert_eq!(Observed::<u8>::unread("down").why(), Some("down"));
    }
}
