//! Recipes: how to read a site, as data.
//!
//! A recipe names a list that shows items, how an item is opened and held, how one sees that it has ended or is
//! gone, and what to take from it. Selectors and patterns come first; a small in-page script is there where a
//! site needs one. In-page scripts are bodies of (possibly async) functions; `{id}` placeholders are only for
//! selectors and URLs, scripts get ids as arguments.

use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Period, pattern,
    schema::{between, rule},
};

/// How to read a site.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    rule("self.mode != 'inPage' || has(self.page)", "`page` with mode `inPage`: say which page the items share")
        .field_path(".page"),
    rule(
        "self.mode != 'inPage' || (has(self.item.enter) && has(self.item.leave))",
        "`enter` and `leave` with mode `inPage`: say how an item is opened and left inside the page",
    ).field_path(".item"),
    rule(
        "self.mode != 'inPage' || has(self.item.root) || has(self.item.openWhen)",
        "`root` or `openWhen` with mode `inPage`: say how one sees that an item is open",
    ).field_path(".item"),
    rule(
        "self.mode != 'inPage' || !has(self.item.root) || self.item.root.contains('{id}')",
        "a selector with `{id}` with mode `inPage`, where many items share the page",
    ).field_path(".item.root"),
    rule("self.mode != 'tab' || !has(self.page)", "no `page` with mode `tab`, where every item has a page of its own")
        .field_path(".page"),
    rule(
        "self.mode != 'tab' || (!has(self.item.enter) && !has(self.item.leave))",
        "neither `enter` nor `leave` with mode `tab`, where `url` opens an item and closing its tab leaves it",
    ).field_path(".item"),
]))]
pub struct Recipe {
    /// Whether items share one page or have a tab each.
    pub mode: Mode,
    /// The list that shows items.
    pub list: ListRecipe,
    /// The page that `inPage` items share; required in that mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<PageRecipe>,
    /// How one item is opened, watched and taken.
    pub item: ItemRecipe,
    /// Run in every new document before the site's own scripts, for preferences such as "no animations".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16_384))]
    pub init_script: Option<String>,
    /// Signs that the site as a whole cannot be used now (login wall, ban, overload page): opening pauses.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub unavailable_when: Vec<Condition>,
    /// Signs that the site drops what is asked too fast: the pace goes down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttled_when: Option<Condition>,
}

impl Recipe {
    /// The compiled `completeWhen`. One that does not compile, which no recipe that was checked has, never matches:
    /// an artifact is then stored as partial rather than taken for complete.
    #[must_use]
    pub fn complete_patterns(&self) -> Vec<Regex> {
        self.item
            .complete_when
            .iter()
            .map(|text| pattern::compile(text).unwrap_or_else(|_| pattern::never()))
            .collect()
    }
}

/// Where held items live in the browser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Mode {
    /// Many items inside one page (a single-page application).
    #[serde(rename = "inPage")]
    InPage,
    /// One tab an item.
    #[serde(rename = "tab")]
    Tab,
}

/// The list that shows items.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListRecipe {
    /// Path or URL of the list, resolved against `site.url`.
    #[schemars(length(min = 1, max = 2048))]
    pub url: String,
    /// Selects one element an item, in the order shown.
    #[schemars(length(min = 1, max = 1024))]
    pub item: String,
    /// The attribute of that element that holds the id.
    #[serde(default = "default_attribute")]
    #[schemars(length(min = 1, max = 128), regex(pattern = ATTRIBUTE))]
    pub attribute: String,
    /// Regular expression on that attribute's value; the group `id` is the item's id. Named groups inside it can be
    /// used in the item's URL and in the store's key template; they are read again from the id alone, so they must
    /// lie inside `(?<id>...)` and always take part in a match.
    #[schemars(length(min = 1, max = 512))]
    pub id_pattern: String,
    /// How many items the list shows at most; a full window that does not overlap the one before means that items may have been missed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub window: Option<i32>,
    /// How the list is asked for its newest state.
    #[serde(default)]
    pub refresh: Refresh,
    /// Present when the list is healthy though it shows no item. Without it an empty list is accepted as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub empty_when: Option<Condition>,
    /// Signs that the list page is broken (a modal, "you are offline") and must be loaded anew.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub broken_when: Vec<Condition>,
}

/// How the list is asked for its newest state. Exactly one field is set; the default is `reload: true`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    rule("self.reload != has(self.click)", "exactly one of `reload: true` and `click`"),
    rule("!has(self.answered) || has(self.click)", "`answered` only beside `click`: a reload is its own answer")
        .field_path(".answered"),
]))]
pub struct Refresh {
    /// Load the page again.
    #[serde(default)]
    pub reload: bool,
    /// Click this element, then wait for the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub click: Option<String>,
    /// Script that returns a token (number or text) that changes with every answer to a click. Without it, a change of the list's DOM is the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16_384))]
    pub answered: Option<String>,
}

