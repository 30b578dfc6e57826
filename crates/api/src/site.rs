//! Which site, and how to read it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{recipe::Recipe, schema::rule};

/// The site: a preset or a recipe of your own, and where it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    rule(
        "has(self.preset) != has(self.recipe)",
        "exactly one of `preset` (a recipe that comes with the product) and `recipe` (one of your own)",
    ),
    rule("!has(self.recipe) || has(self.url)", "`url` beside a recipe of your own: add the site's `http` or `https` address")
        .field_path(".url"),
]))]
pub struct SiteSpec {
    /// Where the site is, `http` or `https`; URLs of the recipe are resolved against it. A preset has one of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 8, max = 2048),
        regex(pattern = HTTP_URL),
        extend("x-kubernetes-validations" = [
            rule("isURL(self)", "a URL such as `https://example.org/`"),
            rule(NO_CREDENTIALS.0, NO_CREDENTIALS.1),
        ])
    )]
    pub url: Option<String>,
    /// A recipe that comes with the product. Exactly one of `preset` and `recipe` is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<Preset>,
    /// A recipe of your own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipe: Option<Recipe>,
}

/// The rule of every URL in a manifest, and what it allows.
pub(crate) const NO_CREDENTIALS: (&str, &str) = (
    "!self.matches('^[a-z]+://[^/?#]*@')",
    "a URL without user name and password: they would be seen by everyone who can read the manifest",
);

/// The pattern of a site's URL.
pub(crate) const HTTP_URL: &str = "^https?://[^/?#\\s]+([/?#]\\S*)?$";

/// Recipes that come with the product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// Pokémon Showdown battles.
    Showdown,
}

impl Preset {
    /// The named groups of the preset's `idPattern`, which a store's key may use; so that a key is checked where the recipe itself is not at hand.
    #[must_use]
    pub fn groups(self) -> &'static [&'static str] {
        match self {
            Self::Showdown => &["format"],
        }
    }
}
