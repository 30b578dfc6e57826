//! What can be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use scrapefleet_queue::Reason;

/// Scrapes what sites list for a short while, with real browsers, losing nothing and doubling nothing.
#[derive(Debug, Parser)]
#[command(name = "scrapefleet", version, max_term_width = 100)]
pub struct Cli {
    /// How log lines look.
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text, env = "SCRAPEFLEET_LOG_FORMAT")]
    pub log_format: LogFormat,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line, for collectors.
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Scrape on this machine: watcher and bots in one process.
    ///
    /// Resumes where it stopped, however it stopped. The first Ctrl-C drains as the manifest says, the second
    /// gives back at once whatever is held. A fleet with `suspend: true` is left alone.
    Run(RunArgs),
    /// Account for every item that was ever discovered, from the queue and the store alone.
    ///
    /// Exits 0 only when the ledger balances: nothing lost, nothing doubled, nothing unreadable. A queue in a file is read
    /// only while no `scrapefleet run` uses it.
    Verify(VerifyArgs),
    /// Look at the items that were given up, and try them again or give them up for good.
    ///
    /// A queue in a file is read only while no `scrapefleet run` uses it: stop the run first.
    Dead(DeadArgs),
    /// Look at what was left of browsers that bots threw away.
    PostMortems(PostMortemsArgs),
    /// Check a manifest; prints every problem, one a line.
    Check(FleetArgs),
    /// Be one bot of a fleet, in a pod beside its Chrome.
    ///
    /// Exits with a code that says why: 0 drained, 10 browser not rebuilt, 11 released, 13 queue unreachable, 14 store
    /// unreachable, 15 bad configuration. SIGTERM drains as the manifest says, a second one releases at once.
    Bot(BotArgs),
    /// Be a watcher of a fleet, in a pod beside its Chrome. Of several one is active, the others stand by.
    Watcher(WatcherArgs),
    /// Supervises a browser's processes; for the program's own use.
    #[command(name = "browser-guard", hide = true)]
    BrowserGuard {
        /// The driver and its arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<std::ffi::OsString>,
    },
}

/// Which fleet, and where its data is.
#[derive(Debug, Clone, Args)]
pub struct FleetArgs {
    /// The manifest of the fleet.
    #[arg(short, long, visible_alias = "manifest", value_name = "FILE")]
    pub file: PathBuf,
    /// Sets a field of the manifest, as in `spec.bots.max=2`; may be repeated.
    #[arg(long, value_name = "PATH=VALUE")]
    pub set: Vec<String>,
    /// The folder that relative paths of the manifest's queue and store are in.
    #[arg(long, value_name = "DIR", default_value = "data", env = "SCRAPEFLEET_DATA")]
    pub data: PathBuf,
    /// The fleet's namespace, where its queue is on a broker [default: that of the manifest, or `default`].
    #[arg(long, value_name = "NAME", env = "SCRAPEFLEET_NAMESPACE")]
    pub namespace: Option<String>,
    /// The folder with the files `username` and `password` of the broker, and `ca.crt` where it has an authority of its own.
    #[arg(long, value_name = "DIR", env = "SCRAPEFLEET_QUEUE_CREDENTIALS")]
    pub queue_credentials: Option<PathBuf>,
    /// The folder with the files `accessKeyId` and `secretAccessKey` of the object store, `sessionToken` and `ca.crt` where it
    /// needs them [default: the platform's own identity].
    #[arg(long, value_name = "DIR", env = "SCRAPEFLEET_STORE_CREDENTIALS")]
    pub store_credentials: Option<PathBuf>,
}

/// How a pod of a fleet runs.
#[derive(Debug, Clone, Args)]
pub struct PodArgs {
    /// Which fleet.
    #[command(flatten)]
    pub fleet: FleetArgs,
    /// Where the driver of the pod's Chrome answers.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:4444")]
    pub webdriver: url::Url,
    /// Chrome's own sandbox is used: the container's seccomp profile allows it.
    #[arg(long)]
    pub chrome_sandbox: bool,
    /// The port for /metrics, /livez, /readyz, /progressz and /status, on every address.
    #[arg(long, default_value_t = 8080)]
    pub port: u16,
    /// The file with this pod's share of the fleet's politeness, as JSON; it may change at any time.
    #[arg(long, value_name = "FILE")]
    pub share: Option<PathBuf>,
    /// Where to write why the pod ended, as JSON.
    #[arg(long, value_name = "FILE", default_value = "/dev/termination-log")]
    pub termination_log: PathBuf,
}

/// How to be a bot.
#[derive(Debug, Clone, Args)]
pub struct BotArgs {
    /// How the pod runs.
    #[command(flatten)]
    pub pod: PodArgs,
    /// The bot's number within its fleet.
    #[arg(long, value_name = "N")]
    pub slot: u32,
}

/// How to be a watcher.
#[derive(Debug, Clone, Args)]
pub struct WatcherArgs {
    /// How the pod runs.
    #[command(flatten)]
    pub pod: PodArgs,
}

