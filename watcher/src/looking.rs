//! The half of a watcher that looks at the list, and repairs it when it does not answer.

use std::{collections::BTreeSet, convert::Infallible, pin::pin, sync::Arc, time::Duration};

use scrapefleet_api::ItemId;
use scrapefleet_browser::{Layer, ListPage, Step, StepError, Window};
use scrapefleet_policy::{Instant, Jitter, within};

use crate::{
    desk::Desk,
    notice::Notices,
    overlap::{Overlap, overlap},
    pace::{Look, Pace},
    recent::Recent,
    repair::{Remedy, Repair},
    status::{Active, ListSide},
};

/// A browser ends every call by itself; one that breaks this promise is thrown away after this.
const BROKEN_PROMISE: Duration = Duration::from_mins(2);

/// A standby looks no more often than this. It only has to see what the list shows, not to be quick: queueing begins with
/// what it has seen.
const STANDBY_PAUSE: Duration = Duration::from_secs(1);

/// How many entries that cannot be read are remembered, so that each is counted once.
const UNREADABLE: usize = 1_000;

/// Looks at the list.
pub(crate) struct Looking {
    desk: Arc<Desk>,
    list: Option<Box<dyn ListPage>>,
    /// What the last window showed.
    before: Option<BTreeSet<ItemId>>,
    pace: Pace,
    repair: Repair,
    notices: Notices,
    unreadable: Recent<String>,
    jitter: Jitter,
}

impl Looking {
    pub(crate) fn new(desk: Arc<Desk>, jitter: Jitter) -> Self {
        let pace = Pace::new(&desk.config.spec);
        let (repair, notices) = (Repair::default(), Notices::default());
        Self {
            desk,
            list: None,
            before: None,
            pace,
            repair,
            notices,
            unreadable: Recent::new(UNREADABLE),
            jitter,
        }
    }

    /// Looks, and repairs, until it is dropped.
    pub(crate) async fn run(&mut self) -> Infallible {
        loop {
            let pause = self.step().await;
            tokio::time::sleep(pause).await;
        }
    }

    /// Closes the list and waits until its browser is gone.
    pub(crate) async fn close(&mut self) {
        if let Some(list) = self.list.take() {
            close(list).await;
        }
    }

    /// One look, or one repair; answers how long to pause.
    async fn step(&mut self) -> Duration {
        let Some(list) = self.list.as_mut() else { return self.open().await };
        let asked = Instant::now();
        match refresh(list.as_mut(), &mut self.notices, &self.desk).await {
            Ok(window) => {
                self.desk.means.metrics.refresh_seconds.observe(asked.elapsed().as_secs_f64());
                self.see(window)
            }
            Err(error) => self.mend(&error).await,
        }
    }

    async fn open(&mut self) -> Duration {
        match self.start().await {
            Ok(()) => Duration::ZERO,
            Err(error) => self.mend(&error).await,
        }
    }

    /// Starts a browser with the list open, and closes the one before, if there is one.
    async fn start(&mut self) -> Result<(), StepError> {
        let mut list = promised(Step::Launch, self.desk.means.factory.list_page()).await?;
        let slow = self.desk.means.metrics.slow_steps.clone();
        list.on_slow(Box::new(move |step| slow.with_label_values(&[format!("{step:?}")]).inc()));
        self.desk.update(|state| state.status.process_id = list.process_id());
        if let Some(before) = self.list.replace(list) {
            close(before).await;
        }
        Ok(())
    }

    /// Takes what the list shows; answers how soon to look again.
    fn see(&mut self, window: Window) -> Duration {
        self.repair.done();
        self.notices.answered(Instant::now());
        self.desk.show_waiting(self.notices.told());
        self.count_unreadable(&window.unreadable);
        let shown: BTreeSet<ItemId> = window.items.iter().map(|item| item.id.clone()).collect();
        let overlap = self.fit(&shown, window.limit);
        let window_size = shown.len();
        self.before = Some(shown);
        // The list shows the newest first, and the oldest is to be queued first.
        let news = self.desk.take(Instant::now(), window.items.into_iter().rev().collect()) > 0;
        self.desk.means.metrics.throttled.inc_by(u64::from(window.throttled));
        let pause = self.pace.after(Look { overlap, news, throttled: window.throttled });
        let at = self.desk.means.clock.now();
        self.desk.update(|state| {
            let pause = if state.active == Active::Another { pause.max(STANDBY_PAUSE) } else { pause };
            (state.list, state.is_blind) = (ListSide::Answers, false);
            state.status.refreshes += 1;
            state.status.refreshed_at = Some(at);
            state.status.window = window_size;
            state.status.pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
            pause
        })
    }

