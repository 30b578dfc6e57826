//! Starting and ending a cluster: twice in a row, after a start that was killed, after a component has died, with one that
//! cannot start; starting one node of it; and that nothing is left of it. On a cluster of its own, beside the one that the
//! other tests use.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use scrapefleet_e2e::xtask;

/// The name of the cluster of this test.
const NAME: &str = "lifecycle-test";
/// How soon a cluster without platform is up once its programs are built.
const UP_WITHIN: Duration = Duration::from_secs(20);
/// How long a killed start is given to get somewhere before it is killed.
const GETS_SOMEWHERE_WITHIN: Duration = Duration::from_mins(1);

/// Folders that the programs of a node use whatever they are told: a node has its own in their place.
const FIXED: [&str; 4] = ["/run/containerd", "/var/lib/cni", "/var/lib/kubelet", "/var/log/containers"];

/// A run of `xtask cluster --name NAME ...`.
fn cluster(arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(xtask()?);
    command.args(["cluster", "--name", NAME]).args(arguments).stdin(Stdio::null());
    Ok(command)
}

fn run(arguments: &[&str]) -> Result<Output> {
    let output = cluster(arguments)?.output()?;
    ensure!(output.status.success(), "cluster {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(output)
}

/// Everything on this machine that a cluster could leave behind.
#[derive(Debug, PartialEq, Eq)]
struct Traces {
    /// Command lines of processes that name the cluster.
    processes: BTreeSet<String>,
    /// Mount points that name it; its network namespaces are held by mounts.
    mounts: BTreeSet<String>,
    /// Control groups that name it.
    groups: BTreeSet<PathBuf>,
    /// Rules of the machine's own network namespace.
    rules: String,
    /// Network interfaces of the machine's own namespace.
    interfaces: BTreeSet<String>,
    /// Files in the folders that nodes have their own of.
    files: BTreeSet<PathBuf>,
}

impl Traces {
    fn now() -> Result<Self> {
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        let rules = Command::new("iptables-save").output().context("iptables-save")?;
        let mut groups = BTreeSet::new();
        find_groups(Path::new("/sys/fs/cgroup"), &mut groups);
        let mut files = BTreeSet::new();
        for folder in FIXED {
            find_files(Path::new(folder), &mut files);
        }
        Ok(Self {
            processes: processes(),
            mounts: mounts.lines().filter(|line| line.contains(NAME)).map(str::to_owned).collect(),
            groups,
            rules: without_counters(&String::from_utf8_lossy(&rules.stdout)),
            interfaces: names_in(Path::new("/sys/class/net")),
            files,
        })
    }
}

fn names_in(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// Comments hold the time, and brackets count packets.
fn without_counters(rules: &str) -> String {
    let lines = rules.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split(" [").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

fn processes() -> BTreeSet<String> {
    let own = std::process::id().to_string();
    let all =
        names_in(Path::new("/proc")).into_iter().filter(|name| name.parse::<u32>().is_ok() && *name != own);
    let command_lines = all.filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/cmdline")).ok());
    command_lines.map(|line| line.replace('\0', " ")).filter(|line| line.contains(NAME)).collect()
}

fn find_groups(folder: &Path, found: &mut BTreeSet<PathBuf>) {
    for name in names_in(folder) {
        let path = folder.join(&name);
        if path.is_dir() && !path.is_symlink() {
            if path.to_string_lossy().contains(NAME) {
                found.insert(path.clone());
            }
            find_groups(&path, found);
        }
    }
}

/// The files in a folder and below; folders that hold none are places for mounts, and stay.
fn find_files(folder: &Path, found: &mut BTreeSet<PathBuf>) {
    for name in names_in(folder) {
        let path = folder.join(&name);
        if path.is_dir() && !path.is_symlink() {
            find_files(&path, found);
        } else {
            found.insert(path);
        }
    }
}

fn state_folder() -> Result<PathBuf> {
    let output = run(&["env"])?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let file =
        text.lines().find_map(|line| line.strip_prefix("export KUBECONFIG=")).context("no KUBECONFIG")?;
    Path::new(file).parent().map(Path::to_path_buf).context("no folder")
}

fn ready_nodes() -> Result<usize> {
    let output = run(&["kubectl", "--", "get", "nodes", "--no-headers"])?;
    Ok(String::from_utf8_lossy(&output.stdout).lines().filter(|line| line.contains(" Ready ")).count())
}

fn up() -> Result<Duration> {
    let start = Instant::now();
    run(&["up", "--without-platform"])?;
    let took = start.elapsed();
    ensure!(ready_nodes()? == 2, "not two ready nodes after `up`");
    Ok(took)
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

/// Kills a component by the number that `status` tells.
fn kill_component(name: &str) -> Result<()> {
    let text = status()?;
    let line = text.lines().find(|line| line.starts_with(name)).context("no such component")?;
    let pid = line.rsplit(' ').next().context("no process number")?;
    let killed = Command::new("kill").args(["-KILL", pid]).status()?;
    ensure!(killed.success(), "kill {pid}");
    let dead = |text: &str| text.lines().any(|line| line.starts_with(name) && line.contains("DEAD"));
    for _ in 0..100 {
        if dead(&status()?) {
            return Ok(());
        }
    }
    bail!("status does not see that {name} is dead")
}

/// What `status` says.
fn status() -> Result<String> {
    Ok(String::from_utf8_lossy(&run(&["status"])?.stdout).into_owned())
}

/// Makes a kubelet unable to start, and sees that `up` names it, shows the last it said and says where the rest is.
fn failing_start(state: &Path) -> Result<()> {
    let kubelet = state.join("node1/kubelet");
    let (folder, aside) = (kubelet.join("plugins"), kubelet.join("plugins.aside"));
    kill_component("node1-kubelet")?;
    fs::rename(&folder, &aside)?;
    fs::write(&folder, "not a folder")?;
    let failed = cluster(&["up", "--without-platform"])?.output()?;
    fs::remove_file(&folder)?;
    fs::rename(&aside, &folder)?;
    let error = String::from_utf8_lossy(&failed.stderr);
    ensure!(!failed.status.success(), "`up` succeeded with a kubelet that cannot run: {error}");
    let log = state.join("logs/node1-kubelet.log");
    let end = fs::read_to_string(&log)?;
    let end: Vec<_> = end.lines().rev().take(20).collect();
    ensure!(error.contains("node1-kubelet has ended"), "{error}");
    ensure!(end.iter().all(|line| error.contains(line)), "not all of {end:?} is shown: {error}");
    ensure!(error.trim_end().ends_with(&format!("All of it: {}", log.display())), "{error}");
    Ok(())
}

/// Stops one node and cuts the other off, and sees that starting the one starts nothing else and heals nothing.
fn one_node_alone() -> Result<()> {
    run(&["node", "cut", "node1"])?;
    run(&["node", "stop", "node2"])?;
    let stopped = status()?;
    let line = |name: &str| stopped.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    for name in ["node2-containerd", "node2-kubelet", "node2-kube-proxy"] {
        ensure!(line(name).ends_with("stopped"), "{name} was stopped on purpose: {stopped}");
    }
    run(&["node", "start", "node2"])?;
    let started = status()?;
    ensure!(!started.contains("stopped") && !started.contains("DEAD"), "not all of node2 runs: {started}");
    ensure!(started.contains("node1: cut off"), "starting node2 has healed node1: {started}");
    let refused = cluster(&["node", "start", "node1"])?.output()?;
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    ensure!(!refused.status.success() && error.contains("node heal node1"), "{error}");
    run(&["node", "heal", "node1"])?;
    Ok(())
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

#[test]
fn a_cluster_starts_is_repaired_and_leaves_nothing_behind() -> Result<()> {
    let _down = Down;
    run(&["down", "--purge"])?;
    let before = Traces::now()?;

    up()?;
    let records = state_folder()?.join("processes");
    let during = Traces::now()?;
    ensure!(
        !during.processes.is_empty() && !during.mounts.is_empty() && !during.groups.is_empty(),
        "the test sees nothing"
    );
    assert_eq!(during.files, before.files, "a node uses what is this machine's");
    run(&["down"])?;
    assert_eq!(Traces::now()?, before, "after the first `down`");

    let took = up()?;
    println!("the second start took {:.1} s", took.as_secs_f64());
    ensure!(took < UP_WITHIN, "the second start took {took:?}");
    kill_component("node1-kubelet")?;
    kill_component("etcd")?;
    up()?;
    failing_start(records.parent().context("no folder")?)?;
    up()?;
    one_node_alone()?;
    run(&["down"])?;
    assert_eq!(Traces::now()?, before, "after the second `down`");

    killed_start(&records)?;
    up()?;
    run(&["down", "--purge"])?;
    assert_eq!(Traces::now()?, before, "after a start that was killed");
    Ok(())
}
