//! How fast the site may be asked.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use scrapefleet_api::politeness::{PolitenessSpec, Share};
use scrapefleet_policy::{Instant, Pacer, within};
use tokio::sync::Mutex;

use crate::{Fault, Step, StepError};

/// Page loads that may follow at once after a pause: a browser that is rebuilt does not wait for its first page.
const LOADS_AT_ONCE: u32 = 2;

/// Actions that may follow at once after a pause.
const ACTIONS_AT_ONCE: u32 = 2;

/// The longest wait for a page load's turn.
const LONGEST_WAIT: Duration = Duration::from_mins(2);

/// The fewest page loads a minute: a share that rounds to nothing must not stop a pod for good.
const FEWEST: f64 = 0.1;

/// The fewest and the most actions a second that a manifest may allow.
const ACTIONS: std::ops::RangeInclusive<f64> = 0.01..=1000.0;

/// Milliseconds between two page loads.
fn interval(a_minute: f64) -> u64 {
    u64::try_from(Duration::from_mins(1).div_f64(a_minute).as_millis()).unwrap_or(u64::MAX)
}

/// The page loads of all browsers of a factory, and how fast each may act inside its page.
#[derive(Debug)]
pub(super) struct Budget {
    loads: Mutex<Pacer>,
    interval: AtomicU64,
    /// Actions a second, as the bits of an `f64`.
    actions: AtomicU64,
}

impl Budget {
    pub(super) fn new(politeness: &PolitenessSpec) -> Self {
        let a_minute = f64::from(politeness.connections_per_minute.max(1));
        Self {
            loads: Mutex::new(Pacer::per_minute(a_minute).burst(LOADS_AT_ONCE)),
            interval: AtomicU64::new(interval(a_minute)),
            actions: AtomicU64::new(politeness.actions_per_second.to_bits()),
        }
    }

    /// Changes how many page loads and actions there may be; those that wait for their turn keep it.
    pub(super) async fn allot(&self, share: &Share) {
        let a_minute = share.connections_per_minute.max(FEWEST);
        let a_second = share.actions_per_second.clamp(*ACTIONS.start(), *ACTIONS.end());
        self.actions.store(a_second.to_bits(), Relaxed);
        self.interval.store(interval(a_minute), Relaxed);
        self.loads.lock().await.set_per_second(a_minute / 60.0);
    }

    /// Waits for the turn of one page load.
    pub(super) async fn load(&self, step: Step) -> Result<(), StepError> {
        let turn = async { self.loads.lock().await.acquire().await };
        within(LONGEST_WAIT, "wait for the turn of a page load", turn).await.map_err(|late| {
            StepError::new(step, Fault::OverBudget, "connectionsPerMinute leaves no turn").after(late.elapsed)
        })
    }

    /// How many actions a second there may be inside one page.
    pub(super) fn actions_per_second(&self) -> f64 {
        f64::from_bits(self.actions.load(Relaxed))
    }

    /// About how long the next page load must wait.
    pub(super) fn wait(&self) -> Duration {
        // Locked: another browser is waiting for its turn.
        self.loads.try_lock().map_or_else(
            |_| Duration::from_millis(self.interval.load(Relaxed)),
            |loads| loads.wait(Instant::now()),
        )
    }
}

/// The pace of actions in one page: slower for a while each time the site says that it drops what is asked too fast.
#[derive(Debug)]
pub(super) struct Pace {
    pacer: Pacer,
    usual: f64,
    now: f64,
    /// How many signs of throttling the page shows.
    signs: f64,
}

/// The pace never falls below this share of the usual one.
const SLOWEST: f64 = 0.125;

/// What the pace grows by with each look that shows nothing new.
const RECOVERY: f64 = 1.05;

impl Pace {
    /// So many actions a second, where nothing slows them down.
    pub(super) fn new(usual: f64) -> Self {
        Self { pacer: Pacer::per_second(usual).burst(ACTIONS_AT_ONCE), usual, now: usual, signs: 0.0 }
    }

