//! Text from pages made harmless for logs, terminals and probes.

use std::{borrow::Cow, fmt::Write};

/// `text` with every character that could start a new line, drive a terminal or reorder what is shown written as an
/// escape: `\n`, `\r`, `\t`, else `\u001b`. The escapes are those of JSON, so JSON text stays JSON.
#[must_use]
pub fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(is_harmful) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        push_escaped(&mut escaped, character);
    }
    Cow::Owned(escaped)
}

fn push_escaped(escaped: &mut String, character: char) {
    match character {
        '\n' => escaped.push_str("\\n"),
        '\r' => escaped.push_str("\\r"),
        '\t' => escaped.push_str("\\t"),
        harmful if is_harmful(harmful) => {
            // cannot fail: writing to a string
            let _ = write!(escaped, "\\u{:04x}", u32::from(harmful));
        }
        harmless => escaped.push(harmless),
    }
}

/// Control characters (C0, DEL, C1), line and paragraph separators, and the marks that change the direction of text.
fn is_harmful(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn harmless_text_is_left_alone() {
        for text in ["", "battle-gen9ou-1", "Pokémon ポケモン 🐉", "back\\slash \"quoted\""] {
            assert!(matches!(escape(text), Cow::Borrowed(same) if same == text), "{text}");
        }
    }

    #[test]
    fn harmful_characters_are_written_out() {
        let cases = [
            ("a\nb", "a\\nb"),
            ("a\r\n\tb", "a\\r\\n\\tb"),
            ("\u{1b}[31mred", "\\u001b[31mred"),
            ("\u{9b}31m", "\\u009b31m"),
            ("\u{7f}\0", "\\u007f\\u0000"),
            ("a\u{2028}b\u{85}c", "a\\u2028b\\u0085c"),
            ("\u{202e}txt.exe\u{2066}", "\\u202etxt.exe\\u2066"),
        ];
        for (text, escaped) in cases {
            assert_eq!(escape(text), escaped, "{text:?}");
        }
    }

    #[test]
    fn escaped_json_means_the_same() {
        let value = serde_json::json!("\u{9b}31m\u{2028}\u{202e}\u{7f}");
        let text = value.to_string();
        let escaped = escape(&text);
        assert_ne!(escaped, text);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&escaped).unwrap(), value);
    }
}
