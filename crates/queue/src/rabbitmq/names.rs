//! The names of a fleet's queues and exchanges, and the routing keys of its messages.

use scrapefleet_api::LaneName;

use super::delay::LEVELS;

/// What a message on the fleet's exchange says. All of them go to the journal, which so tells of every item where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// An item was discovered; also goes to its lane.
    New,
    /// A task is ready again: released or replayed; also goes to its lane.
    Ready,
    /// A task was handed out by the session it names.
    Held,
    /// A task was given back unfinished by that session.
    Back,
    /// A task is done.
    Done,
    /// A task was given up; also goes to the dead letters of its lane.
    Dead,
    /// A task is tried again after a delay; also goes to the queues of delays.
    Retry,
}

const KINDS: [(Kind, &str); 7] = [
    (Kind::New, "new"),
    (Kind::Ready, "ready"),
    (Kind::Held, "held"),
    (Kind::Back, "back"),
    (Kind::Done, "done"),
    (Kind::Dead, "dead"),
    (Kind::Retry, "retry"),
];

/// The routing key of the message that a reader of the journal puts at its present end.
pub(super) const MARK: &str = "mark";

/// The routing key of round trips.
pub(super) const SYNC: &str = "sync";

impl Kind {
    /// The first word of its routing keys.
    pub(super) fn word(self) -> &'static str {
        KINDS.iter().find(|(kind, _)| *kind == self).map_or("", |(_, word)| word)
    }

    /// The routing key of such a message for `lane`. Those of [`Kind::Retry`] have a delay in them as well.
    pub(super) fn key(self, lane: &LaneName) -> String {
        format!("{}.{lane}", self.word())
    }

    /// What a routing key says: what it is about and which lane.
    pub(super) fn read(key: &str) -> Option<(Self, LaneName)> {
        let (word, rest) = key.split_once('.')?;
        let (kind, _) = KINDS.iter().find(|(_, known)| *known == word)?;
        let lane = rest.rsplit('.').next()?;
        Some((*kind, LaneName::new(lane).ok()?))
    }
}

/// The names of one fleet. A colon ends the scope, which has none itself: no scope reaches into another.
#[derive(Debug, Clone)]
pub(super) struct Names {
    scope: String,
}

impl Names {
    pub(super) fn new(scope: String) -> Self {
        Self { scope }
    }

    /// The exchange that everything is published to.
    pub(super) fn exchange(&self) -> String {
        self.scope.clone()
    }

    /// The exchange of tasks whose delay is over.
    pub(super) fn due(&self) -> String {
        format!("{}:due", self.scope)
    }

    /// The exchange and the queue of one level of delay.
    pub(super) fn delay(&self, level: u32) -> String {
        format!("{}:delay.{level}", self.scope)
    }

    /// The queue of a lane.
    pub(super) fn lane(&self, lane: &LaneName) -> String {
        format!("{}:lane.{lane}", self.scope)
    }

    /// The dead letters of a lane.
    pub(super) fn dead(&self, lane: &LaneName) -> String {
        format!("{}:dead.{lane}", self.scope)
    }

    /// The journal.
    pub(super) fn journal(&self) -> String {
        format!("{}:journal", self.scope)
    }

    /// The queue behind confirmed round trips; nobody reads it.
    pub(super) fn sync(&self) -> String {
        format!("{}:sync", self.scope)
    }

    /// The exclusive queue by which a session is known to live.
    pub(super) fn session(&self, id: &str) -> String {
        format!("{}:session.{id}", self.scope)
    }

    /// The exclusive queue that is a lock.
    pub(super) fn lock(&self, name: &str) -> String {
        format!("{}:lock.{name}", self.scope)
    }

    /// Every exchange of the fleet.
    pub(super) fn exchanges(&self) -> Vec<String> {
        let delays = (0..LEVELS).map(|level| self.delay(level));
        [self.exchange(), self.due()].into_iter().chain(delays).collect()
    }

