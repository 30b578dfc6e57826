//! Bringing components to life: what is missing is started, stage by stage, and each is awaited under a deadline.

use std::net::TcpListener;
use std::time::Duration;

use anyhow::{Result, anyhow};

use super::command::Tool;
use super::component::{Component, Stage};
use super::control_groups::Hierarchies;
use super::layout::ClusterLayout;
use super::plan::{self, Step};
use super::process::{self, Record};
use super::progress::Progress;
use super::{log, wait};

/// How long a component may take from its start until it serves.
const SERVES_WITHIN: Duration = Duration::from_secs(90);
/// How many lines of a log an error shows.
const SHOWN_LINES: usize = 20;

/// What is needed to start components.
#[derive(Debug)]
pub(crate) struct Supervisor<'a> {
    /// Where everything is.
    pub(crate) layout: &'a ClusterLayout,
    /// Where processes are found.
    pub(crate) groups: &'a Hierarchies,
    /// Whom to tell.
    pub(crate) progress: Progress,
}

impl Supervisor<'_> {
    /// Whether a component runs as it should.
    pub(crate) fn step(&self, component: &Component) -> Step {
        let record = process::recorded(self.layout, &component.name);
        let alive = record.as_ref().is_some_and(Record::is_alive);
        plan::step(component, record.as_ref(), alive)
    }

    /// Forgets components that have died before: from here on, one that is dead died on our watch.
    pub(crate) fn forget_dead(&self, components: &[Component]) -> Result<()> {
        let mut dead = components.iter().filter(|component| self.step(component) == Step::Start);
        dead.try_for_each(|component| process::forget(self.layout, &component.name))
    }

    /// Makes every component of a stage run as it should, and waits until all of them serve.
    pub(crate) fn bring_up(
        &self,
        components: &[Component],
        stage: Stage,
        mut listener: Option<TcpListener>,
    ) -> Result<()> {
        let of_stage: Vec<_> = components.iter().filter(|component| component.stage == stage).collect();
        let mut started = Vec::new();
        for component in &of_stage {
            let step = self.step(component);
            if step == Step::Keep {
                continue;
            }
            self.end(component)?;
            let listener = if component.inherits_listener { listener.take() } else { None };
            process::start(self.layout, self.groups, component, listener)?;
            started.push(component.name.as_str());
        }
        self.await_condition(components, "to serve", SERVES_WITHIN, || {
            let serves = |component: &&Component| {
                process::recorded(self.layout, &component.name)
                    .is_some_and(|record| process::serves(component, &record))
            };
            of_stage.iter().find(|component| !serves(component)).map(|component| component.name.clone())
        })?;
        if !started.is_empty() {
            self.progress.say(format!("serving: {}", started.join(" ")));
        }
        Ok(())
    }

    /// Waits until nothing is missing. `missing` names the component that is to blame while something is. Ends early,
    /// with its log, when a component that was started has died.
    pub(crate) fn await_condition(
        &self,
        components: &[Component],
        what: &str,
        limit: Duration,
        mut missing: impl FnMut() -> Option<String>,
    ) -> Result<()> {
        let mut blamed = None;
        let mut dead = None;
        let held = wait::until(limit, || {
            blamed = missing();
            dead = if blamed.is_some() { self.first_dead(components) } else { None };
            blamed.is_none() || dead.is_some()
        });
        match (dead, blamed) {
            (Some(dead), _) => Err(self.explain(&dead, "has ended")),
            (None, Some(blamed)) if !held => {
                Err(self.explain(&blamed, &format!("was awaited {what}, in vain, for {} s", limit.as_secs())))
            }
            _ => Ok(()),
        }
    }

    /// The first component that was started and is dead.
    fn first_dead(&self, components: &[Component]) -> Option<String> {
        let is_dead = |component: &&Component| {
            process::recorded(self.layout, &component.name).is_some_and(|record| !record.is_alive())
        };
        components.iter().find(is_dead).map(|component| component.name.clone())
    }

    /// An error that names the component, shows the end of its log and says where the rest is.
    fn explain(&self, component: &str, what: &str) -> anyhow::Error {
        let file = process::log_file(self.layout, component);
        let lines = log::last_lines(&file, SHOWN_LINES).join("\n  ");
        anyhow!("{component} {what}. The end of its log:\n  {lines}\nAll of it: {}", file.display())
    }

    /// Ends whatever is left of a component: the recorded process, or one whose record was lost.
    fn end(&self, component: &Component) -> Result<()> {
        for pid in self.groups.processes(&process::group(self.layout, component)) {
            if process::runs(pid, &component.program) {
                process::kill(pid)?;
            }
        }
        process::forget(self.layout, &component.name)
    }

    /// The cluster's `kubectl`, as its administrator.
    pub(crate) fn kubectl(&self) -> Tool {
        kubectl(self.layout)
    }
}

