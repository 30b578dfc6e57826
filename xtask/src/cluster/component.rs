//! A component: one program of the cluster as a value. What it is, where it runs, what it reads, how it shows that it
//! is up. Values only, so that what a cluster consists of can be tested without starting one.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::layout::Place;

/// A file that a component reads when it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConfigFile {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// What it says.
    pub(crate) content: String,
}

/// How a component shows that it serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Serves {
    /// It listens on this TCP port, in its own network namespace.
    Port(u16),
    /// It accepts connections on this unix socket.
    Socket(PathBuf),
    /// Nothing to ask on this machine; the cluster's API tells.
    AskTheCluster,
}

/// Which components are started together: a stage begins when everything of the one before it serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// What nothing can do without: etcd, the container runtimes, the way in from this machine.
    Foundation,
    /// The API server.
    Api,
    /// Everything that talks to the API server.
    Clients,
}

/// A long-running program of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Component {
    /// Its name, unique in the cluster: `etcd`, `node1-kubelet`.
    pub(crate) name: String,
    /// Where it runs.
    pub(crate) place: Place,
    /// When it is started.
    pub(crate) stage: Stage,
    /// The program.
    pub(crate) program: PathBuf,
    /// Its arguments.
    pub(crate) arguments: Vec<String>,
    /// The files it reads when it starts, which are written before it does.
    pub(crate) files: Vec<ConfigFile>,
    /// How it shows that it serves.
    pub(crate) serves: Serves,
    /// Whether it gets, as its standard input, a socket that listens on this machine's loopback address.
    pub(crate) inherits_listener: bool,
}

impl Component {
    /// A component of the control plane.
    pub(crate) fn of_control(name: &str, stage: Stage, program: PathBuf) -> Self {
        Self::new(name.to_owned(), Place::Control, stage, program)
    }

    /// A component of a node; its name says which.
    pub(crate) fn of_node(name: &str, place: Place, stage: Stage, program: PathBuf) -> Self {
        Self::new(format!("{}-{name}", place.name()), place, stage, program)
    }

    fn new(name: String, place: Place, stage: Stage, program: PathBuf) -> Self {
        Self {
            name,
            place,
            stage,
            program,
            arguments: Vec::new(),
            files: Vec::new(),
            serves: Serves::AskTheCluster,
            inherits_listener: false,
        }
    }

    /// With one more argument.
    pub(crate) fn arg(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// With one more `--flag=value`.
    pub(crate) fn flag(self, flag: &str, value: impl std::fmt::Display) -> Self {
        self.arg(format!("--{flag}={value}"))
    }

    /// With one more `--flag=path`.
    pub(crate) fn path_flag(self, flag: &str, path: &Path) -> Self {
        let path = path.display();
        self.arg(format!("--{flag}={path}"))
    }

    /// With one more file.
    pub(crate) fn file(mut self, path: PathBuf, content: String) -> Self {
        self.files.push(ConfigFile { path, content });
        self
    }

    /// With this proof that it serves.
    pub(crate) fn serves(mut self, serves: Serves) -> Self {
        self.serves = serves;
        self
    }

    /// With a listening socket as its standard input.
    pub(crate) fn inherits_listener(mut self) -> Self {
        self.inherits_listener = true;
        self
    }

    /// A digest of everything that decides how it runs: a running process with another one is out of date.
    pub(crate) fn fingerprint(&self) -> String {
        let mut digest = Sha256::new();
        let mut add = |bytes: &[u8]| {
            digest.update(u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_le_bytes());
            digest.update(bytes);
        };
        add(self.program.as_os_str().as_encoded_bytes());
        for argument in &self.arguments {
            add(argument.as_bytes());
        }
        for file in &self.files {
            add(file.path.as_os_str().as_encoded_bytes());
            add(file.content.as_bytes());
        }
        digest.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fingerprint_changes_with_anything_that_decides_how_it_runs() {
        let plain = Component::of_control("etcd", Stage::Foundation, PathBuf::from("/etcd"));
        let mut seen = vec![plain.fingerprint()];
        seen.push(plain.clone().arg("--a").fingerprint());
        seen.push(plain.clone().arg("--a").arg("b").fingerprint());
        seen.push(plain.clone().arg("--ab").fingerprint());
        seen.push(plain.clone().file("/f".into(), "x".to_owned()).fingerprint());
        seen.push(plain.clone().file("/f".into(), "y".to_owned()).fingerprint());
        let count = seen.len();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), count);
        assert_eq!(plain.fingerprint(), plain.clone().fingerprint());
    }
}
