//! What the site should be like.

use std::time::Duration;

use anyhow::{Context, Result};

use super::{Client, ShowdownSite, process::SiteProcess};
use crate::packages;

/// What the site should be like; [`Builder::start`] makes it.
#[derive(Debug, Clone)]
pub struct Builder {
    pairs: u32,
    choice_every: Duration,
    throttle: bool,
    seed: u32,
    client: Client,
    formats: Vec<String>,
    private_share: f64,
    forfeit_share: f64,
    lasting_share: f64,
    turn: Duration,
    reconnect: Duration,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            pairs: 12,
            choice_every: Duration::from_millis(1200),
            throttle: false,
            seed: 1,
            client: Client::Old,
            formats: vec!["gen9randombattle".to_owned()],
            private_share: 0.05,
            forfeit_share: 0.1,
            lasting_share: 0.1,
            turn: Duration::from_secs(5),
            reconnect: Duration::from_secs(7),
        }
    }
}

impl Builder {
    /// Pairs of players; the most battles at one time. Default 12.
    #[must_use]
    pub fn players(self, pairs: u32) -> Self {
        Self { pairs, ..self }
    }

    /// Mean pause of a player before a choice. Default 1.2 s: with 12 pairs about 12 battles a minute.
    #[must_use]
    pub fn choice_every(self, choice_every: Duration) -> Self {
        Self { choice_every, ..self }
    }

    /// Whether the server drops what a user says too fast, as the real one does. Default no.
    #[must_use]
    pub fn throttle(self, throttle: bool) -> Self {
        Self { throttle, ..self }
    }

    /// Seed of all that players choose. Default 1. Timing is real, so two runs are alike, not equal.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        // The site takes 31 bits.
        Self { seed: (seed & 0x7fff_ffff) as u32, ..self }
    }

    /// Generation of the client page. Default the older.
    #[must_use]
    pub fn client(self, client: Client) -> Self {
        Self { client, ..self }
    }

    /// Formats that pairs of players take turns in; only those with random teams can be played. Default
    /// `gen9randombattle`; others are `gen8randombattle`, `gen9randomdoublesbattle`, `gen7randombattle`.
    #[must_use]
    pub fn formats(self, formats: &[&str]) -> Self {
        Self { formats: formats.iter().map(|&format| format.to_owned()).collect(), ..self }
    }

    /// Share of searches that ask for a private battle, 0 to 1. Default 0.05.
    #[must_use]
    pub fn private_share(self, private_share: f64) -> Self {
        Self { private_share, ..self }
    }

    /// Share of battles that a player gives up at the first choice, 0 to 1. Default 0.1.
    #[must_use]
    pub fn forfeit_share(self, forfeit_share: f64) -> Self {
        Self { forfeit_share, ..self }
    }

    /// Share of battles in which a player takes six times as long, 0 to 1. Default 0.1.
    #[must_use]
    pub fn lasting_share(self, lasting_share: f64) -> Self {
        Self { lasting_share, ..self }
    }

    /// How long the client animates a turn where animations are on. Default 5 s.
    #[must_use]
    pub fn turn_animation(self, turn: Duration) -> Self {
        Self { turn, ..self }
    }

    /// How long the newer client waits before it reconnects. Default 7 s, as the real one.
    #[must_use]
    pub fn reconnects_after(self, reconnect: Duration) -> Self {
        Self { reconnect, ..self }
    }

    /// Installs what is missing, starts server, pages and players, and returns when pages and server answer.
    pub async fn start(self) -> Result<ShowdownSite> {
        let modules = tokio::task::spawn_blocking(packages::install).await??;
        let folder = tempfile::Builder::new().prefix("showdown-site-").tempdir()?;
        let mut arguments = self.arguments();
        arguments.push(format!("--modules={}", modules.display()));
        let process = SiteProcess::start(&arguments, folder).await.context("cannot start the test site")?;
        Ok(ShowdownSite { process })
    }

    fn arguments(&self) -> Vec<String> {
        let client = match self.client {
            Client::Old => "old",
            Client::New => "new",
        };
        vec![
            format!("--pairs={}", self.pairs),
            format!("--choice-ms={}", self.choice_every.as_millis()),
            format!("--throttle={}", self.throttle),
            format!("--seed={}", self.seed),
            format!("--client={client}"),
            format!("--formats={}", self.formats.join(",")),
            format!("--private-share={}", self.private_share),
            format!("--forfeit-share={}", self.forfeit_share),
            format!("--lasting-share={}", self.lasting_share),
            format!("--turn-ms={}", self.turn.as_millis()),
            format!("--reconnect-ms={}", self.reconnect.as_millis()),
        ]
    }
}
