//! The preset `showdown`.

use std::sync::Arc;

use scrapefleet_api::{inspect::Inspect, recipe::Recipe};

use crate::log::BattleLogs;

/// Where Pokémon Showdown is.
pub const DEFAULT_URL: &str = "https://play.pokemonshowdown.com";

const RECIPE: &str = include_str!("../recipe.yaml");

/// The recipe, the judge of its artifacts, and the site's address when a manifest names no other.
///
/// # Panics
/// Never: the recipe is a file of this crate, and a test reads it.
#[must_use]
#[expect(clippy::expect_used, reason = "cannot fail: the recipe is a file of this crate and a test reads it")]
pub fn preset() -> (Recipe, Arc<dyn Inspect>, &'static str) {
    let recipe = serde_yaml_ng::from_str(RECIPE).expect("the recipe of this crate is a recipe");
    (recipe, Arc::new(BattleLogs), DEFAULT_URL)
}

#[cfg(test)]
mod tests {
    use scrapefleet_api::recipe::Mode;

    use super::*;

    #[test]
    fn recipe_is_read_whole() {
        let (recipe, _, url) = preset();
        assert_eq!(recipe.mode, Mode::InPage);
        assert_eq!(recipe.list.window, Some(100));
        assert!(url.starts_with("https://"));
        // What was read, written again, is what stands in the file: no field is misspelt and silently left out.
        let file: serde_json::Value = serde_yaml_ng::from_str(RECIPE).expect("YAML");
        let read = serde_json::to_value(&recipe).expect("JSON");
        assert_is_part(&file, &read, "recipe");
    }

    fn assert_is_part(part: &serde_json::Value, whole: &serde_json::Value, path: &str) {
        match part {
            serde_json::Value::Object(fields) => {
                for (name, value) in fields {
                    assert!(whole.get(name).is_some(), "{path}.{name} is not a field");
                    assert_is_part(value, &whole[name], &format!("{path}.{name}"));
                }
            }
            serde_json::Value::Array(values) => {
                for (i, value) in values.iter().enumerate() {
                    assert_is_part(value, &whole[i], &format!("{path}[{i}]"));
                }
            }
            _ => assert_eq!(part, whole, "{path}"),
        }
    }

    #[test]
    fn recipe_never_uploads() {
        for word in ["saveReplay", "savereplay", "uploadreplay"] {
            assert!(!RECIPE.contains(word), "the recipe mentions {word}");
        }
    }
}
