//! Which site, and how to read it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::recipe::Recipe;

/// The site: a preset or a recipe of your own, and where it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SiteSpec {
    /// Where the site is, `http` or `https`; URLs of the recipe are resolved against it. A preset has one of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// A recipe that comes with the product. Exactly one of `preset` and `recipe` is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<Preset>,
    /// A recipe of your own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipe: Option<Recipe>,
}

/// Recipes that come with the product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// Pokémon Showdown battles.
    Showdown,
}
