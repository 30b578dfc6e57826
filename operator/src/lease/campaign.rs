//! One process's way to the lease, on it and off it.

use std::{sync::Arc, time::Duration};

use scrapefleet_policy::{Clock, Instant, within};

use super::{
    Lost,
    api::LeaseApi,
    elector::{self, Elector, Next, Request},
};

/// How long giving the lease back may take; after that it runs out by itself.
const FAREWELL: Duration = Duration::from_secs(3);

/// Does what the elector says. Every method can be dropped at any point and another called.
#[derive(Debug)]
pub(crate) struct Campaign {
    elector: Elector,
    api: LeaseApi,
    clock: Arc<dyn Clock>,
    /// The longest one call may take.
    call: Duration,
    /// What was last said about who holds the lease and what fails, so that it is said once.
    said: Option<String>,
}

impl Campaign {
    pub(crate) fn new(elector: Elector, api: LeaseApi, clock: Arc<dyn Clock>, call: Duration) -> Self {
        Self { elector, api, clock, call, said: None }
    }

    /// Waits until this process leads.
    pub(crate) async fn win(&mut self) -> Result<(), Lost> {
        while !self.elector.leads(Instant::now()) {
            self.step().await?;
        }
        Ok(())
    }

    /// Renews until the lease is lost.
    pub(crate) async fn hold(&mut self) -> Lost {
        loop {
            if let Err(lost) = self.step().await {
                return lost;
            }
        }
    }

    /// Gives the lease back if it is ours, so that another need not wait for it to run out.
    pub(crate) async fn leave(mut self) {
        self.elector.leave();
        let farewell = within(FAREWELL, "giving the lease back", async {
            while let Next::Ask(request) = self.elector.next(Instant::now(), self.clock.now()) {
                self.ask(request).await;
            }
        });
        if let Err(expired) = farewell.await {
            tracing::warn!(%expired, "the lease is not given back: another leads when it has run out");
        } else if let Some(why) = self.elector.failure() {
            tracing::warn!(why, "the lease is not given back: another leads when it has run out");
        }
    }

    async fn step(&mut self) -> Result<(), Lost> {
        match self.elector.next(Instant::now(), self.clock.now()) {
            Next::Lost(lost) => return Err(lost),
            Next::Wait(until) => tokio::time::sleep_until(until).await,
            Next::Ask(request) => self.ask(request).await,
            Next::Left => unreachable!("who steps has not left: `leave` takes the campaign"),
        }
        Ok(())
    }

    async fn ask(&mut self, request: Request) {
        let began = Instant::now();
        let limit = elector::limit(self.call, self.elector.until(), began);
        let answer = self.api.ask(request, limit).await;
        self.elector.answered(answer, began, Instant::now());
        self.say();
    }

    /// Logs what has changed.
    fn say(&mut self) {
        let (failure, holder) = (self.elector.failure(), self.elector.holder());
        let now = failure.or(holder).map(str::to_owned);
        if now == self.said {
            return;
        }
        match (failure, holder) {
            (Some(why), _) => tracing::warn!(why, "the lease cannot be had or renewed; it is tried again"),
            (None, holder) => tracing::info!(holder = ?holder.unwrap_or_default(), "the lease"),
        }
        self.said = now;
    }
}
