//! What a bot knows of its browser, and when that is worn out.

use tokio::time::{Duration, Instant};

use crate::{bot::Bot, config::count, hold::Stage};

/// While an ended item's artifact is incomplete, it is looked at this often.
const COMPLETING_PROBE: Duration = Duration::from_millis(500);

/// How often the memory of the browser's processes is read.
const MEMORY_EVERY: Duration = Duration::from_secs(10);

/// What the bot knows of its browser.
#[derive(Debug, Clone)]
pub(crate) struct BrowserHealth {
    pub(crate) answered: Instant,
    pub(crate) round_trip: Option<Duration>,
    pub(crate) next_probe: Instant,
    pub(crate) page_connected: bool,
    /// Items opened since it was started.
    pub(crate) opened: u32,
    pub(crate) memory: Option<u64>,
    memory_read: Instant,
    /// No browser is started before this.
    pub(crate) not_before: Instant,
    pub(crate) abandoned: u64,
    pub(crate) last_abandoned: Option<Instant>,
}

impl BrowserHealth {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            answered: now,
            round_trip: None,
            next_probe: now,
            page_connected: true,
            opened: 0,
            memory: None,
            memory_read: now,
            not_before: now,
            abandoned: 0,
            last_abandoned: None,
        }
    }

    /// That of the next browser, of which nothing is known yet.
    pub(crate) fn of_the_next(&self, now: Instant) -> Self {
        Self { abandoned: self.abandoned, last_abandoned: self.last_abandoned, ..Self::new(now) }
    }
}

impl Bot {
    /// Reads the memory of the browser's processes, when that was not done lately.
    pub(crate) async fn read_memory(&mut self) {
        let now = Instant::now();
        if now - self.health.memory_read >= MEMORY_EVERY
            && let Some(browser) = &mut self.browser
        {
            self.health.memory_read = now;
            // What could not be read this time is as it was.
            self.health.memory = browser.memory().await.or(self.health.memory);
        }
    }

    /// Whether the browser is to be replaced once it holds nothing.
    pub(crate) fn worn_out(&self) -> bool {
        let limits = &self.config.abandonment;
        let mib = self.health.memory.unwrap_or(0) / (1024 * 1024);
        self.health.opened >= count(limits.recycle_after_items)
            || mib >= u64::from(count(limits.recycle_above_mib))
    }

    /// When the next probe is due: sooner while an ended item is not complete.
    pub(crate) fn schedule_probe(&mut self) {
        let completing = self.holds.values().any(|hold| hold.stage == Stage::Completing);
        let pause = if completing { COMPLETING_PROBE.min(self.config.probe) } else { self.config.probe };
        self.health.next_probe = Instant::now() + pause;
    }
}
