//! Leader election: of several processes one acts at a time, and another takes over when it dies.
//!
//! The leader is who holds a `Lease` object (`coordination.k8s.io/v1`) and renews it. The rules are those of
//! client-go: see [`Timing`] for the times, and the module `elector` for why there are never two.
//!
//! ```no_run
//! # use scrapefleet_operator::lease::{Ended, Election, lead};
//! # async fn example(client: kube::Client, stop: tokio_util::sync::CancellationToken,
//! #     reconcile: impl Future<Output = ()>) -> anyhow::Result<()> {
//! let election = Election::new("scrapefleet-system", "scrapefleet-operator", "operator-7d9f-x2x");
//! // Watches run beside this, so that a standby knows everything when its turn comes.
//! match lead(&election, client, stop, reconcile).await? {
//!     Ended::Finished(()) | Ended::Stopped => Ok(()),
//!     Ended::Lost(lost) => anyhow::bail!("{lost}"), // the process ends at once
//! }
//! # }
//! ```

use std::{sync::Arc, time::Duration};

use kube::Client;
use prometheus::IntGauge;
use scrapefleet_policy::{Clock, Jitter, SystemClock, within};
use tokio_util::sync::CancellationToken;

mod api;
mod campaign;
mod elector;
#[cfg(test)]
mod fake;
mod record;
#[cfg(test)]
mod tests;
mod timing;

use api::LeaseApi;
use campaign::Campaign;
use elector::Elector;
pub use timing::{InvalidTiming, Timing};

/// How long work may take to end by itself when the process is to stop. Well within the 30 s that Kubernetes gives a pod.
const GRACE: Duration = Duration::from_secs(10);

/// What is to be led, and by whom.
#[derive(Debug, Clone)]
pub struct Election {
    /// The namespace of the Lease.
    pub namespace: String,
    /// The Lease's name. Those who name the same compete.
    pub name: String,
    /// Who this process is; no other process, not even the same one started again, may have the same.
    pub identity: String,
    /// How long leading lasts.
    pub timing: Timing,
    /// How long work may take to end by itself when the process is to stop.
    pub grace: Duration,
    /// 1 while this process leads, 0 while it does not: `leader_election_master_status{name}`.
    pub leading: Option<IntGauge>,
    /// What time it is, for people who read the Lease.
    pub clock: Arc<dyn Clock>,
    /// Chance, for the times between two looks.
    pub jitter: Jitter,
}

/// How leading ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "who has lost the lease has to stop the process"]
pub enum Ended<T> {
    /// The work ended by itself with this; the lease is given back.
    Finished(T),
    /// The process is to stop, and did not lead or its work took too long to end. The lease is given back.
    Stopped,
    /// Another leads, or may at any moment. The work was dropped; the process must end at once, for what the work
    /// may have started elsewhere.
    Lost(Lost),
}

/// Why this process leads no longer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// No renewal succeeded in time.
    #[error(
        "leadership is lost: the lease was not renewed for {limit:?}; the last failure: {}",
        last.as_deref().unwrap_or("none, this process stood still")
    )]
    Expired {
        /// The renew deadline.
        limit: Duration,
        /// Why the last call failed; none when it did not fail.
        last: Option<String>,
    },
    /// Somebody else holds the lease.
    #[error("leadership is lost: the lease is held by {by:?}")]
    Taken {
        /// Who.
        by: String,
    },
}

impl Election {
    /// An election with the usual times, for this process in `pod`.
    #[must_use]
    pub fn new(namespace: impl Into<String>, name: impl Into<String>, pod: &str) -> Self {
        let jitter = Jitter::random();
        Self {
            namespace: namespace.into(),
            name: name.into(),
            identity: identity(pod, &mut fastrand::Rng::new()),
            timing: Timing::default(),
            grace: GRACE,
            leading: None,
            clock: Arc::new(SystemClock),
            jitter,
        }
    }
}

/// The pod's name, with something of this process's own: a container that is started again is another leader.
fn identity(pod: &str, random: &mut fastrand::Rng) -> String {
    format!("{pod}_{:016x}", random.u64(..))
}

/// Waits until this process leads, then runs `work` for as long as it does; `work` is not polled before. When `stop` is
/// cancelled `work` should end by itself (it has its own clone), and has [`Election::grace`] for it; the lease is renewed
/// meanwhile and given back afterwards, so that a standby takes over at once.
///
/// `work` shares a task with the renewals: it must not block its thread.
pub async fn lead<T>(
    election: &Election,
    client: Client,
    stop: CancellationToken,
    work: impl Future<Output = T>,
) -> Result<Ended<T>, InvalidTiming> {
    let timing = election.timing.checked()?;
    let elector = Elector::new(election.identity.clone(), timing, election.jitter.clone());
    let api = LeaseApi::new(client, &election.namespace, &election.name);
    let mut campaign = Campaign::new(elector, api, election.clock.clone(), timing.call());
    let leading = Leading::new(election.leading.clone());
    let ended = term(&mut campaign, election, &leading, &stop, work).await;
    drop(leading);
    match &ended {
        Ended::Lost(lost) => tracing::error!(%lost, "the process has to end"),
        Ended::Finished(_) | Ended::Stopped => campaign.leave().await,
    }
    Ok(ended)
}

/// From waiting to the end of leading; the work is dropped when this returns.
async fn term<T>(
    campaign: &mut Campaign,
    election: &Election,
    leading: &Leading,
    stop: &CancellationToken,
    work: impl Future<Output = T>,
) -> Ended<T> {
    tokio::select! {
        biased;
        () = stop.cancelled() => return Ended::Stopped,
        won = campaign.win() => if let Err(lost) = won { return Ended::Lost(lost) },
    }
    leading.set(true);
    tracing::info!(identity = election.identity, "this process leads");
    // Renewals come first: after this process stood still, the work must not do a thing before it is known who leads.
    tokio::select! {
        biased;
        lost = campaign.hold() => Ended::Lost(lost),
        ended = finish(work, stop, election.grace) => ended,
    }
}

/// Runs the work to its end, or for as long as it may go on after `stop`.
async fn finish<T>(work: impl Future<Output = T>, stop: &CancellationToken, grace: Duration) -> Ended<T> {
    let mut work = std::pin::pin!(work);
    tokio::select! {
        output = &mut work => return Ended::Finished(output),
        () = stop.cancelled() => {}
    }
    match within(grace, "ending the work", work).await {
        Ok(output) => Ended::Finished(output),
        Err(expired) => {
            tracing::warn!(%expired, "the work is dropped");
            Ended::Stopped
        }
    }
}

/// The gauge that says who leads; 0 again when dropped.
#[derive(Debug)]
struct Leading(Option<IntGauge>);

impl Leading {
    fn new(gauge: Option<IntGauge>) -> Self {
        let leading = Self(gauge);
        leading.set(false);
        leading
    }

    fn set(&self, leads: bool) {
        if let Some(gauge) = &self.0 {
            gauge.set(i64::from(leads));
        }
    }
}

impl Drop for Leading {
    fn drop(&mut self) {
        self.set(false);
    }
}
