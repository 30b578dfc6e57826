//! A driver of Chrome: one that is started from here under a guard, or one that is already running.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    thread,
    time::Duration,
};

use scrapefleet_policy::{Instant, Policy, Retry, within};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};
use url::Url;

use crate::{
    Fault, Step, StepError,
    chrome::{Launch, find_chrome, find_driver},
    endpoint::{Endpoint, LocalChrome},
    guard::{self, ANNOUNCEMENT},
};

/// What the driver says when it listens.
const LISTENS: &str = "started successfully on port ";

/// Chrome maps its shared memory there; the 64 MiB that containers have by default crash it on heavy pages.
const ENOUGH_SHM: u64 = 512 << 20;

/// How long a guard is given to end the browser: its own limits and some time to be scheduled.
const GUARD_ENDS: Duration = Duration::from_secs(12);

/// Starts of a driver in all, when it ends at once.
const ATTEMPTS: u32 = 3;

/// The last lines of a driver that ended at once which are kept for the error.
const MOST_LINES: usize = 3;

/// The most of what the driver says that is kept for an error, in bytes.
const MOST_KEPT: usize = 2048;

/// A driver that listens. Dropping it ends one that was started from here, with all that it started.
#[derive(Debug)]
pub(crate) struct Driver {
    /// Where it answers.
    pub(crate) url: Url,
    /// How Chrome is to be started.
    pub(crate) launch: Launch,
    local: Option<Guarded>,
}

#[derive(Debug)]
struct Guarded {
    guard: Child,
    /// The guard ends when this does.
    order: Option<ChildStdin>,
    driver: u32,
    /// What the browser writes to, as long as nobody has seen to its end.
    folder: Option<PathBuf>,
}

impl Driver {
    /// Finds or starts a driver, within `limit`. `name` is part of the name of the browser's folder.
    pub(crate) async fn start(endpoint: &Endpoint, name: &str, limit: Duration) -> Result<Self, StepError> {
        let began = Instant::now();
        let started = match endpoint {
            Endpoint::Remote { driver, no_sandbox } => {
                let launch = Launch { no_sandbox: *no_sandbox, ..Launch::default() };
                Ok(Self { url: driver.clone(), launch, local: None })
            }
            Endpoint::Local(local) => start_local(local, name, limit).await,
        };
        started.map_err(|message| {
            StepError::new(Step::Launch, Fault::CannotStart, &message).after(began.elapsed())
        })
    }

    /// Process id of the driver, when it was started from here.
    pub(crate) fn process_id(&self) -> Option<u32> {
        self.local.as_ref().map(|local| local.driver)
    }

    /// Ends what was started from here and waits until it is gone.
    pub(crate) async fn close(self) {
        if let Some(guarded) = self.local {
            guarded.end().await;
        }
    }
}

impl Guarded {
    /// Has the guard end the browser, and does it in its place where it did not.
    async fn end(mut self) {
        drop(self.order.take());
        let ended = within(GUARD_ENDS, "end the browser", self.guard.wait()).await;
        let Some(folder) = self.folder.take() else { return };
        if matches!(&ended, Ok(Ok(status)) if status.success()) {
            return;
        }
        tracing::warn!(driver = self.driver, ?ended, "the guard has not ended the browser");
        // One that is gone already cannot be killed.
        let _ = self.guard.start_kill();
        let ending = tokio::task::spawn_blocking(move || end_unguarded(&folder));
        // It ends by itself within its bounds, and has logged what it could not do.
        let _ = ending.await;
    }

    /// Whether the guard is gone without having done its work.
    fn has_failed(&mut self) -> bool {
        matches!(self.guard.try_wait(), Ok(Some(status)) if !status.success())
    }
}

impl Drop for Guarded {
    /// A guard that lives ends the browser as soon as its order is gone.
    fn drop(&mut self) {
        let Some(folder) = self.folder.take().filter(|_| self.has_failed()) else { return };
        // Nobody waits for it, whether there is a runtime or not.
        let ending = thread::Builder::new().name("browser-end".to_owned());
        if let Err(error) = ending.spawn(move || end_unguarded(&folder)) {
            tracing::warn!(driver = self.driver, %error, "a browser without its guard is left");
        }
    }
}

fn end_unguarded(folder: &Path) {
    if let Err(why) = guard::end_unguarded(folder) {
        tracing::warn!(folder = %folder.display(), why, "a browser without its guard was not ended whole");
    }
}

/// Why a driver did not start.
#[derive(Debug, thiserror::Error)]
enum NotStarted {
    #[error("{0}")]
    Impossible(String),
    /// It ended at once. It looks for a free port and then takes it, and in between another may have done so.
    #[error("the driver {0} ended at once: {1}")]
    Ended(String, String),
}

