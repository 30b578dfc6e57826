//! The faults there are, and what must hold after each.

mod table;

use std::time::Duration;

use table::{FACTS, Facts};

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
    /// A script in the page takes all memory that Chrome may have.
    OutOfMemory,
    /// The bot's process is killed.
    DeadBot,
    /// The bot's process needs more memory than it may have.
    BotOutOfMemory,
    /// The bot's process is stopped.
    HungBot,
    /// All threads of the bot's process stand still but the one that watches them.
    DeadlockedBot,
    /// A bot's WebDriver server is killed each time that it is there, until the bot ends.
    UnbuildableBrowser,
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
    /// The disk on which a node has the files of its pods is full, until a minute after a bot had to go.
    DiskFull,
    /// The broker is killed.
    BrokerKilled,
    /// The broker ends in order and is started again.
    BrokerRestarted,
    /// The broker is stopped for a minute and a half.
    BrokerPaused,
    /// All connections of the fleet to the broker are closed from its management API.
    ConnectionsClosed,
    /// The broker takes back what a consumer keeps for more than a minute, for three minutes.
    ConsumerTimeout,
    /// The object store is stopped for a minute.
    StoreDown,
    /// The object store takes 10 seconds for each put, for a minute.
    StoreSlow,
    /// The object store answers 403 to everything, for a minute.
    StoreRefusing,
    /// The object store has no room for anything more, for a minute.
    StoreFull,
    /// The leading operator is killed.
    OperatorKilled,
    /// A bot is killed, and the leading operator at a step of what it does then; once for each step.
    OperatorKilledMidway,
    /// The leading operator cannot reach the API server for half a minute.
    LeaderCut,
    /// The API server is stopped for a minute.
    ApiServerDown,
    /// The cluster's own store is killed, and started again after a quarter of a minute.
    EtcdKilled,
    /// The clocks of a node's kubelet, container runtime, bots and watchers are 10 minutes ahead, for a minute.
    ClockAhead,
    /// The same, 10 minutes behind.
    ClockBehind,
    /// The active watcher's process is killed.
    WatcherKilled,
    /// The active watcher's Chrome is stopped.
    WatcherHung,
    /// The active watcher's process is stopped.
    WatcherStopped,
    /// Every watcher's process is killed.
    WatchersKilled,
    /// Every page of the site answers 503 for a minute.
    SiteUnavailable,
    /// The site takes connections and never answers, for a minute.
    SiteDead,
    /// The site's client asks for a login, for a minute.
    LoginWall,
    /// Nobody gets into the site any more, for a minute, in which a bot's Chrome is killed.
    SiteBanning,
    /// The site closes every connection once.
    SiteCut,
    /// A battle ends every page that shows it.
    PoisonItem,
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
    /// An item: it ends as a dead letter, and its bot's other items are held again.
    Item,
}

/// What is measured of a fault, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Measure {
    /// From the fault until the product acts on it.
    Noticed,
    /// From the fault until the last of the items that were open is held again, or has ended.
    HeldAgain,
    /// From the fault, or from the notice where that is promised, until as many bots as before hold something.
    Replaced,
    /// From the fault, or from the notice where there has to be one, until another watcher is the active one.
    TakenOver,
    /// From the end of the fault until every bot sees an item move and the watcher watches.
    Resumed,
    /// From the end of the fault until every item that was open was seen to move, or its artifact was taken.
    AllMove,
    /// From the fault until the struck item is a dead letter.
    Buried,
}

impl Scenario {
    /// All of them.
    pub const ALL: [Self; FACTS.len()] = {
        let mut all = [Self::HungChrome; FACTS.len()];
        let mut place = 0;
        while place < all.len() {
            all[place] = FACTS[place].scenario;
            place += 1;
        }
        all
    };

    const fn facts(self) -> &'static Facts {
        &FACTS[self as usize]
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

    /// Whether bots throw browsers away and stay.
    #[must_use]
    pub const fn ends_browsers(self) -> bool {
        matches!(self.strikes(), Strikes::Browser | Strikes::Item)
    }

    /// How long it lasts until it is mended; zero: there is nothing to mend.
    #[must_use]
    pub const fn lasts(self) -> Duration {
        self.facts().lasts
    }

    /// How long it lasts where time is short: long enough to have its effect.
    #[must_use]
    pub const fn lasts_briefly(self) -> Duration {
        self.facts().lasts_briefly
    }

    /// What must hold at the 95th percentile, in seconds.
    #[must_use]
    pub const fn bounds(self) -> &'static [(Measure, f64)] {
        self.facts().bounds
    }

    /// Whether a pod has to be noticed first: it does not end by itself, and its replacement is promised from then on.
    #[must_use]
    pub const fn is_timed_from_notice(self) -> bool {
        matches!(self, Self::HungBot | Self::DeadlockedBot | Self::UnbuildableBrowser)
    }

    /// Whether a watcher takes over so soon that nothing in the list is missed.
    #[must_use]
    pub fn leaves_no_gap(self) -> bool {
        self.bounds().iter().any(|(measure, _)| *measure == Measure::TakenOver)
    }

    /// Whether battles that begin and end during it may be on no list that a watcher could see.
    #[must_use]
    pub const fn blinds(self) -> bool {
        use Scenario::{LoginWall, SiteCut, SiteDead, SiteUnavailable, WatchersKilled};
        matches!(self, SiteUnavailable | SiteDead | LoginWall | WatchersKilled | SiteCut)
    }

    /// Whether it stops a watcher, which must be noticed before another can take over.
    #[must_use]
    pub const fn hangs_watcher(self) -> bool {
        matches!(self, Self::WatcherHung | Self::WatcherStopped)
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
            Self::Noticed => "noticed",
            Self::HeldAgain => "held again",
            Self::Replaced => "replaced",
            Self::TakenOver => "taken over",
            Self::Resumed => "resumed",
            Self::AllMove => "all move",
            Self::Buried => "dead letter",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_scenario_is_in_its_place_and_found_by_its_own_name() {
        let names: BTreeSet<_> = Scenario::ALL.iter().map(|scenario| scenario.name()).collect();
        assert_eq!(names.len(), Scenario::ALL.len());
        for (place, scenario) in Scenario::ALL.into_iter().enumerate() {
            assert_eq!(scenario as usize, place, "{}", scenario.name());
            assert_eq!(Scenario::of_name(scenario.name()), Ok(scenario));
        }
        assert!(Scenario::of_name("meteor").unwrap_err().contains("`meteor`"));
    }

    #[test]
    fn what_lasts_says_so() {
        for scenario in Scenario::ALL {
            let says = scenario.does().contains(", for ");
            assert_eq!(says, !scenario.lasts().is_zero(), "{}", scenario.name());
            let (brief, full) = (scenario.lasts_briefly(), scenario.lasts());
            assert!(brief <= full && brief.is_zero() == full.is_zero(), "{}", scenario.name());
        }
    }

    #[test]
    fn who_is_timed_from_the_notice_has_a_bound_on_it() {
        for scenario in Scenario::ALL.into_iter().filter(|scenario| scenario.is_timed_from_notice()) {
            assert!(scenario.bounds().iter().any(|(measure, _)| *measure == Measure::Noticed));
        }
        assert!(Scenario::WatcherKilled.leaves_no_gap() && !Scenario::WatchersKilled.leaves_no_gap());
    }
}
