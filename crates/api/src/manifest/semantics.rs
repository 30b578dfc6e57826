//! What neither the schema nor CEL can say: that expressions compile, that templates name groups that there are,
//! that URLs lead somewhere. The operator runs the same checks on what the API server let through.

use url::Url;

use super::Problem;
use crate::{
    ScrapeFleet,
    address::Addresses,
    id::excerpt,
    item::IdPattern,
    lane::LaneSpec,
    pattern,
    recipe::Recipe,
    site::SiteSpec,
    template::{self, Template},
};

/// What is wrong with a fleet beyond the rules of its schema. Holds on any fleet, whether or not those rules do.
#[must_use]
pub fn check(fleet: &ScrapeFleet) -> Vec<Problem> {
    let spec = &fleet.spec;
    let mut problems: Vec<Problem> =
        spec.lanes.iter().enumerate().filter_map(|(i, lane)| check_lane(i, lane)).collect();
    problems.extend(check_site(&spec.site));
    problems.extend(check_key(&spec.store.key, &groups(&spec.site)));
    problems
}

/// The same for a recipe that stands alone; paths begin inside it.
#[must_use]
pub fn check_recipe(recipe: &Recipe) -> Vec<Problem> {
    // The site is not known here: any will do to see whether the recipe's URLs can be resolved.
    Url::parse("https://site.invalid/").map_or_else(|_| Vec::new(), |site| check_recipe_at(&site, recipe))
}

fn check_lane(index: usize, lane: &LaneSpec) -> Option<Problem> {
    let error = pattern::compile(lane.matches.as_deref()?).err()?;
    Some(Problem::new(format!("spec.lanes[{index}].match"), error, pattern::WORDS))
}

fn check_site(site: &SiteSpec) -> Vec<Problem> {
    let url = match site.url.as_deref().map(Url::parse) {
        Some(Ok(url)) => Some(url),
        Some(Err(error)) => {
            // The text itself may hold a password.
            return vec![Problem::new("spec.site.url", error, "a URL such as `https://example.org/`")];
        }
        None => None,
    };
    let problems = match (&site.recipe, url) {
        (Some(recipe), Some(url)) => check_recipe_at(&url, recipe),
        (Some(recipe), None) => check_recipe(recipe),
        (None, _) => Vec::new(),
    };
    problems.into_iter().map(|p| Problem { path: format!("spec.site.recipe.{}", p.path), ..p }).collect()
}

fn check_recipe_at(site: &Url, recipe: &Recipe) -> Vec<Problem> {
    let expressions = recipe.item.complete_when.iter().enumerate().filter_map(|(i, text)| {
        let error = pattern::compile(text).err()?;
        Some(Problem::new(format!("item.completeWhen[{i}]"), error, pattern::WORDS))
    });
    let mut problems: Vec<Problem> = expressions.collect();
    problems.extend(Addresses::new(site, recipe).err().unwrap_or_default());
    problems
}

/// The named groups that the site's recipe has; none where it cannot be told.
fn groups(site: &SiteSpec) -> Vec<String> {
    if let Some(recipe) = &site.recipe {
        return IdPattern::new(&recipe.list.id_pattern).map(|p| p.groups().to_vec()).unwrap_or_default();
    }
    site.preset.map(|preset| preset.groups().iter().map(|g| (*g).to_owned()).collect()).unwrap_or_default()
}

fn check_key(key: &str, groups: &[String]) -> Option<Problem> {
    let refuse = |found: String, allowed: &str| Some(Problem::new("spec.store.key", found, allowed));
    let template = match Template::new(key) {
        Ok(template) => template,
        Err(error) => return refuse(error.to_string(), template::WORDS),
    };
    let own = ["fleet", "id", "shard"];
    let known: Vec<&str> = own.into_iter().chain(groups.iter().map(String::as_str)).collect();
    if let Err(unknown) = template.names_only(&known) {
        let allowed = format!("{}, from the product and the groups of `idPattern`", unknown.known());
        return refuse(unknown.to_string(), &allowed);
    }
    if key.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return refuse(excerpt(key), "parts between `/` that are neither empty nor `.` or `..`");
    }
    None
}
