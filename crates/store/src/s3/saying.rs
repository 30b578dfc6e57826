//! What others say, made fit for an error of ours: short, on one line, without secrets.

/// The longest quotation, in characters.
const MAX_QUOTATION: usize = 300;

/// The longest word; a session token is longer, the name of a role or of a bucket's object rarely is.
const MAX_WORD: usize = 160;

/// Texts that must never be quoted.
#[derive(Clone, Default)]
pub(super) struct Secrets(Vec<String>);

impl Secrets {
    pub(super) fn new(secrets: impl IntoIterator<Item = String>) -> Self {
        Self(secrets.into_iter().filter(|secret| !secret.is_empty()).collect())
    }

    /// `text` as it may be quoted: secrets replaced, words that may be secrets cut, everything on one line.
    pub(super) fn quote(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.0 {
            text = text.replace(secret, "***");
        }
        let words: Vec<_> = text.split_whitespace().map(word).collect();
        cut(&words.join(" "), MAX_QUOTATION)
    }
}

fn word(word: &str) -> String {
    let visible: String = word.chars().filter(|character| !character.is_control()).collect();
    if visible.chars().count() > MAX_WORD { cut(&visible, 20) } else { visible }
}

fn cut(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_long_words_and_line_ends_are_not_quoted() {
        let secrets = Secrets::new(["AKID".to_owned(), String::new(), "token".to_owned()]);
        assert_eq!(secrets.quote("no key AKID,\r\n  token=token\u{7} "), "no key ***, ***=***");
        let long = "x".repeat(161);
        assert_eq!(secrets.quote(&format!("the {long} end")), format!("the {}… end", &long[..20]));
        assert_eq!(secrets.quote(&"word ".repeat(1_000)).chars().count(), MAX_QUOTATION + 1);
    }
}
