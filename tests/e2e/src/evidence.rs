//! What explains a failure: objects, events and logs, as text for an error and as files in a folder.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::{Api, ApiResource, DynamicObject, ListParams, LogParams};
use kube::discovery::{Discovery, Scope, verbs};
use scrapefleet_policy::within;

use crate::space::Space;

/// How long collecting may take; a cluster that is down must not hold a failing test up.
const COLLECTED_WITHIN: Duration = Duration::from_mins(1);
/// How long the short text for an error may take to make.
const SUMMED_UP_WITHIN: Duration = Duration::from_secs(10);
/// How many of the newest events an error shows.
const SHOWN_EVENTS: usize = 15;
/// How many lines of each container's log an error shows.
const SHOWN_LINES: i64 = 10;

/// The pods, events and ends of logs of a namespace, short enough for an error.
pub(crate) async fn summary(space: &Space) -> String {
    let text = within(SUMMED_UP_WITHIN, "sum up a namespace", sum_up(space)).await;
    match text {
        Ok(Ok(text)) => text,
        Ok(Err(error)) => format!("(nothing explains it: {error:#})"),
        Err(expired) => format!("(nothing explains it: {expired})"),
    }
}

async fn sum_up(space: &Space) -> Result<String> {
    let mut text = String::new();
    let pods = space.api::<Pod>().list(&ListParams::default()).await?;
    for pod in &pods {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let _ = writeln!(text, "pod {name}: {}", serde_json::to_string(&pod.status)?);
        for (container, log) in logs(space, pod, Some(SHOWN_LINES)).await {
            let _ = writeln!(text, "log of {name}/{container}:\n{log}");
        }
    }
    let events = events(space).await?;
    for event in &events[events.len().saturating_sub(SHOWN_EVENTS)..] {
        text.push_str(event);
        text.push('\n');
    }
    Ok(text)
}

/// Writes every object of the namespace, its events and the logs of its pods into a folder, and tells which.
pub(crate) async fn collect(space: &Space, name: &str) -> Result<PathBuf> {
    let base = std::env::var_os("CARGO_TARGET_TMPDIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = base.join("e2e-failures").join(format!("{name}-{}", space.namespace));
    tokio::fs::create_dir_all(&folder).await.with_context(|| format!("make {}", folder.display()))?;
    within(COLLECTED_WITHIN, "collect what explains a failure", Box::pin(write_all(space, &folder)))
        .await??;
    Ok(folder)
}

async fn write_all(space: &Space, folder: &Path) -> Result<()> {
    write(folder, "events.txt", &events(space).await?.join("\n")).await?;
    for pod in space.api::<Pod>().list(&ListParams::default()).await? {
        let name = pod.metadata.name.clone().unwrap_or_default();
        for (container, log) in logs(space, &pod, None).await {
            write(folder, &format!("{name}-{container}.log"), &log).await?;
        }
    }
    for (resource, objects) in objects(space).await? {
        write(folder, &format!("{}.yaml", resource.plural), &serde_yaml_ng::to_string(&objects)?).await?;
    }
    Ok(())
}

async fn write(folder: &Path, name: &str, text: &str) -> Result<()> {
    let path = folder.join(name);
    tokio::fs::write(&path, text).await.with_context(|| format!("write {}", path.display()))
}

/// Every object of the namespace, by kind, fleets included where the cluster knows them; secrets are left out.
async fn objects(space: &Space) -> Result<Vec<(ApiResource, Vec<DynamicObject>)>> {
    let discovery = Discovery::new(space.client.clone()).run().await?;
    let mut found = Vec::new();
    for group in discovery.groups() {
        for (resource, capabilities) in group.recommended_resources() {
            let listed =
                capabilities.scope == Scope::Namespaced && capabilities.supports_operation(verbs::LIST);
            if !listed || resource.kind == "Secret" || resource.kind == "Event" {
                continue;
            }
            let api: Api<DynamicObject> =
                Api::namespaced_with(space.client.clone(), &space.namespace, &resource);
            let objects = api.list(&ListParams::default()).await?.items;
            if !objects.is_empty() {
                found.push((resource, objects));
            }
        }
    }
    Ok(found)
}

async fn events(space: &Space) -> Result<Vec<String>> {
    let mut events = space.api::<Event>().list(&ListParams::default()).await?.items;
    events.sort_by_key(|event| event.last_timestamp.clone().map(|time| time.0));
    let line = |event: &Event| {
        let about = event.involved_object.name.as_deref().unwrap_or_default();
        let (reason, message) =
            (event.reason.as_deref().unwrap_or_default(), event.message.as_deref().unwrap_or_default());
        format!("event {about}: {reason}: {message}")
    };
    Ok(events.iter().map(line).collect())
}

/// The logs of every container of a pod; one that has none says why in its place.
async fn logs(space: &Space, pod: &Pod, lines: Option<i64>) -> Vec<(String, String)> {
    let Some(spec) = &pod.spec else { return Vec::new() };
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let mut all = Vec::new();
    for container in spec.init_containers.iter().flatten().chain(&spec.containers) {
        let params =
            LogParams { container: Some(container.name.clone()), tail_lines: lines, ..LogParams::default() };
        let log = space.api::<Pod>().logs(name, &params).await;
        all.push((container.name.clone(), log.unwrap_or_else(|error| format!("(no log: {error})"))));
    }
    all
}