impl Default for Refresh {
    fn default() -> Self {
        Self { reload: true, click: None, answered: None }
    }
}

/// The page that `inPage` items share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PageRecipe {
    /// Path or URL of the page, resolved against `site.url`.
    #[schemars(length(min = 1, max = 2048))]
    pub url: String,
    /// The page can take items when this holds.
    pub ready_when: Condition,
    /// The page has lost its connection to the site when any of these holds. The same goes for tabs of single items beside it.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub disconnected_when: Vec<Condition>,
    /// How long the page is given to reconnect by itself before it is loaded anew, and an item's own tab before that item is opened again. Zero: it never does.
    #[serde(default = "zero")]
    #[schemars(extend("x-kubernetes-validations" = [between("0s", "10m")]))]
    pub reconnects_within: Period,
    /// Only a page of which this holds is given that time. Without it every page is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reconnects_when: Option<Condition>,
}

/// How one item is opened, watched and taken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ItemRecipe {
    /// Path or URL of the item, resolved against `site.url`; `{id}` and the named groups of `idPattern` are filled in. In `tab` mode it is what is opened; in `inPage` mode it is the fallback.
    #[schemars(length(min = 1, max = 2048))]
    pub url: String,
    /// `inPage` only: script that opens the item `arguments[0]` inside the page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16_384))]
    pub enter: Option<String>,
    /// `inPage` only: script that leaves the item `arguments[0]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16_384))]
    pub leave: Option<String>,
    /// Selector of the element that holds the item, with `{id}`; conditions and takes look inside it. Without it: the whole document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub root: Option<String>,
    /// The item is open when this holds. Without it: when `root` is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_when: Option<Condition>,
    /// The item has ended when this holds.
    pub done_when: Condition,
    /// The site no longer has the item when any of these holds; the text found is kept as the proof.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub gone_when: Vec<Condition>,
    /// Script that returns a number or text that changes whenever the item moves, for the progress watchdog.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16_384))]
    pub progress: Option<String>,
    /// What to take from an ended item: ways in order, the next is the fallback of the one before.
    #[schemars(length(min = 1, max = 8))]
    pub take: Vec<Take>,
    /// The artifact's content type.
    #[serde(default = "default_content_type")]
    #[schemars(length(min = 3, max = 128), regex(pattern = CONTENT_TYPE))]
    pub content_type: String,
    /// Regular expressions that must all match the artifact; one that does not is waited for, then the artifact is stored as partial.
    #[serde(default)]
    #[schemars(length(max = 16), inner(length(min = 1, max = 512)))]
    pub complete_when: Vec<String>,
}

/// Something that can be seen in a page. Exactly one of `selector` and `script` is set.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    rule("has(self.selector) != has(self.script)", "exactly one of `selector` and `script`"),
    rule("!has(self.text) || has(self.selector)", "`text` only beside `selector`: it is looked for inside that element")
        .field_path(".text"),
]))]
pub struct Condition {
    /// An element that this selects is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub selector: Option<String>,
    /// ... and its text contains this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub text: Option<String>,
    /// Script that returns a truthy value; a text it returns is kept as the proof. An item's id is `arguments[0]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16_384))]
    pub script: Option<String>,
}

/// One way to take an artifact. Exactly one field is set.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    rule(
        "[has(self.html), has(self.text), has(self.attribute), has(self.script), has(self.download)]\
         .filter(set, set).size() == 1",
        "exactly one of `html`, `text`, `attribute`, `script` and `download`; a fallback is a way of its own in the list",
    ),
]))]
pub struct Take {
    /// Outer HTML of the element this selects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub html: Option<String>,
    /// Text of the element this selects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub text: Option<String>,
    /// An attribute of an element.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attribute: Option<AttributeOf>,
    /// What a script returns for the item `arguments[0]`, as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16_384))]
    pub script: Option<String>,
    /// What the link this selects would download: a `data:` URL is decoded, another is fetched from inside the page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub download: Option<String>,
}

/// An attribute of an element.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AttributeOf {
    /// Selects the element.
    #[schemars(length(min = 1, max = 1024))]
    pub selector: String,
    /// The attribute's name.
    #[schemars(length(min = 1, max = 128), regex(pattern = ATTRIBUTE))]
    pub name: String,
}

/// The pattern of an attribute's name in HTML.
pub(crate) const ATTRIBUTE: &str = "^[^\\s\"'<>/=\\x00-\\x1f]+$";

/// The pattern of a content type: `type/subtype`, then perhaps parameters.
pub(crate) const CONTENT_TYPE: &str = "^[a-z0-9.+-]+/[a-z0-9.+-]+(; ?[a-z0-9-]+=[A-Za-z0-9._-]+)*$";

fn default_attribute() -> String {
    "href".to_owned()
}

fn default_content_type() -> String {
    "text/plain; charset=utf-8".to_owned()
}

fn zero() -> Period {
    Period::secs(0)
}
