//! Fleets that live through seeded faults while every plan is checked.
//!
//! `SCRAPEFLEET_SEED=123 cargo test -p scrapefleet-operator --lib simulation` replays one schedule of faults.

mod promises;
mod world;

use super::Action;
use world::World;

/// Schedules of faults that are lived through in each of the four parts, which run beside each other.
const SEEDS: u64 = 750;

/// How often the operator looks while faults go on, and how many seconds pass from one look to the next.
const FAULTS: (u64, u64) = (40, 3);

/// The same afterwards, at most: a slot that failed for the site's reason waits for ten minutes.
const REST: (u64, u64) = (720, 5);

/// A fleet that had nothing to do at so many looks in a row is at rest: longer than fewer bots must be enough.
const AT_REST: u64 = 10;

/// Says how to replay the schedule when a promise is broken.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("SCRAPEFLEET_SEED={} replays it", self.0);
        }
    }
}

fn live_through(seed: u64) {
    let _seed = Seed(seed);
    let mut world = World::new(seed);
    for _ in 0..FAULTS.0 {
        (0..FAULTS.1).for_each(|_| world.second_with_faults());
        world.look();
    }
    world.mend();
    let mut idle = 0;
    for _ in 0..REST.0 {
        (0..REST.1).for_each(|_| world.second());
        idle = if world.look() && world.is_whole() { idle + 1 } else { 0 };
        if idle >= AT_REST {
            break;
        }
    }
    world.check_rest();
}

fn live_through_part(part: u64) {
    let replayed = std::env::var("SCRAPEFLEET_SEED").ok().and_then(|seed| seed.parse().ok());
    match replayed {
        Some(seed) if part == 0 => live_through(seed),
        Some(_) => {}
        None => (part * SEEDS..(part + 1) * SEEDS).for_each(live_through),
    }
}

// In four parts, so that they use the cores that there are.

#[test]
fn no_fault_breaks_a_promise_and_every_fleet_comes_to_rest() {
    live_through_part(0);
}

#[test]
fn no_fault_breaks_a_promise_and_every_fleet_comes_to_rest_part_2() {
    live_through_part(1);
}

#[test]
fn no_fault_breaks_a_promise_and_every_fleet_comes_to_rest_part_3() {
    live_through_part(2);
}

#[test]
fn no_fault_breaks_a_promise_and_every_fleet_comes_to_rest_part_4() {
    live_through_part(3);
}

#[test]
fn what_was_forgotten_disturbs_no_pod() {
    for seed in 0..100 {
        let _seed = Seed(seed);
        let mut world = World::new(seed);
        for _ in 0..200 {
            world.fill(60);
            world.second();
            world.look();
        }
        world.forget();
        let plan = world.plan();
        let touches = |action: &&Action| matches!(action, Action::Delete { .. } | Action::Create { .. });
        assert_eq!(plan.actions.iter().filter(touches).count(), 0, "{:?}", plan.actions);
    }
}
