//! A fleet as its manifest says, ready for this machine.

use std::{path::PathBuf, sync::Arc};

use scrapefleet_api::{
    FleetName, ScrapeFleet, ScrapeFleetSpec, address::Addresses, inspect::Inspect, lane::Lanes, manifest,
    recipe::Recipe, site::Preset,
};
use scrapefleet_policy::{Backoff, Retry};
use scrapefleet_queue::Lane;
use scrapefleet_store::KeyTemplate;
use scrapefleet_worker::{BotConfig, config::ArtifactRules, judgement::HoldLimits};
use url::Url;

use crate::{CliError, args::FleetArgs};

/// How often an item that is lost from its page is opened again within one attempt. A page that reconnects that
/// often within one hold is better left.
const REOPENINGS: u32 = 10;

/// A fleet as its manifest says.
#[derive(Debug, Clone)]
pub struct Fleet {
    /// Its name.
    pub name: FleetName,
    /// The manifest.
    pub spec: ScrapeFleetSpec,
    /// How its site is read.
    pub recipe: Recipe,
    /// What its preset knows of artifacts.
    pub inspect: Option<Arc<dyn Inspect>>,
    /// Where its site is.
    pub site: Url,
    /// Where the site's list, page and items are.
    pub addresses: Addresses,
    /// Its lanes.
    pub lanes: Lanes,
    /// How its artifacts' keys are made.
    pub key: KeyTemplate,
    /// Its namespace on a broker.
    pub namespace: String,
    /// Where what the manifest does not say is found.
    pub(crate) outside: Outside,
}

/// What a manifest does not say: where its files are and who may use its queue and its store.
#[derive(Debug, Clone)]
pub(crate) struct Outside {
    /// The folder that relative paths are in.
    pub(crate) data: PathBuf,
    /// The folder with the broker's credentials.
    pub(crate) queue_credentials: Option<PathBuf>,
    /// The folder with the object store's.
    pub(crate) store_credentials: Option<PathBuf>,
}

impl Fleet {
    /// Reads and checks the manifest that `args` name.
    pub fn load(args: &FleetArgs) -> Result<Self, CliError> {
        let bytes =
            std::fs::read(&args.file).map_err(|why| CliError::Unreadable { path: args.file.clone(), why })?;
        let wrong = |problems: String| CliError::Manifest { path: args.file.clone(), problems };
        let mut fleet =
            manifest::load_bytes(&bytes, &args.set).map_err(|problems| wrong(problems.to_string()))?;
        if args.namespace.is_some() {
            fleet.metadata.namespace.clone_from(&args.namespace);
        }
        let outside = Outside {
            data: args.data.clone(),
            queue_credentials: args.queue_credentials.clone(),
            store_credentials: args.store_credentials.clone(),
        };
        Self::of(fleet, outside).map_err(wrong)
    }

    fn of(fleet: ScrapeFleet, outside: Outside) -> Result<Self, String> {
        let namespace = fleet.metadata.namespace.clone().unwrap_or_else(|| "default".to_owned());
        let name = fleet.fleet_name().map_err(|error| error.to_string())?;
        let spec = fleet.spec;
        let Source { recipe, inspect, site } = Source::of(&spec)?;
        let addresses =
            Addresses::new(&site, &recipe).map_err(|problems| manifest::Problems(problems).to_string())?;
        let lanes = Lanes::new(&spec.lanes).map_err(|error| error.to_string())?;
        let groups: Vec<&str> = addresses.pattern().groups().iter().map(String::as_str).collect();
        let key =
            KeyTemplate::new(&spec.store.key, &groups).map_err(|error| format!("spec.store.key: {error}"))?;
        Ok(Self { name, spec, recipe, inspect, site, addresses, lanes, key, namespace, outside })
    }

    /// How many items a bot may hold when there are `bots` of them: its own limit, or its share of the fleet's.
    #[must_use]
    pub fn holds(&self, bots: i32) -> usize {
        let share = self.spec.politeness.held / bots.max(1);
        usize::try_from(self.spec.bots.holds_per_bot.min(share)).unwrap_or(0).max(1)
    }

    /// What bot number `slot` of `bots` is told to do.
    #[must_use]
    pub fn bot_config(&self, slot: u32, bots: i32, seed: u64) -> BotConfig {
        let policies = &self.spec.policies;
        BotConfig {
            slot,
            fleet: self.name.clone(),
            holds: self.holds(bots),
            lanes: self.queue_lanes(),
            probe: self.spec.bots.probe.get(),
            limits: HoldLimits {
                soft: policies.hold.soft.get(),
                hard: policies.hold.hard.get(),
                reopenings: REOPENINGS,
            },
            complete_within: policies.hold.complete.get(),
            retry: retry(&policies.retry),
            open_in_tab: policies.fallback.open_in_tab,
            abandonment: policies.abandonment.clone(),
            breaker: policies.breaker.clone(),
            drain: self.spec.drain.clone(),
            artifacts: self.artifact_rules(),
            seed,
        }
    }

    fn queue_lanes(&self) -> Vec<Lane> {
        self.lanes.all().iter().map(|lane| Lane { name: lane.name.clone(), weight: lane.weight }).collect()
    }

    fn artifact_rules(&self) -> ArtifactRules {
        let pattern = self.addresses.pattern().clone();
        ArtifactRules {
            key: self.key.clone(),
            groups: Arc::new(move |id| pattern.groups_of(id).unwrap_or_default()),
            content_type: self.recipe.item.content_type.clone(),
            compression: self.spec.store.compression,
            complete_when: self.recipe.complete_patterns(),
            inspect: self.inspect.clone(),
        }
    }
}

/// A recipe with where its site is.
struct Source {
    recipe: Recipe,
    inspect: Option<Arc<dyn Inspect>>,
    site: Url,
}

impl Source {
    fn of(spec: &ScrapeFleetSpec) -> Result<Self, String> {
        let (recipe, inspect, home) = match (spec.site.preset, &spec.site.recipe) {
            (Some(Preset::Showdown), _) => {
                let (recipe, inspect, home) = scrapefleet_showdown::preset();
                (recipe, Some(inspect), Some(home))
            }
            (None, Some(recipe)) => (recipe.clone(), None, None),
            (None, None) => return Err("spec.site: found neither preset nor recipe".to_owned()),
        };
        let url = spec.site.url.clone().or(home.map(str::to_owned)).unwrap_or_default();
        let site = url.parse().map_err(|error| format!("spec.site.url: {error}"))?;
        Ok(Self { recipe, inspect, site })
    }
}

fn retry(spec: &scrapefleet_api::policies::RetrySpec) -> Retry {
    let backoff = Backoff {
        initial: spec.initial.get(),
        max: spec.max.get(),
        factor: spec.factor,
        jitter: spec.jitter,
    };
    Retry::times(u32::try_from(spec.attempts).unwrap_or(1)).backoff(backoff)
}
