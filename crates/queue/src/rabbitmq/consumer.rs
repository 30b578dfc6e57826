//! Taking tasks.
//!
//! A task that waits at the client counts as held and, given back, as a death of its holder. So nothing is fetched ahead:
//! only while somebody waits for a task is one fetched, from the lane that the [`Picker`] chooses, and only where all
//! lanes are empty are they subscribed to, with room for one message each. What comes when nobody waits any more goes
//! back unseen.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use super::{
    desk::{Desk, Waiting},
    graph::Graph,
    session::Session,
    taker::Taker,
};
use crate::{Claim, Consumer, ConsumerOptions, QueueError, lanes::Picker};

/// How long is waited after a failure before it is tried again.
const PAUSE: Duration = Duration::from_millis(200);

/// A consumer; what works for it ends when it is dropped.
#[derive(Debug)]
pub(super) struct RabbitConsumer {
    desk: Arc<Desk>,
}

impl RabbitConsumer {
    /// Starts a consumer; refused when it names lanes that the fleet has not.
    pub(super) async fn start(graph: Arc<Graph>, options: ConsumerOptions) -> Result<Self, QueueError> {
        let picker = Picker::new(&options)?;
        let known = &graph.options.lanes;
        if let Some(unknown) = options.lanes.iter().find(|lane| !known.contains(&lane.name)) {
            let why = format!("consumer `{}`: the fleet has no lane `{}`", options.name, unknown.name);
            return Err(QueueError::Refused(why));
        }
        let session = Session::open(graph.link().await?).await?;
        let desk = Arc::new(Desk::default());
        tokio::spawn(work(Arc::clone(&desk), graph, picker, options, session));
        Ok(Self { desk })
    }
}

#[async_trait]
impl Consumer for RabbitConsumer {
    async fn next(&mut self) -> Result<Box<dyn Claim>, QueueError> {
        let _waiting = Waiting::at(&self.desk);
        loop {
            let answered = self.desk.answered.notified();
            if let Some(answer) = self.desk.answer() {
                return answer.map(|claim| Box::new(claim) as Box<dyn Claim>);
            }
            answered.await;
        }
    }
}

impl Drop for RabbitConsumer {
    fn drop(&mut self) {
        self.desk.close();
    }
}

/// Serves a consumer, over one connection after the other, until it is dropped or the queue is closed.
async fn work(
    desk: Arc<Desk>,
    graph: Arc<Graph>,
    picker: Picker,
    options: ConsumerOptions,
    session: Arc<Session>,
) {
    let mut opened = Ok(session);
    while !desk.closed() {
        if let Err(why) = pass(&desk, &graph, &picker, &options, opened).await {
            tracing::debug!(consumer = options.name, error = %why, "the consumer starts again");
            if why.is_refusal() {
                desk.refuse(why);
            }
        }
        opened = tokio::select! {
            opened = reopen(&graph) => opened,
            () = desk.gone() => break,
        };
        if graph.check_open().is_err() {
            desk.end();
            break;
        }
    }
    desk.clear();
}

/// Serves a consumer over one session, until that fails or the consumer is gone.
async fn pass(
    desk: &Desk,
    graph: &Graph,
    picker: &Picker,
    options: &ConsumerOptions,
    session: Result<Arc<Session>, QueueError>,
) -> Result<(), QueueError> {
    let session = session?;
    desk.begin(&session);
    let mut taker = Taker::new(desk, &graph.options.now, options, picker.clone(), Arc::clone(&session));
    let served = tokio::select! {
        served = taker.serve() => served,
        why = session.link.died() => Err(why),
    };
    taker.stop(served.is_ok()).await;
    session.close().await;
    served
}

async fn reopen(graph: &Graph) -> Result<Arc<Session>, QueueError> {
    tokio::time::sleep(PAUSE).await;
    Session::open(graph.next_link().await?).await
}
