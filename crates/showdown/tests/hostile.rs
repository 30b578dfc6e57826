//! Logs come from strangers: nothing panics, nothing takes more than linear time.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::{Duration, Instant};

use scrapefleet_api::{
    ItemId,
    inspect::{Completeness, Inspect},
};
use scrapefleet_showdown::log::{BattleLogs, canonical, compare};

const RATED: &[u8] = include_bytes!("data/rated.log");
const FORFEIT: &[u8] = include_bytes!("data/forfeit.log");
const SEED: u64 = 20_260_101;

/// Everything that reads logs.
fn read(artifact: &[u8]) -> Completeness {
    let item = ItemId::new("battle-gen9ou-1").expect("an id");
    let facts = BattleLogs.facts(artifact);
    assert!(facts.values().all(|value| value.len() < 2_000), "a fact is too long");
    if let Ok(text) = std::str::from_utf8(artifact) {
        assert!(canonical(text).all(|line| !line.is_empty()));
        assert_eq!(compare(text, text), Ok(()));
    }
    let judged = BattleLogs.completeness(&item, artifact);
    if let Completeness::Late(why) | Completeness::Broken(why) = &judged {
        assert!(!why.is_empty() && why.len() < 2_000, "a reason of {} bytes", why.len());
    }
    judged
}

/// One change that a careless or a bad hand could make.
fn mutate(log: &mut Vec<u8>, random: &mut fastrand::Rng) {
    const PIECES: [&[u8]; 12] = [
        b"|win|",
        b"|tie",
        b"|turn|",
        b"|player|p1|",
        b"|player|p4|",
        b"\n",
        b"|",
        b"||",
        b"\xf0\x9f",
        b"\0",
        b"|raw|x's rating: ",
        b"|done",
    ];
    let at = random.usize(..=log.len());
    let end = (at + random.usize(..200)).min(log.len());
    match random.u8(..6) {
        0 => log.truncate(at),
        1 => drop(log.drain(at..end)),
        2 => drop(log.splice(at..at, log[at..end].to_vec())),
        3 => drop(log.splice(at..at, random.choice(PIECES).unwrap_or_default().to_vec())),
        4 if at < log.len() => log[at] = random.u8(..),
        _ => log.rotate_left(at), // at most its length
    }
}

#[test]
fn no_change_of_a_log_makes_it_panic() {
    let mut random = fastrand::Rng::with_seed(SEED);
    let mut broken = 0;
    for round in 0..4_000 {
        let mut log = if round % 2 == 0 { RATED } else { FORFEIT }.to_vec();
        for _ in 0..random.usize(1..6) {
            mutate(&mut log, &mut random);
        }
        broken += usize::from(read(&log) != Completeness::Complete);
    }
    assert!(broken > 2_000, "only {broken} of 4000 changed logs were found wanting");
}

#[test]
fn noise_is_broken() {
    let mut random = fastrand::Rng::with_seed(SEED);
    for _ in 0..2_000 {
        let bytes: Vec<u8> = (0..random.usize(..400))
            .map(|_| *b"|\np1win tur".get(random.usize(..16)).unwrap_or(&0xc3))
            .collect();
        assert!(matches!(read(&bytes), Completeness::Broken(_)), "{bytes:?}");
    }
}

#[test]
fn size_costs_time_in_proportion() {
    let shapes: [&[u8]; 6] =
        [b"|", b"\n", b"|turn|1\n", b"|player|p1|a|", b"|raw|'s rating: ", b"||x &rarr; <strong>"];
    for shape in shapes {
        let started = Instant::now();
        read(&shape.repeat(4_000_000 / shape.len()));
        // 4 MB take about 0.2 s in an unoptimised build; anything quadratic takes hours.
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "{} took {:?}",
            shape.escape_ascii(),
            started.elapsed()
        );
    }
}
