//! A browser in reserve: made as soon as the one in use owes an answer, so that it is there when that one is given up.

use std::sync::Arc;

use scrapefleet_browser::{BrowserFactory, Fault, Layer, SiteBrowser, Step, StepError};
use tokio::{
    sync::Notify,
    task::JoinHandle,
    time::{Duration, Instant},
};

/// After a doubt that came to nothing no other browser is made for so long: where a machine is so busy that answers are
/// late, one more Chrome is the last thing it needs.
const PAUSE: Duration = Duration::from_mins(1);

/// A browser that is made in doubt, or none.
#[derive(Default)]
pub(crate) struct Spare {
    making: Option<Making>,
    not_before: Option<Instant>,
}

/// A browser on its way. It goes when this is dropped.
pub(crate) struct Making(JoinHandle<Made>);

type Made = Result<Box<dyn SiteBrowser>, StepError>;

/// Who makes it, and for which bot.
pub(crate) type Maker<'a> = (&'a Arc<dyn BrowserFactory>, u32);

impl Spare {
    /// Waits for an answer of the browser in use, and has another made once there is doubt about it. It is kept when the
    /// answer says that the browser is lost.
    pub(crate) async fn beside<T>(
        &mut self,
        doubt: Option<Arc<Notify>>,
        maker: Maker<'_>,
        answer: impl Future<Output = Result<T, StepError>>,
    ) -> Result<T, StepError> {
        let answer = self.wait(doubt, maker, answer).await;
        if !matches!(&answer, Err(error) if error.layer() == Layer::Browser) {
            self.dismiss();
        }
        answer
    }

    async fn wait<T>(
        &mut self,
        doubt: Option<Arc<Notify>>,
        (factory, slot): Maker<'_>,
        answer: impl Future<Output = T>,
    ) -> T {
        let mut answer = std::pin::pin!(answer);
        let Some(doubt) = doubt.filter(|_| self.is_welcome()) else { return answer.await };
        tokio::select! {
            biased;
            answer = &mut answer => return answer,
            () = doubt.notified() => {}
        }
        tracing::debug!(slot, "the browser owes an answer; another is started");
        let factory = Arc::clone(factory);
        self.making = Some(Making(tokio::spawn(async move { factory.bot_browser(slot).await })));
        answer.await
    }

    fn is_welcome(&self) -> bool {
        self.making.is_none() && self.not_before.is_none_or(|not_before| not_before <= Instant::now())
    }

    /// The doubt came to nothing.
    fn dismiss(&mut self) {
        if self.making.take().is_some() {
            self.not_before = Some(Instant::now() + PAUSE);
        }
    }

    /// The browser in reserve, if there is one.
    pub(crate) fn take(&mut self) -> Option<Making> {
        self.making.take()
    }
}

impl Making {
    /// The browser, once it is there.
    pub(crate) async fn made(mut self) -> Made {
        let ended = (&mut self.0).await;
        ended
            .unwrap_or_else(|error| Err(StepError::new(Step::Launch, Fault::CannotStart, &error.to_string())))
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use scrapefleet_browser::fake::{FakeSite, What};

    use super::*;

    fn started(site: &FakeSite) -> usize {
        site.events().iter().filter(|event| event.what == What::Started).count()
    }

    /// An answer that is overdue after a second and comes after two.
    async fn overdue(spare: &mut Spare, site: &FakeSite, answer: Result<(), StepError>) {
        let factory: Arc<dyn BrowserFactory> = Arc::new(site.clone());
        let doubt = Arc::new(Notify::new());
        let notify = Arc::clone(&doubt);
        let late = async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            notify.notify_waiters();
            tokio::time::sleep(Duration::from_secs(1)).await;
            answer
        };
        let _ = spare.beside(Some(doubt), (&factory, 0), late).await;
    }

    #[tokio::test(start_paused = true)]
    async fn answers_that_are_only_late_cost_one_browser_a_minute() {
        let (mut spare, site) = (Spare::default(), FakeSite::new());
        for _ in 0..10 {
            overdue(&mut spare, &site, Ok(())).await;
        }
        // What is dropped goes by itself.
        tokio::task::yield_now().await;
        assert_eq!((started(&site), site.live(), spare.take().is_some()), (1, 0, false));
        tokio::time::sleep(PAUSE).await;
        overdue(&mut spare, &site, Ok(())).await;
        assert_eq!(started(&site), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_kept_for_a_browser_that_is_lost() {
        let (mut spare, site) = (Spare::default(), FakeSite::new());
        let lost = StepError::new(Step::RoundTrip, Fault::Timeout, "no answer");
        overdue(&mut spare, &site, Err(lost)).await;
        let made = spare.take().expect("it was started").made().await;
        assert!(made.is_ok() && started(&site) == 1);
    }
}
