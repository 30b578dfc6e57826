//! The backing services of the tests: RabbitMQ, an S3 store, a cache, Prometheus and the Showdown site, as pods.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::command::end_of;
use super::files;
use super::image::{self, Builder};
use super::layout::ClusterLayout;
use super::progress::Progress;
use super::supervise::kubectl;

/// The namespace of the services.
const NAMESPACE: &str = "platform";
/// Where the manifests keep data on a node; the cluster's own folder takes its place.
const DATA: &str = "/var/lib/scrapefleet-platform";
/// The services: what runs each, and its name, which is its image's too.
const SERVICES: [(&str, &str); 5] = [
    ("statefulset", "rabbitmq"),
    ("statefulset", "minio"),
    ("deployment", "valkey"),
    ("deployment", "prometheus"),
    ("deployment", "showdown-site"),
];
/// How long all services together may take until they are ready.
const READY_WITHIN: Duration = Duration::from_mins(4);

/// Brings the services up, or back to what they should be.
pub(crate) fn ensure(
    layout: &ClusterLayout,
    checkout: &Path,
    builder: &Builder,
    progress: Progress,
) -> Result<()> {
    for (_, service) in SERVICES {
        let built = builder.ensure(image::find(service)?)?;
        image::load_everywhere(layout, builder.store(), &built, progress)?;
    }
    let manifests = manifests(&checkout.join("tests/platform"), &layout.volumes())?;
    kubectl(layout)
        .args(["apply", "--server-side", "--force-conflicts", "-f", "-"])
        .input(manifests)
        .run()
        .context("apply tests/platform")?;
    progress.say("platform applied");
    await_ready(layout)?;
    progress.say(format!("platform ready: {}", SERVICES.map(|(_, service)| service).join(" ")));
    Ok(())
}

/// All manifests as one text, with the folder for data.
fn manifests(folder: &Path, data: &Path) -> Result<String> {
    let mut texts = Vec::new();
    for name in
        files::names_in(folder)?.iter().filter(|name| Path::new(name).extension() == Some("yaml".as_ref()))
    {
        texts.push(files::read(&folder.join(name))?);
    }
    Ok(texts.join("\n---\n").replace(DATA, &data.display().to_string()))
}

fn await_ready(layout: &ClusterLayout) -> Result<()> {
    let limit = format!("--timeout={}s", READY_WITHIN.as_secs());
    for (kind, service) in SERVICES {
        let rollout = kubectl(layout)
            .args(["--namespace", NAMESPACE, "rollout", "status", &limit])
            .arg(format!("{kind}/{service}"))
            .finish()?;
        if !rollout.status.success() {
            bail!(
                "{service} of the platform is not ready after {} s\n{}",
                READY_WITHIN.as_secs(),
                explain(layout, service)
            );
        }
    }
    Ok(())
}

/// What a person would ask for: the pods, what happened to them, what they said.
fn explain(layout: &ClusterLayout, service: &str) -> String {
    let ask = |words: &[&str]| {
        let answer = kubectl(layout).args(["--namespace", NAMESPACE]).args(words).finish();
        answer.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
    };
    let selector = format!("app={service}");
    let pods = ask(&["get", "pods", "-o", "wide", "-l", &selector]);
    let events = ask(&["get", "events", "--sort-by=.lastTimestamp"]);
    let logs = ask(&["logs", "--all-containers", "--tail=20", "-l", &selector]);
    format!("{pods}\nevents:\n{}\nlogs:\n{}", end_of(&events, 3000), end_of(&logs, 4000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_kept_in_the_clusters_own_folder() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/platform");
        let text = manifests(&folder, Path::new("/cache/volumes")).unwrap();
        assert!(
            text.contains("path: /cache/volumes/rabbitmq") && text.contains("path: /cache/volumes/minio")
        );
        assert!(!text.contains("path: /var/lib/scrapefleet-platform"));
    }

    #[test]
    fn every_service_has_a_manifest_with_its_image() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/platform");
        let text = manifests(&folder, Path::new("/x")).unwrap();
        for (_, service) in SERVICES {
            let image = image::find(service).unwrap().name;
            assert!(text.contains(&format!("image: {image}\n")), "{service}");
        }
    }
}
