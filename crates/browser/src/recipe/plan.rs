//! A recipe made ready for pages: its scripts put together once, everything else as plain data.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use scrapefleet_api::recipe::{Condition, ItemRecipe, ListRecipe, Mode, PageRecipe, Recipe, Take};
use serde::Serialize;
use serde_json::{Value, json};

use super::outage::Outage;

/// What is done inside pages.
const PAGE: &str = include_str!("../page.js");

/// What runs in every document first.
const PRELUDE: &str = include_str!("../prelude.js");

/// A recipe made ready for pages.
#[derive(Debug)]
pub(super) struct Plan {
    /// Whether items share a page.
    pub(super) shares: bool,
    /// The script of every call; its one argument says what to do.
    pub(super) script: String,
    /// What runs in every document before the site's own scripts.
    pub(super) prelude: Vec<String>,
    /// How long a page is given to reconnect by itself.
    reconnects_within: Duration,
    /// A condition of the shared page.
    pub(super) ready: Option<Sign>,
    /// Conditions of the shared page, and of tabs beside it: they show the same application.
    pub(super) disconnected: Vec<Sign>,
    pub(super) reconnects: Option<Sign>,
    /// Conditions of every page.
    pub(super) unavailable: Vec<Sign>,
    pub(super) throttled: Option<Sign>,
    pub(super) list: ListPlan,
    item: ItemPlan,
    scripts: Scripts,
}

/// A condition: a script goes by its name.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Sign {
    #[serde(skip_serializing_if = "Option::is_none")]
    selector: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    script: Option<String>,
}

impl Sign {
    /// What is looked for, for errors.
    pub(super) fn name(&self) -> &str {
        self.selector.as_deref().or(self.script.as_deref()).unwrap_or_default()
    }
}

#[derive(Debug, Serialize)]
struct ItemPlan {
    shared: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    root: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    enter: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    leave: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    open: Option<Sign>,
    done: Sign,
    gone: Vec<Sign>,
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<String>,
    #[serde(skip)]
    ways: Value,
}

/// The list's part of an order.
#[derive(Debug, Serialize)]
pub(super) struct ListPlan {
    pub(super) item: String,
    pub(super) attribute: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) click: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answered: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    empty: Option<Sign>,
    broken: Vec<Sign>,
}

/// The recipe's scripts, by name.
#[derive(Debug, Default)]
struct Scripts(BTreeMap<String, String>);

impl Scripts {
    fn name(&mut self, name: &str, body: Option<&String>) -> Option<String> {
        self.0.insert(name.to_owned(), body?.clone());
        Some(name.to_owned())
    }

    fn sign(&mut self, name: &str, condition: &Condition) -> Sign {
        Sign {
            selector: condition.selector.clone(),
            text: condition.text.clone(),
            script: self.name(name, condition.script.as_ref()),
        }
    }

    fn signs(&mut self, name: &str, conditions: &[Condition]) -> Vec<Sign> {
        conditions
            .iter()
            .enumerate()
            .map(|(n, condition)| self.sign(&format!("{name}[{n}]"), condition))
            .collect()
    }

    /// The scripts as functions, then what is done in pages. Each body was checked to be one before this is run.
    fn text(&self) -> String {
        let mut text = "\"use strict\";\nconst scripts = {\n".to_owned();
        for (name, body) in &self.0 {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{}: async function () {{\n{body}\n}},", json!(name));
        }
        text + "};\n" + PAGE
    }
}

impl Plan {
    /// That of a page which has its connection.
    pub(super) fn outage(&self) -> Outage {
        Outage::new(self.reconnects_within)
    }

