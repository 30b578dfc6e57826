//! What the tests against a real Chrome share.

use std::{path::Path, sync::LazyLock, time::Duration};

use scrapefleet_api::{ItemId, politeness::RobotsTxt, recipe::Recipe};
use scrapefleet_browser::{
    BrowserFactory, Endpoint, GuardProgram, Item, LocalChrome, Observation, SiteBrowser,
    recipe::{Deadlines, RecipeFactory, Settings},
};
use scrapefleet_policy::{Instant, Timeout};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, SemaphorePermit};
use url::Url;

/// Deadlines short enough for tests of what never answers, long enough for a busy machine.
pub(crate) const STEP: Duration = Duration::from_secs(6);
pub(crate) const UNRESPONSIVE: Duration = Duration::from_secs(2);
pub(crate) const REFRESH: Duration = Duration::from_secs(3);

/// What may come on top of a deadline on a busy machine.
pub(crate) const SLACK: Duration = Duration::from_millis(1500);

/// Two Chromes at once; more would be slower on a small machine, and late.
static CHROMES: Semaphore = Semaphore::const_new(2);

/// Waits for one of the two Chromes.
pub(crate) async fn turn() -> SemaphorePermit<'static> {
    CHROMES.acquire().await.unwrap()
}

pub(crate) fn local() -> LocalChrome {
    let guard = GuardProgram { path: env!("CARGO_BIN_EXE_browser-guard").into(), args: vec![] };
    LocalChrome { guard, ..LocalChrome::default() }
}

pub(crate) fn settings(recipe: Recipe, site: &str) -> Settings {
    let mut settings = Settings::new(recipe, Url::parse(site).unwrap());
    settings.endpoint = Endpoint::Local(local());
    settings.deadlines = Deadlines {
        launch: Duration::from_secs(30),
        step: Timeout::hard(STEP),
        refresh: REFRESH,
        unresponsive: UNRESPONSIVE,
    };
    settings.politeness.connections_per_minute = 6000;
    settings.politeness.actions_per_second = 1000.0;
    settings.politeness.robots_txt = RobotsTxt::Ignore;
    settings.bounds.artifact = 1 << 20;
    settings
}

/// A factory whose browsers have their folders in `folder`, by which they are told from those of other tests.
pub(crate) fn factory_in(folder: &Path, recipe: Value, site: &str) -> RecipeFactory {
    let mut settings = settings(serde_json::from_value(recipe).unwrap(), site);
    settings.endpoint = Endpoint::Local(LocalChrome { folder: Some(folder.into()), ..local() });
    RecipeFactory::new(settings).unwrap()
}

pub(crate) fn factory(recipe: Value, site: &str) -> RecipeFactory {
    RecipeFactory::new(settings(serde_json::from_value(recipe).unwrap(), site)).unwrap()
}

/// The recipe of the application in `app.html`.
pub(crate) fn app_recipe() -> Value {
    json!({
        "mode": "inPage",
        "list": {
            "url": "/app",
            "item": "#list a.row",
            "idPattern": "^/room/(?<id>[a-z]+-[a-z0-9-]+)$",
            "window": 4,
            "refresh": { "click": "button[name=refresh]", "answered": "return window.answers" },
            "emptyWhen": { "selector": "#list .none" },
            "brokenWhen": [{ "selector": ".modal", "text": "disconnected" }],
        },
        "page": {
            "url": "/app",
            "readyWhen": { "script": "return window.app !== undefined" },
            "disconnectedWhen": [{ "selector": ".modal", "text": "disconnected" }],
            "reconnectsWithin": "300ms",
        },
        "item": {
            "url": "/room/{id}",
            "enter": "app.join(arguments[0])",
            "leave": "app.leave(arguments[0]) // at once",
            "root": "#room-{id}",
            "openWhen": { "selector": ".room:not(.shut)" },
            "doneWhen": { "selector": ".ended" },
            "goneWhen": [
                { "selector": ".popup", "text": "{id} has expired" },
                { "selector": ".popup", "text": "This room has expired" },
            ],
            "progress": "return app.rooms[arguments[0]].lines.length",
            "take": [
                { "text": "pre.nothing" },
                { "download": "a.save" },
                { "script": "return app.rooms[arguments[0]].lines.join('|')" },
            ],
        },
        "initScript": "window.initialised = document.readyState",
        "unavailableWhen": [{ "selector": ".wall" }],
        "throttledWhen": { "selector": ".throttled" },
    })
}

pub(crate) fn item(site: &str, id: &str) -> Item {
    Item { id: ItemId::new(id).unwrap(), url: format!("{site}/room/{id}") }
}