    /// How what is shown fits what was shown before; counts a possible gap.
    fn fit(&self, shown: &BTreeSet<ItemId>, limit: Option<usize>) -> Overlap {
        let metrics = &self.desk.means.metrics;
        let fits = overlap(self.before.as_ref(), shown, limit);
        if let Some(before) = &self.before {
            metrics.overlap.set(i64::try_from(shown.intersection(before).count()).unwrap_or(i64::MAX));
        }
        // The list shows the newest: where it shows anything that was seen earlier, it shows everything that came later.
        if fits != Overlap::Gap || self.desk.knows_any(shown) {
            return if fits == Overlap::Gap { Overlap::Bare } else { fits };
        }
        self.desk.update(|state| state.status.gaps += 1);
        metrics.gaps.inc();
        tracing::warn!(
            shown = shown.len(),
            "the list is full and shows nothing known: items may have been missed"
        );
        fits
    }

    fn count_unreadable(&mut self, entries: &[String]) {
        for entry in entries {
            let first = self.unreadable.is_empty();
            if !self.unreadable.insert(entry.clone()) {
                continue;
            }
            self.desk.means.metrics.unreadable.inc();
            if first {
                tracing::warn!(
                    entry,
                    "an entry of the list does not fit `idPattern`; more are logged as debug"
                );
            } else {
                tracing::debug!(entry, "an entry of the list does not fit `idPattern`");
            }
        }
    }

    /// Repairs the list; answers how long to pause before it is tried.
    async fn mend(&mut self, error: &StepError) -> Duration {
        let (remedy, pause) = self.repair.after(error, self.list.is_some(), self.jitter.draw());
        tracing::warn!(%error, ?remedy, ?pause, "the list does not answer and is repaired");
        self.take_note_of(error);
        let labels = [format!("{:?}", error.fault), format!("{remedy:?}")];
        self.desk.means.metrics.repairs.with_label_values(&[&labels[0], &labels[1]]).inc();
        self.desk.update(|state| {
            state.list = ListSide::Broken;
            state.status.repairs += 1;
            state.status.last_reason = Some(error.to_string());
        });
        tokio::time::sleep(pause).await;
        match remedy {
            Remedy::Reload => self.reload().await,
            Remedy::Replace => self.replace().await,
            Remedy::Rebuild => self.throw_away().await,
            Remedy::Start => {}
        }
        Duration::ZERO
    }

    /// Loads the list anew. When that does not help, the next look says so too, and is answered by another remedy.
    async fn reload(&mut self) {
        let Some(list) = self.list.as_mut() else { return };
        if let Err(error) = promised(Step::Load, list.reload()).await {
            self.did_not_help(&error);
        }
    }

    async fn replace(&mut self) {
        if let Err(error) = self.start().await {
            self.did_not_help(&error);
        }
    }

    fn did_not_help(&mut self, error: &StepError) {
        tracing::info!(%error, "that did not help");
        self.take_note_of(error);
        self.desk.update(|state| state.status.last_reason = Some(error.to_string()));
    }

    /// What was told stays told while the list fails for lack of it. Where it is the browser that fails, another watcher sees
    /// what this one does not; where it is the site, no other does.
    fn take_note_of(&mut self, error: &StepError) {
        if error.layer() == Layer::Browser {
            self.desk.turn_blind();
        }
        self.notices.failed(error);
        self.desk.show_waiting(self.notices.told());
    }

    async fn throw_away(&mut self) {
        self.close().await;
        self.desk.update(|state| state.status.process_id = None);
    }
}

/// Looks once, and tells what the list is waited for when that takes long.
async fn refresh(list: &mut dyn ListPage, notices: &mut Notices, desk: &Desk) -> Result<Window, StepError> {
    let waits = list.waits();
    let mut answer = pin!(promised(Step::Refresh, list.refresh()));
    let Some(mut waits) = waits else { return answer.await };
    loop {
        let due = notices.due();
        let worth_telling = async {
            match due {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            answer = &mut answer => return answer,
            changed = waits.changed() => match changed {
                Ok(()) => notices.wait(waits.borrow_and_update().clone(), Instant::now()),
                Err(_) => return answer.await,
            },
            () = worth_telling => notices.tell(),
        }
        desk.show_waiting(notices.told());
    }
}

async fn close(list: Box<dyn ListPage>) {
    if let Err(expired) = within(BROKEN_PROMISE, "close the list", list.close()).await {
        tracing::warn!(%expired, "the list's browser was dropped without waiting for its end");
    }
}

/// Waits for a call of the browser, which ends by itself unless it breaks its promise.
async fn promised<T>(step: Step, call: impl Future<Output = Result<T, StepError>>) -> Result<T, StepError> {
    let answer = within(BROKEN_PROMISE, "a call of the list's browser", call).await;
    answer.unwrap_or_else(|expired| {
        let error = StepError::new(step, scrapefleet_browser::Fault::BrowserGone, &expired.to_string());
        Err(error.after(expired.elapsed))
    })
}
