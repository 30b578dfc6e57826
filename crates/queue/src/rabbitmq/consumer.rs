//! Taking tasks.
//!
//! A task that waits at the client counts as held and, given back, as a death of its holder. So nothing is fetched ahead:
//! only while somebody waits for a task is one fetched, from the lane that the [`Picker`] chooses, and only where all
//! lanes are empty are they subscribed to, with room for one message each. What comes when nobody waits any more goes
//! back unseen.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use futures::{FutureExt, StreamExt, future::select_all};
use lapin::{
    message::Delivery,
    options::{BasicCancelOptions, BasicConsumeOptions, BasicGetOptions, BasicQosOptions},
    types::FieldTable,
};
use scrapefleet_api::LaneName;
use tokio::sync::{Notify, mpsc};

use super::{
    claim::RabbitClaim,
    graph::Graph,
    link::Link,
    session::{Hold, Session},
};
use crate::{Claim, Consumer, ConsumerOptions, QueueError, lanes::Picker};

/// How long subscriptions and fetched tasks are kept when nobody waits: callers often wait again at once.
const LINGER: Duration = Duration::from_millis(100);

/// A consumer; what works for it ends when it is dropped.
#[derive(Debug)]
pub(super) struct RabbitConsumer {
    desk: Arc<Desk>,
}

/// Where a consumer and what works for it meet.
#[derive(Debug, Default)]
struct Desk {
    state: Mutex<DeskState>,
    /// The consumer waits, no longer waits, or is gone.
    asked: Notify,
    /// There is a task, or an error.
    answered: Notify,
}

#[derive(Debug, Default)]
struct DeskState {
    /// At most as many as the consumer has lanes.
    fetched: VecDeque<RabbitClaim>,
    refused: Option<QueueError>,
    waiting: bool,
    closed: bool,
    /// The session of the moment.
    session: Option<Arc<Session>>,
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
        let mut state = self.desk.state();
        state.closed = true;
        if let Some(session) = &state.session {
            session.forsake();
        }
        drop(state);
        self.desk.asked.notify_one();
    }
}

/// The time in which somebody waits for a task.
struct Waiting<'a> {
    desk: &'a Desk,
}

impl<'a> Waiting<'a> {
    fn at(desk: &'a Desk) -> Self {
        desk.state().waiting = true;
        desk.asked.notify_one();
        Self { desk }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.desk.state().waiting = false;
        self.desk.asked.notify_one();
    }
}

impl Desk {
    fn state(&self) -> MutexGuard<'_, DeskState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self) -> Option<Result<RabbitClaim, QueueError>> {
        let mut state = self.state();
        while let Some(claim) = state.fetched.pop_front() {
            if claim.is_open() {
                return Some(Ok(claim));
            }
        }
        state.refused.take().map(Err)
    }

    fn put(&self, claim: RabbitClaim) {
        self.state().fetched.push_back(claim);
        self.answered.notify_one();
    }

    fn refuse(&self, why: QueueError) {
        self.state().refused = Some(why);
        self.answered.notify_one();
    }

    /// Begins a session, unless the consumer is gone.
    fn begin(&self, session: &Arc<Session>) {
        let mut state = self.state();
        if state.closed {
            session.forsake();
        }
        state.session = Some(Arc::clone(session));
    }

    fn closed(&self) -> bool {
        self.state().closed
    }

    /// What was fetched and nobody took.
    fn clear(&self) -> Vec<RabbitClaim> {
        self.state().fetched.drain(..).collect()
    }

    /// Waits until the consumer is gone.
    async fn gone(&self) {
        while !self.closed() {
            self.asked.notified().await;
        }
    }
}

/// Serves a consumer, over one connection after the other, until it is dropped.
async fn work(
    desk: Arc<Desk>,
    graph: Arc<Graph>,
    picker: Picker,
    options: ConsumerOptions,
    session: Arc<Session>,
) {
    let mut session = Some(session);
    while !desk.closed() {
        let opened = match session.take() {
            Some(session) => Ok(session),
            None => tokio::select! {
                opened = reopen(&graph) => opened,
                () = desk.gone() => return,
            },
        };
        match opened {
            Ok(session) => {
                desk.begin(&session);
                let (over, ended) = mpsc::unbounded_channel();
                let lanes = options.lanes.iter().map(|lane| lane.name.clone()).collect();
                let link = Arc::clone(&session.link);
                let mut taker = Taker {
                    desk: &desk,
                    graph: &graph,
                    session: Arc::clone(&session),
                    picker: picker.clone(),
                    name: &options.name,
                    lanes,
                    subscribed: Vec::new(),
                    over,
                    ended,
                };
                let served = tokio::select! {
                    served = taker.serve() => served,
                    why = link.died() => Err(why),
                };
                taker.stop(served.is_ok()).await;
                session.close().await;
                if let Err(why) = served {
                    tracing::debug!(consumer = options.name, error = %why, "the consumer starts again");
                    tokio::time::sleep(LINGER).await;
                }
            }
            Err(why @ QueueError::Refused(_)) => {
                desk.refuse(why);
                tokio::select! {
                    () = tokio::time::sleep(LINGER * 10) => {}
                    () = desk.gone() => {}
                }
            }
            Err(_) => tokio::time::sleep(LINGER).await,
        }
    }
    desk.clear();
}

