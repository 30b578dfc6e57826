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
    /// The queue could not be reached for too long.
    QueueUnreachable = 13,
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
            Self::BrowserNotRebuilt | Self::QueueUnreachable => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_contract() {
        let codes =
            [BotExit::Drained, BotExit::BrowserNotRebuilt, BotExit::Released, BotExit::QueueUnreachable];
        assert_eq!(codes.map(BotExit::code), [0, 10, 11, 13]);
    }

    #[test]
    fn only_blameless_ends_are_final() {
        assert!(!BotExit::Drained.wants_replacement() && !BotExit::Released.wants_replacement());
        assert!(
            BotExit::BrowserNotRebuilt.wants_replacement() && BotExit::QueueUnreachable.wants_replacement()
        );
    }
}
