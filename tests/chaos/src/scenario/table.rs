//! Every scenario, with everything there is to say of it.

use std::time::Duration;

use super::{
    Measure::{self, HeldAgain, Noticed, Replaced, Resumed, TakenOver},
    Scenario::{self as S, self},
    Strikes::{self, Bot, Browser, Item, Node, Service, Watcher},
};

/// What there is to say of a scenario.
pub(super) struct Facts {
    pub(super) scenario: Scenario,
    pub(super) name: &'static str,
    pub(super) does: &'static str,
    pub(super) strikes: Strikes,
    /// How long it lasts; zero: it is done at once.
    pub(super) lasts: Duration,
    /// The same where time is short.
    pub(super) lasts_briefly: Duration,
    /// What must hold at the 95th percentile, in seconds.
    pub(super) bounds: &'static [(Measure, f64)],
}

impl Facts {
    const fn of(scenario: Scenario, strikes: Strikes, name: &'static str, does: &'static str) -> Self {
        let lasts = Duration::ZERO;
        Self { scenario, name, does, strikes, lasts, lasts_briefly: lasts, bounds: &[] }
    }

    const fn lasting(self, seconds: u64) -> Self {
        let lasts = Duration::from_secs(seconds);
        Self { lasts, lasts_briefly: lasts, ..self }
    }

    const fn or_briefly(self, seconds: u64) -> Self {
        Self { lasts_briefly: Duration::from_secs(seconds), ..self }
    }

    const fn within(self, bounds: &'static [(Measure, f64)]) -> Self {
        Self { bounds, ..self }
    }
}

/// The bounds of a browser: its bot has it noticed and replaced.
const BROWSER: &[(Measure, f64)] = &[(HeldAgain, 5.0)];
/// The bounds of a bot that hangs, or has no browser.
const HUNG_BOT: &[(Measure, f64)] = &[(Noticed, 6.0), (Replaced, 10.0)];
/// The bounds of a bot that is gone.
const GONE_BOT: &[(Measure, f64)] = &[(HeldAgain, 3.0), (Replaced, 10.0)];
/// The bounds of a node that is gone.
const NODE: &[(Measure, f64)] = &[(HeldAgain, 30.0), (Replaced, 60.0)];
/// The bounds of another operator's lead.
const LEAD: &[(Measure, f64)] = &[(Noticed, 15.0)];
/// The bounds of a take-over.
const WATCHER: &[(Measure, f64)] = &[(TakenOver, 2.0)];
/// The bounds of a watcher whose browser hangs: it notices that and leaves the watching to the other.
const BLIND_WATCHER: &[(Measure, f64)] = &[(Noticed, 5.0), (TakenOver, 2.0)];
/// The bounds of a watcher that hangs itself: the operator notices that and has its node end it, which takes a moment.
const STOPPED_WATCHER: &[(Measure, f64)] = &[(Noticed, 6.0), (TakenOver, 5.0)];
/// The bounds of a site that is back.
const SITE: &[(Measure, f64)] = &[(Resumed, 10.0)];

