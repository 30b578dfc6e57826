//! How a run shows what it is doing: live lines on a terminal, plain lines elsewhere.

use std::{
    io::{self, IsTerminal as _},
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use scrapefleet_api::fleet::{DrainMode, DrainSpec};
use scrapefleet_worker::BotStatus;
use tokio::time::Instant;

use super::snapshot::Snapshot;
use crate::{args::Progress, fleet::Fleet, terminal::printable};

/// How often plain lines are printed at most.
const PLAIN_EVERY: Duration = Duration::from_secs(5);

/// How often they are printed when nothing has changed.
const PLAIN_ANYWAY: Duration = Duration::from_secs(30);

/// More bots than this have no plain lines of their own; `/status` shows all.
const PLAIN_BOTS: usize = 10;

/// How a run shows what it is doing. Clones show on the same terminal.
#[derive(Debug, Clone)]
pub struct Display(Option<Arc<Shown>>);

#[derive(Debug)]
enum Shown {
    Plain(Mutex<Plain>),
    Live(Box<Live>),
}

/// What was printed last: when, and what of it is news when it changes.
#[derive(Debug, Default)]
struct Plain {
    printed: Option<(Instant, String)>,
}

#[derive(Debug)]
struct Live {
    lines: MultiProgress,
    fleet: ProgressBar,
    bots: Mutex<Vec<ProgressBar>>,
}

impl Display {
    /// The display that was asked for; `Auto` is live on a terminal.
    #[must_use]
    pub fn new(progress: Progress) -> Self {
        let live = match progress {
            Progress::None => return Self(None),
            Progress::Auto => io::stderr().is_terminal(),
            Progress::Bar => true,
            Progress::Plain => false,
        };
        Self(Some(Arc::new(if live {
            Shown::Live(Box::new(Live::new()))
        } else {
            Shown::Plain(Mutex::default())
        })))
    }

    /// Writes log lines to stderr, above the live lines where there are some.
    pub fn log_writer(&self) -> impl Fn() -> LogLine + Send + Sync + use<> {
        let above = match self.0.as_deref() {
            Some(Shown::Live(live)) => Some(live.lines.clone()),
            _ => None,
        };
        move || LogLine { above: above.clone() }
    }

    /// Says something in a line of its own.
    pub(super) fn say(&self, text: &str) {
        match self.0.as_deref() {
            None => {}
            Some(Shown::Plain(_)) => eprintln!("{text}"),
            Some(Shown::Live(live)) => live.lines.suspend(|| eprintln!("{text}")),
        }
    }

    pub(super) fn begin(&self, fleet: &Fleet, address: SocketAddr) {
        self.say(&format!(
            "{}: {}, queue {}, store {}, status http://{address}/status",
            fleet.name,
            fleet.site,
            fleet.queue_place(),
            fleet.place_of("")
        ));
    }

    pub(super) fn draining(&self, drain: &DrainSpec) {
        self.say(&match drain.mode {
            DrainMode::Release => "stopping: held items go back to the queue".to_owned(),
            DrainMode::Finish => format!("stopping: waiting up to {} for held items to end", drain.deadline),
        });
    }

    pub(super) fn show(&self, snapshot: &Snapshot) {
        match self.0.as_deref() {
            None => {}
            Some(Shown::Plain(plain)) => {
                let due = plain.lock().unwrap_or_else(PoisonError::into_inner).due(snapshot, Instant::now());
                if let Some(lines) = due {
                    eprintln!("{lines}");
                }
            }
            Some(Shown::Live(live)) => live.show(snapshot),
        }
    }

    pub(super) fn end(&self, snapshot: &Snapshot) {
        if let Some(Shown::Live(live)) = self.0.as_deref() {
            live.clear();
        }
        self.say(&summary(snapshot));
    }
}

/// Writes a log line to stderr.
#[derive(Debug)]
pub struct LogLine {
    above: Option<MultiProgress>,
}

impl io::Write for LogLine {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &self.above {
            Some(lines) => lines.suspend(|| io::stderr().write(bytes)),
            None => io::stderr().write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl Plain {
    /// What is to be printed at `now`: the run in one line, and below it each bot in another. That is when a count or the
    /// state of a bot has changed, or after a while; a bot's memory changes all the time and is no news.
    fn due(&mut self, snapshot: &Snapshot, now: Instant) -> Option<String> {
        let states: Vec<_> = snapshot.bots.iter().map(|bot| bot.state).collect();
        let news = format!("{} {states:?}", summary(snapshot));
        let due = self.printed.as_ref().is_none_or(|(at, printed)| {
            now - *at >= if *printed == news { PLAIN_ANYWAY } else { PLAIN_EVERY }
        });
        due.then(|| {
            self.printed = Some((now, news));
            plain(snapshot)
        })
    }
}

impl Live {
    fn new() -> Self {
        let lines = MultiProgress::new();
        let fleet = lines.add(spinner());
        Self { lines, fleet, bots: Mutex::default() }
    }

    fn show(&self, snapshot: &Snapshot) {
        self.fleet.set_message(summary(snapshot));
        self.fleet.tick();
        let mut bots = self.bots.lock().unwrap_or_else(PoisonError::into_inner);
        while bots.len() < snapshot.bots.len() {
            bots.push(self.lines.add(spinner()));
        }
        for (line, bot) in bots.iter().zip(&snapshot.bots) {
            line.set_message(bot_line(bot));
            line.tick();
        }
    }

    fn clear(&self) {
        for bot in self.bots.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            bot.finish_and_clear();
        }
        self.fleet.finish_and_clear();
    }
}

fn spinner() -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {wide_msg}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner());
    ProgressBar::new_spinner().with_style(style)
}

