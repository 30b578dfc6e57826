//! Taking tasks from the lanes, over one session.

use std::{collections::HashSet, sync::Arc, time::Duration};

use futures::{FutureExt, StreamExt, future::select_all};
use lapin::{
    message::Delivery,
    options::{BasicCancelOptions, BasicConsumeOptions, BasicGetOptions, BasicQosOptions},
    types::FieldTable,
};
use scrapefleet_api::LaneName;
use tokio::sync::mpsc;

use super::{
    claim::RabbitClaim,
    desk::Desk,
    fault,
    link::Link,
    session::{End, Hold, Session},
};
use crate::{ConsumerOptions, Now, QueueError, lanes::Picker};

/// How long subscriptions and fetched tasks are kept when nobody waits: callers often wait again at once.
const LINGER: Duration = Duration::from_millis(100);

/// Takes tasks over one session.
pub(super) struct Taker<'a> {
    desk: &'a Desk,
    now: &'a Now,
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

impl<'a> Taker<'a> {
    /// Takes tasks of the lanes of `options`, chosen by `picker`, and puts them on `desk`.
    pub(super) fn new(
        desk: &'a Desk,
        now: &'a Now,
        options: &'a ConsumerOptions,
        picker: Picker,
        session: Arc<Session>,
    ) -> Self {
        let (over, ended) = mpsc::unbounded_channel();
        let lanes = options.lanes.iter().map(|lane| lane.name.clone()).collect();
        let (name, subscribed) = (options.name.as_str(), Vec::new());
        Self { desk, now, session, picker, name, lanes, subscribed, over, ended }
    }

    /// Takes whenever somebody waits, until the consumer is gone.
    pub(super) async fn serve(&mut self) -> Result<(), QueueError> {
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
        hold.end(End::Release, self.now).await
    }

    /// Puts a message that was counted as taken on the desk.
    async fn accept(&mut self, lane: LaneName, delivery: Delivery) -> Result<(), QueueError> {
        let now = self.now;
        let mut hold = Hold::of(Arc::clone(&self.session), lane, delivery, self.over.clone());
        if let Some(task) = hold.read(now).await? {
            self.desk.put(RabbitClaim::new(hold, task, Arc::clone(now)));
        }
        Ok(())
    }

    /// Gives back what nobody took.
    pub(super) async fn stop(mut self, gracefully: bool) {
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
            Some(Err(error)) => fault::of(&self.link().address, "wait for a task", &error),
            None => fault::unreachable(&self.link().address, "wait for a task", "the queue went away"),
        };
        self.link().fail(&why);
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
