//! One connection to the broker with all that hangs on it. When any part of it fails all of it is dead, and another is made.

use std::{
    fmt,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::{StreamExt, stream::BoxStream};
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, DefaultConnectionBuilder,
    Event,
    options::{BasicPublishOptions, ConfirmSelectOptions},
    tcp::OwnedTLSConfig,
    uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo},
};
use scrapefleet_policy::within;
use tokio::sync::watch;

use super::{
    Options, fault,
    names::{Names, SYNC},
    options::Address,
    patience::{LOOK_EVERY, unexcused},
    topology,
};
use crate::{QueueError, locks::Locks};

/// How long reaching the broker and logging in may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// How long one call may take: more than a node of a cluster needs to take over from another. Time in which the broker
/// takes nothing does not count.
const CALL_WITHIN: Duration = Duration::from_secs(15);
/// How long making everything may take, on a broker that is busy with those of many fleets.
const DECLARE_WITHIN: Duration = Duration::from_mins(1);
/// How long saying good-bye may take.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);
/// After how many looks the broker is asked whether the queues are still there.
const LOOKS_PER_QUESTION: u32 = 20;
/// Heartbeats: a peer that says nothing for this long, in seconds, is gone.
const HEARTBEAT: u16 = 10;
/// How many messages are under way before the first is confirmed.
const WINDOW: usize = 256;

/// A message to publish.
#[derive(Debug)]
pub(super) struct Letter {
    pub(super) key: String,
    pub(super) body: Vec<u8>,
    pub(super) properties: BasicProperties,
}

impl Letter {
    /// One that means nothing, to a quorum queue that keeps nothing.
    pub(super) fn nothing() -> Self {
        Self { key: SYNC.to_owned(), body: Vec::new(), properties: BasicProperties::default() }
    }
}

/// One connection, alive or dead, never alive again.
pub(super) struct Link {
    pub(super) names: Names,
    pub(super) locks: Locks,
    /// Where the broker is, for messages.
    pub(super) address: String,
    connection: Connection,
    /// Where publishes go that belong to no consumer.
    publisher: Channel,
    /// Channels that must live as long as the connection.
    channels: Mutex<Vec<Channel>>,
    death: watch::Sender<Option<QueueError>>,
    /// Somebody has waited in vain for the broker to take something: the next do not wait as long again.
    stuck: AtomicBool,
    tokens: AtomicU64,
    token: String,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("address", &self.address)
            .field("alive", &self.alive())
            .finish_non_exhaustive()
    }
}

impl Link {
    /// Connects, logs in, and makes or checks the fleet's queues.
    pub(super) async fn open(
        options: &Options,
        address: &Address,
        token: String,
    ) -> Result<Self, QueueError> {
        let shown = address.to_string();
        let connect = within(CONNECT_WITHIN, "connect", connect(options, address)).await;
        let connection = connect
            .map_err(|e| fault::unreachable(&shown, "connect", &e.to_string()))?
            .map_err(|e| fault::of(&shown, "connect", &e))?;
        let names = Names::new(options.scope.clone());
        let setup = async {
            let channel = connection.create_channel().await?;
            topology::declare(&channel, &names, options).await?;
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            Ok(channel)
        };
        let setup = within(DECLARE_WITHIN, "declare", setup).await;
        let publisher = match setup {
            Ok(Ok(publisher)) => publisher,
            failed => {
                close(&connection).await;
                let what = format!("make the queues of `{}`", options.scope);
                return Err(match failed {
                    Ok(Err(error)) => fault::of(&shown, &what, &error),
                    Err(expired) => fault::unreachable(&shown, &what, &expired.to_string()),
                    Ok(Ok(_)) => QueueError::Closed,
                });
            }
        };
        Ok(Self {
            names,
            locks: Locks::new(),
            address: shown,
            connection,
            publisher: publisher.clone(),
            channels: Mutex::new(vec![publisher]),
            death: watch::Sender::new(None),
            stuck: AtomicBool::new(false),
            tokens: AtomicU64::new(0),
            token,
        })
    }

    /// Whether nothing of it has failed yet.
    pub(super) fn alive(&self) -> bool {
        self.death.borrow().is_none() && self.connection.status().connected()
    }

    /// Declares it dead.
    pub(super) fn fail(&self, why: &QueueError) {
        let first = self.death.send_if_modified(|death| {
            let first = death.is_none();
            if first {
                *death = Some(why.clone());
            }
            first
        });
        if first {
            self.locks.close();
        }
    }

    /// Waits until it is dead.
    pub(super) async fn died(&self) -> QueueError {
        let mut death = self.death.subscribe();
        match death.wait_for(Option::is_some).await {
            Ok(why) => why.clone().unwrap_or(QueueError::Closed),
            Err(_) => QueueError::Closed,
        }
    }

