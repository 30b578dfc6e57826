//! One signal of health at one moment.

use std::{
    collections::BTreeMap,
    fmt::{self, Display},
    sync::{Arc, Mutex},
};

use serde::Serialize;

use super::lock;
use crate::escape;

/// The longest reason that is shown, in bytes; reasons may quote pages.
const LONGEST_REASON: usize = 1024;

/// One signal of health: well when each of its parts is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether every part is well.
    pub ok: bool,
    /// The parts by name.
    pub parts: BTreeMap<String, Condition>,
}

/// How one part is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Condition {
    /// Whether it is well.
    pub ok: bool,
    /// Why it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Condition {
    /// Unwell for a reason, well without.
    pub(super) fn because(reason: Option<String>) -> Self {
        Self { ok: reason.is_none(), reason }
    }
}

impl Report {
    pub(super) fn of<T>(
        parts: &BTreeMap<String, Arc<Mutex<T>>>,
        condition: impl Fn(&T) -> Condition,
    ) -> Self {
        let parts: BTreeMap<_, _> =
            parts.iter().map(|(name, part)| (name.clone(), condition(&lock(part)))).collect();
        Self { ok: parts.values().all(|part| part.ok), parts }
    }
}

/// One line for each part and one for the whole, as Kubernetes's own probes answer.
impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, part) in &self.parts {
            match &part.reason {
                None => writeln!(f, "[+]{} ok", escape(name))?,
                Some(reason) => {
                    let shown = &reason[..reason.floor_char_boundary(LONGEST_REASON)];
                    writeln!(f, "[-]{} failed: {}", escape(name), escape(shown))?;
                }
            }
        }
        writeln!(f, "{}", if self.ok { "ok" } else { "failed" })
    }
}