/// How to run.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// Which fleet.
    #[command(flatten)]
    pub fleet: FleetArgs,
    /// Stop once this run has stored that many artifacts.
    #[arg(long, value_name = "N")]
    pub until_stored: Option<u64>,
    /// Loopback port for /metrics, /livez, /readyz and /status; 0 takes a free one.
    #[arg(long, default_value_t = 9464)]
    pub port: u16,
    /// How progress is shown.
    #[arg(long, value_enum, default_value_t = Progress::Auto)]
    pub progress: Progress,
    /// Writes what was done to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// The Chrome to use instead of the one found.
    #[arg(long, value_name = "FILE", env = "SCRAPEFLEET_CHROME")]
    pub chrome: Option<PathBuf>,
    /// The chromedriver to use instead of the one found.
    #[arg(long, value_name = "FILE", env = "SCRAPEFLEET_CHROMEDRIVER")]
    pub chromedriver: Option<PathBuf>,
}

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Progress {
    /// Live when the output is a terminal, plain lines when not.
    Auto,
    /// Live.
    Bar,
    /// A line for the run and one for each bot, every few seconds.
    Plain,
    /// Nothing.
    None,
}

/// How to verify.
#[derive(Debug, Clone, Args)]
pub struct VerifyArgs {
    /// Which fleet.
    #[command(flatten)]
    pub fleet: FleetArgs,
    /// Prints the ledger as JSON.
    #[arg(long)]
    pub json: bool,
}

/// What to do with dead letters.
#[derive(Debug, Args)]
pub struct DeadArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: DeadCommand,
}

/// What to do with dead letters.
#[derive(Debug, Subcommand)]
pub enum DeadCommand {
    /// Every dead letter, a line each: item, reason, attempts, when, what was said.
    List {
        /// Which fleet.
        #[command(flatten)]
        fleet: FleetArgs,
        /// Only those given up for this reason, as in `OpenFailed`; may be repeated.
        #[arg(long, value_name = "REASON", value_parser = reason)]
        reason: Vec<Reason>,
        /// Prints them as JSON.
        #[arg(long)]
        json: bool,
    },
    /// One dead letter whole, with where its screenshot and page are.
    Show {
        /// Which fleet.
        #[command(flatten)]
        fleet: FleetArgs,
        /// The item.
        item: String,
    },
    /// Makes tasks of dead letters again, at attempt 1.
    Replay {
        /// Which fleet.
        #[command(flatten)]
        fleet: FleetArgs,
        /// Which letters.
        #[command(flatten)]
        which: Which,
    },
    /// Gives items up for good: their dead letters are no more, and a record of each is in the store.
    ///
    /// The ledger goes on counting them as dead. Evidence in the store stays where it is.
    Purge {
        /// Which fleet.
        #[command(flatten)]
        fleet: FleetArgs,
        /// Which letters.
        #[command(flatten)]
        which: Which,
        /// Does not ask first; needed where there is no terminal to ask at.
        #[arg(short, long)]
        yes: bool,
    },
}

/// Which dead letters.
#[derive(Debug, Clone, Default, Args)]
pub struct Which {
    /// The items; with --all, every one.
    #[arg(required_unless_present_any = ["all", "reason"])]
    pub items: Vec<String>,
    /// Every dead letter.
    #[arg(long, conflicts_with = "items")]
    pub all: bool,
    /// Only those given up for this reason, as in `OpenFailed`; may be repeated.
    #[arg(long, value_name = "REASON", value_parser = reason)]
    pub reason: Vec<Reason>,
}

/// A reason as `dead list` shows it.
fn reason(text: &str) -> Result<Reason, String> {
    let named = |reason: &Reason| format!("{reason:?}").eq_ignore_ascii_case(text);
    Reason::ALL.into_iter().find(named).ok_or_else(|| {
        let all: Vec<_> = Reason::ALL.iter().map(|reason| format!("{reason:?}")).collect();
        format!("there are {}", all.join(", "))
    })
}

/// What to do with post-mortems.
#[derive(Debug, Args)]
pub struct PostMortemsArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: PostMortemsCommand,
}

/// What to do with post-mortems.
#[derive(Debug, Subcommand)]
pub enum PostMortemsCommand {
    /// The newest, a line each: when, which bot, why, how many items it held, what the browser said, and its name.
    List {
        /// Which fleet.
        #[command(flatten)]
        fleet: FleetArgs,
        /// At most so many.
        #[arg(long, value_name = "N", default_value_t = 20)]
        last: usize,
        /// Prints them as JSON, whole.
        #[arg(long)]
        json: bool,
    },
    /// One whole: what was held, the browser's processes, the last lines of the bot's log.
    Show {
        /// Which fleet.
        #[command(flatten)]
        fleet: FleetArgs,
        /// Its name, as `list` shows it, or its key in the store.
        name: String,
        /// Prints it as JSON.
        #[arg(long)]
        json: bool,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn which(words: &[&str]) -> Result<Which, String> {
        let all = ["scrapefleet", "dead", "purge", "-f", "x"].into_iter().chain(words.iter().copied());
        match Cli::try_parse_from(all).map_err(|error| error.to_string())?.command {
            Command::Dead(DeadArgs { command: DeadCommand::Purge { which, .. } }) => Ok(which),
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn a_purge_says_what_of() {
        assert_eq!(which(&["a", "b"]).unwrap().items, ["a", "b"]);
        assert!(which(&["--all"]).unwrap().all);
        let reasons = which(&["--reason", "openfailed", "--reason", "TooLate"]).unwrap().reason;
        assert_eq!(reasons, [Reason::OpenFailed, Reason::TooLate]);
        assert!(which(&[]).is_err());
        assert!(which(&["--all", "a"]).is_err());
        let wrong = which(&["--reason", "Weather"]).unwrap_err();
        assert!(wrong.contains("Weather") && wrong.contains("OpenFailed, PageCrashed"), "{wrong}");
    }

    #[test]
    fn every_command_is_well_formed() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }
}
