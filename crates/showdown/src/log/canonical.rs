//! What two takes of one battle have in common, whoever took them and when.

use super::Line;

/// The lines of a log that are the battle's own, in a form that does not depend on who took it.
///
/// Left out are comings and goings, chat, clocks and empty lines. The newer client writes `|done` for `|` and `||x`
/// for a line `x` without a bar in front; both are turned back. What was taken is stored as it is: this is only for
/// comparing and hashing.
pub fn canonical(log: &str) -> impl Iterator<Item = &str> {
    log.split('\n').map(wire_form).filter(|line| is_of_the_battle(line))
}

/// Turns back what the newer client rewrites.
fn wire_form(line: &str) -> &str {
    if line == "|done" {
        return "|";
    }
    match line.strip_prefix("||") {
        Some(text) if !text.starts_with('|') => text,
        _ => line,
    }
}

fn is_of_the_battle(text: &str) -> bool {
    let line = Line::of(text);
    match line.kind {
        "j" | "l" | "n" | "J" | "L" | "N" | "c" | "c:" | "chat" | "raw" | "uhtml" | "inactive"
        | "inactiveoff" | "t:" | ":" => false,
        // A player who leaves the room writes an empty name.
        "player" => !line.argument(1).is_empty(),
        _ => !text.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_battle_itself_stays() {
        let log = "|j|☆A\n|t:|1\n|player|p1|A|102|1000\n|player|p2|\n|player|p2\n|tier|x\n|\n\n|c|A|hi\n|c:|1|A|hi\n|inactive|x\n|raw|y\n|done\n||spoken\nspoken\n|||a|b\n|win|A\n|l|A";
        let lines: Vec<_> = canonical(log).collect();
        assert_eq!(
            lines,
            ["|player|p1|A|102|1000", "|tier|x", "|", "|", "spoken", "spoken", "|||a|b", "|win|A"]
        );
    }

    #[test]
    fn both_clients_give_the_same() {
        let older = "|start\n|\n\n|turn|1\nplain\n|win|A\n";
        let newer = "|start\n|done\n|turn|1\n||plain\n|win|A";
        assert!(canonical(older).eq(canonical(newer)));
    }
}