async fn reopen(graph: &Graph) -> Result<Arc<Session>, QueueError> {
    Session::open(graph.next_link().await?).await
}

/// Takes tasks over one session.
struct Taker<'a> {
    desk: &'a Desk,
    graph: &'a Graph,
    session: Arc<Session>,
    picker: Picker,
    name: &'a str,
    lanes: Vec<LaneName>,
    subscribed: Vec<(LaneName, lapin::Consumer)>,
    over: mpsc::UnboundedSender<LaneName>,
    /// Lanes of holds that ended: at most as many as there are holds.
    ended: mpsc::UnboundedReceiver<LaneName>,
}

/// What a taker does next.
enum Step {
    Fetch,
    /// Somebody may wait again soon.
    Linger,
    Rest,
    Close,
}

impl Taker<'_> {
    async fn serve(&mut self) -> Result<(), QueueError> {
        let qos = self.session.channel.basic_qos(1, BasicQosOptions::default());
        self.session.link.call("set the prefetch", qos).await?;
        loop {
            self.count_ended();
            match self.step() {
                Step::Close => return Ok(()),
                Step::Rest => self.rest().await,
                Step::Linger => self.linger().await?,
                Step::Fetch => self.fetch().await?,
            }
        }
    }

    fn step(&self) -> Step {
        let state = self.desk.state();
        let nothing = state.fetched.is_empty();
        match (state.closed, state.waiting) {
            (true, _) => Step::Close,
            (_, true) if nothing => Step::Fetch,
            (_, false) if !(nothing && self.subscribed.is_empty()) => Step::Linger,
            _ => Step::Rest,
        }
    }

    fn count_ended(&mut self) {
        while let Ok(lane) = self.ended.try_recv() {
            self.picker.give_back(&lane);
        }
    }

    async fn rest(&mut self) {
        tokio::select! {
            () = self.desk.asked.notified() => {}
            Some(lane) = self.ended.recv() => self.picker.give_back(&lane),
        }
    }

    /// Waits a moment for the consumer to wait again, then gives back what it has not taken.
    async fn linger(&mut self) -> Result<(), QueueError> {
        tokio::select! {
            () = self.desk.asked.notified() => return Ok(()),
            Some(lane) = self.ended.recv() => {
                self.picker.give_back(&lane);
                return Ok(());
            }
            () = tokio::time::sleep(LINGER) => {}
        }
        self.unsubscribe().await?;
        for claim in self.desk.clear() {
            claim.return_unseen().await;
        }
        Ok(())
    }

    /// Fetches one task, or waits for one to come or for something to change.
    async fn fetch(&mut self) -> Result<(), QueueError> {
        if let Some((lane, delivery)) = self.get().await? {
            return self.accept(lane, delivery).await;
        }
        self.subscribe().await?;
        let arrived = tokio::select! {
            () = self.desk.asked.notified() => None,
            Some(lane) = self.ended.recv() => {
                self.picker.give_back(&lane);
                None
            }
            arrived = arrival(&mut self.subscribed) => Some(arrived),
        };
        let Some((lane, arrived)) = arrived else { return Ok(()) };
        let delivery = self.check(arrived)?;
        let more = self.unsubscribed().await?;
        for (lane, delivery) in std::iter::once((lane, delivery)).chain(more) {
            self.accept_arrived(lane, delivery).await?;
        }
        Ok(())
    }

    /// A message of the lane whose turn it is, the next lane where that is empty.
    async fn get(&mut self) -> Result<Option<(LaneName, Delivery)>, QueueError> {
        let mut empty: HashSet<LaneName> = self.subscribed.iter().map(|(lane, _)| lane.clone()).collect();
        loop {
            let mut trial = self.picker.clone();
            let Some(lane) = trial.take(|lane| !empty.contains(lane)).cloned() else { return Ok(None) };
            let queue = self.link().names.lane(&lane);
            let get = self.session.channel.basic_get(queue.into(), BasicGetOptions::default());
            match self.link().call("fetch a task", get).await? {
                Some(message) => {
                    self.picker = trial;
                    return Ok(Some((lane, message.delivery)));
                }
                None => drop(empty.insert(lane)),
            }
        }
    }

    /// Subscribes to every lane that may give a task.
    async fn subscribe(&mut self) -> Result<(), QueueError> {
        for lane in self.lanes.clone() {
            let known = self.subscribed.iter().any(|(known, _)| *known == lane);
            if known || !self.has_room(&lane) {
                continue;
            }
            let queue = self.link().names.lane(&lane);
            let tag = format!("{}.{}", self.name, self.link().unique());
            let (options, none) = (BasicConsumeOptions::default(), FieldTable::default());
            let consume = self.session.channel.basic_consume(queue.into(), short(&tag), options, none);
            let consumer = self.link().call("wait for a task", consume).await?;
            self.subscribed.push((lane, consumer));
        }
        Ok(())
    }

    async fn unsubscribe(&mut self) -> Result<(), QueueError> {
        for (lane, delivery) in self.unsubscribed().await? {
            self.accept_arrived(lane, delivery).await?;
        }
        Ok(())
    }

    /// Ends the subscriptions; what had come by then.
    async fn unsubscribed(&mut self) -> Result<Vec<(LaneName, Delivery)>, QueueError> {
        let mut arrived = Vec::new();
        for (lane, mut consumer) in std::mem::take(&mut self.subscribed) {
            let cancel = self.session.channel.basic_cancel(consumer.tag(), BasicCancelOptions::default());
            self.link().call("stop waiting", cancel).await?;
            while let Some(Some(Ok(delivery))) = consumer.next().now_or_never() {
                arrived.push((lane.clone(), delivery));
            }
        }
        Ok(arrived)
    }

    /// Accepts what came unasked, if its lane still has room.
    async fn accept_arrived(&mut self, lane: LaneName, delivery: Delivery) -> Result<(), QueueError> {
        self.count_ended();
        if self.picker.take(|known| *known == lane).is_some() {
            return self.accept(lane, delivery).await;
        }
        let hold = Hold::of(Arc::clone(&self.session), lane, delivery, mpsc::unbounded_channel().0);
        hold.end(super::session::End::Release, &self.graph.options.now).await
    }

    /// Puts a message that was counted as taken on the desk.
    async fn accept(&mut self, lane: LaneName, delivery: Delivery) -> Result<(), QueueError> {
        let now = &self.graph.options.now;
        let mut hold = Hold::of(Arc::clone(&self.session), lane, delivery, self.over.clone());
        if let Some(task) = hold.read(now).await? {
            self.desk.put(RabbitClaim::new(hold, task, Arc::clone(now)));
        }
        Ok(())
    }

    /// Gives back what nobody took.
    async fn stop(mut self, gracefully: bool) {
        if gracefully {
            // When it fails the connection has failed, and the broker takes everything back by itself.
            let _ = self.unsubscribe().await;
            for claim in self.desk.clear() {
                claim.return_unseen().await;
            }
        } else {
            self.desk.clear();
        }
    }

    fn has_room(&self, lane: &LaneName) -> bool {
        self.picker.clone().take(|known| known == lane).is_some()
    }

    fn check(&self, arrived: Option<lapin::Result<Delivery>>) -> Result<Delivery, QueueError> {
        let why = match arrived {
            Some(Ok(delivery)) => return Ok(delivery),
            Some(Err(error)) => super::fault::of(&self.link().address, "wait for a task", &error),
            None => super::fault::unreachable(&self.link().address, "wait for a task", "the queue went away"),
        };
        self.link().fail(why.clone());
        Err(why)
    }

    fn link(&self) -> &Link {
        &self.session.link
    }
}

/// Waits for the first message of any of these.
async fn arrival(
    subscribed: &mut [(LaneName, lapin::Consumer)],
) -> (LaneName, Option<lapin::Result<Delivery>>) {
    if subscribed.is_empty() {
        return std::future::pending().await;
    }
    let waits = subscribed.iter_mut().map(|(lane, consumer)| {
        let lane = lane.clone();
        consumer.next().map(move |arrived| (lane, arrived)).boxed()
    });
    select_all(waits).await.0
}

/// As much of a text as a name in AMQP may have.
fn short(text: &str) -> lapin::types::ShortString {
    let most = text.floor_char_boundary(text.len().min(255));
    let skipped = text.len() - most;
    // The end is what makes it unique.
    text.get(skipped..).unwrap_or_default().into()
}
