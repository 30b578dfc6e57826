//! Everything on this machine that a cluster could leave behind.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// What is there of a cluster, and what of the machine's own it could have changed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Traces {
    /// Processes whose command line or control group names the cluster, each as number, command line and group. What runs in a
    /// container is found by its group alone.
    processes: BTreeSet<String>,
    /// Mount points that name it.
    mounts: BTreeSet<String>,
    /// Control groups that name it.
    pub(crate) groups: BTreeSet<PathBuf>,
    /// What its network namespaces are held by, whether or not that names the cluster.
    pub(crate) holders: BTreeSet<Holder>,
    /// Rules of the machine's own network namespace, for both versions of the Internet Protocol.
    rules: [String; 2],
    /// Network interfaces of the machine's own namespace.
    interfaces: BTreeSet<String>,
}

/// A process in a network namespace, or a mount of one: the namespace is there as long as one of them is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Holder {
    /// The namespace, as `net:[4026531840]`. Once it is gone, another may get its number.
    pub(crate) network: String,
    /// A mount point, or the number of a process and when that was started, which no other process has.
    who: String,
}

impl Traces {
    /// Those of the cluster of this name, with those of these holders that are there still.
    pub(crate) fn of(cluster: &str, known: &BTreeSet<Holder>) -> Result<Self> {
        let table = fs::read_to_string("/proc/self/mountinfo")?;
        let machine = network_of(&std::process::id().to_string());
        let (mut processes, mut networks, mut holders) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for process in all_processes(cluster) {
            networks.extend(process.description.is_some().then(|| process.holder.network.clone()));
            processes.extend(process.description);
            holders.insert(process.holder);
        }
        for holder in table.lines().filter_map(mount_of_network) {
            networks.extend(holder.who.contains(cluster).then(|| holder.network.clone()));
            holders.insert(holder);
        }
        networks.remove(&machine);
        holders.retain(|holder| networks.contains(&holder.network) || known.contains(holder));
        let mut groups = BTreeSet::new();
        find_groups(Path::new("/sys/fs/cgroup"), cluster, &mut groups);
        Ok(Self {
            processes,
            mounts: table.lines().filter(|line| line.contains(cluster)).map(str::to_owned).collect(),
            groups,
            holders,
            rules: [rules("iptables-save")?, rules("ip6tables-save")?],
            interfaces: names_in(Path::new("/sys/class/net")),
        })
    }

    /// Its network namespaces.
    pub(crate) fn networks(&self) -> BTreeSet<&String> {
        self.holders.iter().map(|holder| &holder.network).collect()
    }

    /// The processes in pods.
    pub(crate) fn in_pods(&self) -> BTreeSet<&String> {
        self.processes.iter().filter(|process| process.contains("/kubepods")).collect()
    }

    /// The mount points of pods' volumes whose path contains this.
    pub(crate) fn volumes(&self, part: &str) -> usize {
        self.mounts.iter().filter(|mount| mount.contains("/pods/") && mount.contains(part)).count()
    }
}

/// A process of this machine.
struct Process {
    /// What it is in `Traces::processes`, if it is of the cluster.
    description: Option<String>,
    holder: Holder,
}

/// All processes but this one. Those that have ended and that nobody has reaped have no command line and no namespace.
fn all_processes(cluster: &str) -> Vec<Process> {
    let own = std::process::id().to_string();
    let mut all = names_in(Path::new("/proc"));
    all.retain(|name| name.parse::<u32>().is_ok() && *name != own);
    let process = |pid: String| {
        let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).ok();
        let (command, groups, stat) = (read("cmdline")?.replace('\0', " "), read("cgroup")?, read("stat")?);
        let group = groups.lines().find(|group| group.contains(cluster));
        let named = !command.is_empty() && (group.is_some() || command.contains(cluster));
        let description = named.then(|| format!("{pid}: {command} in {}", group.unwrap_or("no group of it")));
        // The 22nd field; the second is the program's name, in parentheses, with anything in it.
        let started = stat.rsplit_once(") ")?.1.split(' ').nth(19)?;
        let holder = Holder { network: network_of(&pid), who: format!("process {pid} of {started}") };
        Some(Process { description, holder })
    };
    all.into_iter().filter_map(process).collect()
}

/// The network namespace of a process; empty where there is no such process any more.
fn network_of(pid: &str) -> String {
    let link = fs::read_link(format!("/proc/{pid}/ns/net")).unwrap_or_default();
    link.to_string_lossy().into_owned()
}

/// A mount that holds a network namespace: of a line of the table of mounts the fourth field is what is mounted, the fifth
/// where.
fn mount_of_network(line: &str) -> Option<Holder> {
    let mut fields = line.split(' ').skip(3);
    let (network, place) = (fields.next()?.to_owned(), fields.next()?.to_owned());
    network.starts_with("net:[").then_some(Holder { network, who: place })
}

fn rules(program: &str) -> Result<String> {
    let output = Command::new(program).output().with_context(|| program.to_owned())?;
    ensure!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(without_counters(&String::from_utf8_lossy(&output.stdout)))
}

/// Comments hold the time, and brackets count packets.
fn without_counters(rules: &str) -> String {
    let lines = rules.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split(" [").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

fn find_groups(folder: &Path, cluster: &str, found: &mut BTreeSet<PathBuf>) {
    for name in names_in(folder) {
        let path = folder.join(&name);
        if path.is_dir() && !path.is_symlink() {
            if path.to_string_lossy().contains(cluster) {
                found.insert(path.clone());
            }
            find_groups(&path, cluster, found);
        }
    }
}

fn names_in(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}
