//! The connection of the moment: keeps one alive, and makes another when it has died.

use std::{sync::Arc, time::Duration};

use scrapefleet_policy::{Backoff, Jitter, within};
use tokio::{sync::watch, task::JoinHandle};

use super::{Options, link::Link, names::Names, options::Address};
use crate::QueueError;

/// How long is waited for a broker that is away before that is an error.
const PATIENCE: Duration = Duration::from_secs(10);

/// Before each attempt to reach a broker that went away: soon at first, and not all clients at once.
const REBUILD: Backoff = Backoff::from(Duration::from_millis(100)).to(Duration::from_secs(5)).jitter(0.5);

/// What there is at the moment.
#[derive(Debug, Clone)]
enum State {
    Up(Arc<Link>),
    Down(QueueError),
}

/// Keeps a connection to one broker for one fleet. What uses it holds it; with the last user it ends.
#[derive(Debug)]
pub(super) struct Graph {
    pub(super) options: Arc<Options>,
    pub(super) address: Address,
    pub(super) names: Names,
    state: watch::Receiver<State>,
    keeper: JoinHandle<()>,
}

impl Graph {
    /// Connects. What fails at once is an error; later failures are mended.
    pub(super) async fn connect(options: Options, address: Address) -> Result<Self, QueueError> {
        let options = Arc::new(options);
        let jitter = Jitter::random();
        let link = Link::open(&options, &address, token(&jitter)).await?;
        let (sender, state) = watch::channel(State::Up(Arc::new(link)));
        let names = Names::new(options.scope.clone());
        let keeper = tokio::spawn(keep(Arc::clone(&options), address.clone(), sender, jitter));
        Ok(Self { options, address, names, state, keeper })
    }

    /// The present time.
    pub(super) fn now(&self) -> jiff::Timestamp {
        (self.options.now)()
    }

    /// The connection, waiting a while if there is none. Waiting does not help where the broker refuses us.
    pub(super) async fn link(&self) -> Result<Arc<Link>, QueueError> {
        match within(PATIENCE, "reach the broker", self.next_link()).await {
            Ok(answer) => answer,
            Err(_) => match &*self.state.borrow() {
                State::Up(link) => Ok(Arc::clone(link)),
                State::Down(why) => Err(why.clone()),
            },
        }
    }

    /// The connection, waiting for it however long the broker is away.
    pub(super) async fn next_link(&self) -> Result<Arc<Link>, QueueError> {
        let mut state = self.state.clone();
        let usable = |state: &State| match state {
            State::Up(link) => link.alive(),
            State::Down(why) => matches!(why, QueueError::Refused(_)),
        };
        match state.wait_for(usable).await.map_err(|_| QueueError::Closed)?.clone() {
            State::Up(link) => Ok(link),
            State::Down(why) => Err(why),
        }
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        self.keeper.abort();
        if let State::Up(link) = &*self.state.borrow() {
            link.fail(&QueueError::Closed);
        }
    }
}

async fn keep(options: Arc<Options>, address: Address, state: watch::Sender<State>, jitter: Jitter) {
    loop {
        let State::Up(link) = state.borrow().clone() else { return };
        let why = link.watch(&options).await;
        tracing::warn!(broker = %address, scope = options.scope, error = %why, "the connection is rebuilt");
        state.send_replace(State::Down(why));
        link.close().await;
        drop(link);
        let link = rebuild(&options, &address, &state, &jitter).await;
        tracing::info!(broker = %address, scope = options.scope, "connected again");
        state.send_replace(State::Up(Arc::new(link)));
    }
}

async fn rebuild(
    options: &Options,
    address: &Address,
    state: &watch::Sender<State>,
    jitter: &Jitter,
) -> Link {
    let mut attempt = 0;
    loop {
        attempt += 1;
        tokio::time::sleep(REBUILD.delay(attempt, jitter.draw())).await;
        match Link::open(options, address, token(jitter)).await {
            Ok(link) => return link,
            Err(why) => {
                tracing::warn!(broker = %address, attempt, error = %why, "not connected yet");
                state.send_replace(State::Down(why));
            }
        }
    }
}

/// A word that no other connection has.
fn token(jitter: &Jitter) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 2^32")]
    let word = || (jitter.draw() * f64::from(u32::MAX)) as u32;
    format!("{:08x}{:08x}", word(), word())
}
