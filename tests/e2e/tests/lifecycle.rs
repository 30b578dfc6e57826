//! Starting and ending a cluster: twice in a row, with pods in it, after a crash, after a start that was killed; and that
//! nothing is left of it. On a cluster of its own, beside the one that the other tests use.

mod traces;

use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use scrapefleet_e2e::xtask;
use serde_json::{Value, json};
use traces::Traces;

/// The name of the cluster of this test. Every checkout has one of its own, so that two never take each other's down.
static NAME: LazyLock<String> = LazyLock::new(|| {
    let mut digest = DefaultHasher::new();
    env!("CARGO_MANIFEST_DIR").hash(&mut digest);
    format!("lifecycle-{:08x}", digest.finish() >> 32)
});
/// How soon a cluster without platform is up once its programs are built.
const UP_WITHIN: Duration = Duration::from_secs(20);
/// How long a killed start is given to get somewhere before it is killed.
const GETS_SOMEWHERE_WITHIN: Duration = Duration::from_mins(1);
/// The image that every node has from the start.
const PAUSE: &str = "localhost/scrapefleet-pause:1";

/// A run of `xtask cluster --name NAME ...`.
fn cluster(arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(xtask()?);
    command.args(["cluster", "--name", NAME.as_str()]).args(arguments).stdin(Stdio::null());
    Ok(command)
}

fn run(arguments: &[&str]) -> Result<Output> {
    let output = cluster(arguments)?.output()?;
    ensure!(output.status.success(), "cluster {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(output)
}

fn says(arguments: &[&str]) -> Result<String> {
    Ok(String::from_utf8_lossy(&run(arguments)?.stdout).into_owned())
}

fn state_folder() -> Result<PathBuf> {
    let text = says(&["env"])?;
    let file =
        text.lines().find_map(|line| line.strip_prefix("export KUBECONFIG=")).context("no KUBECONFIG")?;
    Path::new(file).parent().map(Path::to_path_buf).context("no folder")
}

fn ready_nodes() -> Result<usize> {
    let nodes = says(&["kubectl", "--", "get", "nodes", "--no-headers"])?;
    Ok(nodes.lines().filter(|line| line.contains(" Ready ")).count())
}

fn up() -> Result<Duration> {
    let start = Instant::now();
    run(&["up", "--without-platform"])?;
    let took = start.elapsed();
    ensure!(ready_nodes()? == 2, "not two ready nodes after `up`");
    Ok(took)
}

/// A pod for each node, behind a Service, with volumes in memory and on the node's disk. A part of a volume is a mount of the
/// node's own, not of the container alone.
fn residents(folder: &Path) -> Value {
    let labels = json!({ "app": "resident" });
    let pod = json!({
        "terminationGracePeriodSeconds": 1,
        "containers": [{
            "name": "resident",
            "image": PAUSE,
            "imagePullPolicy": "IfNotPresent",
            "volumeMounts": [
                { "name": "memory", "mountPath": "/memory" },
                { "name": "disk", "mountPath": "/disk", "subPath": "part" },
            ],
        }],
        "volumes": [
            { "name": "memory", "emptyDir": { "medium": "Memory" } },
            { "name": "disk", "hostPath": { "path": folder, "type": "DirectoryOrCreate" } },
        ],
    });
    let all = json!({
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": { "name": "resident" },
        "spec": {
            "selector": { "matchLabels": labels },
            "template": { "metadata": { "labels": labels }, "spec": pod },
        },
    });
    let service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "name": "resident" },
        "spec": { "selector": labels, "ports": [{ "port": 80 }] },
    });
    json!({ "apiVersion": "v1", "kind": "List", "items": [all, service] })
}

/// Runs a pod on each node, and tells what is there of the cluster then.
fn populate(state: &Path) -> Result<Traces> {
    let manifest = state.join("residents.json");
    fs::write(&manifest, residents(&state.join("volumes/resident")).to_string())?;
    run(&["kubectl", "--", "apply", "-f", &manifest.to_string_lossy()])?;
    run(&["kubectl", "--", "rollout", "status", "daemonset/resident", "--timeout=60s"])?;
    let traces = traces()?;
    // On each node a container and the one that holds the pod's namespaces, a volume of each kind, the node's own network and
    // the pod's; and the network of the control plane.
    ensure!(
        traces.in_pods().len() == 4
            && traces.volumes("~empty-dir/") == 2
            && traces.volumes("/volume-subpaths/") == 2
            && traces.networks().len() == 5
            && !traces.groups.is_empty(),
        "the test does not see all that there is: {traces:#?}"
    );
    Ok(traces)
}

