//! Why a bot ended: the contract between a bot and whoever started it.

use serde::Serialize;

/// Why a bot ended. The number is the exit code of a bot's process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
#[repr(u8)]
pub enum BotExit {
    /// It was asked to drain and holds nothing any more.
    Drained = 0,
    /// Its browser could not be rebuilt, or had to be rebuilt too often.
    BrowserNotRebuilt = 10,
    /// It released what it held, as it was told.
    Released = 11,
    /// The site was at fault for so long that one bot of the fleet is enough to find out when it is back.
    SiteUnavailable = 12,
    /// The queue could not be reached for too long.
    QueueUnreachable = 13,
    /// It was old enough, and makes room for a new one.
    Recycled = 16,
    /// It stood still, and its watchdog ended it.
    NoProgress = 20,
}

impl BotExit {
    /// The exit code of a process that ends for this reason.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// Whether whoever started the bot should start another in its place.
    #[must_use]
    pub const fn wants_replacement(self) -> bool {
        match self {
            Self::Drained | Self::Released => false,
            Self::BrowserNotRebuilt
            | Self::SiteUnavailable
            | Self::QueueUnreachable
            | Self::Recycled
            | Self::NoProgress => true,
        }
    }

    /// Whether the bot itself is to blame, or what it needs on its machine: one that ends so again and again is not
    /// worth another.
    #[must_use]
    pub const fn counts_against_slot(self) -> bool {
        match self {
            Self::Drained | Self::Released | Self::SiteUnavailable | Self::Recycled => false,
            Self::BrowserNotRebuilt | Self::QueueUnreachable | Self::NoProgress => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_end_has_its_code_and_its_consequence() {
        for (exit, code, replaced, counts) in [
            (BotExit::Drained, 0, false, false),
            (BotExit::BrowserNotRebuilt, 10, true, true),
            (BotExit::Released, 11, false, false),
            (BotExit::SiteUnavailable, 12, true, false),
            (BotExit::QueueUnreachable, 13, true, true),
            (BotExit::Recycled, 16, true, false),
            (BotExit::NoProgress, 20, true, true),
        ] {
            assert_eq!(exit.code(), code);
            assert_eq!(exit.wants_replacement(), replaced, "{exit:?}");
            assert_eq!(exit.counts_against_slot(), counts, "{exit:?}");
        }
    }
}
