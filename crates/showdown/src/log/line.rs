//! One line of a log.

/// A line, split at its bars as far as anyone asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// The kind of message: `turn` in `|turn|7`, empty in `|`. A line that does not start with a bar is text for
    /// the reader and has the empty kind, too.
    pub kind: &'a str,
    /// All behind the kind's second bar, bars included.
    pub rest: &'a str,
}

impl<'a> Line<'a> {
    /// Splits a line. Every text is a line.
    #[must_use]
    pub fn of(text: &'a str) -> Self {
        match text.strip_prefix('|') {
            None => Self { kind: "", rest: text },
            Some(message) => {
                let (kind, rest) = message.split_once('|').unwrap_or((message, ""));
                Self { kind, rest }
            }
        }
    }

    /// The arguments. There is always one, maybe empty.
    pub fn arguments(self) -> impl Iterator<Item = &'a str> {
        self.rest.split('|')
    }

    /// The argument at `index` from 0, empty when there are fewer.
    #[must_use]
    pub fn argument(self, index: usize) -> &'a str {
        self.arguments().nth(index).unwrap_or("")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_split_at_bars() {
        let cases = [
            ("|turn|7", "turn", "7"),
            ("|tie", "tie", ""),
            ("|tier|[Gen 9] OU", "tier", "[Gen 9] OU"),
            ("|", "", ""),
            ("", "", ""),
            ("||text", "", "text"),
            ("plain text|with a bar", "", "plain text|with a bar"),
            ("|c|☆A|one|two", "c", "☆A|one|two"),
        ];
        for (text, kind, rest) in cases {
            assert_eq!(Line::of(text), Line { kind, rest }, "{text}");
        }
        assert_eq!(Line::of("|player|p1|Zo|102|1000").argument(3), "1000");
        assert_eq!(Line::of("|player|p1").argument(3), "");
    }
}
