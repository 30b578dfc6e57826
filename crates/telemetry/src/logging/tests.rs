use std::{
    io::Write,
    sync::{Arc, Mutex},
};

use serde_json::Value;
use tracing::{info, info_span, subscriber::with_default};

use super::*;

/// Where the tests log to.
#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn logged(format: Format, filter: &str, log: impl FnOnce()) -> String {
    let page = Page::default();
    let writer = page.clone();
    let filter = choose_filter(None, filter).unwrap();
    with_default(build_subscriber(move || writer.clone(), format, filter, Recent::default()), log);
    let bytes = page.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

const HOSTILE: &str = "x\n2026-01-01T00:00:00Z ERROR forged\r\u{1b}[2J\u{9b}31m\u{7f}\u{202e}\u{2028}";

fn log_hostile_text() {
    let span = info_span!("hold", item = HOSTILE, url = %HOSTILE);
    let _inside = span.enter();
    info!(field = HOSTILE, shown = %HOSTILE, debugged = ?HOSTILE, "opened {HOSTILE}");
    info!(error = &io::Error::other(HOSTILE) as &dyn std::error::Error, "failed");
}

fn assert_harmless(text: &str, records: usize) {
    assert_eq!(text.lines().count(), records, "{text}");
    let harmful =
        text.chars().find(|c| *c != '\n' && (c.is_control() || ('\u{2028}'..='\u{202e}').contains(c)));
    assert_eq!(harmful, None, "{text:?}");
}

#[test]
fn hostile_text_cannot_forge_lines_or_drive_a_terminal() {
    let text = logged(Format::Text, "info", log_hostile_text);
    assert_harmless(&text, 2);
    assert!(text.contains("ERROR forged"), "what was said is still there: {text}");
}

#[test]
fn hostile_text_is_kept_whole_in_json() {
    let text = logged(Format::Json, "info", log_hostile_text);
    assert_harmless(&text, 2);
    let record: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(record["field"], HOSTILE);
    assert_eq!(record["message"], format!("opened {HOSTILE}"));
}

#[test]
fn a_long_record_is_cut_and_says_so() {
    let long = "é".repeat(LONGEST);
    let text = logged(Format::Text, "info", || info!("{long}"));
    assert!(text.len() < LONGEST + 100, "{} bytes", text.len());
    assert!(text.trim_end().ends_with("more bytes)"), "{}", &text[text.len() - 40..]);
}

#[test]
fn a_long_json_record_stays_json() {
    let long = "é".repeat(LONGEST);
    let text = logged(Format::Json, "info", || info!(page = long, "read"));
    let record: Value = serde_json::from_str(&text).unwrap();
    assert!(record["page"].as_str().unwrap().len() < LONGEST + 100);
    assert_eq!(record["message"], "read");
}

#[test]
fn the_filter_decides_what_is_logged() {
    let log = || {
        info!("shown");
        tracing::debug!("hidden");
    };
    let text = logged(Format::Text, "info", log);
    assert!(text.contains("shown") && !text.contains("hidden"), "{text}");
    assert!(logged(Format::Text, "debug", log).contains("hidden"));
}

#[test]
fn the_environment_has_the_last_word() {
    assert_eq!(choose_filter(Some("warn".to_owned()), "info").unwrap().to_string(), "warn");
    assert_eq!(choose_filter(Some(" ".to_owned()), "info").unwrap().to_string(), "info");
    assert_eq!(choose_filter(None, "info").unwrap().to_string(), "info");
}

#[test]
fn a_bad_filter_says_where_it_came_from_and_what_is_allowed() {
    let error = choose_filter(Some("a=b=c".to_owned()), "info").unwrap_err().to_string();
    assert!(
        error.starts_with("the environment variable SCRAPEFLEET_LOG `a=b=c` is no log filter ("),
        "{error}"
    );
    assert!(error.ends_with("write for example `info` or `warn,scrapefleet_worker=debug`"), "{error}");
    let error = choose_filter(None, "info,x=loud").unwrap_err().to_string();
    assert!(error.starts_with("the log filter `info,x=loud` is no log filter ("), "{error}");
}

#[test]
fn a_record_that_cannot_be_written_is_counted() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let before = LOST.get();
    let filter = choose_filter(None, "info").unwrap();
    let recent = Recent::default();
    with_default(build_subscriber(|| Full, Format::Text, filter, recent.clone()), || info!("lost"));
    assert_eq!(LOST.get(), before + 1);
    assert!(recent.lines()[0].ends_with("lost"), "it is kept in memory all the same");
}

#[test]
fn what_is_kept_is_what_is_written() {
    let (page, recent) = (Page::default(), Recent::default());
    let writer = page.clone();
    let filter = choose_filter(None, "info").unwrap();
    let subscriber = build_subscriber(move || writer.clone(), Format::Text, filter, recent.clone());
    with_default(subscriber, || {
        log_hostile_text();
        tracing::debug!("hidden");
    });
    let written = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
    let kept: Vec<_> = recent.lines().iter().map(ToString::to_string).collect();
    assert_eq!(kept, written.lines().collect::<Vec<_>>());
    assert_eq!(kept.len(), 2);
}
