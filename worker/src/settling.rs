//! Finishing an item's tasks with the queue, once the hold on it has ended.

use std::time::Duration;

use scrapefleet_policy::{Failed, Policy, Timeout};
use scrapefleet_queue::{Claim, QueueError};

use crate::{
    claims::Claims,
    storing::{EndError, Ending, Repeated, note, patiently},
};

/// How long one call of the queue may take.
const FINISH: Timeout = Timeout::hard(Duration::from_secs(15));

/// Finishes the tasks as the hold ended, however long the queue is away, within the bound. Answers how many there were
/// beside the one that counts.
pub(crate) async fn settle(claims: Claims, ending: &Ending, repeated: &Repeated) -> Result<u64, EndError> {
    let policy = patiently("finish", FINISH).when(|error: &QueueError| {
        !matches!(error, QueueError::Closed | QueueError::NotFound(_)) && !error.is_refusal()
    });
    settle_under(&policy, claims, ending, repeated).await
}

/// Gives the tasks back, or rather the one that counts. It is tried once: when that fails they come back by themselves.
pub(crate) async fn release(claims: Claims) -> Result<u64, EndError> {
    let policy = Policy::named("release").within(FINISH);
    settle_under(&policy, claims, &Ending::Released, &|_| {}).await
}

/// Finishes the first task that can be, then acknowledges the others: from then on that one, or what came of it, stands for
/// the item. Before that none is let go, so where all fails they all come back.
async fn settle_under(
    policy: &Policy<QueueError>,
    claims: Claims,
    ending: &Ending,
    repeated: &Repeated,
) -> Result<u64, EndError> {
    let mut claims = claims.by_weight().into_iter();
    let mut void = None;
    loop {
        let Some(mut claim) = claims.next() else { return Err(not_finished(void)) };
        match finish(policy, claim.as_mut(), ending, repeated).await {
            Ok(()) => break,
            // Its connection is gone, and its task was handed out anew: to the next of these, or to another bot.
            Err(failed) if failed.error() == Some(&QueueError::Closed) => void = Some(failed),
            Err(failed) => return Err(not_finished(Some(failed))),
        }
    }
    let mut others = 0;
    for mut claim in claims {
        match finish(policy, claim.as_mut(), &Ending::Known, repeated).await {
            Ok(()) => others += 1,
            Err(error) => {
                tracing::debug!(item = %claim.task().id, %error, "a further task is not acknowledged");
            }
        }
    }
    Ok(others)
}

fn not_finished(failed: Option<Failed<QueueError>>) -> EndError {
    EndError::Queue(failed.map_or_else(|| QueueError::Closed.to_string(), |failed| failed.to_string()))
}

async fn finish(
    policy: &Policy<QueueError>,
    claim: &mut dyn Claim,
    ending: &Ending,
    repeated: &Repeated,
) -> Result<(), Failed<QueueError>> {
    policy
        .run_on(&mut (claim, ending, repeated), |(claim, ending, repeated), attempt| {
            Box::pin(async move {
                let finished = match ending {
                    Ending::Stored(_) | Ending::Gone(_) | Ending::Known => claim.ack().await,
                    Ending::Retried { delay, failure } => claim.retry(*delay, failure.clone()).await,
                    Ending::Dead { failure, .. } => claim.dead(failure.clone()).await,
                    Ending::Released => claim.release().await,
                };
                finished.inspect_err(|error| note("finish", &claim.task().id, attempt, error, *repeated))
            })
        })
        .await
}

#[cfg(test)]
mod tests;
