//! Why a pod's program ended, and what follows from it.

use jiff::Timestamp;

/// How a pod ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// Why.
    pub why: ExitReason,
    /// When.
    pub at: Timestamp,
    /// When its program had started, if it ever did.
    pub started: Option<Timestamp>,
    /// What it said of it, for people; short and on one line.
    pub message: Option<String>,
    /// How many artifacts a bot said then that it had stored in all.
    pub stored: Option<u64>,
}

/// Why a pod's program ended: the exit codes of a bot, and what can happen to any pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ExitReason {
    /// 0: it was asked to drain and holds nothing any more.
    Drained,
    /// 10: its browser could not be rebuilt.
    BrowserNotRebuilt,
    /// 11: it released what it held, on a signal.
    Released,
    /// 12: the site, not the bot, is at fault.
    SiteUnavailable,
    /// 13: the queue could not be reached.
    QueueUnreachable,
    /// 13, and the pod's last word says so: what is on the broker under the queue's names was made otherwise.
    QueueMismatch,
    /// 14: the store could not be reached.
    StoreUnreachable,
    /// 15: it cannot work with this manifest.
    BadConfiguration,
    /// 16: it has done its share and wants to be replaced.
    Recycled,
    /// 20: it made no progress.
    NoProgress,
    /// Any other code: it crashed, ran out of memory, or failed its liveness probe.
    Crashed(i32),
    /// The node took it away: evicted, preempted, shut down.
    Evicted,
}

/// What follows from an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// Nobody's fault: replaced at once.
    Nobody,
    /// The pod's: replaced at once, later each time when its slot keeps failing.
    Pod,
    /// The site's: one pod finds out whether it is back, then the others follow.
    Site,
    /// That of the queue or the store: replaced after a pause, the number kept.
    Service,
    /// The manifest's: not replaced until it changes.
    Manifest,
}

impl ExitReason {
    /// The reason that a bot's exit code stands for, and the word that it leaves beside it where that tells more.
    #[must_use]
    pub fn of(code: i32, word: Option<&str>) -> Self {
        match (Self::from_code(code), word) {
            (Self::QueueUnreachable, Some("QueueMismatch")) => Self::QueueMismatch,
            (reason, _) => reason,
        }
    }

    /// The reason that a bot's exit code stands for.
    #[must_use]
    pub const fn from_code(code: i32) -> Self {
        match code {
            0 => Self::Drained,
            10 => Self::BrowserNotRebuilt,
            11 => Self::Released,
            12 => Self::SiteUnavailable,
            13 => Self::QueueUnreachable,
            14 => Self::StoreUnreachable,
            15 => Self::BadConfiguration,
            16 => Self::Recycled,
            20 => Self::NoProgress,
            other => Self::Crashed(other),
        }
    }

    /// Who is to blame.
    #[must_use]
    pub const fn blame(self) -> Blame {
        match self {
            Self::Drained | Self::Released | Self::Recycled => Blame::Nobody,
            Self::BrowserNotRebuilt | Self::NoProgress | Self::Crashed(_) | Self::Evicted => Blame::Pod,
            Self::SiteUnavailable => Blame::Site,
            Self::QueueUnreachable | Self::QueueMismatch | Self::StoreUnreachable => Blame::Service,
            Self::BadConfiguration => Blame::Manifest,
        }
    }

    /// One word for events, labels of metrics and annotations.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Drained => "Drained",
            Self::BrowserNotRebuilt => "BrowserNotRebuilt",
            Self::Released => "Released",
            Self::SiteUnavailable => "SiteUnavailable",
            Self::QueueUnreachable => "QueueUnreachable",
            Self::QueueMismatch => "QueueMismatch",
            Self::StoreUnreachable => "StoreUnreachable",
            Self::BadConfiguration => "BadConfiguration",
            Self::Recycled => "Recycled",
            Self::NoProgress => "NoProgress",
            Self::Crashed(_) => "Crashed",
            Self::Evicted => "Evicted",
        }
    }

    /// What happened, for people.
    #[must_use]
    pub fn sentence(self) -> String {
        match self {
            Self::Drained => "drained".to_owned(),
            Self::BrowserNotRebuilt => "its browser could not be rebuilt (exit code 10)".to_owned(),
            Self::Released => "released what it held (exit code 11)".to_owned(),
            Self::SiteUnavailable => "the site is unavailable (exit code 12)".to_owned(),
            Self::QueueUnreachable => "the queue cannot be reached (exit code 13)".to_owned(),
            Self::QueueMismatch => "a queue on the broker was made otherwise (exit code 13)".to_owned(),
            Self::StoreUnreachable => "the store cannot be reached (exit code 14)".to_owned(),
            Self::BadConfiguration => "it cannot work with this manifest (exit code 15)".to_owned(),
            Self::Recycled => "recycled (exit code 16)".to_owned(),
            Self::NoProgress => "it made no progress (exit code 20)".to_owned(),
            Self::Crashed(137) => {
                "killed (exit code 137): out of memory, or its liveness probe failed".to_owned()
            }
            Self::Crashed(code) => format!("crashed (exit code {code})"),
            Self::Evicted => "its node took it away".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_of_the_contract_has_its_blame() {
        for (code, blame) in [
            (0, Blame::Nobody),
            (11, Blame::Nobody),
            (16, Blame::Nobody),
            (10, Blame::Pod),
            (20, Blame::Pod),
            (12, Blame::Site),
            (13, Blame::Service),
            (14, Blame::Service),
            (15, Blame::Manifest),
            (1, Blame::Pod),
            (101, Blame::Pod),
            (137, Blame::Pod),
            (-1, Blame::Pod),
        ] {
            assert_eq!(ExitReason::from_code(code).blame(), blame, "{code}");
        }
    }

    #[test]
    fn a_word_beside_the_code_tells_a_queue_that_was_made_otherwise() {
        for (code, word, reason) in [
            (13, Some("QueueMismatch"), ExitReason::QueueMismatch),
            (13, Some("QueueUnreachable"), ExitReason::QueueUnreachable),
            (13, None, ExitReason::QueueUnreachable),
            (10, Some("QueueMismatch"), ExitReason::BrowserNotRebuilt),
        ] {
            assert_eq!(ExitReason::of(code, word), reason, "{code} {word:?}");
        }
        assert_eq!(ExitReason::QueueMismatch.blame(), Blame::Service);
        assert_eq!(ExitReason::QueueMismatch.word(), "QueueMismatch");
    }

    #[test]
    fn every_reason_has_a_word_fit_for_an_event() {
        for code in 0..256 {
            let word = ExitReason::from_code(code).word();
            assert!(word.bytes().all(|b| b.is_ascii_alphabetic()), "{word}");
            assert!(!ExitReason::from_code(code).sentence().contains('\n'));
        }
    }
}
