//! The programs that are built from Go modules: pinned, built once, kept in the cache folder under a key of all that
//! they depend on.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::command::Tool;
use super::progress::Progress;
use super::{files, go};

/// The release of Kubernetes: the last for containerd 1.x, which is what Debian 12 has.
const KUBERNETES: (&str, &str) = ("1", "35");
/// Its patch release; go.mod of `tools/kubernetes` names the same.
const KUBERNETES_PATCH: &str = "4";

/// The folder of this checkout's own Go module.
const MODULE: &str = "tools/kubernetes";

/// Where a program comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// A package of this checkout's Go module `tools/kubernetes`.
    Own {
        /// The package, as a path from the module's folder.
        package: &'static str,
    },
    /// A package of a published module at a fixed version.
    Module {
        /// The package.
        package: &'static str,
        /// The module's version.
        version: &'static str,
    },
}

/// One program to build.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Program {
    /// Its file name.
    name: &'static str,
    source: Source,
    /// The other names it is called by.
    aliases: &'static [&'static str],
    /// How long the first build takes on two cores, roughly, for the person who waits.
    minutes: &'static str,
    wanted: Wanted,
}

/// When a program is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// With the first cluster: it, its images or its tests need it.
    Always,
    /// When a person asks for it.
    OnDemand,
}

/// Every program there is to build.
const PROGRAMS: [Program; 6] = [
    Program {
        name: "kubernetes",
        source: Source::Own { package: "." },
        aliases: &[
            "kube-apiserver",
            "kube-controller-manager",
            "kube-proxy",
            "kube-scheduler",
            "kubectl",
            "kubelet",
        ],
        minutes: "4 to 10",
        wanted: Wanted::Always,
    },
    Program {
        name: "pause",
        source: Source::Own { package: "./pause" },
        aliases: &[],
        minutes: "less than 1",
        wanted: Wanted::Always,
    },
    Program {
        name: "coredns",
        source: Source::Module { package: "github.com/coredns/coredns", version: "v1.15.0" },
        aliases: &[],
        minutes: "2 to 4",
        wanted: Wanted::Always,
    },
    Program {
        name: "helm",
        source: Source::Module { package: "helm.sh/helm/v3/cmd/helm", version: "v3.22.0" },
        aliases: &[],
        minutes: "1 to 3",
        wanted: Wanted::Always,
    },
    Program {
        name: "minio",
        source: Source::Module {
            package: "github.com/minio/minio",
            version: "v0.0.0-20260212201848-7aac2a2c5b7c",
        },
        aliases: &[],
        minutes: "2 to 4",
        wanted: Wanted::Always,
    },
    Program {
        name: "kwok",
        source: Source::Module { package: "sigs.k8s.io/kwok/cmd/kwok", version: "v0.8.0" },
        aliases: &[],
        minutes: "1 to 3",
        wanted: Wanted::OnDemand,
    },
];

/// What every cluster needs.
fn always() -> impl Iterator<Item = &'static Program> {
    PROGRAMS.iter().filter(|program| program.wanted == Wanted::Always)
}

/// Builds what is missing of what every cluster needs, and gives the folder with all of it under all its names.
pub(crate) fn ensure(cache: &Path, checkout: &Path, progress: Progress) -> Result<PathBuf> {
    let own = own_sources(checkout)?;
    let mut all = Sha256::new();
    let mut built = Vec::new();
    for program in always() {
        let key = key(program, &own);
        all.update(&key);
        built.push((program, ensure_program(cache, checkout, program, &key, progress)?));
    }
    let folder = cache.join("tools").join(format!("all-{}", short(all)));
    files::make_folder(&folder)?;
    for (program, file) in built {
        for name in program.aliases.iter().chain([&program.name]) {
            link(&file, &folder.join(name))?;
        }
    }
    Ok(folder)
}

/// Builds one program if it is missing, and gives its file.
pub(crate) fn ensure_one(cache: &Path, checkout: &Path, name: &str, progress: Progress) -> Result<PathBuf> {
    let program = known(name)?;
    let key = key(program, &own_sources(checkout)?);
    ensure_program(cache, checkout, program, &key, progress)
}

/// The folder of a published module's sources, in the version that this program of it is built from; downloaded again if
/// Go's cache has lost them.
pub(crate) fn sources(checkout: &Path, name: &str, module: &str) -> Result<PathBuf> {
    let Source::Module { version, .. } = known(name)?.source else {
        bail!("{name} is not built from a published module");
    };
    let go = go::find(&checkout.join(MODULE))?;
    // Outside of any module: inside, what is downloaded may be noted in the module's own files.
    let download = Tool::new(go).args(["mod", "download", "-json"]).folder(Path::new("/"));
    let said = download.arg(format!("{module}@{version}")).output()?;
    let said: Value = serde_json::from_str(&said).context("read what `go mod download` says")?;
    said["Dir"].as_str().map(PathBuf::from).with_context(|| format!("{module} has no folder: {said}"))
}

fn known(name: &str) -> Result<&'static Program> {
    let known = PROGRAMS.iter().find(|program| program.name == name);
    known.with_context(|| format!("there is no program {name:?} among those to build"))
}

fn ensure_program(
    cache: &Path,
    checkout: &Path,
    program: &Program,
    key: &str,
    progress: Progress,
) -> Result<PathBuf> {
    let file = cache.join("tools").join(format!("{}-{key}", program.name)).join(program.name);
    if !file.exists() {
        progress.say(format!("building {}: {} minutes the first time", program.name, program.minutes));
        progress
            .during(&format!("building {}", program.name), || build(program, checkout, &file))
            .with_context(|| format!("build {}", program.name))?;
        progress.say(format!("{} built", program.name));
    }
    Ok(file)
}

