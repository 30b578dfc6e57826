//! Why a pod ended: its exit code, and the same in words for whoever looks at the pod.

use std::path::Path;

use scrapefleet_queue::QueueError;
use scrapefleet_worker::BotExit;
use serde::Serialize;

use crate::CliError;

/// The most bytes that Kubernetes keeps of a termination message.
const LONGEST: usize = 4096;

/// The most characters of an error that go into it: each may take six bytes in JSON.
const LONGEST_ERROR: usize = 500;

/// Why a pod ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ending {
    /// The exit code.
    pub code: u8,
    /// The same in one word.
    pub reason: &'static str,
    /// What went wrong last, if anything did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// How many artifacts a bot has stored in all: the last that it did nobody may have asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stored: Option<u64>,
}

impl Ending {
    /// How a bot ended that stored so many artifacts; `last` is what went wrong last.
    pub(super) fn of_bot(exit: BotExit, last: Option<&str>, stored: u64) -> Self {
        let message = match exit {
            BotExit::Drained | BotExit::Released | BotExit::Recycled => None,
            BotExit::BrowserNotRebuilt
            | BotExit::SiteUnavailable
            | BotExit::QueueUnreachable
            | BotExit::NoProgress => last.map(shortened),
        };
        Self { code: exit.code(), reason: reason(exit.code()), message, stored: Some(stored) }
    }

    /// It ended because of an error.
    pub(super) fn of_error(error: &CliError) -> Self {
        let code = error.exit_code();
        let reason = match error {
            // The broker is there, and no waiting mends it: whoever reads this has to tell the two apart.
            CliError::Queue(QueueError::Mismatch(_)) => "QueueMismatch",
            _ => reason(code),
        };
        Self { code, reason, message: Some(shortened(&error.to_string())), stored: None }
    }

    /// Its watchdog ends it, because something stands still.
    pub(super) fn of_standstill(what: &str) -> Self {
        let code = BotExit::NoProgress.code();
        Self { code, reason: reason(code), message: Some(shortened(what)), stored: None }
    }

    /// It ended because it was told to, holding nothing.
    pub(super) fn drained() -> Self {
        Self { code: 0, reason: reason(0), message: None, stored: None }
    }

    /// Leaves it where Kubernetes reads it. Outside a pod there is no such file, and nothing is written.
    pub(super) fn leave_at(&self, path: &Path) {
        if !path.exists() {
            return;
        }
        let text = serde_json::json!(self).to_string();
        if let Err(error) = std::fs::write(path, &text[..text.len().min(LONGEST)]) {
            tracing::warn!(path = %path.display(), %error, "the termination message was not written");
        }
    }
}

fn reason(code: u8) -> &'static str {
    match code {
        0 => "Drained",
        10 => "BrowserNotRebuilt",
        11 => "Released",
        12 => "SiteUnavailable",
        13 => "QueueUnreachable",
        14 => "StoreUnreachable",
        15 => "BadConfiguration",
        16 => "Recycled",
        20 => "NoProgress",
        _ => "Failed",
    }
}

fn shortened(text: &str) -> String {
    let mut chars = text.chars();
    let start: String = chars.by_ref().take(LONGEST_ERROR).collect();
    if chars.next().is_none() { start } else { start + "…" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ending_says_why_and_fits() {
        let error = CliError::Usage("\u{1}".repeat(10_000));
        let ending = Ending::of_error(&error);
        assert_eq!((ending.code, ending.reason), (15, "BadConfiguration"));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("termination-log");
        ending.leave_at(&file);
        assert!(!file.exists(), "not outside a pod");
        std::fs::write(&file, "").unwrap();
        ending.leave_at(&file);
        let read: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        assert_eq!(read["code"], 15);
        assert!(std::fs::metadata(&file).unwrap().len() <= LONGEST as u64);
    }

    #[test]
    fn a_queue_that_was_made_otherwise_is_not_one_that_cannot_be_reached() {
        let of = |error: QueueError| {
            let ending = Ending::of_error(&error.into());
            (ending.code, ending.reason)
        };
        assert_eq!(of(QueueError::Mismatch("x-delivery-limit".to_owned())), (13, "QueueMismatch"));
        assert_eq!(of(QueueError::Unreachable("refused".to_owned())), (13, "QueueUnreachable"));
    }

    #[test]
    fn a_bot_that_was_drained_has_nothing_to_complain_of() {
        let drained = Ending::of_bot(BotExit::Drained, Some("an old trouble"), 7);
        assert_eq!(drained, Ending { stored: Some(7), ..Ending::drained() });
        let broken = Ending::of_bot(BotExit::BrowserNotRebuilt, Some("no Chrome"), 0);
        assert_eq!((broken.code, broken.message.as_deref()), (10, Some("no Chrome")));
        let recycled = Ending::of_bot(BotExit::Recycled, Some("an old trouble"), 0);
        assert_eq!((recycled.code, recycled.reason, recycled.message), (16, "Recycled", None));
    }

    #[test]
    fn every_end_of_a_bot_has_its_word() {
        for exit in [
            BotExit::Drained,
            BotExit::BrowserNotRebuilt,
            BotExit::Released,
            BotExit::SiteUnavailable,
            BotExit::QueueUnreachable,
            BotExit::Recycled,
            BotExit::NoProgress,
        ] {
            assert_eq!(Ending::of_bot(exit, None, 0).reason, format!("{exit:?}"));
        }
        let stuck = Ending::of_standstill("the runtime: nothing has moved for 3.2s");
        assert_eq!((stuck.code, stuck.reason), (20, "NoProgress"));
        assert!(stuck.message.unwrap().contains("runtime"));
    }
}
