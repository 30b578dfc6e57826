//! The reasons of conditions and events: a fixed set.

/// Why a condition is as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// All is as it should be.
    AsWanted,
    /// The manifest is wrong in a way that the API server cannot see.
    InvalidSpec,
    /// A bot or a watcher said that it cannot work with the manifest.
    BadConfiguration,
    /// The fleet is being deleted.
    Deleting,
    /// The fleet is suspended.
    Suspended,
    /// A person asked to leave the fleet alone.
    Paused,
    /// A Secret, or a key in it, is not there.
    SecretMissing,
    /// No watcher is ready.
    NoWatcher,
    /// Fewer bots are ready than there should be.
    TooFewBots,
    /// Pods come, go or are exchanged.
    PodsChange,
    /// Pods of another image or manifest are exchanged.
    RollingOut,
    /// Nothing changes.
    Settled,
    /// Pods keep failing.
    PodsFail,
    /// Pods cannot start.
    PodsCannotStart,
    /// Pods that should have ended are still there.
    PodsDoNotEnd,
    /// The API server refuses what the operator asks for.
    Refused,
    /// It answers.
    Reachable,
    /// It does not.
    Unreachable,
    /// A queue of the fleet was made otherwise than the manifest wants it.
    QueueMismatch,
    /// Nobody has tried yet.
    NotKnown,
    /// The site answers as it should.
    Available,
    /// Bots say that the site is at fault.
    SiteUnavailable,
    /// The site's list cannot be read.
    ListUnreadable,
    /// The number of bots follows the queue.
    FollowsQueue,
    /// The number of bots is set from outside.
    SetFromOutside,
    /// The depth of the queue cannot be read.
    DepthUnread,
}

impl Reason {
    /// Its word, as it stands in conditions and events.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::AsWanted => "AsWanted",
            Self::InvalidSpec => "InvalidSpec",
            Self::BadConfiguration => "BadConfiguration",
            Self::Deleting => "Deleting",
            Self::Suspended => "Suspended",
            Self::Paused => "Paused",
            Self::SecretMissing => "SecretMissing",
            Self::NoWatcher => "NoWatcher",
            Self::TooFewBots => "TooFewBots",
            Self::PodsChange => "PodsChange",
            Self::RollingOut => "RollingOut",
            Self::Settled => "Settled",
            Self::PodsFail => "PodsFail",
            Self::PodsCannotStart => "PodsCannotStart",
            Self::PodsDoNotEnd => "PodsDoNotEnd",
            Self::Refused => "Refused",
            Self::Reachable => "Reachable",
            Self::Unreachable => "Unreachable",
            Self::QueueMismatch => "QueueMismatch",
            Self::NotKnown => "NotKnown",
            Self::Available => "Available",
            Self::SiteUnavailable => "SiteUnavailable",
            Self::ListUnreadable => "ListUnreadable",
            Self::FollowsQueue => "FollowsQueue",
            Self::SetFromOutside => "SetFromOutside",
            Self::DepthUnread => "DepthUnread",
        }
    }
}