/// All scenarios, in the order of their declaration.
#[rustfmt::skip]
pub(super) const FACTS: [Facts; 43] = [
    Facts::of(S::HungChrome, Browser, "hung-chrome", "stops Chrome's main process").within(BROWSER),
    Facts::of(S::HungRenderer, Browser, "hung-renderer", "stops one of Chrome's renderers").within(BROWSER),
    Facts::of(S::LoopingPage, Browser, "looping-page", "runs a script without end in the page").within(BROWSER),
    Facts::of(S::DeadChrome, Browser, "dead-chrome", "kills Chrome's main process").within(BROWSER),
    Facts::of(S::DeadDriver, Browser, "dead-driver", "kills the WebDriver server").within(BROWSER),
    Facts::of(S::OutOfMemory, Browser, "out-of-memory", "has a page take all memory").within(BROWSER),
    Facts::of(S::DeadBot, Bot, "dead-bot", "kills a bot's process").within(GONE_BOT),
    Facts::of(S::BotOutOfMemory, Bot, "bot-out-of-memory", "has a bot run out of memory").within(GONE_BOT),
    Facts::of(S::HungBot, Bot, "hung-bot", "stops a bot's process").within(HUNG_BOT),
    Facts::of(S::DeadlockedBot, Bot, "deadlocked-bot", "stops a bot's threads but its watchdog").within(HUNG_BOT),
    Facts::of(S::UnbuildableBrowser, Bot, "unbuildable-browser", "kills each WebDriver server of a bot until it ends").within(HUNG_BOT),
    Facts::of(S::DeletedPod, Bot, "deleted-pod", "deletes a bot's pod").within(GONE_BOT),
    Facts::of(S::EvictedPod, Bot, "evicted-pod", "evicts a bot's pod").within(GONE_BOT),
    Facts::of(S::NodeGone, Node, "node-gone", "ends all processes of a node, for 2 minutes").lasting(120).or_briefly(60).within(NODE),
    Facts::of(S::NodeCut, Node, "node-cut", "cuts a node off the network, for 90 s").lasting(90).or_briefly(60).within(NODE),
    Facts::of(S::DrainedNode, Node, "drained-node", "drains a node, for 30 s").lasting(30).within(GONE_BOT),
    Facts::of(S::DiskFull, Node, "disk-full", "leaves no room on the disk of a node, for 60 s").lasting(60).or_briefly(20).within(NODE),
    Facts::of(S::BrokerKilled, Service, "broker-killed", "kills the broker"),
    Facts::of(S::BrokerRestarted, Service, "broker-restarted", "restarts the broker"),
    Facts::of(S::BrokerPaused, Service, "broker-paused", "stops the broker, for 90 s").lasting(90),
    Facts::of(S::ConnectionsClosed, Service, "connections-closed", "closes the fleet's connections to the broker"),
    Facts::of(S::ConsumerTimeout, Service, "consumer-timeout", "takes back what is kept for over a minute, for 180 s").lasting(180).or_briefly(75),
    Facts::of(S::StoreDown, Service, "store-down", "stops the object store, for 60 s").lasting(60).or_briefly(20),
    Facts::of(S::StoreSlow, Service, "store-slow", "has puts into the store take 10 s, for 60 s").lasting(60),
    Facts::of(S::StoreRefusing, Service, "store-refusing", "has the store answer 403, for 60 s").lasting(60).or_briefly(20),
    Facts::of(S::StoreFull, Service, "store-full", "leaves no room in the store, for 60 s").lasting(60),
    Facts::of(S::OperatorKilled, Service, "operator-killed", "kills the leading operator").within(LEAD),
    Facts::of(S::OperatorKilledMidway, Service, "operator-killed-midway", "kills the leading operator at each step of a look").within(LEAD),
    Facts::of(S::LeaderCut, Service, "leader-cut", "keeps the leading operator from the API server, for 30 s").lasting(30).within(LEAD),
    Facts::of(S::ApiServerDown, Service, "api-server-down", "stops the API server, for 60 s").lasting(60),
    Facts::of(S::EtcdKilled, Service, "etcd-killed", "kills the cluster's own store, for 15 s").lasting(15),
    Facts::of(S::ClockAhead, Service, "clock-ahead", "sets the clock of a node 10 minutes ahead, for 60 s").lasting(60).or_briefly(20),
    Facts::of(S::ClockBehind, Service, "clock-behind", "sets the clock of a node 10 minutes back, for 60 s").lasting(60).or_briefly(20),
    Facts::of(S::WatcherKilled, Watcher, "watcher-killed", "kills the active watcher").within(WATCHER),
    Facts::of(S::WatcherHung, Watcher, "watcher-hung", "stops the active watcher's Chrome").within(BLIND_WATCHER),
    Facts::of(S::WatcherStopped, Watcher, "watcher-stopped", "stops the active watcher's process").within(STOPPED_WATCHER),
    Facts::of(S::WatchersKilled, Watcher, "watchers-killed", "kills every watcher"),
    Facts::of(S::SiteUnavailable, Service, "site-unavailable", "answers 503 to everything, for 60 s").lasting(60).or_briefly(20).within(SITE),
    Facts::of(S::SiteDead, Service, "site-dead", "answers nothing, for 60 s").lasting(60).within(SITE),
    Facts::of(S::LoginWall, Service, "login-wall", "asks everybody for a login, for 60 s").lasting(60).within(SITE),
    Facts::of(S::SiteBanning, Service, "site-banning", "lets nobody in and kills a Chrome, for 60 s").lasting(60).within(SITE),
    Facts::of(S::SiteCut, Service, "site-cut", "closes every connection to the site").within(SITE),
    Facts::of(S::PoisonItem, Item, "poison-item", "has a battle end every page that shows it"),
];
