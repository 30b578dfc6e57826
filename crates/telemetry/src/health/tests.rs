use tokio::time::advance;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn reason(report: &Report, part: &str) -> Option<String> {
    report.parts[part].reason.clone()
}

#[tokio::test(start_paused = true)]
async fn with_nothing_to_watch_all_is_well() {
    let health = Health::new();
    assert!(health.live().ok && health.ready().ok && health.progressing().ok);
    assert_eq!(health.live().to_string(), "ok\n");
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_that_stops_is_noticed_and_recovers() {
    let health = Health::new();
    let beat = health.heartbeat("event loop", 5 * SECOND);
    advance(5 * SECOND).await;
    assert!(health.live().ok, "at the deadline it is still in time");
    advance(SECOND).await;
    let report = health.live();
    assert!(!report.ok);
    assert_eq!(reason(&report, "event loop").unwrap(), "no beat for 6.0s, allowed are 5s");
    beat.beat();
    assert!(health.live().ok);
}

#[tokio::test(start_paused = true)]
async fn one_dead_heart_among_many_is_named() {
    let health = Health::new();
    let _dead = health.heartbeat("bot-1", SECOND);
    let alive = health.heartbeat("bot-2", SECOND);
    advance(2 * SECOND).await;
    alive.beat();
    let shown = health.live().to_string();
    assert_eq!(shown, "[-]bot-1 failed: no beat for 2.0s, allowed are 1s\n[+]bot-2 ok\nfailed\n");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_heartbeat_fails_and_a_retired_one_does_not() {
    let health = Health::new();
    drop(health.heartbeat("died", SECOND));
    health.heartbeat("ended", SECOND).retire();
    advance(2 * SECOND).await;
    let report = health.live();
    assert_eq!(report.parts.keys().collect::<Vec<_>>(), ["died"]);
    assert!(!report.ok);
}

#[tokio::test(start_paused = true)]
async fn who_takes_a_name_over_answers_for_it() {
    let health = Health::new();
    let old = health.heartbeat("bot-1", SECOND);
    let new = health.heartbeat("bot-1", SECOND);
    advance(2 * SECOND).await;
    old.beat();
    assert!(!health.live().ok, "the old one no longer counts");
    old.retire();
    assert_eq!(health.live().parts.len(), 1, "and cannot take the new one out");
    new.beat();
    assert!(health.live().ok);
}

#[test]
fn a_check_fails_until_it_passes_and_says_why() {
    let health = Health::new();
    let (queue, store) = (health.check("queue", "not opened yet"), health.check("store", "not opened yet"));
    store.pass();
    let report = health.ready();
    assert_eq!((report.ok, reason(&report, "queue").as_deref()), (false, Some("not opened yet")));
    assert_eq!(reason(&report, "store"), None);
    queue.set(&Ok::<_, std::fmt::Error>(()));
    assert!(health.ready().ok);
    store.fail("disk full");
    assert_eq!(reason(&health.ready(), "store").as_deref(), Some("disk full"));
    store.set(&Err::<(), _>(std::fmt::Error));
    assert!(!health.ready().ok);
    store.retire();
    assert!(health.ready().ok);
}

#[tokio::test(start_paused = true)]
async fn progress_is_expected_only_while_there_is_something_to_do() {
    let health = Health::new();
    let progress = health.progress("bot-1", 10 * SECOND);
    advance(60 * SECOND).await;
    assert!(health.progressing().ok, "idle");
    progress.busy();
    advance(8 * SECOND).await;
    progress.busy();
    advance(8 * SECOND).await;
    let report = health.progressing();
    assert_eq!(
        reason(&report, "bot-1").unwrap(),
        "no progress for 16.0s, allowed are 10s",
        "busy is no progress"
    );
    progress.made();
    assert!(health.progressing().ok);
    advance(11 * SECOND).await;
    assert!(!health.progressing().ok);
    progress.idle();
    assert!(health.progressing().ok);
}

#[test]
fn a_hostile_reason_cannot_forge_a_part() {
    let health = Health::new();
    let _check = health.check("site", format!("login\n[+]forged ok\n{}", "x".repeat(100_000)));
    let shown = health.ready().to_string();
    assert_eq!(shown.lines().count(), 2);
    assert!(shown.len() < 1200, "{} bytes", shown.len());
}