    /// Watches every part of it until one fails: the client may go on silently after a channel was closed.
    pub(super) async fn watch(&self, options: &Options) -> QueueError {
        let mut events: BoxStream<'_, Event> = self.connection.events_listener().boxed();
        let mut looks = 0;
        loop {
            tokio::select! {
                why = self.died() => return why,
                event = events.next() => match event {
                    // Somebody else has a lock: the channel that asked for it is closed, and nothing else.
                    Some(Event::Error(error)) if fault::is_locked(&error) => {}
                    Some(Event::Error(error)) => self.fail(&fault::of(&self.address, "stay connected", &error)),
                    None => self.fail(&fault::unreachable(&self.address, "stay connected", "the connection is gone")),
                    Some(Event::ConnectionBlocked(why)) => {
                        tracing::warn!(broker = self.address, why, "the broker takes nothing now; what is held stays held");
                    }
                    Some(Event::ConnectionUnblocked) => tracing::info!(broker = self.address, "the broker takes everything again"),
                    Some(_) => {}
                },
                () = tokio::time::sleep(LOOK_EVERY) => {
                    self.look();
                    looks += 1;
                    if looks % LOOKS_PER_QUESTION == 0 {
                        self.ask(options).await;
                    }
                }
            }
        }
    }

    fn look(&self) {
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        let closed = channels.iter().any(|channel| !channel.status().connected());
        channels.retain(|channel| channel.status().connected());
        drop(channels);
        if closed || !self.connection.status().connected() {
            self.fail(&fault::unreachable(&self.address, "stay connected", "a channel was closed"));
        }
    }

    /// Fails when a lane's queue is gone: with it gone a publish would still be confirmed, by the journal alone.
    async fn ask(&self, options: &Options) {
        let what = "look for the lanes";
        for lane in &options.lanes {
            if self.blocked() {
                return;
            }
            let look = self.call(what, topology::look(&self.publisher, &self.names, lane));
            if self.unless_stuck(what, look).await.is_err() {
                return;
            }
        }
    }

    /// Whether the broker takes nothing from us now, though the connection lives.
    fn blocked(&self) -> bool {
        let status = self.connection.status();
        status.connected() && status.blocked()
    }

    /// A call, for those who would rather hear that the broker takes nothing than wait until it does again. That is no
    /// failure of the connection.
    pub(super) async fn unless_stuck<T>(
        &self,
        what: &str,
        call: impl Future<Output = Result<T, QueueError>>,
    ) -> Result<T, QueueError> {
        let limit = if self.stuck.load(Ordering::Relaxed) { LOOK_EVERY } else { CALL_WITHIN };
        let (stuck, answer) = tokio::select! {
            answer = call => (false, answer),
            () = unexcused(limit, || !self.blocked()) => {
                let why = "it takes nothing now, as long as its alarm about memory or disk lasts";
                (true, Err(fault::unreachable(&self.address, what, why)))
            }
        };
        self.stuck.store(stuck, Ordering::Relaxed);
        answer
    }

    /// A channel whose failure is the failure of the whole.
    pub(super) async fn channel(&self) -> Result<Channel, QueueError> {
        let open = async {
            let channel = self.connection.create_channel().await?;
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            Ok(channel)
        };
        let channel = self.call("open a channel", open).await?;
        self.channels.lock().unwrap_or_else(PoisonError::into_inner).push(channel.clone());
        Ok(channel)
    }

    /// A channel that may fail alone.
    pub(super) async fn loose_channel(&self) -> Result<Channel, QueueError> {
        self.call("open a channel", self.connection.create_channel()).await
    }

    /// Closes a channel that is not needed any more, which is no failure. The broker takes back what was not acked.
    pub(super) async fn leave(&self, channel: &Channel) {
        let id = channel.id();
        self.channels.lock().unwrap_or_else(PoisonError::into_inner).retain(|known| known.id() != id);
        // When it cannot be closed the connection is gone, and the channel with it.
        let _ = within(CLOSE_WITHIN, "close a channel", channel.close(200, "done".into())).await;
    }

    /// One call to the broker, under a deadline. Its failure is the failure of the whole.
    pub(super) async fn call<T>(
        &self,
        what: &'static str,
        call: impl Future<Output = lapin::Result<T>>,
    ) -> Result<T, QueueError> {
        self.attempt(what, call).await.inspect_err(|why| self.fail(why))
    }

    /// One call to the broker, under a deadline.
    pub(super) async fn attempt<T>(
        &self,
        what: &'static str,
        call: impl Future<Output = lapin::Result<T>>,
    ) -> Result<T, QueueError> {
        if !self.alive() {
            return Err(fault::unreachable(&self.address, what, "the connection is gone"));
        }
        self.timely(what, call).await?.map_err(|error| fault::of(&self.address, what, &error))
    }