/// The run in one line, and below it each bot in another, as far as they are few.
fn plain(snapshot: &Snapshot) -> String {
    let mut lines = vec![summary(snapshot)];
    lines.extend(snapshot.bots.iter().take(PLAIN_BOTS).map(|bot| format!("  {}", bot_line(bot))));
    if let Some(more) = snapshot.bots.len().checked_sub(PLAIN_BOTS).filter(|more| *more > 0) {
        lines.push(format!("  … and {more} more; /status shows all"));
    }
    lines.join("\n")
}

/// The whole run in one line.
fn summary(snapshot: &Snapshot) -> String {
    let Snapshot { depth, totals, watcher, goal, .. } = snapshot;
    let goal = goal.map(|goal| format!("/{goal}")).unwrap_or_default();
    let mut line = format!(
        "discovered {}, ready {}, held {}, stored {}{goal}",
        watcher.discovered,
        depth.ready,
        snapshot.held(),
        totals.stored + totals.already_stored,
    );
    let others = [
        ("delayed", depth.delayed),
        ("gone", totals.gone),
        ("dead", depth.dead),
        ("retried", totals.retried),
        ("browsers abandoned", totals.browsers_abandoned),
        ("gaps", watcher.gaps),
    ];
    for (name, count) in others.into_iter().filter(|(_, count)| *count > 0) {
        line.extend([", ", name, " ", &count.to_string()]);
    }
    if let Some(waiting) = &watcher.waiting {
        line.extend(["; ", &printable(&waiting.to_string(), 200)]);
    }
    line
}

fn bot_line(bot: &BotStatus) -> String {
    let memory = bot.browser.memory_mib.map(|mib| format!(", {mib} MiB")).unwrap_or_default();
    let oldest = bot.holds.iter().max_by_key(|hold| std::cmp::Reverse(hold.since));
    let oldest = oldest.map(|hold| format!(", longest {}", hold.item)).unwrap_or_default();
    let reason =
        bot.last_reason.as_deref().map(|why| format!(" ({})", printable(why, 80))).unwrap_or_default();
    format!(
        "bot {}: {:?}, holds {} of {}{memory}{oldest}{reason}",
        bot.slot,
        bot.state,
        bot.holds.len(),
        bot.capacity
    )
}

#[cfg(test)]
mod tests;