/// The `kubectl` of a cluster, as its administrator, from outside its network.
pub(crate) fn kubectl(layout: &ClusterLayout) -> Tool {
    Tool::new(layout.tool("kubectl")).arg("--kubeconfig").arg(layout.admin_kubeconfig())
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::super::layout::tests::layout;
    use super::*;

    /// A layout in a folder of its own with one component, which ran this shell script and has ended.
    fn ended(script: &str) -> (tempfile::TempDir, ClusterLayout, Component) {
        let cache = tempfile::tempdir().unwrap();
        let mut layout = layout();
        layout.root = cache.path().to_path_buf();
        let component =
            Component::of_control("talker", Stage::Foundation, "/bin/sh".into()).arg("-c").arg(script);
        std::fs::create_dir_all(layout.logs()).unwrap();
        let log = std::fs::File::create(process::log_file(&layout, &component.name)).unwrap();
        let mut shell = Command::new(&component.program);
        shell.args(&component.arguments).stdin(Stdio::null());
        let mut child = shell.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        child.wait().unwrap();
        // Its number may be another's by now, but not since the machine started.
        let pid = i32::try_from(child.id()).unwrap();
        let record = Record { pid, started: 0, fingerprint: component.fingerprint() };
        process::record(&layout, &component.name, &record).unwrap();
        (cache, layout, component)
    }

    fn awaited(layout: &ClusterLayout, component: Component, limit: Duration) -> Result<()> {
        let groups = Hierarchies::Unified("/none".into());
        let supervisor = Supervisor { layout, groups: &groups, progress: Progress::begin() };
        supervisor.await_condition(&[component], "to serve", limit, || Some("talker".to_owned()))
    }

    /// What an error says, the lines of the log apart.
    fn told(error: &anyhow::Error) -> (String, Vec<String>, String) {
        let text = error.to_string();
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        let (first, last) = (lines.remove(0), lines.pop().unwrap());
        (first, lines.into_iter().map(|line| line.trim().to_owned()).collect(), last)
    }

    #[test]
    fn a_component_that_ends_is_named_with_its_last_20_lines_and_the_file_of_all() {
        let (_cache, layout, component) = ended("seq 30; exit 1");
        let error = awaited(&layout, component, SERVES_WITHIN).unwrap_err();
        let (first, lines, last) = told(&error);
        assert_eq!(first, "talker has ended. The end of its log:");
        assert_eq!(lines, (11..=30).map(|number| number.to_string()).collect::<Vec<_>>());
        assert_eq!(last, format!("All of it: {}", layout.root.join("logs/talker.log").display()));
    }

    #[test]
    fn a_component_that_does_not_serve_in_time_is_named_too_and_a_short_log_is_shown_whole() {
        let (_cache, layout, component) = ended("echo starting; echo still starting >&2");
        let record = Record::of_this_process(component.fingerprint());
        process::record(&layout, &component.name, &record).unwrap();
        let error = awaited(&layout, component, Duration::ZERO).unwrap_err();
        let (first, lines, last) = told(&error);
        assert_eq!(first, "talker was awaited to serve, in vain, for 0 s. The end of its log:");
        assert_eq!(lines, ["starting", "still starting"]);
        assert!(last.ends_with("/logs/talker.log"), "{last}");
    }
}