    /// What the broker answers, under a deadline.
    pub(super) async fn timely<T>(&self, what: &str, call: impl Future<Output = T>) -> Result<T, QueueError> {
        tokio::select! {
            answer = call => Ok(answer),
            () = unexcused(CALL_WITHIN, || self.blocked()) => {
                Err(fault::unreachable(&self.address, what, &format!("no answer within {CALL_WITHIN:?}")))
            }
        }
    }

    /// Publishes and waits until the broker has each of them for good, but not until its alarm is over.
    pub(super) async fn publish(&self, letters: &[Letter]) -> Result<(), QueueError> {
        for part in letters.chunks(WINDOW) {
            let publish = async {
                // What is tried again and again must not gather here.
                while self.blocked() {
                    tokio::time::sleep(LOOK_EVERY).await;
                }
                self.send(&self.publisher, part).await.inspect_err(|why| self.fail(why))
            };
            let confirmed = self.unless_stuck("publish", publish).await?;
            self.check(part, confirmed)?;
        }
        Ok(())
    }

    /// Publishes something that means nothing, to see whether the broker takes it.
    pub(super) async fn round_trip(&self) -> Result<(), QueueError> {
        self.publish(&[Letter::nothing()]).await
    }

    /// Sends messages, not more than fit a window, and waits for what the broker says to each.
    pub(super) async fn send(
        &self,
        channel: &Channel,
        letters: &[Letter],
    ) -> Result<Vec<Confirmation>, QueueError> {
        let exchange = self.names.exchange();
        self.attempt("publish", async {
            let mut confirms = Vec::with_capacity(letters.len());
            for Letter { key, body, properties } in letters {
                let mandatory = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
                let properties = properties.clone().with_delivery_mode(2);
                let (exchange, key) = (exchange.as_str().into(), key.as_str().into());
                confirms.push(channel.basic_publish(exchange, key, mandatory, body, properties).await?);
            }
            let mut confirmed = Vec::with_capacity(confirms.len());
            for confirm in confirms {
                confirmed.push(confirm.await?);
            }
            Ok(confirmed)
        })
        .await
    }

    /// Fails unless the broker has each of these messages for good.
    pub(super) fn check(&self, letters: &[Letter], confirmed: Vec<Confirmation>) -> Result<(), QueueError> {
        let mut both = letters.iter().zip(confirmed);
        both.try_for_each(|(letter, confirmation)| self.check_one(&letter.key, &confirmation))
    }

    fn check_one(&self, key: &str, confirmation: &Confirmation) -> Result<(), QueueError> {
        match confirmation {
            Confirmation::Ack(None) => Ok(()),
            Confirmation::Ack(Some(_)) => Err(QueueError::Refused(format!(
                "the broker at {} has no queue for `{key}` of `{}`: it was deleted, or the lane is not one of the fleet's",
                self.address,
                self.names.exchange()
            ))),
            Confirmation::Nack(_) | Confirmation::NotRequested => {
                let why = format!("`{key}` was not taken; a queue is full or its nodes are away");
                Err(fault::unreachable(&self.address, "publish", &why))
            }
        }
    }

    /// A word that no other has: for sessions and marks.
    pub(super) fn unique(&self) -> String {
        format!("{}-{}", self.token, self.tokens.fetch_add(1, Ordering::Relaxed))
    }

    /// Closes the connection.
    pub(super) async fn close(&self) {
        self.fail(&QueueError::Closed);
        close(&self.connection).await;
    }
}

async fn close(connection: &Connection) {
    // When it cannot be closed it is gone, which is as good.
    let _ = within(CLOSE_WITHIN, "close", connection.close(200, "done".into())).await;
}

async fn connect(options: &Options, address: &Address) -> lapin::Result<Connection> {
    let uri = AMQPUri {
        scheme: if address.tls { AMQPScheme::AMQPS } else { AMQPScheme::AMQP },
        authority: AMQPAuthority {
            userinfo: AMQPUserInfo {
                username: options.username.clone(),
                password: options.password.reveal().to_owned(),
            },
            host: address.host.clone(),
            port: address.port,
        },
        vhost: address.vhost.clone(),
        query: AMQPQueryString { heartbeat: Some(HEARTBEAT), ..AMQPQueryString::default() },
    };
    let cert_chain = options.ca.as_ref().map(|pem| String::from_utf8_lossy(pem).into_owned());
    let properties = ConnectionProperties::default().with_connection_name(options.name.as_str().into());
    DefaultConnectionBuilder::new()?
        .with_uri(uri)
        .with_properties(properties)
        .with_tls_config(OwnedTLSConfig { identity: None, cert_chain })
        .connect()
        .await
}
