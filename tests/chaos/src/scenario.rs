//! The faults there are, and what must hold after each.

use std::time::Duration;

/// One fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scenario {
    /// Chrome's main process is stopped.
    HungChrome,
    /// One of Chrome's renderers is stopped: the page is there and does not move.
    HungRenderer,
    /// A script in the page never ends.
    LoopingPage,
    /// Chrome's main process is killed.
    DeadChrome,
    /// The WebDriver server is killed.
    DeadDriver,
    /// The bot's process is killed.
    DeadBot,
    /// The bot's process is stopped.
    HungBot,
    /// A bot's pod is deleted.
    DeletedPod,
    /// A bot's pod is evicted.
    EvictedPod,
    /// All processes of a node end.
    NodeGone,
    /// A node is cut off the network for a minute and a half; its pods go on.
    NodeCut,
    /// A node takes no more pods for half a minute, and those of the fleet on it are evicted.
    DrainedNode,
    /// The broker is killed.
    BrokerKilled,
    /// The broker is stopped for a minute and a half.
    BrokerPaused,
    /// All connections of the fleet to the broker are closed from its management API.
    ConnectionsClosed,
    /// The object store is stopped for a minute.
    StoreDown,
    /// The leading operator is killed.
    OperatorKilled,
    /// The leading operator cannot reach the API server for half a minute.
    LeaderCut,
    /// The API server is stopped for a minute.
    ApiServerDown,
    /// The cluster's own store is killed, and started again after a quarter of a minute.
    EtcdKilled,
    /// The active watcher's process is killed.
    WatcherKilled,
    /// The active watcher's Chrome is stopped.
    WatcherHung,
    /// Every watcher's process is killed.
    WatchersKilled,
    /// Every page of the site answers 503 for a minute.
    SiteUnavailable,
    /// The site takes connections and never answers, for a minute.
    SiteDead,
    /// The site's client asks for a login, for a minute.
    LoginWall,
    /// The site closes every connection once.
    SiteCut,
}

/// What a fault strikes, and so what is read off the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strikes {
    /// A bot's browser: the same bot holds its items again.
    Browser,
    /// A bot: others hold its items, and another bot takes its place.
    Bot,
    /// A node with its bots.
    Node,
    /// The active watcher: the other takes over.
    Watcher,
    /// A service that all bots use: no pod is replaced, and all work again once it is back.
    Service,
}

/// What is measured of a fault, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Measure {
    /// From the fault until the product acts on it.
    Noticed,
    /// From the fault until the last of the items that were open is held again, or has ended.
    HeldAgain,
    /// From the notice until there are as many working bots as before.
    Replaced,
    /// From the fault until another watcher is the active one.
    TakenOver,
    /// From the end of the fault until every bot and the watcher work.
    Resumed,
}

use Measure::{HeldAgain, Noticed, Replaced, Resumed, TakenOver};
use Scenario as S;

/// Everything there is to say of a scenario.
struct Facts {
    name: &'static str,
    does: &'static str,
    strikes: Strikes,
    /// How long it lasts; zero: it is done at once.
    lasts: Duration,
    /// What must hold at the 95th percentile, in seconds.
    bounds: &'static [(Measure, f64)],
}

const fn at_once(
    name: &'static str,
    does: &'static str,
    strikes: Strikes,
    bounds: &'static [(Measure, f64)],
) -> Facts {
    Facts { name, does, strikes, lasts: Duration::ZERO, bounds }
}

impl Facts {
    const fn lasting(self, seconds: u64) -> Self {
        Self { lasts: Duration::from_secs(seconds), ..self }
    }
}

/// The bounds of a browser: its bot has it noticed and replaced.
const BROWSER: &[(Measure, f64)] = &[(HeldAgain, 5.0)];
/// The bounds of a bot that is gone.
const GONE_BOT: &[(Measure, f64)] = &[(HeldAgain, 3.0), (Replaced, 10.0)];
/// The bounds of a node that is gone.
const NODE: &[(Measure, f64)] = &[(HeldAgain, 30.0), (Replaced, 60.0)];

impl Scenario {
    /// All of them.
    pub const ALL: [Self; 27] = [
        S::HungChrome,
        S::HungRenderer,
        S::LoopingPage,
        S::DeadChrome,
        S::DeadDriver,
        S::DeadBot,
        S::HungBot,
        S::DeletedPod,
        S::EvictedPod,
        S::NodeGone,
        S::NodeCut,
        S::DrainedNode,
        S::BrokerKilled,
        S::BrokerPaused,
        S::ConnectionsClosed,
        S::StoreDown,
        S::OperatorKilled,
        S::LeaderCut,
        S::ApiServerDown,
        S::EtcdKilled,
        S::WatcherKilled,
        S::WatcherHung,
        S::WatchersKilled,
        S::SiteUnavailable,
        S::SiteDead,
        S::LoginWall,
        S::SiteCut,
    ];