pub(crate) async fn bot(factory: &RecipeFactory) -> Box<dyn SiteBrowser> {
    factory.bot_browser(0).await.unwrap()
}

/// What a probe sees of one item.
pub(crate) async fn observe(browser: &mut Box<dyn SiteBrowser>, id: &ItemId) -> Observation {
    let probe = browser.probe().await.unwrap();
    probe.items.get(id).unwrap_or_else(|| panic!("{id} is not in {probe:?}")).clone()
}

/// Probes until an item is seen as wanted, for a bounded time.
pub(crate) async fn until(
    browser: &mut Box<dyn SiteBrowser>,
    id: &ItemId,
    wanted: impl Fn(&Observation) -> bool,
) -> Observation {
    let began = Instant::now();
    loop {
        let seen = observe(browser, id).await;
        if wanted(&seen) {
            return seen;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{id} stays {seen:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Runs `call`, prints how long it took, and asserts that it ended within `limit` and some slack.
pub(crate) async fn timed<T>(what: &str, limit: Duration, call: impl Future<Output = T>) -> T {
    let began = Instant::now();
    let result = call.await;
    let took = began.elapsed();
    println!("{what}: {took:.1?} of {limit:.1?}");
    assert!(took <= limit + SLACK, "{what} took {took:?}, more than {limit:?}");
    result
}

/// Process ids below `root`, with their command lines.
pub(crate) fn descendants(root: u32) -> Vec<(u32, String)> {
    let mut found = Vec::new();
    let all: Vec<_> =
        procfs::process::all_processes().unwrap().flatten().filter_map(|p| p.stat().ok()).collect();
    let mut next = vec![i32::try_from(root).unwrap()];
    while let Some(parent) = next.pop() {
        for stat in all.iter().filter(|stat| stat.ppid == parent && stat.state != 'Z') {
            next.push(stat.pid);
            let line = procfs::process::Process::new(stat.pid).and_then(|p| p.cmdline()).unwrap_or_default();
            found.push((u32::try_from(stat.pid).unwrap(), line.join(" ")));
        }
    }
    found
}

/// The process that started another; of a driver its guard.
pub(crate) fn parent(pid: u32) -> u32 {
    let process = procfs::process::Process::new(i32::try_from(pid).unwrap()).unwrap();
    u32::try_from(process.stat().unwrap().ppid).unwrap()
}

/// The renderers of a browser's pages. Chrome has one more for itself.
pub(crate) fn renderers(root: u32) -> Vec<u32> {
    let is_page = |line: &str| line.contains("--type=renderer") && !line.contains("--top-chrome-webui");
    descendants(root).into_iter().filter(|(_, line)| is_page(line)).map(|(pid, _)| pid).collect()
}

/// The renderer of the page that was opened last.
pub(crate) fn newest_renderer(root: u32) -> u32 {
    let age =
        |pid: &u32| procfs::process::Process::new(i32::try_from(*pid).unwrap())?.stat().map(|s| s.starttime);
    renderers(root).into_iter().max_by_key(|pid| age(pid).unwrap_or_default()).unwrap()
}

pub(crate) fn signal(pid: u32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

/// Whether a process lives; a zombie does not.
pub(crate) fn lives(pid: u32) -> bool {
    let process = procfs::process::Process::new(i32::try_from(pid).unwrap());
    process.and_then(|p| p.stat()).is_ok_and(|stat| stat.state != 'Z')
}

/// Waits until no process of `pids` lives and `folder` is gone.
pub(crate) async fn all_gone(pids: &[u32], folder: Option<&Path>, limit: Duration) {
    let began = Instant::now();
    while pids.iter().any(|pid| lives(*pid)) || folder.is_some_and(Path::exists) {
        let left: Vec<_> = pids.iter().filter(|pid| lives(**pid)).collect();
        assert!(began.elapsed() < limit, "processes {left:?} or {folder:?} left after {limit:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!("gone after {:.2?}", began.elapsed());
}

/// The folder of the browser whose driver is `driver`.
pub(crate) fn folder(driver: u32) -> std::path::PathBuf {
    static PREFIX: LazyLock<String> =
        LazyLock::new(|| format!("{}/scrapefleet-", std::env::temp_dir().display()));
    let environ = procfs::process::Process::new(i32::try_from(driver).unwrap()).unwrap().environ().unwrap();
    let folder = environ[std::ffi::OsStr::new("TMPDIR")].clone();
    assert!(folder.to_string_lossy().starts_with(PREFIX.as_str()), "{}", folder.display());
    folder.into()
}
