//! When to throw something away and build it anew.

use std::time::Duration;

use tokio::time::Instant;

use crate::recent::Recent;

/// How many failures something gets before it is thrown away; counted in a row or within a window.
///
/// `Abandonment::after(5).in_a_row()`, `Abandonment::after(5).within(five_minutes)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Abandonment {
    strikes: u32,
}

/// The failures of one thing so far. Uses no more memory than the number it counts to.
#[derive(Debug, Clone)]
pub struct Strikes {
    recent: Recent,
}

/// What to do with the thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Go on with it.
    Keep,
    /// Throw it away.
    Abandon,
}

impl Abandonment {
    /// Abandons at failure number `strikes`; 0 counts as 1.
    #[must_use]
    pub const fn after(strikes: u32) -> Self {
        Self { strikes }
    }

    /// Counts failures with no success between them: the owner calls [`Strikes::pardon`] at each success.
    #[must_use]
    pub fn in_a_row(self) -> Strikes {
        self.within(Duration::MAX)
    }

    /// Counts the failures of the last `window`.
    #[must_use]
    pub fn within(self, window: Duration) -> Strikes {
        Strikes { recent: Recent::new(self.strikes, window) }
    }
}

impl Strikes {
    /// It failed.
    #[must_use = "the verdict is what the strikes are counted for"]
    pub fn strike(&mut self, now: Instant) -> Verdict {
        self.recent.add(now);
        if self.recent.is_full(now) { Verdict::Abandon } else { Verdict::Keep }
    }

    /// Forgets every failure so far: it succeeded, or it was replaced.
    pub fn pardon(&mut self) {
        self.recent.clear();
    }

    /// The failures that count now.
    #[must_use]
    pub fn count(&self, now: Instant) -> u32 {
        self.recent.count(now)
    }
}

#[cfg(test)]
mod tests;
