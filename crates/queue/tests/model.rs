//! Random operations against the model, for every implementation.
//!
//! `SEED=17 cargo test -p scrapefleet-queue --test model` plays one seed again.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod harness;
mod scratch;

use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use harness::{InFile, InMemory};
use scrapefleet_queue::contract::{Harness, model};

async fn play_all<H: Harness>(seeds: u64, start: impl AsyncFn() -> H) {
    let seeds = match std::env::var("SEED") {
        Ok(seed) => {
            let seed = seed.parse().expect("SEED is a number");
            seed..seed + 1
        }
        Err(_) => 0..seeds,
    };
    for seed in seeds {
        let played = AssertUnwindSafe(model::play(start().await, seed)).catch_unwind().await;
        if let Err(panic) = played {
            eprintln!("seed {seed} failed; play it again with SEED={seed}");
            std::panic::resume_unwind(panic);
        }
    }
}

#[tokio::test]
async fn the_fake_does_what_the_model_does() {
    play_all(500, async || InMemory::start()).await;
}

#[tokio::test]
async fn the_embedded_queue_does_what_the_model_does() {
    play_all(200, InFile::start).await;
}
