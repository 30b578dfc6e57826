//! How much memory a run uses: PSS of the whole process tree, which counts shared pages once.

use std::{process, time::Duration};

use scrapefleet_browser::process_tree;
use tokio::time::Instant;

/// How often memory is read: reading it makes the kernel walk every page table.
const EVERY: Duration = Duration::from_secs(5);

/// The most memory that a run was seen to use.
#[derive(Debug, Clone, Default)]
pub(super) struct Memory {
    read: Option<Instant>,
    held: usize,
    held_peak: usize,
    bytes_peak: u64,
    /// Bytes and held items when the most were held.
    at_held_peak: Option<(u64, usize)>,
}

impl Memory {
    /// Takes note of how many items are held, and now and then of the memory used.
    pub(super) async fn sample(&mut self, held: usize) {
        self.held = held;
        self.held_peak = self.held_peak.max(held);
        let now = Instant::now();
        if self.read.is_none_or(|read| now - read >= EVERY) {
            self.read = Some(now);
            self.sample_now().await;
        }
    }

    /// Reads the memory used.
    pub(super) async fn sample_now(&mut self) {
        let Some(bytes) = process_tree::measure(process::id()).await else { return };
        self.bytes_peak = self.bytes_peak.max(bytes);
        if self.held > 0 && self.at_held_peak.is_none_or(|(_, held)| self.held >= held) {
            self.at_held_peak = Some((bytes, self.held));
        }
    }

    /// The most items held at once.
    pub(super) fn held_peak(&self) -> usize {
        self.held_peak
    }

    /// The most memory seen, in MiB.
    pub(super) fn mib_peak(&self) -> f64 {
        mib(self.bytes_peak)
    }

    /// Memory of everything, watcher included, divided by the items held, when the most were held.
    pub(super) fn mib_per_held(&self) -> Option<f64> {
        let (bytes, held) = self.at_held_peak?;
        let held = u32::try_from(held).ok()?;
        Some(mib(bytes) / f64::from(held))
    }
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people, of at most some TiB")]
fn mib(bytes: u64) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}