    /// Every durable queue of the fleet while it has these lanes.
    pub(super) fn queues(&self, lanes: &[LaneName]) -> Vec<String> {
        let delays = (0..LEVELS).map(|level| self.delay(level));
        let lanes = lanes.iter().flat_map(|lane| [self.lane(lane), self.dead(lane)]);
        [self.journal(), self.sync()].into_iter().chain(delays).chain(lanes).collect()
    }

    /// A regular expression of the names of the fleet's queues of these kinds.
    pub(super) fn pattern(&self, words: &[&str]) -> String {
        format!("^{}:({})\\.[^.]+$", self.scope.replace('.', "\\."), words.join("|"))
    }

    /// A regular expression of all durable queues and exchanges of the fleet. What is exclusive goes with its connection.
    pub(super) fn durable(&self) -> String {
        let scope = self.scope.replace('.', "\\.");
        format!("^{scope}$|^{scope}:(due$|(delay|lane|dead)\\.[^.]+$|journal$|sync$)")
    }

    /// What follows the scope in `name`: a word, and what it is of.
    pub(super) fn read<'a>(&self, name: &'a str) -> Option<(&'a str, &'a str)> {
        name.strip_prefix(self.scope.as_str())?.strip_prefix(':')?.split_once('.')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(name: &str) -> LaneName {
        LaneName::new(name).unwrap()
    }

    #[test]
    fn a_routing_key_is_read_as_it_was_written() {
        for (kind, _) in KINDS {
            assert_eq!(Kind::read(&kind.key(&lane("fast"))), Some((kind, lane("fast"))));
        }
        assert_eq!(Kind::read("retry.0.1.0.fast"), Some((Kind::Retry, lane("fast"))));
        for odd in ["", "mark", "sync", "other.fast", "new.", "new.Ä"] {
            assert_eq!(Kind::read(odd), None, "{odd}");
        }
    }

    #[test]
    fn the_names_of_one_fleet_are_never_those_of_another() {
        let mine = Names::new("s.a.b".to_owned());
        let all = taker(&mine.durable());
        let l = lane("x");
        let (exchanges, queues) = (mine.exchanges(), mine.queues(std::slice::from_ref(&l)));
        assert_eq!((exchanges.len(), queues.len()), (19, 21), "17 levels of delay, and the others");
        for name in exchanges.into_iter().chain(queues) {
            assert!(all(&name), "{name}");
        }
        assert!(!all(&mine.session("0f")) && !all(&mine.lock("watcher")));
        for scope in ["s.a.bb", "s.a", "s.a.b.lane", "sxa.b", "x.s.a.b", "s.a.b.c"] {
            let other = Names::new(scope.to_owned());
            for name in [other.exchange(), other.due(), other.lane(&l), other.journal()] {
                assert!(!all(&name), "{name}");
            }
        }
    }

    /// A stand-in for the broker's regular expressions that knows what the patterns here use.
    fn taker(pattern: &str) -> impl Fn(&str) -> bool + use<> {
        let scope = pattern.trim_start_matches('^').split('$').next().unwrap().replace("\\.", ".");
        move |name| {
            let Some(rest) = name.strip_prefix(&scope) else { return false };
            match rest.strip_prefix(':').map(|rest| rest.split('.').collect::<Vec<_>>()).as_deref() {
                None => rest.is_empty(),
                Some([word]) => ["due", "journal", "sync"].contains(word),
                Some([word, name]) => ["delay", "lane", "dead"].contains(word) && !name.is_empty(),
                Some(_) => false,
            }
        }
    }

    #[test]
    fn a_name_says_what_it_is_of() {
        let names = Names::new("s.lane.b".to_owned());
        assert_eq!(names.read("s.lane.b:lane.fast"), Some(("lane", "fast")));
        assert_eq!(names.read("s.lane.b:journal"), None);
        assert_eq!(names.read("s:lane.fast"), None);
    }
}
