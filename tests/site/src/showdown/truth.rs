//! What the server itself logged of a battle.

use serde::Deserialize;

/// A rated battle that ended, as the server logged it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GroundTruth {
    /// The room's id: `battle-FORMAT-N`, with a password behind it when the battle is private.
    pub id: String,
    /// The format's id.
    pub format: String,
    /// The winner's name; none for a tie.
    pub winner: Option<String>,
    /// How many turns were begun.
    pub turns: u32,
    /// `normal`, `forfeit` or `forced`.
    pub end_type: String,
    /// The whole log as the server shows it to everybody, line by line, with what was said.
    pub log: Vec<String>,
}

impl GroundTruth {
    /// Whether the battle is private: never listed, never to be scraped.
    #[must_use]
    pub fn is_private(&self) -> bool {
        self.id.ends_with("pw")
    }

    /// The whole log as one text.
    #[must_use]
    pub fn text(&self) -> String {
        self.log.join("\n")
    }
}
