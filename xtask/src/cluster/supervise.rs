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
