//! The claims on the tasks of one item.

use std::cmp::Reverse;

use scrapefleet_queue::{Claim, Task};

/// The claims that a bot has on the tasks of one item; as a rule there is one.
///
/// There are more when a watcher that takes over has queued the item again, or when a connection was lost: the queue hands
/// the task out anew, and the claim from before is void. Nothing tells the two cases apart until a claim is finished. So all
/// are kept to the end of the hold: a repeat given back at once would come again at once, until the queue takes its holder
/// for one that always dies, and one acknowledged at once might have been the only task left.
#[derive(Debug)]
pub struct Claims {
    oldest: Box<dyn Claim>,
    later: Vec<Box<dyn Claim>>,
}

impl Claims {
    /// The one that there is as a rule.
    #[must_use]
    pub fn of(claim: Box<dyn Claim>) -> Self {
        Self { oldest: claim, later: Vec::new() }
    }

    /// One more. Above `most` the oldest is dropped: where no more than `most` are handed out over one connection, it came
    /// over one that is gone.
    pub fn add(&mut self, claim: Box<dyn Claim>, most: usize) {
        self.later.push(claim);
        if self.later.len() >= most.max(1) {
            self.oldest = self.later.remove(0);
        }
    }

    /// The task that counts: of those with the most attempts behind them the newest.
    #[must_use]
    pub fn task(&self) -> &Task {
        self.later.iter().map(|claim| claim.task()).fold(self.oldest.task(), |counts, task| {
            if task.attempt >= counts.attempt { task } else { counts }
        })
    }

    /// All of them, the one that counts first.
    #[must_use]
    pub fn by_weight(self) -> Vec<Box<dyn Claim>> {
        let mut all = self.later;
        all.reverse();
        all.push(self.oldest);
        all.sort_by_key(|claim| Reverse(claim.task().attempt));
        all
    }
}