    const fn facts(self) -> Facts {
        use Strikes::{Bot, Browser, Node, Service, Watcher};
        match self {
            S::HungChrome => at_once("hung-chrome", "stops Chrome's main process", Browser, BROWSER),
            S::HungRenderer => at_once("hung-renderer", "stops one of Chrome's renderers", Browser, BROWSER),
            S::LoopingPage => {
                at_once("looping-page", "runs a script without end in the page", Browser, BROWSER)
            }
            S::DeadChrome => at_once("dead-chrome", "kills Chrome's main process", Browser, BROWSER),
            S::DeadDriver => at_once("dead-driver", "kills the WebDriver server", Browser, BROWSER),
            S::DeadBot => at_once("dead-bot", "kills a bot's process", Bot, GONE_BOT),
            S::HungBot => {
                at_once("hung-bot", "stops a bot's process", Bot, &[(Noticed, 6.0), (Replaced, 10.0)])
            }
            S::DeletedPod => at_once("deleted-pod", "deletes a bot's pod", Bot, GONE_BOT),
            S::EvictedPod => at_once("evicted-pod", "evicts a bot's pod", Bot, GONE_BOT),
            S::NodeGone => {
                at_once("node-gone", "ends all processes of a node, for 2 minutes", Node, NODE).lasting(120)
            }
            S::NodeCut => {
                at_once("node-cut", "cuts a node off the network, for 90 s", Node, NODE).lasting(90)
            }
            S::DrainedNode => at_once("drained-node", "drains a node, for 30 s", Node, GONE_BOT).lasting(30),
            S::BrokerKilled => at_once("broker-killed", "kills the broker", Service, &[]),
            S::BrokerPaused => {
                at_once("broker-paused", "stops the broker, for 90 s", Service, &[]).lasting(90)
            }
            S::ConnectionsClosed => {
                at_once("connections-closed", "closes the fleet's connections to the broker", Service, &[])
            }
            S::StoreDown => {
                at_once("store-down", "stops the object store, for 60 s", Service, &[]).lasting(60)
            }
            S::OperatorKilled => {
                at_once("operator-killed", "kills the leading operator", Service, &[(Noticed, 15.0)])
            }
            S::LeaderCut => at_once(
                "leader-cut",
                "keeps the leading operator from the API server, for 30 s",
                Service,
                &[(Noticed, 15.0)],
            )
            .lasting(30),
            S::EtcdKilled => {
                at_once("etcd-killed", "kills the cluster's own store, for 15 s", Service, &[]).lasting(15)
            }
            S::ApiServerDown => {
                at_once("api-server-down", "stops the API server, for 60 s", Service, &[]).lasting(60)
            }
            S::WatcherKilled => {
                at_once("watcher-killed", "kills the active watcher", Watcher, &[(TakenOver, 2.0)])
            }
            S::WatcherHung => at_once("watcher-hung", "stops the active watcher's Chrome", Watcher, &[]),
            S::WatchersKilled => at_once("watchers-killed", "kills every watcher", Watcher, &[]),
            S::SiteUnavailable => at_once(
                "site-unavailable",
                "answers 503 to everything, for 60 s",
                Service,
                &[(Resumed, 10.0)],
            )
            .lasting(60),
            S::SiteDead => {
                at_once("site-dead", "answers nothing, for 60 s", Service, &[(Resumed, 10.0)]).lasting(60)
            }
            S::LoginWall => {
                at_once("login-wall", "asks everybody for a login, for 60 s", Service, &[(Resumed, 10.0)])
                    .lasting(60)
            }
            S::SiteCut => {
                at_once("site-cut", "closes every connection to the site", Service, &[(Resumed, 10.0)])
            }
        }
    }

    /// Its name, as a person gives it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.facts().name
    }

    /// What it does, in a few words.
    #[must_use]
    pub const fn does(self) -> &'static str {
        self.facts().does
    }

    /// What it strikes.
    #[must_use]
    pub const fn strikes(self) -> Strikes {
        self.facts().strikes
    }

    /// How long it lasts until it is mended; zero: there is nothing to mend.
    #[must_use]
    pub const fn lasts(self) -> Duration {
        self.facts().lasts
    }

    /// What must hold at the 95th percentile, in seconds.
    #[must_use]
    pub const fn bounds(self) -> &'static [(Measure, f64)] {
        self.facts().bounds
    }

    /// Whether battles that begin and end during it may be on no list that a watcher could see.
    #[must_use]
    pub const fn blinds(self) -> bool {
        matches!(
            self,
            S::SiteUnavailable | S::SiteDead | S::LoginWall | S::WatcherHung | S::WatchersKilled | S::SiteCut
        )
    }

    /// The scenario of this name.
    pub fn of_name(name: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|scenario| scenario.name() == name)
            .ok_or_else(|| format!("there is no scenario `{name}`; --list shows those there are"))
    }
}

impl Measure {
    /// Its word in tables.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Noticed => "noticed",
            HeldAgain => "held again",
            Replaced => "replaced",
            TakenOver => "taken over",
            Resumed => "resumed",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_scenario_is_found_by_its_own_name() {
        let names: BTreeSet<_> = S::ALL.iter().map(|scenario| scenario.name()).collect();
        assert_eq!(names.len(), S::ALL.len());
        for scenario in S::ALL {
            assert_eq!(S::of_name(scenario.name()), Ok(scenario));
        }
        assert!(S::of_name("meteor").unwrap_err().contains("`meteor`"));
    }

    #[test]
    fn what_lasts_says_so() {
        for scenario in S::ALL {
            let says = scenario.does().contains(", for ");
            assert_eq!(says, !scenario.lasts().is_zero(), "{}", scenario.name());
        }
    }
}