    pub(super) fn new(recipe: &Recipe) -> Self {
        let mut scripts = Scripts::default();
        let shares = recipe.mode == Mode::InPage;
        let page = recipe.page.as_ref();
        Self {
            shares,
            prelude: [PRELUDE.to_owned()].into_iter().chain(recipe.init_script.clone()).collect(),
            reconnects_within: page.map(|page| page.reconnects_within.get()).unwrap_or_default(),
            ready: page.map(|page| scripts.sign("page.readyWhen", &page.ready_when)),
            disconnected: disconnected(&mut scripts, page),
            reconnects: page
                .and_then(|page| Some(scripts.sign("page.reconnectsWhen", page.reconnects_when.as_ref()?))),
            unavailable: scripts.signs("unavailableWhen", &recipe.unavailable_when),
            throttled: recipe.throttled_when.as_ref().map(|sign| scripts.sign("throttledWhen", sign)),
            list: list(&mut scripts, &recipe.list),
            item: item(&mut scripts, &recipe.item, shares),
            script: scripts.text(),
            scripts,
        }
    }

    /// The order that checks scripts and selectors.
    pub(super) fn check(&self, recipe: &Recipe) -> Value {
        let init = recipe.init_script.iter().map(|script| ("initScript".to_owned(), script.clone()));
        let scripts: BTreeMap<_, _> = self.scripts.0.clone().into_iter().chain(init).collect();
        json!({ "task": "check", "scripts": scripts, "selectors": selectors(recipe) })
    }

    /// How an item is looked at: in the shared page, or in a page of its own.
    pub(super) fn item(&self, id: &str, shared: bool) -> Value {
        let mut item = json!(self.item);
        item["id"] = json!(id);
        item["shared"] = json!(shared);
        item
    }

    /// What is looked for to see that an item is open, for errors.
    pub(super) fn open_sign(&self, id: &str) -> Option<String> {
        let sign = self.item.open.as_ref().map(Sign::name).or(self.item.root.as_deref())?;
        Some(sign.replace("{id}", id))
    }

    /// The ways to take an artifact.
    pub(super) fn ways(&self) -> &Value {
        &self.item.ways
    }
}

fn disconnected(scripts: &mut Scripts, page: Option<&PageRecipe>) -> Vec<Sign> {
    page.map(|page| scripts.signs("page.disconnectedWhen", &page.disconnected_when)).unwrap_or_default()
}

fn list(scripts: &mut Scripts, list: &ListRecipe) -> ListPlan {
    ListPlan {
        item: list.item.clone(),
        attribute: list.attribute.clone(),
        click: list.refresh.click.clone(),
        answered: scripts.name("list.refresh.answered", list.refresh.answered.as_ref()),
        empty: list.empty_when.as_ref().map(|sign| scripts.sign("list.emptyWhen", sign)),
        broken: scripts.signs("list.brokenWhen", &list.broken_when),
    }
}

fn item(scripts: &mut Scripts, item: &ItemRecipe, shared: bool) -> ItemPlan {
    ItemPlan {
        shared,
        root: item.root.clone(),
        enter: scripts.name("item.enter", item.enter.as_ref()),
        leave: scripts.name("item.leave", item.leave.as_ref()),
        open: item.open_when.as_ref().map(|sign| scripts.sign("item.openWhen", sign)),
        done: scripts.sign("item.doneWhen", &item.done_when),
        gone: scripts.signs("item.goneWhen", &item.gone_when),
        progress: scripts.name("item.progress", item.progress.as_ref()),
        ways: item.take.iter().enumerate().map(|(n, take)| way(scripts, n, take)).collect(),
    }
}

fn way(scripts: &mut Scripts, n: usize, take: &Take) -> Value {
    if let Some(selector) = &take.html {
        json!({ "html": selector })
    } else if let Some(selector) = &take.text {
        json!({ "text": selector })
    } else if let Some(attribute) = &take.attribute {
        json!({ "attribute": attribute.selector, "name": attribute.name })
    } else if let Some(selector) = &take.download {
        json!({ "download": selector })
    } else {
        json!({ "script": scripts.name(&format!("item.take[{n}]"), take.script.as_ref()) })
    }
}

