//! Logs of real battles, as the server shows them to everybody.

/// A rated battle that was fought to its end.
pub(super) const RATED: &str = include_str!("../../tests/data/rated.log");
pub(super) const RATED_PLAYERS: [&str; 2] = ["Minsu 민수 1x1", "Zoe ♥ 1x0"];
pub(super) const RATED_WINNER: &str = "Minsu 민수 1x1";
pub(super) const RATED_TURNS: u32 = 29;

/// A rated battle that a player gave up in the first turn.
pub(super) const FORFEIT: &str = include_str!("../../tests/data/forfeit.log");
