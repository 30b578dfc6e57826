//! Starting and ending a cluster: twice in a row, after a start that was killed, after a component has died; and that
//! nothing is left of it. On a cluster of its own, beside the one that the other tests use.

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
}

impl Traces {
    fn now() -> Result<Self> {
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        let rules = Command::new("iptables-save").output().context("iptables-save")?;
        let mut groups = BTreeSet::new();
        find_groups(Path::new("/sys/fs/cgroup"), &mut groups);
        Ok(Self {
            processes: processes(),
            mounts: mounts.lines().filter(|line| line.contains(NAME)).map(str::to_owned).collect(),
            groups,
            rules: without_counters(&String::from_utf8_lossy(&rules.stdout)),
            interfaces: names_in(Path::new("/sys/class/net")),
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
    let status = run(&["status"])?;
    let text = String::from_utf8_lossy(&status.stdout).into_owned();
    let line = text.lines().find(|line| line.starts_with(name)).context("no such component")?;
    let pid = line.rsplit(' ').next().context("no process number")?;
    let killed = Command::new("kill").args(["-KILL", pid]).status()?;
    ensure!(killed.success(), "kill {pid}");
    let dead = |text: &str| text.lines().any(|line| line.starts_with(name) && line.contains("DEAD"));
    for _ in 0..100 {
        if dead(&String::from_utf8_lossy(&run(&["status"])?.stdout)) {
            return Ok(());
        }
    }
    bail!("status does not see that {name} is dead")
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
    run(&["down"])?;
    assert_eq!(Traces::now()?, before, "after the first `down`");

    let took = up()?;
    println!("the second start took {:.1} s", took.as_secs_f64());
    ensure!(took < UP_WITHIN, "the second start took {took:?}");
    kill_component("node1-kubelet")?;
    kill_component("etcd")?;
    up()?;
    run(&["down"])?;
    assert_eq!(Traces::now()?, before, "after the second `down`");

    killed_start(&records)?;
    up()?;
    run(&["down", "--purge"])?;
    assert_eq!(Traces::now()?, before, "after a start that was killed");
    Ok(())
}