    /// Waits for the turn of one action, of which there may be so many a second.
    pub(super) async fn act(&mut self, usual: f64) {
        if (usual - self.usual).abs() > f64::EPSILON {
            self.now *= usual / self.usual;
            self.usual = usual;
            self.pacer.set_per_second(self.now);
        }
        self.pacer.acquire().await;
    }

    /// Takes note of how many signs of throttling the page shows now; answers whether there is a new one. Old ones
    /// may stand in a page for long.
    pub(super) fn see(&mut self, signs: f64) -> bool {
        let throttled = signs > self.signs;
        self.signs = signs;
        let changed = if throttled { self.now / 2.0 } else { self.now * RECOVERY };
        let changed = changed.clamp(self.usual * SLOWEST, self.usual);
        if (changed - self.now).abs() > f64::EPSILON {
            self.now = changed;
            self.pacer.set_per_second(changed);
        }
        throttled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn politeness() -> PolitenessSpec {
        PolitenessSpec { connections_per_minute: 6, actions_per_second: 2.0, ..PolitenessSpec::default() }
    }

    fn share(connections_per_minute: f64, actions_per_second: f64) -> Share {
        Share { connections_per_minute, actions_per_second, held: 1 }
    }

    #[tokio::test(start_paused = true)]
    async fn page_loads_of_all_browsers_take_turns() {
        let budget = Budget::new(&politeness());
        let began = Instant::now();
        for _ in 0..4 {
            budget.load(Step::Load).await.unwrap();
        }
        assert_eq!(began.elapsed().as_secs(), 20);
        assert_eq!((budget.wait() + Duration::from_millis(1)).as_secs(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_smaller_share_makes_turns_rarer_at_once() {
        let budget = Budget::new(&politeness());
        budget.allot(&share(1.0, 2.0)).await;
        let began = Instant::now();
        for _ in 0..4 {
            budget.load(Step::Load).await.unwrap();
        }
        assert_eq!(began.elapsed().as_secs(), 120);
        budget.allot(&share(0.0, 0.0)).await;
        assert!(budget.wait() < Duration::from_mins(11));
        assert!(budget.actions_per_second() > 0.0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_that_does_not_come_is_an_error_that_blames_no_item() {
        let budget = Budget::new(&politeness());
        let held = budget.loads.lock().await;
        let error = budget.load(Step::Open).await.unwrap_err();
        drop(held);
        assert_eq!((error.fault, error.layer()), (Fault::OverBudget, crate::Layer::Site));
        assert_eq!(error.elapsed, LONGEST_WAIT);
    }

    #[tokio::test(start_paused = true)]
    async fn the_pace_goes_down_with_each_new_sign_and_comes_back() {
        let mut pace = Pace::new(2.0);
        assert!(!pace.see(0.0));
        assert!(pace.see(1.0));
        assert!(!pace.see(1.0), "an old notice is no news");
        assert!(pace.see(2.0));
        assert!(pace.now < 0.6);
        for n in 3..9 {
            pace.see(f64::from(n));
        }
        assert!(pace.now >= 2.0 * SLOWEST);
        for _ in 0..60 {
            pace.see(0.0);
        }
        assert!((pace.now - 2.0).abs() < 1e-9);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pace_that_is_allotted_counts_from_the_next_action_and_stays_as_slow_as_it_was() {
        let budget = Budget::new(&politeness());
        let mut pace = Pace::new(budget.actions_per_second());
        pace.see(1.0);
        budget.allot(&share(6.0, 0.5)).await;
        pace.act(budget.actions_per_second()).await;
        assert!((pace.now - 0.25).abs() < 1e-9, "half of it, as before");
        let began = Instant::now();
        for _ in 0..5 {
            pace.act(budget.actions_per_second()).await;
        }
        assert!(began.elapsed() >= Duration::from_secs(16), "{:?}", began.elapsed());
        for _ in 0..60 {
            pace.see(1.0);
        }
        assert!((pace.now - 0.5).abs() < 1e-9);
    }
}
