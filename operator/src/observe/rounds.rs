//! Asking many again and again, without one that is slow holding up the others.

use std::{collections::HashSet, hash::Hash, time::Duration};

use futures::{StreamExt as _, stream::FuturesUnordered};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// The most questions that are open at once; those beyond wait for the next round.
const MOST: usize = 256;

/// Asks everyone in `list` every `period`, each again only after it has answered, until `stop`. Every question must
/// have a deadline of its own.
pub(super) async fn rounds<T, K, Answer>(
    period: Duration,
    stop: &CancellationToken,
    mut list: impl FnMut() -> Vec<(K, T)>,
    mut ask: impl FnMut(T) -> Answer,
) where
    K: Clone + Eq + Hash,
    Answer: Future<Output = ()>,
{
    let mut tick = tokio::time::interval(period);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut asked: HashSet<K> = HashSet::new();
    let mut open = FuturesUnordered::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            Some(key) = open.next() => { asked.remove(&key); }
            _ = tick.tick() => {
                for (key, target) in list() {
                    if asked.len() < MOST && asked.insert(key.clone()) {
                        let answer = ask(target);
                        open.push(async move { answer.await; key });
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_that_does_not_answer_holds_up_nobody() {
        let stop = CancellationToken::new();
        let count = Arc::new(Mutex::new([0, 0]));
        let ask = |index: usize| {
            count.lock().unwrap()[index] += 1;
            async move {
                if index == 0 {
                    std::future::pending::<()>().await;
                }
            }
        };
        let ends = async {
            tokio::time::sleep(Duration::from_millis(9500)).await;
            stop.cancel();
        };
        tokio::join!(rounds(Duration::from_secs(1), &stop, || vec![(0, 0), (1, 1)], ask), ends);
        assert_eq!(*count.lock().unwrap(), [1, 10]);
    }
}
