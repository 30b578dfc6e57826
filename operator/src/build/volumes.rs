//! What a pod reads and where it writes: credentials, the manifest, room of its own.

use k8s_openapi::{
    api::core::v1::{
        DownwardAPIVolumeFile, DownwardAPIVolumeSource, EmptyDirVolumeSource, ObjectFieldSelector,
        SecretVolumeSource, Volume, VolumeMount,
    },
    apimachinery::pkg::api::resource::Quantity,
};
use scrapefleet_api::ScrapeFleetSpec;

use crate::{
    names::{MANIFEST, SHARE},
    plan::Role,
};

/// Where the files of the downward API are.
pub(super) const POD: &str = "/etc/scrapefleet/pod";
/// Where the queue's credentials are.
const QUEUE: &str = "/etc/scrapefleet/queue";
/// Where the store's credentials are.
const STORE: &str = "/etc/scrapefleet/store";

/// Most of what a program may write to its own folder.
const ROOM: &str = "2Gi";

/// Shared memory for Chrome; the 64 MiB that containers have by default crash it on heavy pages.
const SHARED_MEMORY: &str = "512Mi";

/// The Secrets that a pod reads: the name of the volume, that of the Secret, the folder.
pub(super) fn secrets(spec: &ScrapeFleetSpec, role: Role) -> Vec<(&'static str, String, &'static str)> {
    let queue = spec.queue.rabbitmq.as_ref().and_then(|queue| queue.secret_name.clone());
    // A watcher stores nothing.
    let store =
        spec.store.s3.as_ref().filter(|_| role == Role::Bot).and_then(|store| store.secret_name.clone());
    let queue = queue.map(|name| ("queue", name, QUEUE));
    queue.into_iter().chain(store.map(|name| ("store", name, STORE))).collect()
}

/// All volumes of a pod.
pub(super) fn volumes(spec: &ScrapeFleetSpec, role: Role) -> Vec<Volume> {
    let mut volumes = vec![
        Volume { name: "pod".into(), downward_api: Some(downward()), ..Volume::default() },
        empty("tmp", None, ROOM),
        empty("chrome-tmp", None, ROOM),
        empty("chrome-shm", Some("Memory"), SHARED_MEMORY),
    ];
    volumes.extend(secrets(spec, role).into_iter().map(|(name, secret, _)| Volume {
        name: name.into(),
        secret: Some(SecretVolumeSource { secret_name: Some(secret), ..SecretVolumeSource::default() }),
        ..Volume::default()
    }));
    volumes
}

/// What the main container mounts.
pub(super) fn main_mounts(spec: &ScrapeFleetSpec, role: Role) -> Vec<VolumeMount> {
    let mut mounts = vec![mount("pod", POD, true), mount("tmp", "/tmp", false)];
    mounts.extend(secrets(spec, role).iter().map(|(name, _, folder)| mount(name, folder, true)));
    mounts
}

/// What Chrome mounts.
pub(super) fn chrome_mounts() -> Vec<VolumeMount> {
    vec![mount("chrome-tmp", "/tmp", false), mount("chrome-shm", "/dev/shm", false)]
}

fn mount(name: &str, path: &str, read_only: bool) -> VolumeMount {
    VolumeMount {
        name: name.into(),
        mount_path: path.into(),
        read_only: read_only.then_some(true),
        ..VolumeMount::default()
    }
}

fn empty(name: &str, medium: Option<&str>, limit: &str) -> Volume {
    let source =
        EmptyDirVolumeSource { medium: medium.map(str::to_owned), size_limit: Some(Quantity(limit.into())) };
    Volume { name: name.into(), empty_dir: Some(source), ..Volume::default() }
}

fn downward() -> DownwardAPIVolumeSource {
    let file = |path: &str, annotation: &str| DownwardAPIVolumeFile {
        path: path.into(),
        field_ref: Some(ObjectFieldSelector {
            field_path: format!("metadata.annotations['{annotation}']"),
            ..ObjectFieldSelector::default()
        }),
        ..DownwardAPIVolumeFile::default()
    };
    let items = vec![file("manifest", MANIFEST), file("share", SHARE)];
    DownwardAPIVolumeSource { items: Some(items), ..DownwardAPIVolumeSource::default() }
}
