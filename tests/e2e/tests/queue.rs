//! The queue on a real RabbitMQ: the contract of every queue, and what only a broker can do to one.
//!
//! The broker is the one of the cluster. `SCRAPEFLEET_E2E_RABBITMQ=host:port,host:port` (AMQP, management API) names
//! another, which must be on this machine's loopback address or reachable from it, with user guest and password guest;
//! it is for the work on the queue alone, and CI uses the cluster. Every test has queues of its own and deletes them.
//!
//! What kills the broker is in `broker_death.rs`, a binary of its own.

mod broker;

use std::time::Duration;

use broker::{Broker, lane, task, tls::Authority};
use scrapefleet_policy::within;
use scrapefleet_queue::{
    Depth, QueueError, TaskQueue as _,
    contract::Harness as _,
    rabbitmq::{self, Options, Password},
};

scrapefleet_queue::queue_contract!(Broker::start().await);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_refused_in_clear_text_without_it() {
    let broker = Broker::start().await;
    let options = Options { password: Password::new("s3cret-wrong".to_owned()), ..broker.options() };
    let error = rabbitmq::connect(options).await.unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, QueueError::Refused(_)), "{text}");
    assert!(text.contains("password") && !text.contains("s3cret"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_not_there_is_unreachable_with_its_address() {
    let broker = Broker::start().await;
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let options = Options { url: format!("amqp://127.0.0.1:{port}"), ..broker.options() };
    let error = rabbitmq::connect(options).await.unwrap_err();
    let expected = format!("127.0.0.1:{port}");
    assert!(matches!(&error, QueueError::Unreachable(why) if why.contains(&expected)), "{error}");
}

/// Longer than the broker takes to count what is in a queue.
const COUNTED_WITHIN: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_with_an_authority_of_its_own_is_used() {
    let broker = Broker::start().await;
    let (options, _veils) = broker.behind_tls(&Authority::new()).await;
    let queue = rabbitmq::connect(options).await.unwrap();
    assert_eq!(queue.publish(vec![task("secret", "default")]).await.unwrap().new, 1);
    let mut consumer = queue.consume(broker::options(1, &["default"])).await.unwrap();
    let mut claim = within(Duration::from_secs(5), "the task", consumer.next()).await.unwrap().unwrap();
    assert_eq!(claim.task().id.as_str(), "secret");
    let held = Depth { held: 1, ..Depth::default() };
    let counted = async {
        while queue.depth().await.unwrap() != held {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    within(COUNTED_WITHIN, "the depth", counted).await.unwrap();
    claim.ack().await.unwrap();
    assert!(queue.pending().await.unwrap().is_empty());
    queue.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_of_another_authority_is_refused_with_the_key_that_lacks() {
    let broker = Broker::start().await;
    let (options, _veils) = broker.behind_tls(&Authority::new()).await;
    let at = options.url.trim_start_matches("amqps://").trim_end_matches("/%2f").to_owned();
    for ca in [Some(Authority::new().pem), None] {
        let error = rabbitmq::connect(Options { ca: ca.clone(), ..options.clone() }).await.unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, QueueError::Refused(_)), "{text}");
        for part in [at.as_str(), "invalid peer certificate", "`ca.crt` in the Secret"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        // The same where only the management API has such a certificate.
        let plain = Options { url: broker.options().url, ca, ..options.clone() };
        let queue = rabbitmq::connect(plain).await.unwrap();
        let text = queue.depth().await.unwrap_err().to_string();
        queue.close().await.unwrap();
        let management = options.management_url.as_deref().unwrap();
        for part in [management, "invalid peer certificate", "`ca.crt` in the Secret"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_authority_that_cannot_be_read_is_refused_with_its_key() {
    let broker = Broker::start().await;
    let (options, _veils) = broker.behind_tls(&Authority::new()).await;
    for ca in ["", "no PEM at all", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let error = rabbitmq::connect(Options { ca: Some(ca.into()), ..options.clone() }).await.unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, QueueError::Refused(_)), "{text}");
        assert!(text.contains("`ca.crt`") && text.contains("correct it in the Secret"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queues_of_another_make_are_refused_with_what_was_found_and_wanted() {
    let broker = Broker::start().await;
    let options = Options { copies: Some(3), ..broker.options() };
    let error = rabbitmq::connect(options).await.unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, QueueError::Mismatch(_)), "{text}");
    assert!(
        text.contains(&broker.options().scope) && text.contains("'3'") && text.contains("current is"),
        "{text}"
    );
    assert!(text.contains("set the manifest back"), "{text}");
    // And what was there goes on as before.
    broker.queue().publish(vec![task("after", "default")]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_broker_takes_a_task_away_only_long_after_the_longest_hold() {
    let broker = Broker::start().await;
    let queue = broker.describe("lane.default").await;
    let timeout = queue["arguments"]["x-consumer-timeout"].as_u64().unwrap();
    assert!(u128::from(timeout) >= 2 * broker.options().longest_hold.as_millis(), "{queue}");
    assert!(broker.options().longest_hold >= Duration::from_mins(35));
    assert_eq!(queue["arguments"]["x-dead-letter-strategy"], "at-least-once", "{queue}");
    assert_eq!(queue["durable"], true, "{queue}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queues_that_were_made_for_shorter_holds_are_refused() {
    let broker = Broker::start().await;
    let options = Options { longest_hold: Duration::from_hours(30), ..broker.options() };
    let error = rabbitmq::connect(options).await.unwrap_err();
    assert!(
        matches!(&error, QueueError::Mismatch(why) if why.contains("x-consumer-timeout is 86400000 ms")),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_was_made_without_a_timeout_is_refused() {
    let broker = Broker::start().await;
    broker.make_again_without("lane.default", "x-consumer-timeout").await;
    let error = rabbitmq::connect(broker.options()).await.unwrap_err();
    assert!(
        matches!(&error, QueueError::Mismatch(why) if why.contains("lane.default") && why.contains("is not set")),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_fleets_on_one_broker_do_not_touch_each_other() {
    let (one, other) = (Broker::start().await, Broker::start().await);
    one.queue().publish(vec![task("mine", "default")]).await.unwrap();
    let mut consumer = other.queue().consume(broker::options(1, &["default"])).await.unwrap();
    let got = within(Duration::from_secs(1), "nothing", consumer.next()).await;
    assert!(got.is_err(), "something came to the fleet that has no task: {got:?}");
    let lock = one.queue().try_lock("watcher").await.unwrap();
    let another = other.queue().try_lock("watcher").await.unwrap();
    assert!(lock.is_some(), "the lock of a new fleet was taken");
    assert!(another.is_some(), "the lock of one fleet kept that of the other");
    rabbitmq::delete(&other.options()).await.unwrap();
    assert_eq!(one.queue().pending().await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_leads_nowhere_is_an_error() {
    let broker = Broker::start().await;
    let error = broker.queue().publish(vec![task("lost", "elsewhere")]).await.unwrap_err();
    assert!(matches!(&error, QueueError::Refused(why) if why.contains("elsewhere")), "{error}");
    // The broker's own word for it, past the check of the client.
    let error = broker.rabbit().publish_raw(&lane("elsewhere"), b"{}").await.unwrap_err();
    assert!(matches!(&error, QueueError::Refused(why) if why.contains("no queue for")), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_fleet_leaves_nothing() {
    let broker = Broker::start().await;
    broker.queue().publish(vec![task("gone", "default")]).await.unwrap();
    assert!(broker.everything().await > 20);
    rabbitmq::delete(&broker.options()).await.unwrap();
    assert_eq!(broker.everything().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_queue_gives_back_what_it_held_and_says_that_it_is_closed() {
    let broker = Broker::start().await;
    let closing = rabbitmq::connect(broker.options()).await.unwrap();
    closing.publish(vec![task("held", "default")]).await.unwrap();
    let mut consumer = closing.consume(broker::options(2, &["default"])).await.unwrap();
    let mut claim = consumer.next().await.unwrap();
    let lock = closing.try_lock("watcher").await.unwrap().unwrap();

    let waiting = tokio::spawn(async move { consumer.next().await.map(|claim| claim.task().id.clone()) });
    closing.close().await.unwrap();
    closing.close().await.unwrap();
    let next = within(Duration::from_secs(5), "the end of the wait", waiting).await.unwrap().unwrap();
    let answers = [
        next.map(drop),
        claim.ack().await,
        closing.clone().publish(vec![task("late", "default")]).await.map(drop),
        closing.depth().await.map(drop),
        closing.pending().await.map(drop),
    ];
    assert!(answers.iter().all(|answer| matches!(answer, Err(QueueError::Closed))), "{answers:?}");

    let mut other = broker.queue().consume(broker::options(1, &["default"])).await.unwrap();
    let again = within(Duration::from_secs(5), "the task", other.next()).await.unwrap().unwrap();
    assert_eq!(again.task().id.as_str(), "held");
    assert!(!lock.held() && broker.queue().try_lock("watcher").await.unwrap().is_some());
}
