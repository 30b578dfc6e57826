//! What the product stands on: a broker that loses nothing it has confirmed, a store that neither loses what was put nor takes
//! a second put, events from the store to the broker, figures of both, and a site with battles going on.
#![allow(clippy::large_futures, reason = "a connection to the broker is large; a test holds one")]

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aws_sdk_s3::Client as S3;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region, RequestChecksumCalculation};
use aws_sdk_s3::types::{Event, NotificationConfiguration, QueueConfiguration};
use futures::{SinkExt as _, StreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;
use lapin::options::{
    BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions,
    QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, ExchangeKind};
use scrapefleet_e2e::{Forward, Space, in_namespace};
use scrapefleet_policy::within;
use tokio::sync::Mutex;
use tokio_tungstenite::tungstenite::Message;

/// How long a service may take until it serves, from the death of its pod on.
const SERVES_WITHIN: Duration = Duration::from_mins(2);
/// How long one call to a service may take.
const CALL_WITHIN: Duration = Duration::from_secs(30);
/// How long the site may take until so many battles go on: players start one after the other.
const BATTLES_WITHIN: Duration = Duration::from_mins(4);
/// How many battles go on at the same time.
const BATTLES: usize = 50;
/// The namespace of the services.
const PLATFORM: &str = "platform";
/// The exchange that MinIO sends its events to.
const EVENTS: &str = "store-events";

/// One test at a time uses the broker or the store: some of them kill one.
static SERVICES: Mutex<()> = Mutex::const_new(());

/// A way to a service of the platform.
async fn forward(space: &Space, app: &str, port: u16) -> Result<Forward> {
    let platform = space.elsewhere(PLATFORM);
    let pod = platform.pod_of_app(app, SERVES_WITHIN).await?;
    Forward::open(platform.api(), &pod, port).await
}

/// A channel to the broker; the connection and the way to it are kept as long as the channel is used.
struct Broker {
    channel: Channel,
    _connection: Connection,
    _forward: Forward,
}

async fn broker(space: &Space) -> Result<Broker> {
    let connect = space.until("a connection to RabbitMQ", SERVES_WITHIN, async || {
        let forward = forward(space, "rabbitmq", 5672).await?;
        let url = format!("amqp://guest:guest@{}/%2f", forward.address());
        let connection =
            within(CALL_WITHIN, "connect", Connection::connect(&url, ConnectionProperties::default()))
                .await??;
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(Some(Broker { channel, _connection: connection, _forward: forward }))
    });
    Box::pin(connect).await
}

async fn store(space: &Space) -> Result<(S3, Forward)> {
    let forward = forward(space, "minio", 9000).await?;
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .endpoint_url(format!("http://{}", forward.address()))
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("minioadmin", "minioadmin", None, None, "tests"))
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .force_path_style(true)
        .build();
    Ok((S3::from_conf(config), forward))
}

/// Kills a pod of the platform and waits until there is another.
async fn kill(space: &Space, pod: &str) -> Result<()> {
    let platform = space.elsewhere(PLATFORM);
    let pods = platform.api::<Pod>();
    let killed = pods.get(pod).await?.metadata.uid;
    pods.delete(pod, &DeleteParams::default().grace_period(0)).await?;
    platform.pod_when(pod, "is another one", SERVES_WITHIN, |pod| pod.metadata.uid != killed).await?;
    Ok(())
}

