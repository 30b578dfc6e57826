//! What a new session asks of Chrome.

use std::path::PathBuf;

use serde_json::{Map, Value, json};

/// Flags of every Chrome. None of them comes from a recipe, and none lowers what keeps sites apart.
const FLAGS: [&str; 22] = [
    "--headless=new",
    "--window-size=1280,800",
    "--mute-audio",
    // No questions at the first start.
    "--no-first-run",
    "--no-default-browser-check",
    "--password-store=basic",
    // Pages that nobody looks at go on at full speed: a held item is always such a page.
    "--disable-background-timer-throttling",
    "--disable-renderer-backgrounding",
    "--disable-backgrounding-occluded-windows",
    // A tab has a renderer of its own, so that a crash is that tab's alone, also where little memory makes Chrome share.
    "--renderer-process-limit=1000",
    // Nothing is sent to anyone but the site.
    "--disable-background-networking",
    "--disable-breakpad",
    "--disable-client-side-phishing-detection",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-extensions",
    "--disable-sync",
    "--metrics-recording-only",
    "--no-pings",
    // UDP is often dropped without a word, which looks like a slow site.
    "--disable-quic",
    "--disable-features=AutofillServerCommunication,DialMediaRouteProvider,InterestFeedContentSuggestions,\
     MediaRouter,OptimizationGuideModelDownloading,OptimizationHints,SpareRendererForSitePerProcess,Translate",
];

/// Content settings, as Chrome numbers them.
const BLOCK: u8 = 2;

/// `download_restrictions`: all downloads are refused.
const ALL_DOWNLOADS: u8 = 3;

/// How one Chrome is started.
#[derive(Debug, Clone, Default)]
pub(crate) struct Launch {
    /// The program; none: the driver finds one.
    pub(crate) chrome: Option<PathBuf>,
    /// The profile's folder; none: the driver makes one.
    pub(crate) profile: Option<PathBuf>,
    /// Whether Chrome's own sandbox is off.
    pub(crate) no_sandbox: bool,
    /// Whether /dev/shm is too small for Chrome.
    pub(crate) small_shm: bool,
}

/// The capabilities of a new session.
pub(crate) fn capabilities(launch: &Launch) -> Map<String, Value> {
    let mut args: Vec<String> = FLAGS.map(str::to_owned).to_vec();
    args.extend(launch.no_sandbox.then(|| "--no-sandbox".to_owned()));
    args.extend(launch.small_shm.then(|| "--disable-dev-shm-usage".to_owned()));
    args.extend(launch.profile.as_ref().map(|folder| format!("--user-data-dir={}", folder.display())));
    let mut options = json!({
        "args": args,
        // The driver would let pages open windows.
        "excludeSwitches": ["disable-popup-blocking", "enable-logging"],
        "prefs": {
            "download_restrictions": ALL_DOWNLOADS,
            "profile.default_content_setting_values": {
                "automatic_downloads": BLOCK,
                "geolocation": BLOCK,
                "media_stream": BLOCK,
                "notifications": BLOCK,
                "popups": BLOCK,
            },
        },
    });
    if let Some(chrome) = &launch.chrome {
        options["binary"] = json!(chrome);
    }
    let capabilities = json!({
        "browserName": "chrome",
        // Waiting for what is needed is the recipe's; a picture that never comes must not hold up a page.
        "pageLoadStrategy": "eager",
        "unhandledPromptBehavior": "dismiss",
        "goog:chromeOptions": options,
    });
    match capabilities {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(launch: &Launch) -> Vec<String> {
        serde_json::from_value(capabilities(launch)["goog:chromeOptions"]["args"].clone()).unwrap()
    }

    #[test]
    fn only_what_was_asked_for_is_lowered() {
        let careful = args(&Launch::default());
        for never in
            ["--no-sandbox", "--disable-dev-shm-usage", "--disable-web-security", "--remote-allow-origins=*"]
        {
            assert!(!careful.iter().any(|arg| arg == never), "{never}");
        }
        let asked =
            Launch { no_sandbox: true, small_shm: true, profile: Some("/tmp/p".into()), chrome: None };
        for flag in ["--no-sandbox", "--disable-dev-shm-usage", "--user-data-dir=/tmp/p"] {
            assert!(args(&asked).iter().any(|arg| arg == flag), "{flag}");
        }
    }

    #[test]
    fn the_program_is_named_only_where_it_is_known() {
        assert!(capabilities(&Launch::default())["goog:chromeOptions"].get("binary").is_none());
        let launch = Launch { chrome: Some("/usr/bin/chromium".into()), ..Launch::default() };
        assert_eq!(capabilities(&launch)["goog:chromeOptions"]["binary"], "/usr/bin/chromium");
    }
}
