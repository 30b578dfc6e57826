//! A watchdog that is no part of the runtime it watches: a thread that ends the process when that stands still.
//!
//! It looks at counts that go up as long as all is well: the beats of the runtime, and the steps of the bot. It measures only
//! the time in which it looked itself: after a process was stopped and continued, or a machine slept, nothing is overdue.

use std::{
    fmt, io,
    path::PathBuf,
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use scrapefleet_api::ScrapeFleetSpec;

use super::Ending;

/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(250);

/// How long saying why, and leaving something behind for it, may take in all: what hangs may hold what that needs, and what the
/// process holds is held elsewhere only when it has ended.
const LAST_WORDS: Duration = Duration::from_millis(1500);

/// The longest wait for the turn of a page load, as the browser has it.
const PAGE_TURN: Duration = Duration::from_mins(2);

/// The slowest that a throttled page acts, as a part of `politeness.actionsPerSecond`, as the browser has it.
const SLOWEST: f64 = 0.125;

/// What a step may take beside its deadline and its turns: asking the store, collecting evidence, ending Chrome.
const ROOM: Duration = Duration::from_secs(30);

/// Something that must go on.
pub(super) struct Mark {
    /// What.
    pub(super) what: &'static str,
    /// How long it may stand still, from the first time that it moves.
    pub(super) within: Duration,
    /// Goes up whenever it moves.
    pub(super) count: Box<dyn Fn() -> u64 + Send>,
}

/// What stands still, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stuck {
    /// What.
    pub(super) what: &'static str,
    /// For how long.
    pub(super) still: Duration,
    /// For how long it may.
    pub(super) within: Duration,
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, still, within } = self;
        write!(f, "{what}: nothing has moved for {still:.1?}, at most {within:.0?} are allowed")
    }
}

/// Watches until it is dropped.
#[derive(Debug)]
pub(super) struct Watchdog {
    /// Disconnecting it is what ends the thread.
    _stop: mpsc::Sender<()>,
}

impl Watchdog {
    /// Watches `marks` from a thread of its own, and calls `end` once when one stands still for too long.
    pub(super) fn start(marks: Vec<Mark>, end: impl FnOnce(Stuck) + Send + 'static) -> io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        thread::Builder::new().name("watchdog".to_owned()).spawn(move || {
            let mut watch = Watch::new(marks.iter().map(|mark| (mark.what, mark.within)), Instant::now());
            while stopped.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                let counts = marks.iter().map(|mark| (mark.count)());
                if let Some(stuck) = watch.look(counts, Instant::now()) {
                    return end(stuck);
                }
            }
        })?;
        Ok(Self { _stop: stop })
    }

    /// Watches `marks` and ends the process, leaving why at `termination_log`, and what `leave` leaves behind in the little
    /// time that there is.
    pub(super) fn over_process(
        marks: Vec<Mark>,
        termination_log: PathBuf,
        leave: impl FnOnce(Stuck) + Send + 'static,
    ) -> io::Result<Self> {
        Self::start(marks, move |stuck| end_process(stuck, termination_log, leave))
    }
}

/// Says why, leaves something behind, and ends the process.
fn end_process(stuck: Stuck, termination_log: PathBuf, leave: impl FnOnce(Stuck) + Send + 'static) {
    let ending = Ending::of_standstill(&stuck.to_string());
    let code = i32::from(ending.code);
    let say = move || {
        ending.leave_at(&termination_log);
        tracing::error!(why = ending.message, "the watchdog ends the process");
    };
    // Whether it was said or not, this is the end.
    all_within(LAST_WORDS, [("last words", Box::new(say)), ("post-mortem", Box::new(move || leave(stuck)))]);
    std::process::exit(code);
}

/// Something to do, once.
type Deed = Box<dyn FnOnce() + Send>;

/// Does these things, each in a thread of its own, for any may hang; those that take longer than `limit` are left alone.
fn all_within<const N: usize>(limit: Duration, things: [(&str, Deed); N]) {
    let (done, all_done) = mpsc::channel::<()>();
    for (name, thing) in things {
        let done = done.clone();
        // What cannot be begun is left out.
        let _ = thread::Builder::new().name(name.to_owned()).spawn(move || {
            thing();
            drop(done);
        });
    }
    drop(done);
    // Nothing is ever sent: this returns when every thread has dropped its end, or too late.
    let _ = all_done.recv_timeout(limit);
}

