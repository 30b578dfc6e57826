//! What a test leaves that fails on the cluster: all that explains it, in its error and in a folder that the error names.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use scrapefleet_e2e::{Backing, Fleet, Space, container, in_namespace, operator, pod_of};
use serde_json::json;

/// How long a pod may take to end and to be started again.
const AGAIN_WITHIN: Duration = Duration::from_mins(2);
/// How long what never is is awaited.
const IN_VAIN: Duration = Duration::from_secs(1);

/// Fails while there are a pod that was started again, a fleet and a map.
async fn fail(space: Space) -> Result<()> {
    operator::install().await?;
    let backing = Backing::make(&space).await?;
    // Nothing of it is to run.
    Fleet::showdown(&space, "left", "http://site.invalid", &backing, &json!({ "suspend": true })).await?;
    space.create::<ConfigMap>(json!({ "metadata": { "name": "map" }, "data": { "key": "value" } })).await?;
    let script =
        "if [[ -e /memory/again ]]; then echo second; sleep 600; fi; echo first; touch /memory/again; exit 3";
    let mut main = container("main", script);
    main["volumeMounts"] = json!([{ "name": "memory", "mountPath": "/memory" }]);
    let mut pod = pod_of("twice", &json!([main]));
    pod["spec"]["restartPolicy"] = json!("Always");
    pod["spec"]["volumes"] = json!([{ "name": "memory", "emptyDir": {} }]);
    space.create::<Pod>(pod).await?;
    let again = |pod: &Pod| {
        let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
        statuses.into_iter().any(|status| status.restart_count == 1 && status.ready)
    };
    space.pod_when("twice", "runs again", AGAIN_WITHIN, again).await?;
    space.until("what never is", IN_VAIN, async || Ok(None)).await
}

/// The folder that an error names.
fn folder_of(error: &str) -> Result<PathBuf> {
    let (_, behind) = error.split_once("what explains it is in ").with_context(|| error.to_owned())?;
    let end = behind.find(['\n', ':']).unwrap_or(behind.len());
    Ok(behind[..end].into())
}

/// Fails unless the file is there and has this in it.
fn holds(folder: &Path, file: &str, part: &str) -> Result<()> {
    let path = folder.join(file);
    let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    ensure!(text.contains(part), "{file} without {part:?}: {text}");
    Ok(())
}

/// The files in a folder and in those in it, by their paths in it.
fn walk(folder: &Path) -> Result<Vec<String>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type()?.is_dir() {
            files.extend(walk(&entry.path())?.into_iter().map(|file| format!("{name}/{file}")));
        } else {
            files.push(name);
        }
    }
    files.sort();
    Ok(files)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_that_fails_leaves_what_explains_it() -> Result<()> {
    let Err(error) = in_namespace("evidence", async |space| Box::pin(fail(space)).await).await else {
        bail!("what fails has passed");
    };
    let error = format!("{error:#}");
    for part in ["what never is", "node ", "Ready=True", "pod twice: {", "configmap map", "scrapefleet left"]
    {
        ensure!(error.contains(part), "no {part:?} in: {error}");
    }
    for part in ["event ", "log of twice-main:\nsecond", "log of twice-main.previous:\nfirst"] {
        ensure!(error.contains(part), "no {part:?} in: {error}");
    }

    let folder = folder_of(&error)?;
    let listing = walk(&folder)?;
    println!("{}:\n{}", folder.display(), listing.join("\n"));
    for (file, part) in [
        ("error.txt", "what never is"),
        ("nodes.txt", "Ready=True"),
        ("nodes.yaml", "type: Ready"),
        ("events.txt", "twice"),
        ("twice-main.log", "second"),
        ("twice-main.previous.log", "first"),
        ("pods.yaml", "name: twice"),
        ("configmaps.yaml", "key: value"),
        ("scrapefleets.scrapefleet.io.yaml", "http://site.invalid"),
        ("scrapefleet-system/deployments.apps.yaml", "name: scrapefleet"),
        ("platform/pods.yaml", "name: rabbitmq-0"),
        ("platform/minio-0-minio.log", "MinIO"),
    ] {
        holds(&folder, file, part)?;
    }
    let of_operator =
        |file: &String| file.starts_with("scrapefleet-system/scrapefleet-") && file.contains(".log");
    ensure!(listing.iter().any(of_operator), "the operator's log is missing: {listing:?}");
    ensure!(!listing.iter().any(|file| file.ends_with("secrets.yaml")), "a secret was written: {listing:?}");
    ensure!(!folder.join("missing.txt").exists(), "not everything could be had");
    // It failed on purpose: nobody will look.
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}
