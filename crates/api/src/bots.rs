//! The bots' part of the manifest.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::{
    Period,
    schema::{between, rule},
};

/// The bots, which hold items until they end and store what they leave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [
    rule("self.min <= self.max", "at least `min`: raise `max` or lower `min`").field_path(".max"),
]))]
pub struct BotsSpec {
    /// The fewest bots. With 0 the fleet has none while nothing waits.
    #[schemars(range(min = 0, max = 10_000))]
    pub min: i32,
    /// The most bots.
    #[schemars(range(min = 1, max = 10_000))]
    pub max: i32,
    /// How many bots, within `min` and `max`, whatever waits: what `kubectl scale` and an autoscaler write.
    /// Left out: as many as the queue needs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10_000))]
    pub replicas: Option<i32>,
    /// How the number of bots follows the queue.
    pub scaling: ScalingSpec,
    /// How many items a bot holds at once in its Chrome.
    #[schemars(range(min = 1, max = 500))]
    pub holds_per_bot: i32,
    /// Pause between two probes of all held items.
    #[schemars(extend("x-kubernetes-validations" = [between("250ms", "1m")]))]
    pub probe: Period,
    /// Requests and limits of the two containers of a bot; sized after `holdsPerBot` when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<BotResources>,
}

/// How the number of bots follows the queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ScalingSpec {
    /// How long fewer bots must be enough before one is drained.
    #[schemars(extend("x-kubernetes-validations" = [between("0s", "24h")]))]
    pub scale_in_after: Period,
}

impl Default for ScalingSpec {
    fn default() -> Self {
        Self { scale_in_after: Period::secs(30) }
    }
}

/// Requests and limits of the two containers of a bot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BotResources {
    /// The bot itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bot: Option<Resources>,
    /// Its Chrome.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chrome: Option<Resources>,
}

/// Requests and limits of one container, as Kubernetes quantities.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("x-kubernetes-validations" = [
    rule(
        "self.requests.all(name, !(name in self.limits) || \
         quantity(self.requests[name]).compareTo(quantity(self.limits[name])) <= 0)",
        "no request above the limit of the same name: lower the request or raise the limit",
    ).field_path(".requests"),
]))]
pub struct Resources {
    /// What is set aside, by resource name (`cpu`, `memory`).
    #[schemars(schema_with = "quantities")]
    pub requests: BTreeMap<String, String>,
    /// What is never exceeded, by resource name.
    #[schemars(schema_with = "quantities")]
    pub limits: BTreeMap<String, String>,
}

/// The pattern of a Kubernetes quantity that is not negative.
pub(crate) const QUANTITY: &str = "^[0-9]+(\\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$";

fn quantities(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 8,
        "additionalProperties": { "type": "string", "minLength": 1, "maxLength": 32, "pattern": QUANTITY },
    })
}

impl Default for BotsSpec {
    fn default() -> Self {
        Self {
            min: 1,
            max: 1,
            replicas: None,
            scaling: ScalingSpec::default(),
            holds_per_bot: 20,
            probe: Period::secs(3),
            resources: None,
        }
    }
}

impl BotsSpec {
    /// How many bots the work needs: enough to hold all that is ready, held and delayed but due, within `min` and `max`.
    #[must_use]
    pub fn desired(&self, ready: u64, held: u64, delayed_due: u64) -> i32 {
        let work = ready.saturating_add(held).saturating_add(delayed_due);
        let holds = u64::try_from(self.holds_per_bot).unwrap_or(1).max(1);
        let bots = i32::try_from(work.div_ceil(holds)).unwrap_or(i32::MAX);
        bots.min(self.max).max(self.min).max(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bots(min: i32, max: i32, holds_per_bot: i32) -> BotsSpec {
        BotsSpec { min, max, holds_per_bot, ..BotsSpec::default() }
    }

    #[test]
    fn as_many_bots_as_the_work_needs_within_bounds() {
        for (min, max, holds, work, expected) in [
            (0, 5, 10, (0, 0, 0), 0),
            (0, 5, 10, (1, 0, 0), 1),
            (0, 5, 10, (0, 1, 0), 1),
            (0, 5, 10, (0, 0, 1), 1),
            (0, 5, 10, (10, 0, 0), 1),
            (0, 5, 10, (5, 5, 1), 2),
            (0, 5, 10, (1000, 0, 0), 5),
            (2, 5, 10, (0, 0, 0), 2),
            (1, 1, 20, (u64::MAX, u64::MAX, 1), 1),
            (0, i32::MAX, 1, (u64::MAX, 0, 0), i32::MAX),
            // Not let through by the rules; still no panic and nothing below `min`.
            (3, 1, 0, (9, 0, 0), 3),
            (-4, -2, -1, (9, 0, 0), 0),
        ] {
            let (ready, held, delayed_due) = work;
            assert_eq!(
                bots(min, max, holds).desired(ready, held, delayed_due),
                expected,
                "{min} {max} {holds} {work:?}"
            );
        }
    }

    #[test]
    fn more_work_never_means_fewer_bots() {
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..1000 {
            let spec = bots(random.i32(0..5), random.i32(5..50), random.i32(1..30));
            let (work, more) = (random.u64(0..2000), random.u64(0..2000));
            assert!(spec.desired(work, 0, 0) <= spec.desired(work, more, 0));
            assert!((spec.min..=spec.max).contains(&spec.desired(work, more, 0)));
        }
    }
}
