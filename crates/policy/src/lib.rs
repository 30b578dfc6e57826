//! Deadlines, retries, fallbacks, abandonment and circuit breakers as values that compose.
//!
//! A [`Policy`] reads like the sentence a person would say:
//!
//! ```
//! # use std::time::Duration;
//! # use scrapefleet_policy::{Backoff, Policy, Retry, Timeout};
//! # async fn fetch(_: &str) -> Result<String, std::io::Error> { Ok("log".into()) }
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let take = Policy::named("take")
//!     .within(Timeout::hard(Duration::from_secs(15)).soft(Duration::from_secs(3)))
//!     .retry(Retry::times(3).backoff(Backoff::from(Duration::from_millis(200)).to(Duration::from_secs(5))))
//!     .when(|error: &std::io::Error| error.kind() == std::io::ErrorKind::ConnectionReset);
//!
//! let log = take.run(|_attempt| fetch("battle-1")).await?;
//! # Ok(())
//! # }
//! ```
//!
//! There is no other way to give a step a deadline or a retry: clippy refuses `tokio::time::timeout` elsewhere.
//!
//! What decides is pure: [`Backoff`], [`Retry`], [`Abandonment`], [`Breaker`] and [`Pacer`] are functions of values,
//! the present [`Instant`] and a random number that are handed in. Durations are measured with
//! [`tokio::time::Instant`], which tests can pause; dates come from a [`Clock`].
//!
//! | to | use |
//! |---|---|
//! | wait for one future no longer than | [`within`], [`Timeout::run`] |
//! | try again | [`Policy::run`], [`Policy::run_on`] |
//! | try again later, through a queue | [`Retry::next`] |
//! | try again in a loop that has more to do | [`Backoff::delay`] |
//! | try another way | [`Policy::or_else`] |
//! | decide when to throw something away | [`Abandonment`] |
//! | stop asking a site that fails | [`Breaker`] |
//! | ask no faster than | [`Pacer`] |

mod abandonment;
mod attempts;
mod backoff;
mod breaker;
mod clock;
mod failed;
mod fallback;
mod jitter;
mod pacer;
mod policy;
mod recent;
mod retry;
mod timeout;

pub use abandonment::{Abandonment, Strikes, Verdict};
pub use backoff::Backoff;
pub use breaker::{Breaker, BreakerState};
pub use clock::{Clock, ManualClock, SystemClock};
pub use failed::{Cause, Failed};
pub use fallback::{Fallback, Way};
pub use jitter::Jitter;
pub use pacer::Pacer;
pub use policy::{Named, Policy};
pub use retry::Retry;
pub use timeout::{Deadline, Expired, Timeout, within};

/// The monotonic time of every policy; virtual in tests that pause tokio's clock.
pub use tokio::time::Instant;

/// One attempt on something borrowed: what the closure of [`Policy::run_on`] returns, and what `async_trait`
/// methods return as they are.
pub type Attempt<'a, T, E> = std::pin::Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'a>>;
