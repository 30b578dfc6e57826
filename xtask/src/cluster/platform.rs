//! The backing services of the tests: RabbitMQ, an S3 store, a cache, Prometheus and the Showdown site, as pods.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::command::end_of;
use super::files;
use super::image::{self, Builder};
use super::layout::ClusterLayout;
use super::progress::Progress;
use super::supervise::kubectl;

/// The namespace of the services.
pub(crate) const NAMESPACE: &str = "platform";
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
    progress.during("waiting for the platform", || await_ready(layout))?;
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
    let start = Instant::now();
    for (kind, service) in SERVICES {
        let limit = format!("--timeout={}s", seconds_left(start.elapsed()));
        let rollout = kubectl(layout)
            .args(["--namespace", NAMESPACE, "rollout", "status", &limit])
            .arg(format!("{kind}/{service}"))
            .finish()?;
        if !rollout.status.success() {
            bail!(
                "{service} of the platform is not ready {} s after it was applied\n{}",
                start.elapsed().as_secs(),
                explain(layout, service)
            );
        }
    }
    Ok(())
}

/// What is left of the time that all services together have. Not less than 1, for kubectl takes 0 for "forever"; one that
/// is ready by then is seen to be.
fn seconds_left(passed: Duration) -> u64 {
    READY_WITHIN.saturating_sub(passed).as_secs().max(1)
}

/// What a person would ask for: the pods, what happened to them, what they said, and where all of it is.
fn explain(layout: &ClusterLayout, service: &str) -> String {
    let ask = |words: &[&str]| {
        let answer = kubectl(layout).args(["--namespace", NAMESPACE]).args(words).finish();
        answer.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
    };
    let selector = format!("app={service}");
    let pods = ask(&["get", "pods", "-o", "wide", "-l", &selector]);
    let events = ask(&["get", "events", "--sort-by=.lastTimestamp"]);
    let logs = ask(&["logs", "--all-containers", "--tail=20", "-l", &selector]);
    format!(
        "{pods}\nevents:\n{}\nlogs:\n{}\nAll of it: {}",
        end_of(&events, 3000),
        end_of(&logs, 4000),
        where_logs_are(layout, service)
    )
}

/// The folders that the logs of a service's containers are in; where there are none yet, those they will be in.
fn where_logs_are(layout: &ClusterLayout, service: &str) -> String {
    let begin = format!("{NAMESPACE}_{service}-");
    let folders = layout.nodes().map(|node| layout.pod_logs(node)).flat_map(|folder| {
        let names = files::names_in(&folder).unwrap_or_default();
        names.into_iter().filter(|name| name.starts_with(&begin)).map(move |name| folder.join(name))
    });
    let mut folders: Vec<_> = folders.collect();
    if folders.is_empty() {
        folders = layout.nodes().map(|node| layout.pod_logs(node)).collect();
    }
    folders.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::super::layout::Place;
    use super::super::layout::tests::layout;
    use super::*;

    #[test]
    fn all_services_together_have_one_deadline() {
        let seconds = |passed| seconds_left(Duration::from_secs(passed));
        assert_eq!([seconds(0), seconds(100), seconds(239)], [240, 140, 1]);
        assert_eq!([seconds(240), seconds(1000)], [1, 1], "0 would be no limit");
    }

    #[test]
    fn the_logs_of_a_service_are_named_where_they_are() {
        let cache = tempfile::tempdir().unwrap();
        let mut layout = layout();
        layout.root = cache.path().to_path_buf();
        let none = where_logs_are(&layout, "minio");
        assert!(none.contains("node1/pod-logs ") && none.ends_with("node2/pod-logs"), "{none}");
        let wanted = layout.pod_logs(Place::Node(2)).join("platform_minio-0_1f");
        for folder in [&wanted, &layout.pod_logs(Place::Node(1)).join("platform_rabbitmq-0_2f")] {
            files::make_folder(folder).unwrap();
        }
        assert_eq!(where_logs_are(&layout, "minio"), wanted.display().to_string());
    }

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
