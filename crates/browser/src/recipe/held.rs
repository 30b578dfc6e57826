//! The items a browser holds, and what is made of what was seen of them.

use scrapefleet_policy::Instant;

use crate::{Fault, Observation, PageState, Step, StepError, fault::printable, session::Window};

use super::{
    answer::{Probe, Seen},
    outage::Outage,
};

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
    /// Since when the tab of its own is without a connection. The shared page has one for all.
    outage: Outage,
}

impl Held {
    /// `outage`: that of a page which is connected.
    pub(super) fn new(place: Place, url: &str, gone: Option<String>, outage: Outage) -> Self {
        Self { place, url: url.to_owned(), gone, lost: None, outage }
    }

    /// Takes note of what was seen `now` of the tab of its own. A tab is never loaded anew: where it can give nothing any
    /// more its item is lost, and is opened again in another.
    pub(super) fn see_tab(&mut self, seen: &Probe, now: Instant) {
        let here = |url: &str| url.split('#').next().unwrap_or_default().to_owned();
        let away = !seen.marked && here(&seen.url) != here(&self.url);
        let cut_off = seen.disconnected.as_deref().map(|why| printable(why, MOST_WHY));
        let why = if away {
            Some(format!("its tab went to {}", printable(&seen.url, 200)))
        } else if let Some(why) = &seen.unavailable {
            Some(format!("its tab shows that the site is unavailable: {}", printable(why, MOST_WHY)))
        } else if let PageState::Disconnected { why, waiting: false } =
            self.outage.see(now, cut_off, seen.reconnects)
        {
            Some(format!("its tab is disconnected: {why}"))
        } else {
            None
        };
        if let Some(why) = why {
            self.lost.get_or_insert(why);
        }
    }

    /// What is made of what was seen. An item whose root is gone was open before, so it is lost.
    pub(super) fn observation(&self, seen: &Seen) -> Result<Observation, StepError> {
        if let Some(why) = &seen.error {
            return Err(StepError::new(Step::Probe, Fault::Script, why));
        }
        let gone = |proof: &str| Ok(Observation::Gone { proof: printable(proof, MOST_WHY) });
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

/// The longest proof or reason, in characters.
const MOST_WHY: usize = 300;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const GRACE: Duration = Duration::from_secs(10);

    fn held() -> Held {
        Held::new(Place::Shared, "http://site/a#x", None, Outage::new(GRACE))
    }

    fn page(url: &str) -> Probe {
        Probe { url: url.to_owned(), marked: true, reconnects: true, ..Probe::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_tab_is_given_its_time_to_reconnect_and_is_lost_then() {
        let cut_off = Probe { disconnected: Some("modal".to_owned()), ..page("http://site/a") };
        let mut held = held();
        for (after, seen, lost) in [
            (0, &cut_off, None),
            (9, &cut_off, None),
            (0, &page("http://site/a"), None),
            (1, &cut_off, None),
            (10, &cut_off, Some("its tab is disconnected: modal")),
            (0, &page("http://site/a"), Some("its tab is disconnected: modal")),
        ] {
            tokio::time::advance(Duration::from_secs(after)).await;
            held.see_tab(seen, Instant::now());
            assert_eq!(held.lost.as_deref(), lost, "after {after} s of {seen:?}");
        }
    }

    #[tokio::test]
    async fn what_a_tab_shows_in_place_of_its_item_loses_it_at_once() {
        let wall = Probe { unavailable: Some("log in".to_owned()), ..page("http://site/a") };
        let away = Probe { marked: false, ..page("http://site/b") };
        let again = Probe { marked: false, ..page("http://site/a#y") };
        for (seen, lost) in [
            (&wall, Some("its tab shows that the site is unavailable: log in")),
            (&away, Some("its tab went to http://site/b")),
            (&again, None),
            (&page("http://site/renamed"), None),
        ] {
            let mut held = held();
            held.see_tab(seen, Instant::now());
            assert_eq!(held.lost.as_deref(), lost, "{seen:?}");
        }
    }

    #[test]
    fn what_was_seen_decides_in_this_order() {
        let held = |gone: Option<&str>, lost: Option<&str>| Held {
            lost: lost.map(str::to_owned),
            ..Held::new(Place::Shared, "", gone.map(str::to_owned), Outage::new(GRACE))
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
        let error = Held::new(Place::Shared, "", None, Outage::new(GRACE)).observation(&seen).unwrap_err();
        assert_eq!((error.fault, error.layer()), (Fault::Script, crate::Layer::Item));
    }
}
