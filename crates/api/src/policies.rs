//! Deadlines, retries, fallbacks and when to abandon.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Period,
    schema::{between, rule},
};

/// Deadlines, retries, fallbacks and when to abandon.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PoliciesSpec {
    /// The deadline of one step in the browser (open, take, leave).
    pub step: StepTimeout,
    /// How long an item may be held.
    pub hold: HoldTimeout,
    /// How often and how soon a failed item is tried again.
    pub retry: RetrySpec,
    /// Other ways, when the first way fails.
    pub fallback: FallbackSpec,
    /// When to throw away an item, a browser, a page, a bot.
    pub abandonment: AbandonmentSpec,
    /// When to stop opening because the site, not the bot, is at fault.
    pub breaker: BreakerSpec,
}

/// The deadline of one step in the browser.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [
    rule("self.soft <= self.hard", "at least `soft`: raise `hard` or lower `soft`").field_path(".hard"),
]))]
pub struct StepTimeout {
    /// Past this a step is logged as slow, and counted in `scrapefleet_worker_slow_steps_total` or
    /// `scrapefleet_watcher_slow_steps_total`. The wait for its turn does not count.
    #[schemars(extend("x-kubernetes-validations" = [between("100ms", "10m")]))]
    pub soft: Period,
    /// Past this a step has failed.
    #[schemars(extend("x-kubernetes-validations" = [between("500ms", "10m")]))]
    pub hard: Period,
}

/// How long an item may be held.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [
    rule("self.soft <= self.hard", "at least `soft`: raise `hard` or lower `soft`").field_path(".hard"),
]))]
pub struct HoldTimeout {
    /// Past this a hold is opened afresh once, in case the page missed the end.
    #[schemars(extend("x-kubernetes-validations" = [between("1s", "24h")]))]
    pub soft: Period,
    /// Past this the attempt has failed.
    #[schemars(extend("x-kubernetes-validations" = [between("1s", "24h")]))]
    pub hard: Period,
    /// How long an ended item is waited for when its artifact is not yet complete.
    #[schemars(extend("x-kubernetes-validations" = [between("0s", "10m")]))]
    pub complete: Period,
}

/// How often and how soon a failed item is tried again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [
    rule("self.initial <= self.max", "at least `initial`: raise `max` or lower `initial`").field_path(".max"),
]))]
pub struct RetrySpec {
    /// Attempts in all; after the last the item is a dead letter.
    #[schemars(range(min = 1, max = 100))]
    pub attempts: i32,
    /// Delay before the second attempt.
    #[schemars(extend("x-kubernetes-validations" = [between("10ms", "1h")]))]
    pub initial: Period,
    /// The longest delay.
    #[schemars(extend("x-kubernetes-validations" = [between("10ms", "24h")]))]
    pub max: Period,
    /// What each delay is multiplied by to get the next.
    #[schemars(range(min = 1.0, max = 10.0))]
    pub factor: f64,
    /// The share of a delay that is random, from 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub jitter: f64,
}

/// Other ways, when the first way fails.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct FallbackSpec {
    /// Whether an item that cannot be opened inside the shared page is opened in a tab of its own.
    pub open_in_tab: bool,
}

/// When to throw away an item, a browser, a page, a bot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AbandonmentSpec {
    /// A browser that has not answered a round trip for this long is thrown away.
    #[schemars(extend("x-kubernetes-validations" = [between("500ms", "10m")]))]
    pub unresponsive: Period,
    /// This many item failures in a row throw the browser away.
    #[schemars(range(min = 1, max = 1000))]
    pub item_failures: i32,
    /// This many rebuilt browsers within `rebuildsWithin` end the bot (exit code 10).
    #[schemars(range(min = 1, max = 1000))]
    pub rebuilds: i32,
    /// The window in which rebuilt browsers are counted.
    #[schemars(extend("x-kubernetes-validations" = [between("10s", "24h")]))]
    pub rebuilds_within: Period,
    /// A page is recycled after this many items.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub recycle_after_items: i32,
    /// A browser is recycled above this many MiB (PSS of the whole tree), when the bot can see it.
    #[schemars(range(min = 256, max = 65_536))]
    pub recycle_above_mib: i32,
    /// A bot that is older takes nothing more, waits up to `drain.deadline` for what it holds, and makes room for a new one
    /// (exit code 16). Chance takes up to a tenth of it, so that bots of one age do not all go at once.
    #[schemars(extend("x-kubernetes-validations" = [between("10s", "8760h")]))]
    pub max_lifetime: Period,
    /// When a bot or a watcher that does not answer is ended and replaced; on Kubernetes only.
    pub liveness: LivenessSpec,
}

/// When a pod's program that does not answer is ended and replaced. Busy and full ones answer. The operator does it, when the
/// pod's node finds it unready as well; where no operator runs, the node does after four times as long, and gives the pod its whole
/// grace period to end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LivenessSpec {
    /// How often it is asked, and has a second to answer; rounded up to whole seconds.
    #[schemars(extend("x-kubernetes-validations" = [between("1s", "1m")]))]
    pub period: Period,
    /// This many times without an answer in a row end it.
    #[schemars(range(min = 1, max = 100))]
    pub failures: i32,
}

/// When to stop opening because the site is at fault.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BreakerSpec {
    /// This many failures for the site's reason within `within` stop opening.
    #[schemars(range(min = 1, max = 1000))]
    pub failures: i32,
    /// The window in which failures are counted.
    #[schemars(extend("x-kubernetes-validations" = [between("1s", "1h")]))]
    pub within: Period,
    /// How long opening stays stopped before one item is tried.
    #[schemars(extend("x-kubernetes-validations" = [between("1s", "24h")]))]
    pub cooldown: Period,
}

impl Default for StepTimeout {
    fn default() -> Self {
        Self { soft: Period::secs(3), hard: Period::secs(15) }
    }
}

impl Default for HoldTimeout {
    fn default() -> Self {
        Self { soft: Period::minutes(50), hard: Period::minutes(90), complete: Period::secs(10) }
    }
}

impl Default for RetrySpec {
    fn default() -> Self {
        Self { attempts: 5, initial: Period::secs(1), max: Period::minutes(5), factor: 2.0, jitter: 0.2 }
    }
}

impl Default for FallbackSpec {
    fn default() -> Self {
        Self { open_in_tab: true }
    }
}

impl Default for AbandonmentSpec {
    fn default() -> Self {
        Self {
            unresponsive: Period::secs(3),
            item_failures: 5,
            rebuilds: 5,
            rebuilds_within: Period::minutes(5),
            recycle_after_items: 500,
            recycle_above_mib: 1500,
            max_lifetime: Period::minutes(24 * 60),
            liveness: LivenessSpec::default(),
        }
    }
}

impl Default for LivenessSpec {
    fn default() -> Self {
        // A program that was stopped is noticed within six seconds: up to one until it is asked, three times one, and what it
        // takes to see that and to act.
        Self { period: Period::secs(1), failures: 3 }
    }
}

impl Default for BreakerSpec {
    fn default() -> Self {
        Self { failures: 5, within: Period::secs(60), cooldown: Period::secs(15) }
    }
}
