//! What plain lines say, and when they are printed.

use jiff::Timestamp;
use scrapefleet_queue::Depth;
use scrapefleet_watcher::WatcherStatus;
use scrapefleet_worker::{
    Totals,
    hold::Stage,
    status::{BotState, HoldStatus},
};

use super::*;

fn run(bots: Vec<BotStatus>) -> Snapshot {
    let (totals, watcher) = (Totals::default(), WatcherStatus::default());
    Snapshot { depth: Depth::default(), totals, bots, watcher, goal: None }
}

fn bot(slot: u32, state: BotState) -> BotStatus {
    BotStatus { state, ..BotStatus::starting(slot, 40) }
}

fn hold(item: &str, since: i64) -> HoldStatus {
    HoldStatus {
        item: scrapefleet_api::ItemId::new(item).unwrap(),
        url: String::new(),
        since: Timestamp::from_second(since).unwrap(),
        step: Stage::Open,
        attempt: 1,
        still_seconds: 0,
    }
}

#[test]
fn a_run_is_one_line_and_each_bot_another() {
    let idle = run(Vec::new());
    let mut busy = run(vec![bot(0, BotState::Working)]);
    busy.bots[0].holds = vec![hold("b", 2), hold("a", 1)];
    busy.bots[0].browser.memory_mib = Some(512);
    (busy.watcher.discovered, busy.depth.ready, busy.depth.delayed) = (9, 3, 1);
    (busy.totals.stored, busy.totals.already_stored, busy.goal) = (2, 1, Some(5));
    let mut sick = run(vec![bot(0, BotState::Rebuilding), bot(1, BotState::SiteUnavailable)]);
    sick.bots[0].last_reason = Some("no\u{1b}[2J answer".to_owned());
    sick.totals.browsers_abandoned = 1;
    for (snapshot, lines) in [
        (&idle, "discovered 0, ready 0, held 0, stored 0"),
        (
            &busy,
            "discovered 9, ready 3, held 2, stored 3/5, delayed 1\n  \
             bot 0: Working, holds 2 of 40, 512 MiB, longest a",
        ),
        (
            &sick,
            "discovered 0, ready 0, held 0, stored 0, browsers abandoned 1\n  \
             bot 0: Rebuilding, holds 0 of 40 (no\u{fffd}[2J answer)\n  \
             bot 1: SiteUnavailable, holds 0 of 40",
        ),
    ] {
        assert_eq!(plain(snapshot), lines);
    }
}

#[test]
fn many_bots_take_few_lines() {
    for (bots, last) in [
        (PLAIN_BOTS, "  bot 9: Working, holds 0 of 40"),
        (PLAIN_BOTS + 1, "  … and 1 more; /status shows all"),
        (500, "  … and 490 more; /status shows all"),
    ] {
        let all = (0..u32::try_from(bots).unwrap()).map(|slot| bot(slot, BotState::Working)).collect();
        let lines = plain(&run(all));
        assert_eq!(lines.lines().last(), Some(last));
        assert!(lines.lines().count() <= PLAIN_BOTS + 2);
    }
}

#[test]
fn plain_lines_come_with_news_and_otherwise_seldom() {
    let (mut shown, begun) = (Plain::default(), Instant::now());
    let mut snapshot = run(vec![bot(0, BotState::Starting)]);
    for (secs, printed, change) in [
        (0, true, "nothing"),
        (1, false, "state"),
        (4, false, "nothing"),
        (5, true, "nothing"),
        (10, false, "memory"),
        (34, false, "nothing"),
        (35, true, "count"),
        (39, false, "nothing"),
        (40, true, "nothing"),
    ] {
        let due = shown.due(&snapshot, begun + Duration::from_secs(secs));
        assert_eq!(due.is_some(), printed, "after {secs} s");
        match change {
            "state" => snapshot.bots[0].state = BotState::Working,
            "memory" => snapshot.bots[0].browser.memory_mib = Some(secs),
            "count" => snapshot.depth.ready += 1,
            _ => {}
        }
    }
}
