//! A list whose page has loaded and does not show what the recipe looks for: told while it is waited for.

use scrapefleet_api::site::SiteSpec;

use super::voices::slot;
use crate::{
    observe::shown,
    plan::{Awaited, ObservedPod, ReportedState, Role},
    status::View,
};

/// What the list does not show, and what to do about it.
pub(super) fn unseen(view: &View) -> Option<String> {
    let (pod, awaited) = waiting(view)?;
    let site = &view.situation.spec.site;
    let since = awaited.since.map(|since| format!(" since {since:.0}")).unwrap_or_default();
    let meanwhile = if the_one_before_goes_on(view) {
        "; until it is there the watcher of the manifest before goes on"
    } else {
        ""
    };
    Some(format!(
        "{} at {} ({}): {} {} waits for it{since}. {}; a site that is only slow mends this by itself{meanwhile}",
        lack(awaited),
        shown(&awaited.url),
        place(awaited, site),
        slot(pod),
        pod.name,
        advice(awaited, site),
    ))
}

/// The first watcher of the present manifest that says that it waits, while none of them reads the list. Those of another
/// manifest speak of that one.
fn waiting<'a>(view: &'a View) -> Option<(&'a ObservedPod, &'a Awaited)> {
    let present = |pod: &&ObservedPod| pod.revision == view.situation.revisions.watcher;
    let mut first = None;
    for pod in watchers(view).filter(present) {
        let Some(report) = pod.fresh_report(view.situation.now) else { continue };
        match &report.waiting {
            Some(awaited) => first = first.or(Some((pod, awaited))),
            None if reads(report.state) => return None,
            None => {}
        }
    }
    first
}

/// Whether a watcher of another manifest reads the list as it was told to.
fn the_one_before_goes_on(view: &View) -> bool {
    let before = |pod: &&ObservedPod| pod.revision != view.situation.revisions.watcher;
    let reads = |pod: &ObservedPod| pod.fresh_report(view.situation.now).is_some_and(|it| reads(it.state));
    watchers(view).filter(before).any(reads)
}

fn watchers<'a>(view: &'a View) -> impl Iterator<Item = &'a ObservedPod> {
    view.situation.pods.iter().filter(|pod| pod.role == Role::Watcher && pod.is_live())
}

fn reads(state: ReportedState) -> bool {
    matches!(state, ReportedState::Watching | ReportedState::Standby)
}

fn lack(awaited: &Awaited) -> String {
    let selector = shown(&awaited.selector);
    match awaited.field.as_str() {
        "list.item" => format!("the list shows nothing that `{selector}` selects"),
        "list.refresh.click" => format!("the list has nothing to click that `{selector}` selects"),
        "list.refresh.answered" => format!("the list does not answer a click on `{selector}`"),
        _ => format!("the list does not show `{selector}`"),
    }
}

/// Where the manifest says what is looked for.
fn place(awaited: &Awaited, site: &SiteSpec) -> String {
    if site.recipe.is_some() {
        format!("`spec.site.recipe.{}`", shown(&awaited.field))
    } else {
        format!("`{}` of the preset in `spec.site.preset`", shown(&awaited.field))
    }
}

fn advice(awaited: &Awaited, site: &SiteSpec) -> &'static str {
    let Some(recipe) = &site.recipe else {
        return "Does `spec.site.url` lead to another site, or has the site changed? A recipe of your own takes a preset's place";
    };
    match awaited.field.as_str() {
        "list.item" if recipe.list.empty_when.is_some() => {
            "Correct the selector, or `spec.site.recipe.list.url` if that is another page; if the list may be empty now, correct \
             `spec.site.recipe.list.emptyWhen`, which does not hold either"
        }
        "list.item" => "Correct the selector, or `spec.site.recipe.list.url` if that is another page",
        "list.refresh.click" => "Correct the selector; a button that stays disabled is not clicked",
        "list.refresh.answered" => {
            "Correct `spec.site.recipe.list.refresh`: a click must change the list, or what `answered` gives"
        }
        _ => "Correct the recipe",
    }
}
