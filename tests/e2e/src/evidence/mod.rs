//! What explains a failure: nodes, objects, events and logs, as text for an error and as files in a folder.

mod events;
mod folder;
mod logs;
mod nodes;
mod objects;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use kube::api::ApiResource;
use scrapefleet_policy::within;

use crate::{backing, operator, space::Space};
use folder::Folder;

/// How long collecting may take; a cluster that is down must not hold a failing test up.
const COLLECTED_WITHIN: Duration = Duration::from_mins(1);
/// How long the short text for an error may take to make.
const SUMMED_UP_WITHIN: Duration = Duration::from_secs(10);
/// How many of the newest events an error shows.
const SHOWN_EVENTS: usize = 15;
/// How many lines of each container's log an error shows.
const SHOWN_LINES: i64 = 10;
/// How many lines of each log are kept of namespaces that all tests share.
const SHARED_LINES: i64 = 2_000;
/// The namespaces whose programs all tests use: of the operator, and of the services.
const SHARED: [&str; 2] = [operator::NAMESPACE, backing::PLATFORM];

/// The nodes, and the objects, events and ends of logs of a namespace, short enough for an error.
pub(crate) async fn summary(space: &Space) -> String {
    let mut text = String::new();
    // What was found until then is shown also where the rest takes too long.
    let expired = within(SUMMED_UP_WITHIN, "sum up a namespace", sum_up(space, &mut text)).await.err();
    if let Some(expired) = expired {
        let _ = writeln!(text, "(there is more, but {expired})");
    }
    text
}

async fn sum_up(space: &Space, text: &mut String) {
    show(text, "nodes", nodes::lines(&space.client).await);
    show(text, "objects", objects::lines(space).await);
    let events = events::lines(space).await;
    show(text, "events", events.map(|mut lines| lines.split_off(lines.len().saturating_sub(SHOWN_EVENTS))));
    // Last, because nodes have them, and may not answer.
    let logs = logs::of_namespace(space, Some(SHOWN_LINES)).await;
    let lines = logs.map(|logs| logs.into_iter().map(|log| format!("log of {}:\n{}", log.name, log.said)));
    show(text, "logs", lines.map(Iterator::collect));
}

/// Adds lines to a text, or why there are none.
fn show(text: &mut String, what: &str, lines: Result<Vec<String>>) {
    let lines = lines.unwrap_or_else(|error| vec![format!("({what} cannot be shown: {error:#})")]);
    for line in lines {
        let _ = writeln!(text, "{line}");
    }
}

/// Writes what explains a failure into a folder, and tells which: the failure, the nodes, every object of the namespace, its
/// events and the logs of its pods, and the same of the operator and the services. What could not be had is told there too.
pub(crate) async fn collect(space: &Space, failure: &anyhow::Error) -> Result<PathBuf> {
    let mut folder = Folder::make(&space.namespace).await?;
    folder.keep("error.txt", Ok(format!("{failure:?}\n"))).await;
    let all = Box::pin(keep_all(space, &mut folder));
    if let Err(expired) = within(COLLECTED_WITHIN, "collect what explains a failure", all).await {
        folder.miss("the rest", &expired);
    }
    folder.finish().await
}

async fn keep_all(space: &Space, folder: &mut Folder) {
    folder.keep("nodes.txt", nodes::lines(&space.client).await.map(text)).await;
    folder.keep("nodes.yaml", nodes::yaml(&space.client).await).await;
    let kinds = objects::kinds(&space.client).await.unwrap_or_else(|error| {
        folder.miss("objects", &format!("{error:#}"));
        Vec::new()
    });
    keep_objects(space, &kinds, folder, "").await;
    keep_logs(space, None, folder, "").await;
    for namespace in SHARED {
        let (space, place) = (space.elsewhere(namespace), format!("{namespace}/"));
        keep_objects(&space, &kinds, folder, &place).await;
        keep_logs(&space, Some(SHARED_LINES), folder, &place).await;
    }
}

/// Keeps the objects of a namespace, and its events, in a place of the folder.
async fn keep_objects(space: &Space, kinds: &[ApiResource], folder: &mut Folder, place: &str) {
    folder.keep(&format!("{place}events.txt"), events::lines(space).await.map(text)).await;
    for (kind, found) in objects::all(space, kinds).await {
        let file = format!("{place}{}.yaml", objects::name_of(kind));
        folder.keep(&file, found.and_then(|found| objects::yaml(&found))).await;
    }
}

/// Keeps the logs of a namespace in a place of the folder, no more of each than so many lines.
async fn keep_logs(space: &Space, lines: Option<i64>, folder: &mut Folder, place: &str) {
    match logs::of_namespace(space, lines).await {
        Ok(logs) => {
            for log in logs {
                folder.keep(&format!("{place}{}.log", log.name), Ok(log.said)).await;
            }
        }
        Err(error) => folder.miss(&format!("{place}logs"), &format!("{error:#}")),
    }
}

fn text(lines: Vec<String>) -> String {
    lines.into_iter().map(|line| line + "\n").collect()
}
