//! What a bot is told to do.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use regex::Regex;
use scrapefleet_api::{
    FleetName, ItemId,
    fleet::DrainSpec,
    inspect::{Completeness, Inspect},
    policies::{AbandonmentSpec, BreakerSpec},
    store::Compression,
};
use scrapefleet_policy::Retry;
use scrapefleet_queue::Lane;
use scrapefleet_store::KeyTemplate;

use crate::judgement::HoldLimits;

/// What a bot is told to do.
#[derive(Debug, Clone)]
pub struct BotConfig {
    /// The bot's number within its fleet.
    pub slot: u32,
    /// The fleet it works for.
    pub fleet: FleetName,
    /// The most items it holds at once.
    pub holds: usize,
    /// The lanes it takes tasks from.
    pub lanes: Vec<Lane>,
    /// Pause between two probes of all held items.
    pub probe: Duration,
    /// How long an item may be held.
    pub limits: HoldLimits,
    /// How long an ended item is waited for while its artifact is not complete.
    pub complete_within: Duration,
    /// How often, and how soon, a failed item is tried again.
    pub retry: Retry,
    /// Whether an item that cannot be opened in the shared page is opened in a tab of its own.
    pub open_in_tab: bool,
    /// When to throw a browser away.
    pub abandonment: AbandonmentSpec,
    /// When to stop opening because the site is at fault.
    pub breaker: BreakerSpec,
    /// How held items are given up when the bot drains.
    pub drain: DrainSpec,
    /// What is done with what was taken.
    pub artifacts: ArtifactRules,
    /// Seed of the bot's randomness, which only jitters delays.
    pub seed: u64,
}

/// The named groups of a recipe's id pattern, found in an item's id.
pub type Groups = BTreeMap<String, String>;

/// What is done with what was taken.
#[derive(Clone)]
pub struct ArtifactRules {
    /// How an artifact's key is made.
    pub key: KeyTemplate,
    /// Finds the named groups in an item's id.
    pub groups: Arc<dyn Fn(&ItemId) -> Groups + Send + Sync>,
    /// The content type of artifacts.
    pub content_type: String,
    /// How artifacts are compressed.
    pub compression: Compression,
    /// Patterns that all match a complete artifact.
    pub complete_when: Vec<Regex>,
    /// What the site's own preset knows of artifacts.
    pub inspect: Option<Arc<dyn Inspect>>,
}

impl ArtifactRules {
    /// Whether `artifact` is whole: the patterns first, then what the preset knows.
    #[must_use]
    pub fn completeness(&self, item: &ItemId, artifact: &[u8]) -> Completeness {
        let text = String::from_utf8_lossy(artifact);
        if let Some(pattern) = self.complete_when.iter().find(|pattern| !pattern.is_match(&text)) {
            return Completeness::Late(format!("nothing matches completeWhen `{pattern}`"));
        }
        self.inspect.as_ref().map_or(Completeness::Complete, |inspect| inspect.completeness(item, artifact))
    }

    /// Facts that the preset finds in `artifact`.
    #[must_use]
    pub fn facts(&self, artifact: &[u8]) -> BTreeMap<String, String> {
        self.inspect.as_ref().map(|inspect| inspect.facts(artifact)).unwrap_or_default()
    }
}

impl fmt::Debug for ArtifactRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArtifactRules")
            .field("key", &self.key)
            .field("inspect", &self.inspect)
            .finish_non_exhaustive()
    }
}

/// A count from a manifest, whose schema lets no negative number pass.
pub(crate) fn count(n: i32) -> u32 {
    u32::try_from(n).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct EndsWithFullStop;

    impl Inspect for EndsWithFullStop {
        fn completeness(&self, _: &ItemId, artifact: &[u8]) -> Completeness {
            match artifact.last() {
                Some(b'.') => Completeness::Complete,
                _ => Completeness::Broken("no full stop".to_owned()),
            }
        }
    }

    fn rules() -> ArtifactRules {
        ArtifactRules {
            key: KeyTemplate::new("{id}", &[]).unwrap(),
            groups: Arc::new(|_| Groups::new()),
            content_type: "text/plain".to_owned(),
            compression: Compression::None,
            complete_when: vec![Regex::new("the end").unwrap()],
            inspect: Some(Arc::new(EndsWithFullStop)),
        }
    }

    #[test]
    fn an_artifact_is_complete_when_patterns_and_preset_agree() {
        let id = ItemId::new("i").unwrap();
        assert_eq!(rules().completeness(&id, b"the end."), Completeness::Complete);
        assert!(
            matches!(rules().completeness(&id, b"the."), Completeness::Late(why) if why.contains("the end"))
        );
        assert!(matches!(rules().completeness(&id, b"the end"), Completeness::Broken(_)));
    }
}