/// The version of Kubernetes that is built, such as `1.35.4`.
pub(crate) fn kubernetes_version() -> String {
    let (major, minor) = KUBERNETES;
    format!("{major}.{minor}.{KUBERNETES_PATCH}")
}

/// The key of a build: its name, its pinned version or the text of its sources, and how it is built.
fn key(program: &Program, own_sources: &str) -> String {
    let mut digest = Sha256::new();
    digest.update(program.name);
    match program.source {
        Source::Own { .. } => digest.update(own_sources),
        Source::Module { package, version } => digest.update(format!("{package}@{version}")),
    }
    digest.update(linker_flags());
    short(digest)
}

fn short(digest: Sha256) -> String {
    digest.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

fn linker_flags() -> String {
    let package = "k8s.io/component-base/version";
    let (major, minor) = KUBERNETES;
    format!(
        "-s -w -X {package}.gitVersion=v{major}.{minor}.{KUBERNETES_PATCH} -X {package}.gitMajor={major} -X {package}.gitMinor={minor}"
    )
}

/// Everything the own programs are built from, as one text.
fn own_sources(checkout: &Path) -> Result<String> {
    let folder = checkout.join(MODULE);
    let mut text = String::new();
    for file in ["go.mod", "go.sum", "main.go", "pause/main.go"] {
        text.push_str(file);
        text.push_str(&files::read(&folder.join(file))?);
    }
    Ok(text)
}

fn build(program: &Program, checkout: &Path, file: &Path) -> Result<()> {
    // cannot fail: `ensure` gave the file a folder of its own.
    let folder = file.parent().unwrap_or(Path::new("."));
    files::make_folder(folder)?;
    let module = checkout.join(MODULE);
    let go =
        Tool::new(go::find(&module)?).env("CGO_ENABLED", "0").env("GOFLAGS", "-trimpath -buildvcs=false");
    match program.source {
        Source::Own { package } => {
            let unfinished = folder.join(format!("{}.unfinished", program.name));
            go.args(["build", "-ldflags", &linker_flags(), "-o"])
                .arg(&unfinished)
                .arg(package)
                .folder(&module)
                .run()?;
            answers_to_its_names(&unfinished, program)?;
            std::fs::rename(&unfinished, file).with_context(|| format!("rename {}", unfinished.display()))
        }
        Source::Module { package, version } => go
            .args(["install", "-ldflags", &linker_flags()])
            .arg(format!("{package}@{version}"))
            .env("GOBIN", folder)
            .folder(folder)
            .run(),
    }
}

/// Calls a program by each of its names: it has to be the one of that name.
fn answers_to_its_names(file: &Path, program: &Program) -> Result<()> {
    for name in program.aliases {
        let help = Tool::new(file).called(name).arg("--help").output()?;
        if !help.contains(&format!("\n  {name} [flags]")) {
            bail!("called as {name}, it is something else: {help}");
        }
    }
    Ok(())
}

fn link(target: &Path, link: &Path) -> Result<()> {
    if std::fs::read_link(link).is_ok_and(|known| known == target) {
        return Ok(());
    }
    files::remove(link)?;
    std::os::unix::fs::symlink(target, link).with_context(|| format!("link {}", link.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(name: &str) -> &'static Program {
        PROGRAMS.iter().find(|program| program.name == name).unwrap()
    }

    #[test]
    fn an_own_program_is_built_again_when_its_sources_change_and_a_published_one_is_not() {
        assert_ne!(key(program("kubernetes"), "one"), key(program("kubernetes"), "two"));
        assert_eq!(key(program("helm"), "one"), key(program("helm"), "two"));
    }

    #[test]
    fn one_program_is_found_where_a_cluster_would_find_it_and_a_name_nobody_knows_is_an_error() {
        let cache = tempfile::tempdir().unwrap();
        let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let key = key(program("helm"), &own_sources(checkout).unwrap());
        let file = cache.path().join(format!("tools/helm-{key}/helm"));
        files::write(&file, "#!/bin/sh").unwrap();
        let ensure = |name| ensure_one(cache.path(), checkout, name, Progress::begin());
        assert_eq!(ensure("helm").unwrap(), file);
        let error = ensure("tiller").unwrap_err().to_string();
        assert!(error.contains("tiller"), "{error}");
    }

    #[test]
    fn a_first_cluster_waits_for_nothing_that_only_a_person_asks_for() {
        let names: Vec<_> = always().map(|program| program.name).collect();
        assert_eq!(names, ["kubernetes", "pause", "coredns", "helm", "minio"]);
        assert_eq!(program("kwok").wanted, Wanted::OnDemand);
    }

    #[test]
    fn a_build_that_is_not_what_its_names_say_is_refused() {
        // It answers to every name, with a text of its own.
        let error =
            answers_to_its_names(Path::new("/bin/echo"), program("kubernetes")).unwrap_err().to_string();
        assert!(error.starts_with("called as kube-apiserver, it is something else: "), "{error}");
        answers_to_its_names(Path::new("/bin/echo"), program("helm")).unwrap();
    }

    #[test]
    fn every_published_program_is_pinned_to_one_version() {
        for program in &PROGRAMS {
            if let Source::Module { version, .. } = program.source {
                assert!(version.starts_with('v') && version.contains('.'), "{}: {version}", program.name);
            }
        }
    }

    #[test]
    fn the_version_that_is_reported_is_the_one_that_is_built() {
        let module = include_str!("../../../tools/kubernetes/go.mod");
        let (major, minor) = KUBERNETES;
        let line = format!("k8s.io/kubernetes v{major}.{minor}.{KUBERNETES_PATCH}\n");
        assert!(module.contains(&line), "go.mod has no line {line}");
    }
}