#[tokio::test]
async fn a_confirmed_message_survives_the_death_of_the_broker() -> Result<()> {
    let _turn = SERVICES.lock().await;
    in_namespace("broker", async |space| {
        let queue = space.namespace.as_str();
        let before = broker(&space).await?;
        let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        before.channel.queue_declare(queue.into(), durable, FieldTable::default()).await?;
        let persistent = BasicProperties::default().with_delivery_mode(2);
        let confirmed = before
            .channel
            .basic_publish("".into(), queue.into(), BasicPublishOptions::default(), b"kept", persistent)
            .await?
            .await?;
        ensure!(matches!(confirmed, Confirmation::Ack(None)), "{confirmed:?}");

        kill(&space, "rabbitmq-0").await?;
        let after = broker(&space).await?;
        let got = after.channel.basic_get(queue.into(), BasicGetOptions { no_ack: true }).await?;
        let message = got.context("the queue is empty after the broker came back")?;
        ensure!(message.delivery.data == b"kept", "{:?}", message.delivery.data);
        after.channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_was_put_survives_the_death_of_the_store() -> Result<()> {
    let _turn = SERVICES.lock().await;
    in_namespace("restart", async |space| {
        let bucket = space.namespace.as_str();
        let (before, _forward) = store(&space).await?;
        before.create_bucket().bucket(bucket).send().await?;
        let body = b"kept".to_vec();
        before.put_object().bucket(bucket).key("log").body(body.into()).send().await?;
        kill(&space, "minio-0").await?;
        let kept = space
            .until("the store answers again", SERVES_WITHIN, async || {
                let (after, _forward) = store(&space).await?;
                Ok(Some(after.get_object().bucket(bucket).key("log").send().await?.body.collect().await?))
            })
            .await?;
        let kept = kept.into_bytes();
        ensure!(kept.as_ref() == b"kept", "{kept:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn figures_of_the_broker_and_the_store_are_taken() -> Result<()> {
    let _turn = SERVICES.lock().await;
    in_namespace("figures", async |space| {
        let forward = forward(&space, "prometheus", 9090).await?;
        let url = format!("http://{}/api/v1/query?query=up", forward.address());
        let taken = space.until("figures of rabbitmq-0 and minio-0", SERVES_WITHIN, async || {
            let answer: serde_json::Value = reqwest::get(&url).await?.json().await?;
            let results = answer["data"]["result"].as_array().context("no result")?;
            let up = |pod: &str| {
                results.iter().any(|result| {
                    let metric = &result["metric"];
                    metric["namespace"] == PLATFORM && metric["pod"] == pod && result["value"][1] == "1"
                })
            };
            ensure!(up("rabbitmq-0") && up("minio-0"), "{answer}");
            Ok(Some(()))
        });
        taken.await
    })
    .await
}

#[tokio::test]
async fn a_second_put_of_the_same_key_is_refused_and_changes_nothing() -> Result<()> {
    let _turn = SERVICES.lock().await;
    in_namespace("put", async |space| {
        let (s3, _forward) = store(&space).await?;
        let bucket = space.namespace.as_str();
        s3.create_bucket().bucket(bucket).send().await?;
        let put = |text: &'static str| {
            s3.put_object()
                .bucket(bucket)
                .key("log")
                .if_none_match("*")
                .body(text.as_bytes().to_vec().into())
                .send()
        };
        put("first").await?;
        let refused = put("second").await.err().context("the second put was taken")?;
        let status = refused.raw_response().map(|response| response.status().as_u16());
        ensure!(status == Some(412), "{refused:?}");
        let stored =
            s3.get_object().bucket(bucket).key("log").send().await?.body.collect().await?.into_bytes();
        ensure!(stored.as_ref() == b"first", "{stored:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_broker_hears_of_a_put() -> Result<()> {
    let _turn = SERVICES.lock().await;
    in_namespace("event", async |space| {
        let broker = broker(&space).await?;
        let bucket = space.namespace.as_str();
        let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        broker
            .channel
            .exchange_declare(EVENTS.into(), ExchangeKind::Topic, durable, FieldTable::default())
            .await?;
        let own = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
        broker.channel.queue_declare(bucket.into(), own, FieldTable::default()).await?;
        let bind = QueueBindOptions::default();
        broker
            .channel
            .queue_bind(bucket.into(), EVENTS.into(), "#".into(), bind, FieldTable::default())
            .await?;

        let (s3, _forward) = store(&space).await?;
        s3.create_bucket().bucket(bucket).send().await?;
        let to_broker = QueueConfiguration::builder()
            .queue_arn("arn:minio:sqs::rabbitmq:amqp")
            .events(Event::from("s3:ObjectCreated:*"))
            .build()?;
        let notifications = NotificationConfiguration::builder().queue_configurations(to_broker).build();
        s3.put_bucket_notification_configuration()
            .bucket(bucket)
            .notification_configuration(notifications)
            .send()
            .await?;
        s3.put_object().bucket(bucket).key("battle.log").body(b"x".to_vec().into()).send().await?;

        let options = BasicGetOptions { no_ack: true };
        let event = space
            .until("the event of the put", CALL_WITHIN, async || {
                Ok(broker.channel.basic_get(bucket.into(), options).await?)
            })
            .await?;
        let event: serde_json::Value = serde_json::from_slice(&event.delivery.data)?;
        let record = &event["Records"][0];
        ensure!(
            record["s3"]["bucket"]["name"] == bucket && record["s3"]["object"]["key"] == "battle.log",
            "{event}"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_site_has_fifty_battles_going_on() -> Result<()> {
    in_namespace("battles", async |space| {
        let forward = forward(&space, "showdown-site", 8000).await?;
        let url = format!("ws://{}/showdown/websocket", forward.address());
        let (mut socket, _) =
            within(CALL_WITHIN, "open a websocket", tokio_tungstenite::connect_async(&url)).await??;
        let mut most = 0;
        let seen = within(BATTLES_WITHIN, "watch the list of battles", async {
            while most < BATTLES {
                socket.send(Message::text("|/cmd roomlist")).await?;
                let count = next_list(&mut socket).await?;
                most = most.max(count);
                // The server drops what is said faster than this.
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            anyhow::Ok(())
        })
        .await;
        seen.with_context(|| format!("at most {most} battles at the same time"))?
    })
    .await
}

/// Reads until the list of battles comes, and tells how many there are.
async fn next_list<S>(socket: &mut S) -> Result<usize>
where
    S: futures::Stream<Item = Result<Message, tokio_tungstenite::tungstenite::Error>> + Unpin,
{
    loop {
        let message = socket.next().await.context("the site closed the connection")??;
        let Ok(text) = message.to_text() else { continue };
        if let Some(list) = text.strip_prefix("|queryresponse|roomlist|") {
            let list: serde_json::Value = serde_json::from_str(list)?;
            return Ok(list["rooms"].as_object().map_or(0, serde_json::Map::len));
        }
    }
}
