//! Which dead letters are to be forgotten.

use std::collections::HashMap;

use crate::DeadLetter;

/// Letters that are to be forgotten, each as often as it was named.
#[derive(Debug)]
pub(crate) struct Wanted(HashMap<String, usize>);

impl Wanted {
    pub(crate) fn of(letters: &[DeadLetter]) -> Self {
        let mut wanted = HashMap::new();
        for letter in letters {
            *wanted.entry(mark(letter)).or_default() += 1;
        }
        Self(wanted)
    }

    /// Whether `letter` is to be forgotten; it is not asked about a second time.
    pub(crate) fn take(&mut self, letter: &DeadLetter) -> bool {
        match self.0.get_mut(&mark(letter)) {
            Some(left) if *left > 0 => {
                *left -= 1;
                true
            }
            _ => false,
        }
    }
}

/// What tells a letter from others: all but when it failed, which a broker does not always know.
fn mark(letter: &DeadLetter) -> String {
    let DeadLetter { item, task, raw, failure } = letter;
    serde_json::json!([item, task, raw, failure.reason, failure.message]).to_string()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::{Failure, Reason};

    fn letter(raw: &str, message: &str, at: Timestamp) -> DeadLetter {
        let failure =
            Failure { reason: Reason::Unreadable, message: message.to_owned(), at, evidence: Vec::new() };
        DeadLetter { item: None, task: None, raw: Some(raw.to_owned()), failure }
    }

    #[test]
    fn each_letter_is_taken_as_often_as_it_was_named() {
        let (then, now) = (Timestamp::UNIX_EPOCH, Timestamp::MAX);
        let mut wanted =
            Wanted::of(&[letter("a", "x", then), letter("b", "x", then), letter("b", "x", then)]);
        assert!(wanted.take(&letter("a", "x", now)), "whenever it failed");
        assert!(!wanted.take(&letter("a", "x", then)), "once");
        assert!(!wanted.take(&letter("c", "x", then)) && !wanted.take(&letter("b", "y", then)));
        assert!(wanted.take(&letter("b", "x", then)) && wanted.take(&letter("b", "x", then)));
    }
}
