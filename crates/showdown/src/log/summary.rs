//! What a log says of its battle.

use super::Line;

/// The most players of any format.
const SLOTS: usize = 4;
/// Rating changes beyond these are counted, not kept.
const RATINGS_KEPT: usize = 8;

/// What a log says of its battle. Texts are a stranger's and as long as the log has them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Players by slot, `p1` to `p4`. A name that is emptied later (the player left the room) stays.
    pub players: [Option<Player>; SLOTS],
    /// The format's name, as in `[Gen 9] Random Battle`.
    pub tier: Option<String>,
    /// The generation of the game.
    pub generation: Option<u8>,
    /// `singles`, `doubles`, `multi`, `freeforall` and so on.
    pub game_type: Option<String>,
    /// The message of a rated battle, mostly empty; none when it is not rated.
    pub rated: Option<String>,
    /// Whether the battle proper started (`|start`); not so when someone gave up in the team preview.
    pub started: bool,
    /// How many turns were begun.
    pub turns: u32,
    /// How it ended.
    pub end: Option<End>,
    /// First and last clock of the log, in Unix seconds.
    pub clock: Option<(i64, i64)>,
    /// Who gave up or lost by doing nothing, in the words of the log.
    pub forfeit: Option<String>,
    /// Changes of ratings that the log tells, in order; bounded.
    pub ratings: Vec<RatingChange>,
    /// The first thing that cannot be: a hole between turns, two ends, a turn after the end, a crash.
    pub fault: Option<String>,
}

/// A player.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Player {
    /// The name, without a mark of rank; the newest when it changed.
    pub name: String,
    /// The rating before the battle; the log tells it only of rated battles.
    pub rating: Option<u32>,
}

/// How a battle ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// Someone won; in a multi battle the names are joined by ` & `.
    Win(String),
    /// Nobody won.
    Tie,
}

/// A player's rating before and after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RatingChange {
    /// The player's name, as HTML.
    pub name: String,
    /// Before.
    pub before: u32,
    /// After.
    pub after: u32,
}

impl Summary {
    /// Reads a log in one pass. Every text is a log, maybe one with a fault.
    #[must_use]
    pub fn of(log: &str) -> Self {
        let mut summary = Self::default();
        for text in log.split('\n') {
            summary.read(text);
        }
        summary
    }

    /// Names of the players that are known, by slot.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.players.iter().flatten().map(|player| player.name.as_str())
    }

    /// The winner's name, when there is a winner.
    #[must_use]
    pub fn winner(&self) -> Option<&str> {
        match &self.end {
            Some(End::Win(name)) => Some(name),
            _ => None,
        }
    }

    fn read(&mut self, text: &str) {
        let line = Line::of(text);
        match line.kind {
            "player" => self.read_player(line),
            "t:" => self.read_clock(line),
            "tier" => self.tier = Some(line.rest.to_owned()),
            "gen" => self.generation = line.rest.parse().ok(),
            "gametype" => self.game_type = Some(line.rest.to_owned()),
            "rated" => self.rated = Some(line.rest.to_owned()),
            "start" => self.read_start(),
            "turn" => self.read_turn(line),
            "win" => self.read_end(End::Win(line.rest.to_owned())),
            // Not `|tier|`, and nothing behind it.
            "tie" if text == "|tie" => self.read_end(End::Tie),
            "-message" => self.read_message(line),
            "raw" => self.read_raw(line),
            "bigerror" => self.blame(|| format!("the simulator crashed: {}", shortened(line.rest))),
            _ => {}
        }
    }

    fn read_player(&mut self, line: Line<'_>) {
        let (slot, name, rating) = (line.argument(0), line.argument(1), line.argument(3).parse().ok());
        let number = slot.strip_prefix('p').and_then(|number| number.parse::<usize>().ok());
        let Some(player) = number.and_then(|number| self.players.get_mut(number.checked_sub(1)?)) else {
            return;
        };
        if name.is_empty() {
            return;
        }
        let rating = rating.or_else(|| player.as_ref().and_then(|player| player.rating));
        *player = Some(Player { name: without_rank(name).to_owned(), rating });
    }

    fn read_clock(&mut self, line: Line<'_>) {
        if let Ok(now) = line.rest.parse() {
            let first = self.clock.map_or(now, |(first, _)| first);
            self.clock = Some((first, now));
        }
    }

    fn read_start(&mut self) {
        if self.turns > 0 || self.started {
            self.blame(|| "it starts twice".to_owned());
        }
        self.started = true;
    }

    fn read_turn(&mut self, line: Line<'_>) {
        let expected = self.turns.saturating_add(1);
        if self.end.is_some() {
            self.blame(|| format!("turn {} comes after the end", shortened(line.rest)));
        } else if line.rest.parse() != Ok(expected) {
            self.blame(|| format!("turn {} comes where turn {expected} belongs", shortened(line.rest)));
        }
        self.turns = expected;
    }

    fn read_end(&mut self, end: End) {
        if self.end.is_some() {
            self.blame(|| "it ends twice".to_owned());
        }
        self.end = Some(end);
    }

    fn read_message(&mut self, line: Line<'_>) {
        if line.rest.ends_with(" forfeited.") || line.rest.ends_with(" lost due to inactivity.") {
            self.forfeit = Some(line.rest.to_owned());
        }
    }

    fn read_raw(&mut self, line: Line<'_>) {
        if let Some(change) = rating_change(line.rest)
            && self.ratings.len() < RATINGS_KEPT
        {
            self.ratings.push(change);
        }
    }

    /// Keeps the first fault only.
    fn blame(&mut self, fault: impl FnOnce() -> String) {
        if self.fault.is_none() {
            self.fault = Some(fault());
        }
    }
}