/// How long a step of a bot may take: the longest that any may, and some room.
pub(super) fn steps_within(spec: &ScrapeFleetSpec) -> Duration {
    let action = 1.0 / (spec.politeness.actions_per_second * SLOWEST);
    let action_turn = Duration::try_from_secs_f64(action).unwrap_or(Duration::MAX);
    PAGE_TURN.max(action_turn).saturating_add(spec.policies.step.hard.get() + ROOM)
}

/// The marks as they were seen last.
struct Watch {
    seen: Vec<Seen>,
    looked: Instant,
}

struct Seen {
    what: &'static str,
    within: Duration,
    count: u64,
    /// Since when it stands there; none while it has never moved.
    since: Option<Instant>,
}

impl Watch {
    fn new(marks: impl Iterator<Item = (&'static str, Duration)>, now: Instant) -> Self {
        let seen = marks.map(|(what, within)| Seen { what, within, count: 0, since: None });
        Self { seen: seen.collect(), looked: now }
    }

    /// The first mark that stands still for too long.
    fn look(&mut self, counts: impl Iterator<Item = u64>, now: Instant) -> Option<Stuck> {
        let overslept = (now - self.looked).saturating_sub(LOOK);
        self.looked = now;
        // Every mark is looked at, whatever the first is.
        let stuck: Vec<_> = self
            .seen
            .iter_mut()
            .zip(counts)
            .filter_map(|(mark, count)| mark.look(count, overslept, now))
            .collect();
        stuck.into_iter().next()
    }
}

impl Seen {
    fn look(&mut self, count: u64, overslept: Duration, now: Instant) -> Option<Stuck> {
        if count != self.count {
            (self.count, self.since) = (count, Some(now));
            return None;
        }
        let since = self.since.as_mut()?;
        // As if the time in which nobody looked had not been.
        *since += overslept;
        let still = now.saturating_duration_since(*since);
        (still > self.within).then_some(Stuck { what: self.what, still, within: self.within })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    };

    use super::*;

    const WITHIN: Duration = Duration::from_secs(3);

    /// What is noticed of one mark, looked at at these milliseconds.
    fn noticed(looks: &[(u64, u64)]) -> Option<(u64, Duration)> {
        let begun = Instant::now();
        let mut watch = Watch::new([("it", WITHIN)].into_iter(), begun);
        looks.iter().find_map(|(at, count)| {
            let stuck = watch.look([*count].into_iter(), begun + Duration::from_millis(*at))?;
            Some((*at, stuck.still))
        })
    }

    /// Looks every 250 ms, in which the count goes up until `stops`, in milliseconds.
    fn looks(stops: u64, until: u64) -> Vec<(u64, u64)> {
        (1..=until / 250).map(|n| (n * 250, (n * 250).min(stops) / 250)).collect()
    }

    #[test]
    fn what_moves_is_well_and_what_stands_still_is_noticed_soon() {
        assert_eq!(noticed(&looks(60_000, 60_000)), None);
        let (at, still) = noticed(&looks(5_000, 60_000)).unwrap();
        assert!(at <= 5_000 + 3_000 + 250, "noticed at {at}");
        assert!(still > WITHIN, "{still:?}");
    }

    #[test]
    fn what_has_never_moved_is_not_overdue() {
        assert_eq!(noticed(&looks(0, 60_000)), None);
    }

    #[test]
    fn time_in_which_nobody_looked_does_not_count() {
        // Stopped for an hour after 2 s; it moves a second after it goes on.
        let hour = 3_600_000;
        let mut stopped = looks(2_000, 2_000);
        stopped.extend((1..=4).map(|n| (hour + n * 250, 8)));
        stopped.extend((5..=40).map(|n| (hour + n * 250, 8 + n)));
        assert_eq!(noticed(&stopped), None);
        // It never moves again: that is noticed as soon as it would have been.
        let mut dead = looks(2_000, 2_000);
        dead.extend((1..=40).map(|n| (hour + n * 250, 8)));
        let (at, _) = noticed(&dead).unwrap();
        assert!((hour + 3_000..=hour + 3_500).contains(&at), "noticed at {at}");
    }

