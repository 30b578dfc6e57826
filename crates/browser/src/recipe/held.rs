//! The items a browser holds, and what is made of what was seen of them.

use crate::{Fault, Observation, Step, StepError, session::Window};

use super::answer::Seen;

/// Where an item is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// In the page that items share.
    Shared,
    /// In a tab of its own.
    Tab(Window),
    /// It was in a tab that failed and is closed.
    Failed(StepError),
}

/// One item.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) place: Place,
    /// Where its tab was when it was open, after redirects.
    pub(super) url: String,
    /// What was seen when it was opened: the site had it no more.
    pub(super) gone: Option<String>,
    /// Why it is not in the page any more, once that is known.
    pub(super) lost: Option<String>,
}

impl Held {
    pub(super) fn new(place: Place, url: &str, gone: Option<String>) -> Self {
        Self { place, url: url.to_owned(), gone, lost: None }
    }

    /// What is made of what was seen. An item whose root is gone was open before, so it is lost.
    pub(super) fn observation(&self, seen: &Seen) -> Result<Observation, StepError> {
        if let Some(why) = &seen.error {
            return Err(StepError::new(Step::Probe, Fault::Script, why));
        }
        let gone = |proof: &str| Ok(Observation::Gone { proof: crate::fault::printable(proof, MOST_PROOF) });
        // The page of an error may look as if the item had ended.
        if let Some(proof) = &self.gone {
            return gone(proof);
        }
        if seen.done {
            return Ok(Observation::Ended);
        }
        if let Some(proof) = &seen.gone {
            return gone(proof);
        }
        if let Some(why) = &self.lost {
            return Ok(Observation::Lost { why: why.clone() });
        }
        Ok(match (seen.root, seen.open) {
            (true, true) => Observation::Live { progress: seen.progress.clone() },
            (true, false) => Observation::Opening,
            (false, _) => Observation::Lost { why: "its place in the page is empty".to_owned() },
        })
    }
}

/// The longest proof, in characters.
const MOST_PROOF: usize = 300;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_decides_in_this_order() {
        let held = |gone: Option<&str>, lost: Option<&str>| Held {
            lost: lost.map(str::to_owned),
            ..Held::new(Place::Shared, "", gone.map(str::to_owned))
        };
        let seen = |root, open, done, gone: Option<&str>| Seen {
            root,
            open,
            done,
            gone: gone.map(str::to_owned),
            progress: "7".to_owned(),
            error: None,
        };
        let gone = |proof: &str| Observation::Gone { proof: proof.to_owned() };
        let lost = |why: &str| Observation::Lost { why: why.to_owned() };
        let live = Observation::Live { progress: "7".to_owned() };
        for (held, seen, expected) in [
            (held(None, None), seen(true, true, false, None), live),
            (held(None, None), seen(true, false, false, None), Observation::Opening),
            (held(None, None), seen(true, false, true, Some("x")), Observation::Ended),
            (held(None, None), seen(true, true, false, Some("expired")), gone("expired")),
            (held(Some("HTTP 404"), None), seen(false, false, false, None), gone("HTTP 404")),
            (held(Some("HTTP 404"), None), seen(true, false, true, None), gone("HTTP 404")),
            (held(None, None), seen(false, false, false, None), lost("its place in the page is empty")),
            (held(None, Some("reloaded")), seen(true, true, false, None), lost("reloaded")),
            (held(None, Some("reloaded")), seen(true, true, true, None), Observation::Ended),
        ] {
            assert_eq!(held.observation(&seen).unwrap(), expected, "{held:?} {seen:?}");
        }
    }

    #[test]
    fn a_script_that_fails_is_an_error_of_that_item() {
        let seen = Seen { error: Some("item.progress: boo".to_owned()), ..Seen::default() };
        let error = Held::new(Place::Shared, "", None).observation(&seen).unwrap_err();
        assert_eq!((error.fault, error.layer()), (Fault::Script, crate::Layer::Item));
    }
}