async fn start_local(local: &LocalChrome, name: &str, limit: Duration) -> Result<Driver, String> {
    let program = find_driver(local.driver.as_deref()).map_err(|e| e.to_string())?;
    let chrome = find_chrome(local.chrome.as_deref()).map_err(|e| e.to_string())?;
    let start = Policy::named("start the driver")
        .within(limit)
        .overall(limit)
        .retry(Retry::times(ATTEMPTS))
        .when(|why| matches!(why, NotStarted::Ended(..)));
    let (guarded, url, folder) =
        start.run(|_| start_guarded(local, &program, name)).await.map_err(|failed| failed.to_string())?;
    let launch = Launch {
        chrome: Some(chrome),
        profile: Some(folder.join("profile")),
        no_sandbox: local.no_sandbox || rustix::process::geteuid().is_root(),
        small_shm: has_small_shm(),
    };
    Ok(Driver { url, launch, local: Some(guarded) })
}

/// Starts a guard and the driver under it; answers where the driver listens, and the folder that the guard removes.
async fn start_guarded(
    local: &LocalChrome,
    program: &Path,
    name: &str,
) -> Result<(Guarded, Url, PathBuf), NotStarted> {
    let impossible = |why: String| NotStarted::Impossible(why);
    let folder = make_folder(local.folder.as_deref(), name).map_err(impossible)?;
    let mut guard = guard_command(local, program, folder.path()).spawn().map_err(|e| {
        impossible(format!("cannot start the browser's guard {}: {e}", local.guard.path.display()))
    })?;
    let (Some(order), Some(out), Some(err)) = (guard.stdin.take(), guard.stdout.take(), guard.stderr.take())
    else {
        return Err(impossible("the browser's guard has no pipes".to_owned()));
    };
    // From here on the guard removes the folder.
    let folder = folder.keep();
    let errors = tokio::spawn(drain(err));
    let mut lines = BufReader::new(out).lines();
    let mut said = Vec::new();
    let Some((driver, port)) = announced(&mut lines, &mut said).await else {
        drop(order);
        said.push(errors.await.unwrap_or_default());
        return Err(NotStarted::Ended(program.display().to_string(), said.join("; ")));
    };
    tokio::spawn(drain(lines.into_inner()));
    let url = Url::parse(&format!("http://127.0.0.1:{port}/")).map_err(|e| impossible(e.to_string()))?;
    Ok((Guarded { guard, order: Some(order), driver, folder: Some(folder.clone()) }, url, folder))
}

fn guard_command(local: &LocalChrome, program: &Path, folder: &Path) -> Command {
    let mut command = Command::new(&local.guard.path);
    command
        .args(&local.guard.args)
        .arg("--folder")
        .arg(folder)
        .arg("--")
        .arg(program)
        .args(["--port=0", "--log-level=WARNING"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A Ctrl-C at the terminal is for the bot, which may want to drain.
        .process_group(0);
    command
}

/// A folder for all that the browser writes. Its name is short: a socket in it has at most 107 characters.
fn make_folder(parent: Option<&Path>, name: &str) -> Result<TempDir, String> {
    let parent = parent.map_or_else(std::env::temp_dir, Path::to_path_buf);
    tempfile::Builder::new()
        .prefix(&format!("scrapefleet-{name}-"))
        .tempdir_in(&parent)
        .map_err(|e| format!("cannot make a folder for the browser in {}: {e}", parent.display()))
}

/// Reads until the driver has said its process id and its port; `said` has its last lines.
async fn announced(lines: &mut Lines<BufReader<ChildStdout>>, said: &mut Vec<String>) -> Option<(u32, u16)> {
    let mut process = None;
    while let Ok(Some(line)) = lines.next_line().await {
        process = line.strip_prefix(ANNOUNCEMENT).and_then(|id| id.parse().ok()).or(process);
        if let Some(port) = port(&line) {
            return Some((process?, port));
        }
        said.truncate(MOST_LINES - 1);
        said.insert(0, line);
    }
    None
}

fn port(line: &str) -> Option<u16> {
    let (_, after) = line.split_once(LISTENS)?;
    after.trim().trim_end_matches('.').parse().ok()
}

/// Reads to the end, so that the driver never waits for a reader; keeps the beginning.
async fn drain(mut from: impl AsyncRead + Unpin) -> String {
    let mut kept = Vec::new();
    let mut buffer = [0; 1024];
    while let Ok(n @ 1..) = from.read(&mut buffer).await {
        kept.extend_from_slice(&buffer[..n.min(MOST_KEPT - kept.len())]);
    }
    String::from_utf8_lossy(&kept).trim().to_owned()
}

fn has_small_shm() -> bool {
    rustix::fs::statvfs("/dev/shm").is_ok_and(|shm| shm.f_blocks * shm.f_frsize < ENOUGH_SHM)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_port_the_driver_says() {
        assert_eq!(port("ChromeDriver was started successfully on port 40393."), Some(40393));
        assert_eq!(port("ChromeDriver was started successfully on port 9515"), Some(9515));
        assert_eq!(port("Starting ChromeDriver 150.0 on port 0"), None);
        assert_eq!(port("ChromeDriver was started successfully on port 99999."), None);
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_named() {
        let local = LocalChrome { driver: Some("/nowhere/chromedriver".into()), ..LocalChrome::default() };
        let error = Driver::start(&Endpoint::Local(local), "t", Duration::from_secs(5)).await.unwrap_err();
        assert_eq!((error.step, error.fault), (Step::Launch, Fault::CannotStart));
        assert!(error.message.contains("/nowhere"), "{error}");
    }
}
