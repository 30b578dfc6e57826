//! Comparing what the list shows with what it showed before.
//!
//! The list shows only its newest items. When it is full and nothing of the window before is in it, items may have
//! come and gone between the two looks: a possible gap. A list that is not full cannot have pushed anything out.

use std::collections::BTreeSet;

use scrapefleet_api::ItemId;

/// A window that shares less than this part of itself with the one before overlaps barely.
const BARELY: usize = 4;

/// How two consecutive windows fit together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlap {
    /// There was no window before.
    First,
    /// Nothing can have been missed, with room to spare.
    Ample,
    /// Nothing can have been missed, but soon something may.
    Bare,
    /// Items may have been missed.
    Gap,
}

/// How `window` fits the one `before` it, when the list shows at most `limit` items.
#[must_use]
pub fn overlap(
    before: Option<&BTreeSet<ItemId>>,
    window: &BTreeSet<ItemId>,
    limit: Option<usize>,
) -> Overlap {
    let Some(before) = before else { return Overlap::First };
    let full = limit.is_some_and(|limit| window.len() >= limit);
    if !full {
        return Overlap::Ample;
    }
    match window.intersection(before).count() {
        // Before a full window with nothing before it, everything in it is new: none of it was pushed out unless
        // it is full of new items, which it is.
        0 => Overlap::Gap,
        shared if shared * BARELY < window.len() => Overlap::Bare,
        _ => Overlap::Ample,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(range: std::ops::Range<usize>) -> BTreeSet<ItemId> {
        range.map(|n| ItemId::new(format!("i{n}")).unwrap()).collect()
    }

    #[test]
    fn windows_fit_together_as_expected() {
        let fit = |before, window| overlap(Some(&ids(before)), &ids(window), Some(100));
        assert_eq!(overlap(None, &ids(0..100), Some(100)), Overlap::First);
        assert_eq!(fit(0..100, 0..100), Overlap::Ample);
        assert_eq!(fit(0..100, 60..160), Overlap::Ample);
        assert_eq!(fit(0..100, 80..180), Overlap::Bare);
        assert_eq!(fit(0..100, 99..199), Overlap::Bare);
        assert_eq!(fit(0..100, 100..200), Overlap::Gap);
    }

    #[test]
    fn a_list_that_is_not_full_has_pushed_nothing_out() {
        assert_eq!(overlap(Some(&ids(0..5)), &ids(5..9), Some(100)), Overlap::Ample);
        assert_eq!(overlap(Some(&ids(0..5)), &ids(5..9), None), Overlap::Ample);
        assert_eq!(overlap(Some(&ids(0..5)), &ids(0..0), Some(100)), Overlap::Ample);
    }

    #[test]
    fn a_list_that_filled_up_at_once_may_have_overflowed() {
        assert_eq!(overlap(Some(&ids(0..0)), &ids(0..100), Some(100)), Overlap::Gap);
    }
}