    #[test]
    fn the_one_that_stands_still_is_named() {
        let begun = Instant::now();
        let mut watch = Watch::new([("runtime", WITHIN), ("steps", WITHIN * 30)].into_iter(), begun);
        let mut stuck = None;
        for n in 1..=1000 {
            stuck = stuck.or(watch.look([n, 1].into_iter(), begun + LOOK * u32::try_from(n).unwrap()));
        }
        let stuck = stuck.unwrap();
        assert_eq!(stuck.what, "steps");
        assert!(stuck.to_string().starts_with("steps: nothing has moved for 90."), "{stuck}");
    }

    #[test]
    fn a_deadlocked_runtime_is_noticed_from_outside() {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
        let beats = Arc::new(AtomicU64::new(0));
        let beating = Arc::clone(&beats);
        runtime.spawn(async move {
            loop {
                beating.fetch_add(1, Relaxed);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        let counted = Arc::clone(&beats);
        let mark = Mark {
            what: "runtime",
            within: Duration::from_secs(1),
            count: Box::new(move || counted.load(Relaxed)),
        };
        let (sender, noticed) = mpsc::channel();
        let _watchdog = Watchdog::start(vec![mark], move |stuck| sender.send(stuck).unwrap()).unwrap();
        while beats.load(Relaxed) < 3 {
            thread::sleep(Duration::from_millis(5));
        }
        assert!(noticed.try_recv().is_err(), "it is well");
        let lock = Arc::new(Mutex::new(()));
        let held = lock.lock().unwrap();
        for _ in 0..4 {
            let lock = Arc::clone(&lock);
            runtime.spawn(async move { drop(lock.lock()) });
        }
        let stuck = noticed.recv_timeout(Duration::from_mins(1)).unwrap();
        assert_eq!(stuck.what, "runtime");
        drop(held);
    }

    #[test]
    fn one_that_is_dropped_ends_nothing() {
        let count = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&count);
        let mark = Mark {
            what: "it",
            within: Duration::from_millis(1),
            count: Box::new(move || counted.fetch_add(1, Relaxed).min(1)),
        };
        let (sender, noticed) = mpsc::channel();
        drop(Watchdog::start(vec![mark], move |stuck| sender.send(stuck).unwrap()).unwrap());
        assert_eq!(noticed.recv(), Err(mpsc::RecvError), "its thread has ended");
    }

    #[test]
    fn what_hangs_keeps_nothing_else_from_being_done_nor_the_end_from_coming() {
        let (sender, heard) = mpsc::channel();
        let (_never, hangs) = mpsc::channel::<()>();
        let began = Instant::now();
        let hang = move || _ = hangs.recv();
        let say = move || sender.send("said").unwrap();
        all_within(Duration::from_millis(200), [("hangs", Box::new(hang)), ("says", Box::new(say))]);
        assert!(began.elapsed() >= Duration::from_millis(200), "one of them still needs the time");
        assert_eq!(heard.recv_timeout(Duration::from_mins(1)), Ok("said"));
        // Where nothing hangs the time is not used up.
        all_within(Duration::from_hours(1), [("quick", Box::new(|| {}))]);
    }

    #[test]
    fn a_step_may_take_as_long_as_the_manifest_lets_it() {
        let (_, _, home) = scrapefleet_showdown::preset();
        let yaml = format!(
            "{{ apiVersion: scrapefleet.io/v1alpha1, kind: ScrapeFleet, metadata: {{ name: a }}, \
             spec: {{ site: {{ preset: showdown, url: '{home}' }}, queue: {{ embedded: {{}} }}, store: {{ directory: {{}} }} }} }}"
        );
        let mut spec = scrapefleet_api::manifest::load(&yaml, &[]).unwrap().spec;
        let usual = steps_within(&spec);
        assert!(usual >= PAGE_TURN + spec.policies.step.hard.get(), "{usual:?}");
        assert!(usual < Duration::from_mins(3), "{usual:?}");
        spec.policies.step.hard = scrapefleet_api::Period::minutes(10);
        assert!(steps_within(&spec) > Duration::from_mins(12));
        spec.politeness.actions_per_second = 0.01;
        assert!(steps_within(&spec) > Duration::from_mins(23));
    }
}
