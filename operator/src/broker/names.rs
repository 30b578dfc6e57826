//! How the queues of fleets are named: the operator's one place that knows, as the queue's own `rabbitmq` module makes
//! them.
//!
//! A name is the fleet's scope and what the queue is for: `scrapefleet.<namespace>.<fleet>:lane.<lane>`. No scope has a
//! colon in it, so none reaches into another.

use scrapefleet_api::LaneName;

/// What the names of all fleets begin with.
const PREFIX: &str = "scrapefleet.";

/// What a queue of a fleet is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Role {
    /// Tasks of a lane: ready and held.
    Lane(LaneName),
    /// Tasks of all lanes that wait for their delay to pass; one queue of several.
    Delay,
    /// Dead letters of a lane.
    Dead(LaneName),
}

/// What the names of one fleet's queues and exchanges begin with.
pub(crate) fn scope(namespace: &str, fleet: &str) -> String {
    format!("{PREFIX}{namespace}.{fleet}")
}

/// The queue of a lane.
pub(crate) fn lane(scope: &str, lane: &LaneName) -> String {
    format!("{scope}:lane.{lane}")
}

/// Whose queue this is, and what for. None for those of others, and for those of a fleet in which no tasks wait.
pub(crate) fn read(name: &str) -> Option<(&str, Role)> {
    let (scope, rest) = name.split_once(':')?;
    let (namespace, fleet) = scope.strip_prefix(PREFIX)?.split_once('.')?;
    if namespace.is_empty() || fleet.is_empty() || fleet.contains('.') {
        return None;
    }
    let (word, of) = rest.split_once('.')?;
    let lane = || LaneName::new(of).ok();
    let role = match word {
        "lane" => Role::Lane(lane()?),
        "dead" => Role::Dead(lane()?),
        "delay" if !of.is_empty() && of.bytes().all(|b| b.is_ascii_digit()) => Role::Delay,
        _ => return None,
    };
    Some((scope, role))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_whose_it_is_and_what_for() {
        let fast = || LaneName::new("fast").unwrap();
        for (name, role) in [
            ("scrapefleet.ns.f:lane.fast", Some(Role::Lane(fast()))),
            ("scrapefleet.ns.f:dead.fast", Some(Role::Dead(fast()))),
            ("scrapefleet.ns.f:delay.16", Some(Role::Delay)),
            ("scrapefleet.ns.f:delay.x", None),
            ("scrapefleet.ns.f:delay.", None),
            ("scrapefleet.ns.f:journal", None),
            ("scrapefleet.ns.f:session.0f", None),
            ("scrapefleet.ns.f:lane.fast.more", None),
            ("scrapefleet.ns.f:lane.", None),
            ("scrapefleet.ns.f:lane", None),
            ("scrapefleet.ns.f.lane.fast", None),
            ("scrapefleet.ns.f", None),
            ("scrapefleet.ns:lane.fast", None),
            ("scrapefleet.ns.f.g:lane.fast", None),
            ("xscrapefleet.ns.f:lane.fast", None),
            ("orders", None),
            ("...:.", None),
            ("", None),
            ("ä.ö.ü:lane.fast", None),
        ] {
            let expected = role.map(|role| ("scrapefleet.ns.f", role));
            assert_eq!(read(name), expected, "{name}");
        }
    }

    #[test]
    fn a_fleet_called_lane_is_a_fleet() {
        let name = lane(&scope("lane", "dead"), &LaneName::default());
        assert_eq!(read(&name), Some(("scrapefleet.lane.dead", Role::Lane(LaneName::default()))));
    }
}
