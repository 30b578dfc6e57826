//! Randomness, injected.

use std::sync::{Arc, Mutex, PoisonError};

/// A source of random numbers between 0 and 1. Clones draw from the same source.
#[derive(Debug, Clone)]
pub struct Jitter {
    source: Arc<Mutex<fastrand::Rng>>,
}

impl Jitter {
    /// A source that differs at every start.
    #[must_use]
    pub fn random() -> Self {
        Self::from(fastrand::Rng::new())
    }

    /// A source that gives the same numbers for the same seed.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self::from(fastrand::Rng::with_seed(seed))
    }

    /// The next number: at least 0, less than 1.
    #[must_use]
    pub fn draw(&self) -> f64 {
        self.source.lock().unwrap_or_else(PoisonError::into_inner).f64()
    }
}

impl Default for Jitter {
    fn default() -> Self {
        Self::random()
    }
}

impl From<fastrand::Rng> for Jitter {
    fn from(source: fastrand::Rng) -> Self {
        Self { source: Arc::new(Mutex::new(source)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_decides_every_number() {
        let (one, other) = (Jitter::seeded(7), Jitter::seeded(7));
        for _ in 0..100 {
            let drawn = one.draw();
            assert!((0.0..1.0).contains(&drawn));
            assert_eq!(drawn.to_bits(), other.draw().to_bits());
        }
    }

    #[test]
    fn clones_draw_from_one_source() {
        let one = Jitter::seeded(7);
        let first = one.draw();
        assert_ne!(first.to_bits(), one.clone().draw().to_bits());
    }
}
