//! Whether a log is whole.

use scrapefleet_api::inspect::Completeness;

use super::{End, Summary, summary::shortened};

/// Says whether a log is whole: both players, a tier, a start, turns without a hole, exactly one end after the last
/// turn, and for a rated battle the rating lines that come just after the end. Only those are worth waiting for.
#[must_use]
pub fn completeness(log: &str) -> Completeness {
    let summary = Summary::of(log);
    match defect(&summary) {
        Some(defect) => Completeness::Broken(defect),
        None => late(&summary).map_or(Completeness::Complete, Completeness::Late),
    }
}

fn defect(summary: &Summary) -> Option<String> {
    if let Some(fault) = &summary.fault {
        return Some(fault.clone());
    }
    let [first, second, ..] = &summary.players;
    if first.is_none() || second.is_none() {
        return Some("a player is missing".to_owned());
    }
    if summary.tier.is_none() {
        return Some("the tier is missing".to_owned());
    }
    match &summary.end {
        None => return Some(format!("there is no end after turn {}", summary.turns)),
        Some(End::Win(name)) if !is_side(summary, name) => {
            return Some(format!("the winner `{}` is none of the players", shortened(name)));
        }
        Some(_) => {}
    }
    // Who gives up in the team preview ends a battle that never started.
    (!summary.started && summary.forfeit.is_none()).then(|| "there is no start".to_owned())
}

/// A side is a player, or two who play together.
fn is_side(summary: &Summary, winner: &str) -> bool {
    let same = |a: &str, b: &str| a == b || (!id(a).is_empty() && id(a) == id(b));
    summary.names().any(|name| same(name, winner))
        || winner.split_once(" & ").is_some_and(|(a, b)| {
            summary.names().any(|name| same(name, a)) && summary.names().any(|name| same(name, b))
        })
}

/// What stays of a name when marks, spaces and case are taken away, as the site itself compares names.
fn id(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// Ladder battles are rated without a message, and both ratings are told once the ladder knows them.
fn late(summary: &Summary) -> Option<String> {
    if summary.rated.as_deref() != Some("") {
        return None;
    }
    match summary.ratings.as_slice() {
        [first, others @ ..] if others.iter().any(|other| other.name != first.name) => None,
        [_, ..] => Some("one of two rating lines is missing".to_owned()),
        [] => Some("the rating lines are missing".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{FORFEIT, RATED};
    use super::*;

    const HEAD: &str = "|player|p1|Ann|1\n|player|p2|Bob|2\n|tier|OU\n";

    #[test]
    fn real_logs_are_complete() {
        assert_eq!(completeness(RATED), Completeness::Complete);
        assert_eq!(completeness(FORFEIT), Completeness::Complete);
    }

    #[test]
    fn no_part_of_a_complete_log_is_complete() {
        for log in [RATED, FORFEIT] {
            let whole = log.trim_end();
            for (end, _) in whole.char_indices().skip(1) {
                // The reason behind the last rating is not part of the battle.
                if whole[..end].ends_with("</strong>") && whole[end..].starts_with("<br />") {
                    continue;
                }
                assert_ne!(completeness(&whole[..end]), Completeness::Complete, "cut at byte {end}");
            }
        }
    }

    #[test]
    fn log_without_a_line_that_counts_is_not_complete() {
        let lines: Vec<_> = RATED.lines().collect();
        let last_turn = lines.iter().rposition(|line| line.starts_with("|turn|"));
        for i in 0..lines.len() {
            let counts = ["|player|", "|tier|", "|start", "|turn|", "|win|"]
                .iter()
                .any(|kind| lines[i].starts_with(kind))
                || lines[i].contains("'s rating: ");
            // Without its last turn a log is that of a battle one turn shorter.
            if counts && Some(i) != last_turn {
                let rest = [&lines[..i], &lines[i + 1..]].concat().join("\n");
                assert_ne!(completeness(&rest), Completeness::Complete, "without {}", lines[i]);
            }
        }
    }

    #[test]
    fn defects_are_named() {
        let cases = [
            ("|start\n|turn|1\n", "there is no end after turn 1"),
            ("|start\n|turn|1\n|win|Eve", "the winner `Eve` is none of the players"),
            ("|start\n|turn|1\n|win|An", "the winner `An` is none of the players"),
            ("|turn|1\n|win|Ann", "there is no start"),
            ("|start\n|turn|2\n|win|Ann", "turn 2 comes where turn 1 belongs"),
            ("|start\n|turn|1\n|bigerror|x", "the simulator crashed: x"),
        ];
        for (tail, defect) in cases {
            assert_eq!(completeness(&format!("{HEAD}{tail}")), Completeness::Broken(defect.into()), "{tail}");
        }
        assert_eq!(completeness("|player|p1|Ann\n|tie"), Completeness::Broken("a player is missing".into()));
        assert_eq!(
            completeness("|player|p1|Ann\n|player|p2|Bob\n|start\n|tie"),
            Completeness::Broken("the tier is missing".into())
        );
    }

    #[test]
    fn every_kind_of_end_is_an_end() {
        let ends = [
            "|start\n|turn|1\n|tie",
            "|start\n|turn|1\n|win|Bob",
            "|start\n|turn|1\n|-message|Ann lost due to inactivity.\n|win|Bob",
            "|teampreview\n|-message|Ann forfeited.\n|win|Bob",
            "|start\n|turn|1\n|player|p2|\n|player|p2|☆Bobby|2\n|win|Bobby",
            "|player|p3|Cid\n|player|p4|Dan\n|start\n|turn|1\n|win|Ann & Cid",
            "|rated|Tournament battle\n|start\n|turn|1\n|win|Bob",
        ];
        for end in ends {
            assert_eq!(completeness(&format!("{HEAD}{end}")), Completeness::Complete, "{end}");
        }
    }

    #[test]
    fn only_ratings_are_waited_for() {
        let rated = format!("{HEAD}|rated|\n|start\n|turn|1\n|win|Ann");
        let rating = |name| format!("\n|raw|{name}'s rating: 1000 &rarr; <strong>1020</strong>");
        assert_eq!(completeness(&rated), Completeness::Late("the rating lines are missing".into()));
        let one = format!("{rated}{}", rating("Ann"));
        assert_eq!(completeness(&one), Completeness::Late("one of two rating lines is missing".into()));
        assert_eq!(
            completeness(&format!("{one}{}", rating("Ann"))),
            completeness(&one),
            "the same twice is one"
        );
        assert_eq!(completeness(&format!("{one}{}", rating("Bob"))), Completeness::Complete);
    }
}
