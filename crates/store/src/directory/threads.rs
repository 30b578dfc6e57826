//! Work that may wait for a disk, away from the threads that must not wait.

use std::{sync::Arc, time::Duration};

use scrapefleet_policy::within;
use tokio::{sync::Semaphore, task};

use crate::StoreError;

/// Runs work that may block: so many at once, each no longer than a deadline.
#[derive(Debug, Clone)]
pub(super) struct Threads {
    places: Arc<Semaphore>,
    deadline: Duration,
}

impl Threads {
    pub(super) fn new(concurrency: usize, deadline: Duration) -> Self {
        Self { places: Arc::new(Semaphore::new(concurrency)), deadline }
    }

    /// Runs `work`. Past the deadline this answers `Unreachable`; the work, which cannot be stopped, keeps its place
    /// until it ends, so that a disk that hangs never holds more threads than there are places.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        name: &'static str,
        work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let places = Arc::clone(&self.places);
        let answer = async move {
            let place = places.acquire_owned().await;
            task::spawn_blocking(move || {
                let _place = place;
                work()
            })
            .await
        };
        match within(self.deadline, name, answer).await {
            Ok(Ok(answered)) => answered,
            Ok(Err(ended)) => match ended.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(cancelled) => Err(StoreError::Unreachable(format!("{name}: {cancelled}"))),
            },
            Err(expired) => Err(StoreError::Unreachable(format!("{expired}: the disk does not answer"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn work_that_hangs_fails_at_the_deadline_and_keeps_its_place() {
        let threads = Threads::new(1, Duration::from_millis(50));
        let (release, held) = mpsc::channel::<()>();
        let hanging = threads.run("hang", move || Ok(held.recv().is_ok())).await;
        assert!(
            matches!(hanging, Err(StoreError::Unreachable(text)) if text.contains("hang did not finish within 50ms"))
        );
        assert!(matches!(threads.run("wait", || Ok(())).await, Err(StoreError::Unreachable(_))));
        release.send(()).unwrap();
        let patient = Threads { deadline: Duration::from_secs(20), ..threads };
        patient.run("go on", || Ok(())).await.unwrap();
    }
}
