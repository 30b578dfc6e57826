//! Counting what happened lately.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

/// The last few times that something happened: no more than are needed to say whether it was too often.
#[derive(Debug, Clone)]
pub(crate) struct Recent {
    times: VecDeque<Instant>,
    most: usize,
    window: Duration,
}

impl Recent {
    /// Remembers up to `most` times (at least one) within `window`.
    pub(crate) fn new(most: u32, window: Duration) -> Self {
        let most = usize::try_from(most).unwrap_or(usize::MAX).max(1);
        Self { times: VecDeque::new(), most, window }
    }

    /// The same with another window, and nothing remembered.
    pub(crate) fn with_window(self, window: Duration) -> Self {
        Self { times: VecDeque::new(), window, ..self }
    }

    /// It happened again.
    pub(crate) fn add(&mut self, now: Instant) {
        self.forget_old(now);
        if self.times.len() == self.most {
            self.times.pop_front();
        }
        self.times.push_back(now);
    }

    /// Whether it happened `most` times within the window that ends now.
    pub(crate) fn is_full(&mut self, now: Instant) -> bool {
        self.forget_old(now);
        self.times.len() == self.most
    }

    /// How often it happened within the window that ends now, up to `most`.
    pub(crate) fn count(&self, now: Instant) -> u32 {
        let count = self.times.iter().filter(|at| self.is_within(**at, now)).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        self.times.clear();
    }

    fn forget_old(&mut self, now: Instant) {
        while self.times.front().is_some_and(|at| !self.is_within(*at, now)) {
            self.times.pop_front();
        }
    }

    fn is_within(&self, at: Instant, now: Instant) -> bool {
        now.saturating_duration_since(at) <= self.window
    }
}