/// Every selector of the recipe, by the name of its field.
fn selectors(recipe: &Recipe) -> BTreeMap<String, String> {
    let mut found: Vec<(String, Option<&String>)> = vec![
        ("list.item".into(), Some(&recipe.list.item)),
        ("list.refresh.click".into(), recipe.list.refresh.click.as_ref()),
        ("item.root".into(), recipe.item.root.as_ref()),
        ("item.doneWhen".into(), recipe.item.done_when.selector.as_ref()),
    ];
    let one =
        |name: &str, sign: Option<&'_ Condition>| (name.to_owned(), sign.and_then(|s| s.selector.clone()));
    let mut owned = vec![
        one("page.readyWhen", recipe.page.as_ref().map(|page| &page.ready_when)),
        one("page.reconnectsWhen", recipe.page.as_ref().and_then(|page| page.reconnects_when.as_ref())),
        one("item.openWhen", recipe.item.open_when.as_ref()),
        one("list.emptyWhen", recipe.list.empty_when.as_ref()),
        one("throttledWhen", recipe.throttled_when.as_ref()),
    ];
    let no_signs = Vec::new();
    let cut_off = recipe.page.as_ref().map_or(&no_signs, |page| &page.disconnected_when);
    for (name, signs) in [
        ("page.disconnectedWhen", cut_off),
        ("item.goneWhen", &recipe.item.gone_when),
        ("list.brokenWhen", &recipe.list.broken_when),
        ("unavailableWhen", &recipe.unavailable_when),
    ] {
        owned.extend(signs.iter().enumerate().map(|(n, sign)| one(&format!("{name}[{n}]"), Some(sign))));
    }
    for (n, take) in recipe.item.take.iter().enumerate() {
        let attribute = take.attribute.as_ref().map(|attribute| &attribute.selector);
        let selector = take.html.as_ref().or(take.text.as_ref()).or(attribute).or(take.download.as_ref());
        found.push((format!("item.take[{n}]"), selector));
    }
    let found = found.into_iter().map(|(name, selector)| (name, selector.cloned()));
    found.chain(owned).filter_map(|(name, selector)| Some((name, selector?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe() -> Recipe {
        serde_yaml(
            r##"{
              "mode": "inPage",
              "list": { "url": "/", "item": "a", "idPattern": "(?<id>.+)", "refresh": { "click": "button" } },
              "page": { "url": "/", "readyWhen": { "script": "return 1" }, "disconnectedWhen": [{ "selector": ".off" }] },
              "item": {
                "url": "/{id}", "root": "#r-{id}", "enter": "join(arguments[0]) // in", "leave": "x",
                "doneWhen": { "selector": ".done" }, "goneWhen": [{ "script": "return 0" }],
                "take": [{ "script": "return 'a'" }, { "attribute": { "selector": "b", "name": "c" } }]
              }
            }"##,
        )
    }

    fn serde_yaml(json: &str) -> Recipe {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn scripts_stand_once_under_the_name_of_their_field() {
        let plan = Plan::new(&recipe());
        let names: Vec<_> = plan.scripts.0.keys().map(String::as_str).collect();
        assert_eq!(names, ["item.enter", "item.goneWhen[0]", "item.leave", "item.take[0]", "page.readyWhen"]);
        assert!(plan.script.contains("\"item.enter\": async function () {\njoin(arguments[0]) // in\n},"));
        assert_eq!(plan.ways()[0], json!({ "script": "item.take[0]" }));
        assert_eq!(plan.ways()[1], json!({ "attribute": "b", "name": "c" }));
    }

    #[test]
    fn an_id_is_data_and_never_part_of_a_script() {
        let plan = Plan::new(&recipe());
        let hostile = "x;alert(1)//${}";
        assert_eq!(plan.item(hostile, true)["id"], hostile);
        assert!(!plan.script.contains(hostile));
        assert_eq!(plan.item("a", false)["shared"], json!(false));
        assert_eq!(plan.open_sign("7").as_deref(), Some("#r-7"));
    }

    #[test]
    fn every_selector_is_checked_under_the_name_of_its_field() {
        let order = Plan::new(&recipe()).check(&recipe());
        let names: Vec<_> = order["selectors"].as_object().unwrap().keys().collect();
        assert_eq!(
            names,
            [
                "item.doneWhen",
                "item.root",
                "item.take[1]",
                "list.item",
                "list.refresh.click",
                "page.disconnectedWhen[0]"
            ]
        );
    }
}
