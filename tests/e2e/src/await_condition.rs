//! Waiting for a condition of the cluster.

use std::time::Duration;

use anyhow::{Result, anyhow};
use scrapefleet_policy::within;

use crate::evidence;
use crate::space::Space;

/// How often a condition is looked at.
const PACE: Duration = Duration::from_millis(100);

/// Looks again and again until there is an answer. One failed look is not the end: the API server may be restarting,
/// and the deadline's error carries the last of them.
pub(crate) async fn until<T>(
    space: &Space,
    what: &str,
    limit: Duration,
    mut look: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let mut last = None;
    let answer = within(limit, "a condition of the cluster", async {
        loop {
            match look().await {
                Ok(Some(answer)) => return answer,
                Ok(None) => last = None,
                Err(error) => last = Some(error),
            }
            tokio::time::sleep(PACE).await;
        }
    })
    .await;
    if let Ok(answer) = answer {
        return Ok(answer);
    }
    let failed = last.map(|error| format!("\nthe last look failed: {error:#}")).unwrap_or_default();
    let explained = Box::pin(evidence::summary(space)).await;
    Err(anyhow!("awaited for {} s, in vain: {what}{failed}\n{explained}", limit.as_secs()))
}