/// Reads `NAME's rating: 1111 &rarr; <strong>1148</strong><br />(+37 for winning)`; what is behind `</strong>` may be
/// missing, but must not be cut off.
fn rating_change(html: &str) -> Option<RatingChange> {
    let (name, rest) = html.split_once("'s rating: ")?;
    let (before, rest) = rest.split_once(" &rarr; <strong>")?;
    let (after, reason) = rest.split_once("</strong>")?;
    if !reason.is_empty() && !reason.ends_with(')') {
        return None;
    }
    Some(RatingChange { name: name.to_owned(), before: before.parse().ok()?, after: after.parse().ok()? })
}

/// Ranks are single symbols in front of a name, as in `☆Name`; names start with a letter or a digit.
fn without_rank(name: &str) -> &str {
    let bare = name.trim_start_matches(|c: char| !c.is_alphanumeric());
    if bare.is_empty() { name } else { bare }
}

pub(super) fn shortened(text: &str) -> String {
    text.chars().take(80).collect::<String>().escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use super::super::samples::RATED;
    use super::*;

    #[test]
    fn real_log_is_read() {
        let summary = Summary::of(RATED);
        assert_eq!(summary.fault, None);
        assert_eq!(summary.tier.as_deref(), Some("[Gen 9] Random Battle"));
        assert_eq!((summary.generation, summary.game_type.as_deref()), (Some(9), Some("singles")));
        assert_eq!((summary.rated.as_deref(), summary.started), (Some(""), true));
        assert_eq!(summary.names().collect::<Vec<_>>(), crate::log::samples::RATED_PLAYERS);
        assert_eq!(summary.winner(), Some(crate::log::samples::RATED_WINNER));
        assert_eq!(summary.turns, crate::log::samples::RATED_TURNS);
        assert_eq!(summary.ratings.len(), 2);
        assert!(summary.clock.is_some_and(|(first, last)| first > 1_700_000_000 && last >= first));
    }

    #[test]
    fn traps_are_known() {
        let summary = Summary::of(
            "|player|p1|☆Ann|1|1500\n|player|p1|\n|player|p1|★Anna|1\n|player|p9|X\n|player|p0|X\n|player|px|X\n|tier|tie",
        );
        assert_eq!(summary.players[0], Some(Player { name: "Anna".into(), rating: Some(1500) }));
        assert_eq!(summary.names().count(), 1);
        assert_eq!(summary.end, None, "`|tier|` is no `|tie`");
        assert_eq!(Summary::of("|tie").end, Some(End::Tie));
        assert_eq!(Summary::of("|tie|").end, None);
        assert_eq!(Summary::of("|c|A|\n|c|A||win|A").end, None, "chat is no message");
        assert_eq!(Summary::of("|-message|A forfeited.").forfeit.as_deref(), Some("A forfeited."));
        assert!(Summary::of("|-message|A lost due to inactivity.").forfeit.is_some());
    }

    #[test]
    fn faults_are_named() {
        let cases = [
            ("|turn|1\n|turn|3", "turn 3 comes where turn 2 belongs"),
            ("|turn|1\n|turn|1", "turn 1 comes where turn 2 belongs"),
            ("|turn|99999999999999999999", "turn 99999999999999999999 comes where turn 1 belongs"),
            ("|turn|1\n|win|A\n|turn|2", "turn 2 comes after the end"),
            ("|win|A\n|win|A", "it ends twice"),
            ("|tie\n|win|A", "it ends twice"),
            ("|start\n|start", "it starts twice"),
            ("|turn|1\n|start", "it starts twice"),
            ("|bigerror|boom\tx", "the simulator crashed: boom\\tx"),
        ];
        for (log, fault) in cases {
            assert_eq!(Summary::of(log).fault.as_deref(), Some(fault), "{log}");
        }
    }

    #[test]
    fn rating_changes_are_read_only_whole() {
        let line = "Zo's x's rating: 1000 &rarr; <strong>1051</strong><br />(+51 for winning)";
        assert_eq!(
            rating_change("A's rating: 1 &rarr; <strong>2</strong>").map(|c| (c.before, c.after)),
            Some((1, 2))
        );
        assert_eq!(
            rating_change(line),
            Some(RatingChange { name: "Zo's x".into(), before: 1000, after: 1051 })
        );
        let cut = line.len() - "<br />(+51 for winning)".len();
        for end in (0..line.len()).filter(|end| *end != cut) {
            assert_eq!(rating_change(&line[..end]), None, "{}", &line[..end]);
        }
    }
}
