//! How long a shared page has been without its connection, and whether it may still come back by itself.

use std::time::Duration;

use scrapefleet_policy::Instant;

use crate::PageState;

/// Tracks one page's loss of connection.
#[derive(Debug, Clone)]
pub(super) struct Outage {
    /// How long the page is given to reconnect by itself.
    grace: Duration,
    since: Option<Instant>,
}

impl Outage {
    pub(super) fn new(grace: Duration) -> Self {
        Self { grace, since: None }
    }

    /// Takes note of what was seen `now`: a sign that the connection is lost, or none, and whether such a page comes back.
    pub(super) fn see(&mut self, now: Instant, sign: Option<String>, reconnects: bool) -> PageState {
        let Some(why) = sign else {
            self.since = None;
            return PageState::Connected;
        };
        let since = *self.since.get_or_insert(now);
        let waiting = reconnects && now.saturating_duration_since(since) < self.grace;
        PageState::Disconnected { why, waiting }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost(waiting: bool) -> PageState {
        PageState::Disconnected { why: "modal".to_owned(), waiting }
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_is_given_its_time_once_for_each_outage() {
        let mut outage = Outage::new(Duration::from_secs(10));
        let mut see = async |after: u64, sign: Option<&str>| {
            tokio::time::advance(Duration::from_secs(after)).await;
            outage.see(Instant::now(), sign.map(str::to_owned), true)
        };
        assert_eq!(see(0, None).await, PageState::Connected);
        assert_eq!(see(5, Some("modal")).await, lost(true));
        assert_eq!(see(9, Some("modal")).await, lost(true));
        assert_eq!(see(1, Some("modal")).await, lost(false));
        assert_eq!(see(1, None).await, PageState::Connected);
        assert_eq!(see(60, Some("modal")).await, lost(true), "a new outage has a time of its own");
    }

    #[tokio::test]
    async fn a_page_that_never_reconnects_is_not_waited_for() {
        let mut outage = Outage::new(Duration::ZERO);
        assert_eq!(outage.see(Instant::now(), Some("modal".to_owned()), true), lost(false));
        let mut outage = Outage::new(Duration::from_secs(10));
        assert_eq!(outage.see(Instant::now(), Some("modal".to_owned()), false), lost(false));
    }
}
