//! `cluster status`: each component, whether it is alive, since when, and what a dead one said last.

use std::fmt::Write as _;

use super::component::Component;
use super::layout::{ClusterLayout, Place};
use super::network::{self, Cable};
use super::{log, process};

/// What is known of one component.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Life {
    /// It runs, since so many seconds.
    Alive { pid: i32, seconds: u64 },
    /// It was started and has ended.
    Dead { last: String },
    /// It was not started, or stopped on purpose.
    Stopped,
}

/// The report on a whole cluster, a line per component and per node.
pub(crate) fn report(layout: &ClusterLayout, components: &[Component]) -> String {
    let mut text = format!("cluster {} in {}\n", layout.name, layout.root.display());
    for component in components {
        let _ = writeln!(text, "{}", line(&component.name, &life(layout, component)));
    }
    for node in layout.nodes().filter(|node| cable(layout, *node) == Some(Cable::Unplugged)) {
        let _ = writeln!(
            text,
            "{}: cut off the network (`node heal {}` joins it again)",
            node.name(),
            node.name()
        );
    }
    text
}

fn cable(layout: &ClusterLayout, node: Place) -> Option<Cable> {
    network::cable(layout, node).ok()
}

fn life(layout: &ClusterLayout, component: &Component) -> Life {
    let Some(record) = process::recorded(layout, &component.name) else { return Life::Stopped };
    if record.is_alive() {
        return Life::Alive { pid: record.pid, seconds: record.age().unwrap_or_default() };
    }
    let file = process::log_file(layout, &component.name);
    Life::Dead { last: log::last_error(&file).unwrap_or_else(|| format!("nothing in {}", file.display())) }
}

fn line(name: &str, life: &Life) -> String {
    match life {
        Life::Alive { pid, seconds } => format!("{name:<26} alive    for {:<9} process {pid}", age(*seconds)),
        Life::Dead { last } => format!("{name:<26} DEAD     {last}"),
        Life::Stopped => format!("{name:<26} stopped"),
    }
}

/// A duration as its two largest units.
fn age(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{}s", seconds / 60, seconds % 60),
        3600..86400 => format!("{}h{}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d{}h", seconds / 86400, seconds / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_component_shows_what_it_said_last() {
        let dead = line("etcd", &Life::Dead { last: "F1 no space".to_owned() });
        assert!(dead.contains("etcd") && dead.contains("DEAD") && dead.contains("F1 no space"), "{dead}");
        assert!(line("etcd", &Life::Alive { pid: 7, seconds: 61 }).contains("1m1s"));
        assert!(line("etcd", &Life::Stopped).contains("stopped"));
    }

    #[test]
    fn an_age_is_its_two_largest_units() {
        assert_eq!([age(5), age(65), age(3661), age(90_000)], ["5s", "1m5s", "1h1m", "1d1h"]);
    }
}
