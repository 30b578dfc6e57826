//! The scheduled life of one item, and what can go wrong on the way.

use std::time::Duration;

use bytes::Bytes;

use crate::Fault;

/// The scheduled life of one item. Times count from when the item was added to the site.
#[derive(Debug, Clone)]
pub struct Life {
    pub(super) appears: Duration,
    pub(super) ends: Option<Duration>,
    pub(super) gone: Option<Duration>,
    pub(super) stalls: Option<Duration>,
    pub(super) artifact: Bytes,
    pub(super) early: Option<(Bytes, Duration)>,
}

impl Life {
    /// An item that is there at once and goes on for ever.
    #[must_use]
    pub fn endless() -> Self {
        Self {
            appears: Duration::ZERO,
            ends: None,
            gone: None,
            stalls: None,
            artifact: Bytes::from_static(b"artifact"),
            early: None,
        }
    }

    /// An item that is there at once and ends after `length`.
    #[must_use]
    pub fn lasting(length: Duration) -> Self {
        Self { ends: Some(length), ..Self::endless() }
    }

    /// Shown in the list only after `delay`; its other times count from when it was added all the same.
    #[must_use]
    pub fn appearing_after(mut self, delay: Duration) -> Self {
        self.appears = delay;
        self
    }

    /// The site no longer has it after `length`.
    #[must_use]
    pub fn gone_after(mut self, length: Duration) -> Self {
        self.gone = Some(length);
        self
    }

    /// Live, but no longer moving after `length`.
    #[must_use]
    pub fn stalling_after(mut self, length: Duration) -> Self {
        self.stalls = Some(length);
        self
    }

    /// What is taken from it once it has ended.
    #[must_use]
    pub fn leaving(mut self, artifact: impl Into<Bytes>) -> Self {
        self.artifact = artifact.into();
        self
    }

    /// What is taken from it in the first `for_` after its end, before the artifact is complete.
    #[must_use]
    pub fn at_first(mut self, artifact: impl Into<Bytes>, for_: Duration) -> Self {
        self.early = Some((artifact.into(), for_));
        self
    }
}

/// What goes wrong in a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mishap {
    /// The call fails with this fault; the browser is as before.
    Fails(Fault),
    /// The call ends at its deadline with a timeout; the browser is as before.
    Hangs,
    /// The page's renderer dies: the shared page with all that is in it, or the tab of an item that is alone.
    CrashesPage,
    /// The browser dies.
    KillsBrowser,
}