fn traces() -> Result<Traces> {
    Traces::of(&NAME, &BTreeSet::new())
}

/// Starts a cluster and kills the start once etcd was started: the middle of everything.
fn killed_start(records: &Path) -> Result<()> {
    let mut starting =
        cluster(&["up", "--without-platform"])?.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let start = Instant::now();
    while !records.join("etcd.json").exists() {
        if start.elapsed() > GETS_SOMEWHERE_WITHIN || starting.try_wait()?.is_some() {
            bail!("the start did not get to etcd");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    starting.kill()?;
    starting.wait()?;
    Ok(())
}

/// The components that `status` calls alive, with their process numbers.
fn alive() -> Result<Vec<(String, String)>> {
    let component = |line: &str| {
        let mut words = line.split_whitespace();
        let (name, life, pid) = (words.next()?, words.next()?, words.next_back()?);
        (life == "alive").then(|| (name.to_owned(), pid.to_owned()))
    };
    Ok(says(&["status"])?.lines().filter_map(component).collect())
}

/// Kills components all at once, by the numbers that `status` tells, and waits until it sees that they are dead.
fn kill(wanted: impl Fn(&str) -> bool) -> Result<()> {
    let wanted = |components: Vec<(String, String)>| -> Vec<_> {
        components.into_iter().filter(|(name, _)| wanted(name)).collect()
    };
    let components = wanted(alive()?);
    ensure!(!components.is_empty(), "no such component is alive");
    let killed = Command::new("kill").arg("-KILL").args(components.iter().map(|(_, pid)| pid)).status()?;
    ensure!(killed.success(), "kill {components:?}");
    for _ in 0..100 {
        if wanted(alive()?).is_empty() {
            return Ok(());
        }
    }
    bail!("status does not see that these are dead: {components:?}")
}

/// Kills the whole control plane and the kubelets; containers and what runs them live on.
fn crash() -> Result<()> {
    let of_node = |name: &str| name.starts_with("node");
    kill(|name| !of_node(name) || name.ends_with("-kubelet"))
}

/// Takes the cluster down however the test ends.
struct Down;

impl Drop for Down {
    fn drop(&mut self) {
        if let Err(error) = run(&["down", "--purge"]) {
            eprintln!("the cluster of this test is still there: {error:#}");
        }
    }
}

/// Takes the cluster down, and looks whether everything is as it was before there was one.
fn down(arguments: &[&str], before: &Traces, what: &str) -> Result<()> {
    let there = traces()?;
    run(&[&["down"][..], arguments].concat())?;
    assert_eq!(Traces::of(&NAME, &there.holders)?, *before, "after {what}");
    Ok(())
}

#[test]
fn a_cluster_starts_is_repaired_and_leaves_nothing_behind() -> Result<()> {
    let _down = Down;
    run(&["down", "--purge"])?;
    let before = traces()?;

    up()?;
    let state = state_folder()?;
    populate(&state)?;
    down(&[], &before, "the first `down`")?;

    let took = up()?;
    println!("the second start took {:.1} s", took.as_secs_f64());
    ensure!(took < UP_WITHIN, "the second start took {took:?}");
    kill(|name| name == "node1-kubelet")?;
    kill(|name| name == "etcd")?;
    up()?;

    let populated = populate(&state)?;
    crash()?;
    ensure!(traces()?.in_pods() == populated.in_pods(), "pods ended with the control plane");
    let took = up()?;
    println!("the start after a crash took {:.1} s", took.as_secs_f64());
    let left = traces()?;
    ensure!(left.in_pods().is_empty(), "pods of the cluster that crashed are there: {:?}", left.in_pods());
    down(&[], &before, "the `down` of a cluster that had crashed")?;

    killed_start(&state.join("processes"))?;
    up()?;
    down(&["--purge"], &before, "a start that was killed")?;
    ensure!(!state.exists(), "{} is still there", state.display());
    Ok(())
}
