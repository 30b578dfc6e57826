//! Names of labels, annotations and files: what the operator, its pods and people agree on.

/// The label with the fleet's name.
pub const FLEET: &str = "scrapefleet.io/fleet";
/// The label with the role of a pod: `bot` or `watcher`.
pub const ROLE: &str = "scrapefleet.io/role";
/// The label with a pod's number.
pub const SLOT: &str = "scrapefleet.io/slot";
/// The label with what a pod was made of.
pub const REVISION: &str = "scrapefleet.io/revision";
/// The annotation with the manifest that a pod was made of.
pub const MANIFEST: &str = "scrapefleet.io/manifest";
/// The annotation with a pod's politeness share.
pub const SHARE: &str = "scrapefleet.io/share";
/// The annotation with how often in a row a slot had failed when the pod was made.
pub const FAILURES: &str = "scrapefleet.io/failures";
/// The annotation of a pod that was made to find out whether the site is back.
pub const PROBES_SITE: &str = "scrapefleet.io/probes-site";
/// The annotation with which a person keeps a pod as it is, out of the count: `"true"`.
pub const FENCED: &str = "scrapefleet.io/fenced";
/// The annotation with which a person has a fleet left alone: `"true"`.
pub const PAUSED: &str = "scrapefleet.io/paused";
/// The finalizer that keeps a fleet until its bots have drained.
pub const FINALIZER: &str = "scrapefleet.io/drain";
/// Who writes: the field manager of every write.
pub const MANAGER: &str = "scrapefleet-operator";

use crate::plan::Role;

impl Role {
    /// Its word in labels and names; also the name of the pod's main container.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Bot => "bot",
            Self::Watcher => "watcher",
        }
    }

    /// The role with this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Bot, Self::Watcher].into_iter().find(|role| role.word() == word)
    }
}

/// What selects the bots of a fleet, as the scale subresource wants it.
#[must_use]
pub fn selector(fleet: &str) -> String {
    format!("{FLEET}={fleet},{ROLE}={}", Role::Bot.word())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_have_words_and_words_have_roles() {
        for role in [Role::Bot, Role::Watcher] {
            assert_eq!(Role::from_word(role.word()), Some(role));
        }
        assert_eq!(Role::from_word("cook"), None);
        assert_eq!(selector("a"), "scrapefleet.io/fleet=a,scrapefleet.io/role=bot");
    }
}
