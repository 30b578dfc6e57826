//! The connection of the moment: keeps one alive, and makes another when it has died.

use std::{sync::Arc, time::Duration};

use scrapefleet_policy::{Backoff, Jitter, within};
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
};

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
    /// For good, because somebody wanted it.
    Closed,
}

/// Keeps a connection to one broker for one fleet. What uses it holds it; with the last user it ends.
#[derive(Debug)]
pub(super) struct Graph {
    pub(super) options: Arc<Options>,
    pub(super) address: Address,
    pub(super) names: Names,
    state: watch::Receiver<State>,
    closing: Arc<Notify>,
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
        let closing = Arc::new(Notify::new());
        let keeper =
            Keeper { options: Arc::clone(&options), address: address.clone(), state: sender, jitter };
        let keeper = tokio::spawn(keeper.work(Arc::clone(&closing)));
        Ok(Self { options, address, names, state, closing, keeper })
    }

    /// Closes the connection, which is not made again. Returns when the broker has been told.
    pub(super) async fn close(&self) {
        self.closing.notify_one();
        // With the keeper gone there is nothing left to close.
        let _ = self.state.clone().wait_for(|state| matches!(state, State::Closed)).await;
    }

    /// Fails after it was closed.
    pub(super) fn check_open(&self) -> Result<(), QueueError> {
        match &*self.state.borrow() {
            State::Closed => Err(QueueError::Closed),
            State::Up(_) | State::Down(_) => Ok(()),
        }
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
                State::Closed => Err(QueueError::Closed),
            },
        }
    }

    /// The connection, waiting for it however long the broker is away.
    pub(super) async fn next_link(&self) -> Result<Arc<Link>, QueueError> {
        let mut state = self.state.clone();
        let usable = |state: &State| match state {
            State::Up(link) => link.alive(),
            State::Down(why) => why.is_refusal(),
            State::Closed => true,
        };
        match state.wait_for(usable).await.map_err(|_| QueueError::Closed)?.clone() {
            State::Up(link) => Ok(link),
            State::Down(why) => Err(why),
            State::Closed => Err(QueueError::Closed),
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

/// What keeps the connection.
struct Keeper {
    options: Arc<Options>,
    address: Address,
    state: watch::Sender<State>,
    jitter: Jitter,
}

impl Keeper {
    /// Mends the connection until it is to be closed.
    async fn work(self, closing: Arc<Notify>) {
        tokio::select! {
            () = self.mend() => {}
            () = closing.notified() => {}
        }
        let last = self.state.borrow().clone();
        if let State::Up(link) = last {
            link.close().await;
        }
        self.state.send_replace(State::Closed);
    }

    async fn mend(&self) {
        let (broker, scope) = (&self.address, &self.options.scope);
        loop {
            let State::Up(link) = self.state.borrow().clone() else { return };
            let why = link.watch(&self.options).await;
            tracing::warn!(%broker, scope, error = %why, "the connection is rebuilt");
            self.state.send_replace(State::Down(why));
            link.close().await;
            drop(link);
            let link = self.rebuild().await;
            tracing::info!(%broker, scope, "connected again");
            self.state.send_replace(State::Up(Arc::new(link)));
        }
    }

    async fn rebuild(&self) -> Link {
        let mut attempt = 0;
        loop {
            attempt += 1;
            tokio::time::sleep(REBUILD.delay(attempt, self.jitter.draw())).await;
            match Link::open(&self.options, &self.address, token(&self.jitter)).await {
                Ok(link) => return link,
                Err(why) => {
                    tracing::warn!(broker = %self.address, attempt, error = %why, "not connected yet");
                    self.state.send_replace(State::Down(why));
                }
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
