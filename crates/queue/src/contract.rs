//! The contract suite: what every implementation of [`TaskQueue`] must do, as tests that know only the trait.
//!
//! An implementation writes a [`Harness`] and one line in its tests:
//!
//! ```ignore
//! scrapefleet_queue::queue_contract!(MyHarness::start().await);
//! ```
//!
//! The suite assumes no more than the trait promises: what is confirmed may take a moment to be seen, and a queue
//! need not know what it was told before ([`Harness::dedups`]). So it waits for conditions, under deadlines.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "tests, in a module of their own so that others can run them"
)]

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use scrapefleet_api::LaneName;

use crate::TaskQueue;

pub mod durability;
pub mod finishing;
pub mod holding;
pub mod lanes;
pub mod ledger;
pub mod locking;
pub mod messages;
pub mod model;
mod scene;

/// How long one test of the suite may take; a broker that is slower than this is broken.
const DEADLINE: Duration = Duration::from_mins(2);

/// One queue of its own for each test, and what the suite must be able to do to it.
#[async_trait]
pub trait Harness: Send + Sync {
    /// The queue, as the present process sees it.
    fn queue(&self) -> Arc<dyn TaskQueue>;

    /// Kills the process that uses the queue and starts another: no clean-up, nothing flushed, nothing given back.
    /// Consumers, claims and locks of before may still be there as values, and must have no effect.
    async fn kill(&mut self);

    /// Puts `message` into `lane` as it is.
    async fn put_raw(&self, lane: &LaneName, message: &[u8]);

    /// Lets time pass, by waiting or by setting the clock forward where the queue has one of its own.
    async fn pass(&self, time: Duration);

    /// Whether [`pass`](Self::pass) can let hours pass.
    fn skips_time(&self) -> bool;

    /// How old the counts of the queue may be. What the suite wants to see counted lasts longer.
    fn lag(&self) -> Duration {
        Duration::ZERO
    }

    /// Whether publishing a known item again is noticed.
    fn dedups(&self) -> bool;

    /// How often a task is handed out without being finished before it is given up.
    fn max_deliveries(&self) -> u32;
}

/// Runs one test of the suite under its deadline.
pub async fn run(name: &'static str, test: impl Future<Output = ()>) {
    scrapefleet_policy::within(DEADLINE, name, test).await.unwrap();
}

/// Makes a test of each promise, on the harness that the expression starts.
#[macro_export]
macro_rules! queue_contract {
    ($start:expr) => {
        $crate::queue_contract! { @tests $start;
            durability {
                a_confirmed_publish_survives_a_death
                an_unfinished_task_comes_back_after_a_death
                an_acked_task_never_comes_back
                a_delay_survives_a_death
                dead_letters_and_their_replay_survive_a_death
                what_was_purged_does_not_come_back_after_a_death
                a_task_whose_holder_always_dies_is_given_up
                what_was_held_before_a_death_has_no_effect_after_it
            }
            holding {
                a_consumer_holds_no_more_than_it_may
                two_consumers_never_hold_one_task
                a_dropped_claim_gives_its_task_back
                a_dropped_consumer_gives_everything_back
                a_claim_of_a_dropped_consumer_is_closed
                a_long_hold_is_not_taken_away
                next_loses_nothing_when_it_is_dropped
                a_finish_that_is_dropped_happens_or_does_not
                a_waiting_consumer_is_woken_by_a_publish
                a_senseless_consumer_is_refused
            }
            finishing {
                release_returns_a_task_at_once_and_unchanged
                retry_hides_a_task_and_counts
                a_waiting_consumer_is_woken_by_the_end_of_a_delay
                dead_keeps_the_task_and_why
                replay_brings_a_dead_letter_back
                replay_of_what_is_not_dead_says_so
                purge_forgets_these_letters_and_no_others
                a_claim_is_finished_once
                failures_are_bounded
            }
            lanes {
                a_backlog_in_a_slow_lane_does_not_delay_a_fast_one
                holds_follow_the_weights
                a_consumer_takes_only_from_its_lanes
            }
            ledger {
                depth_is_exact_when_quiet
                pending_is_what_is_not_finished
                the_journal_has_every_item_in_order
                a_known_item_is_left_alone
            }
            locking {
                a_lock_is_exclusive_and_freed_when_dropped
                asking_for_a_lock_that_another_has_costs_nothing
                a_lock_is_freed_by_a_death
            }
            messages {
                unknown_fields_survive_everything
                what_is_no_task_becomes_a_dead_letter
                a_message_that_is_too_large_is_refused
                what_is_no_task_is_accounted_for_untaken
                what_is_no_task_can_be_purged
            }
        }
    };
    (@tests $start:expr; $($group:ident { $($name:ident)* })*) => {
        $(mod $group {
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    let harness = $start;
                    $crate::contract::run(stringify!($name), $crate::contract::$group::$name(harness)).await;
                }
            )*
        })*
    };
}
