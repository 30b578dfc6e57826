//! Requests and limits that follow what a pod has to hold.

use std::collections::BTreeMap;

use k8s_openapi::{api::core::v1::ResourceRequirements, apimachinery::pkg::api::resource::Quantity};
use scrapefleet_api::{
    ScrapeFleetSpec,
    bots::{BotResources, Resources},
    recipe::Mode,
};

use crate::plan::Role;

/// PSS of Chrome with one page, measured at 559 MiB, and some air.
const CHROME_MIB: i32 = 640;

/// What one more item costs inside a shared page; measured at about 3 MiB.
const IN_PAGE_MIB: i32 = 3;

/// What one more tab costs; six pages were measured at 1386 MiB.
const TAB_MIB: i32 = 165;

/// What Chrome may use beyond the size at which a bot recycles it, before it is killed.
const HEADROOM_MIB: i32 = 512;

/// Requests and limits of a pod's main container and of its Chrome.
pub(super) fn resources(spec: &ScrapeFleetSpec, role: Role) -> (ResourceRequirements, ResourceRequirements) {
    let own = spec.bots.resources.clone().filter(|_| role == Role::Bot).unwrap_or_default();
    let BotResources { bot, chrome } = own;
    let holds = if role == Role::Bot { spec.bots.holds_per_bot } else { 0 };
    (
        bot.map_or_else(|| main(holds), |own| written(&own)),
        chrome.map_or_else(|| chrome_for(spec, holds), |own| written(&own)),
    )
}

fn main(holds: i32) -> ResourceRequirements {
    requirements(&[("cpu", "50m".into()), ("memory", mib(64 + holds))], &[("memory", mib(256 + 2 * holds))])
}

fn chrome_for(spec: &ScrapeFleetSpec, holds: i32) -> ResourceRequirements {
    let tabs = spec.site.recipe.as_ref().is_some_and(|recipe| recipe.mode == Mode::Tab);
    let memory = CHROME_MIB + holds * if tabs { TAB_MIB } else { IN_PAGE_MIB };
    let most = memory.max(spec.policies.abandonment.recycle_above_mib) + HEADROOM_MIB;
    requirements(&[("cpu", "200m".into()), ("memory", mib(memory))], &[("memory", mib(most))])
}

fn mib(mib: i32) -> String {
    format!("{mib}Mi")
}

fn requirements(requests: &[(&str, String)], limits: &[(&str, String)]) -> ResourceRequirements {
    let quantities = |list: &[(&str, String)]| {
        Some(list.iter().map(|(name, amount)| ((*name).to_owned(), Quantity(amount.clone()))).collect())
    };
    ResourceRequirements { requests: quantities(requests), limits: quantities(limits), claims: None }
}

fn written(own: &Resources) -> ResourceRequirements {
    let quantities = |map: &BTreeMap<String, String>| {
        Some(map.iter().map(|(name, amount)| (name.clone(), Quantity(amount.clone()))).collect())
    };
    ResourceRequirements {
        requests: quantities(&own.requests),
        limits: quantities(&own.limits),
        claims: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::fixture::spec;

    fn memory(requirements: &ResourceRequirements) -> (String, String) {
        let of = |map: &Option<BTreeMap<String, Quantity>>| map.as_ref().unwrap()["memory"].0.clone();
        (of(&requirements.requests), of(&requirements.limits))
    }

    #[test]
    fn memory_follows_what_a_bot_holds() {
        let mut spec = spec(1, 1);
        for (holds, request) in [(1, "643Mi"), (50, "790Mi"), (500, "2140Mi")] {
            spec.bots.holds_per_bot = holds;
            let (_, chrome) = resources(&spec, Role::Bot);
            assert_eq!(memory(&chrome).0, request);
        }
        assert_eq!(memory(&resources(&spec, Role::Watcher).1), ("640Mi".into(), "2012Mi".into()));
    }

    #[test]
    fn what_the_manifest_says_is_taken_as_it_is_for_bots_alone() {
        let mut spec = spec(1, 1);
        let own = Resources {
            requests: [("memory".to_owned(), "1Gi".to_owned())].into(),
            limits: [("memory".to_owned(), "3Gi".to_owned())].into(),
        };
        spec.bots.resources = Some(BotResources { bot: None, chrome: Some(own) });
        assert_eq!(memory(&resources(&spec, Role::Bot).1), ("1Gi".into(), "3Gi".into()));
        assert_eq!(memory(&resources(&spec, Role::Watcher).1).0, "640Mi");
    }
}
