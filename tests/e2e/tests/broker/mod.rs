//! A fleet's queue on the real broker, as the tests of queues use it.
#![allow(dead_code, reason = "shared by binaries that use parts of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

pub(crate) mod tls;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, ListParams};
use reqwest::Method;
use scrapefleet_api::LaneName;
use scrapefleet_e2e::{Cable, Forward, Space};
use scrapefleet_policy::{Clock as _, SystemClock};
use scrapefleet_queue::contract::Harness;
use scrapefleet_queue::rabbitmq::{self, MAX_DELIVERIES, Options, Password, RabbitMq};
use scrapefleet_queue::{ConsumerOptions, Lane, Task, TaskQueue};
use serde_json::{Value, json};
use tls::{Authority, Veil};

/// Names a broker outside the cluster, how to restart it, and its `rabbitmqctl`.
const GIVEN: &str = "SCRAPEFLEET_E2E_RABBITMQ";
const RESTART: &str = "SCRAPEFLEET_E2E_RABBITMQ_RESTART";
const CONTROL: &str = "SCRAPEFLEET_E2E_RABBITMQ_CONTROL";

/// Where the broker of the cluster is.
const PLATFORM: &str = "platform";

/// The lanes of the contract's tests.
const LANES: [&str; 10] = ["default", "a", "b", "slow", "fast", "heavy", "light", "mine", "empty", "other"];

/// A queue of its own on the broker.
pub(crate) struct Broker {
    options: Options,
    target: SocketAddr,
    management: SocketAddr,
    /// The way of the present process, and its queue.
    cable: Cable,
    queue: RabbitMq,
    _forwards: Vec<Forward>,
}

impl Broker {
    pub(crate) async fn start() -> Self {
        let (target, management, forwards) = ways().await;
        let cable = Cable::to(target).await.unwrap();
        let options = Options {
            url: String::new(),
            management_url: Some(format!("http://{management}")),
            username: "guest".to_owned(),
            password: Password::new("guest".to_owned()),
            ca: None,
            scope: format!("scrapefleet.e2e.{:016x}", fastrand::u64(..)),
            lanes: LANES.into_iter().map(lane).collect(),
            copies: None,
            longest_hold: Duration::from_mins(45),
            name: "e2e".to_owned(),
            now: Arc::new(|| SystemClock.now()),
        };
        let options = through(&cable, &options);
        let queue = rabbitmq::connect(options.clone()).await.unwrap();
        Self { options, target, management, cable, queue, _forwards: forwards }
    }

    pub(crate) fn options(&self) -> Options {
        self.options.clone()
    }

    /// The same where AMQP and the management API speak TLS, with certificates of this authority, which is trusted.
    pub(crate) async fn behind_tls(&self, authority: &Authority) -> (Options, [Veil; 2]) {
        let amqp = Veil::before(self.target, authority).await;
        let management = Veil::before(self.management, authority).await;
        let options = Options {
            url: format!("amqps://{}/%2f", amqp.address()),
            management_url: Some(format!("https://{}", management.address())),
            ca: Some(authority.pem.clone()),
            ..self.options()
        };
        (options, [amqp, management])
    }

    pub(crate) fn rabbit(&self) -> &RabbitMq {
        &self.queue
    }

    /// What the management API says of a queue.
    pub(crate) async fn describe(&self, name: &str) -> Value {
        self.ask(&format!("queues/%2F/{}:{name}", self.options.scope)).await
    }

    /// Makes a queue again as it is, but without one of its arguments.
    pub(crate) async fn make_again_without(&self, name: &str, argument: &str) {
        let mut arguments = self.describe(name).await["arguments"].clone();
        arguments.as_object_mut().unwrap().remove(argument).unwrap();
        let path = format!("queues/%2F/{}:{name}", self.options.scope);
        self.request(Method::DELETE, &path, None).await;
        self.request(Method::PUT, &path, Some(&json!({ "durable": true, "arguments": arguments }))).await;
    }

    /// Kills the broker without a word of warning. It comes back with its disk as it was.
    pub(crate) async fn restart(&self) {
        if std::env::var_os(GIVEN).is_some() {
            let command =
                std::env::var(RESTART).expect("SCRAPEFLEET_E2E_RABBITMQ_RESTART says how to restart it");
            let done = tokio::process::Command::new("sh").args(["-c", &command]).status().await.unwrap();
            assert!(done.success(), "{command}: {done}");
            return;
        }
        let pods = pods().await;
        let pod = broker_pod(&pods).await;
        pods.delete(&pod, &DeleteParams::default().grace_period(0)).await.unwrap();
    }

    /// Makes the broker believe that it is out of memory, for all who use it.
    pub(crate) async fn out_of_memory(&self) -> Alarm {
        evaluate("rabbit_alarm:set_alarm({{resource_limit, memory, node()}, []}).").await;
        Alarm
    }

    /// How many queues and exchanges there are of this fleet.
    pub(crate) async fn everything(&self) -> usize {
        let mut count = 0;
        for kind in ["queues", "exchanges"] {
            let all = self.ask(&format!("{kind}/%2F")).await;
            let ours = |it: &&Value| it["name"].as_str().unwrap_or_default().starts_with(&self.options.scope);
            count += all.as_array().unwrap().iter().filter(ours).count();
        }
        count
    }

    async fn ask(&self, path: &str) -> Value {
        self.request(Method::GET, path, None).await.json().await.unwrap()
    }

    async fn request(&self, method: Method, path: &str, body: Option<&Value>) -> reqwest::Response {
        let root = self.options.management_url.as_ref().unwrap();
        let mut request = reqwest::Client::new().request(method, format!("{root}/api/{path}"));
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let answer = request.basic_auth("guest", Some("guest")).send().await.unwrap();
        answer.error_for_status().unwrap()
    }
}

/// The broker takes nothing from who publishes, as long as this is there.
pub(crate) struct Alarm;

impl Drop for Alarm {
    fn drop(&mut self) {
        let over = evaluate("rabbit_alarm:clear_alarm({resource_limit, memory, node()}).");
        if let Err(failed) = apart(over) {
            eprintln!("the broker's alarm is left on: {failed:?}");
        }
    }
}

/// Has the broker evaluate an expression.
async fn evaluate(expression: &str) {
    if std::env::var_os(GIVEN).is_some() {
        let control = std::env::var(CONTROL).expect("SCRAPEFLEET_E2E_RABBITMQ_CONTROL names its rabbitmqctl");
        let command = format!("{control} eval \"$0\"");
        let done =
            tokio::process::Command::new("sh").args(["-c", &command, expression]).status().await.unwrap();
        assert!(done.success(), "{command}: {done}");
        return;
    }
    let pod = broker_pod(&pods().await).await;
    let client = scrapefleet_e2e::client().await.unwrap();
    let platform = Space { client, namespace: PLATFORM.to_owned() };
    platform.exec(&pod, "rabbitmq", &["rabbitmqctl", "eval", expression]).await.unwrap();
}

/// Waits for something in a thread with a runtime of its own: that of the test may be ending.
fn apart<T: Send>(future: impl Future<Output = T> + Send) -> std::thread::Result<T> {
    std::thread::scope(|scope| {
        let wait = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(future)
        };
        tokio::task::block_in_place(|| scope.spawn(wait).join())
    })
}

impl Drop for Broker {
    fn drop(&mut self) {
        match apart(rabbitmq::delete(&self.options)) {
            Ok(Ok(())) => {}
            failed => eprintln!("the queues of {} are left behind: {failed:?}", self.options.scope),
        }
    }
}

#[async_trait]
impl Harness for Broker {
    fn queue(&self) -> Arc<dyn TaskQueue> {
        Arc::new(self.queue.clone())
    }

    async fn kill(&mut self) {
        // The old way is cut when its place is taken.
        self.cable = Cable::to(self.target).await.unwrap();
        self.options = through(&self.cable, &self.options);
        self.queue = rabbitmq::connect(self.options.clone()).await.unwrap();
    }

    async fn put_raw(&self, lane: &LaneName, message: &[u8]) {
        self.queue.publish_raw(lane, message).await.unwrap();
    }

    async fn pass(&self, time: Duration) {
        // The broker's clock is the machine's.
        tokio::time::sleep(time).await;
    }

    fn skips_time(&self) -> bool {
        false
    }

    fn lag(&self) -> Duration {
        // The broker counts what is in a quorum queue every five seconds.
        Duration::from_secs(5)
    }

    fn dedups(&self) -> bool {
        false
    }

    fn max_deliveries(&self) -> u32 {
        MAX_DELIVERIES
    }
}

fn through(cable: &Cable, options: &Options) -> Options {
    Options { url: format!("amqp://{}/%2f", cable.address()), ..options.clone() }
}

/// Where AMQP and the management API are.
async fn ways() -> (SocketAddr, SocketAddr, Vec<Forward>) {
    if let Ok(given) = std::env::var(GIVEN) {
        let (amqp, management) =
            given.split_once(',').expect("SCRAPEFLEET_E2E_RABBITMQ is host:port,host:port");
        return (amqp.parse().unwrap(), management.parse().unwrap(), Vec::new());
    }
    let pods = pods().await;
    let pod = broker_pod(&pods).await;
    let amqp = Forward::open(pods.clone(), &pod, 5672).await.unwrap();
    let management = Forward::open(pods, &pod, 15672).await.unwrap();
    (amqp.address(), management.address(), vec![amqp, management])
}

async fn pods() -> Api<Pod> {
    Api::namespaced(scrapefleet_e2e::client().await.unwrap(), PLATFORM)
}

async fn broker_pod(pods: &Api<Pod>) -> String {
    let found = pods.list(&ListParams::default().labels("app=rabbitmq")).await.unwrap();
    found.items.into_iter().find_map(|pod| pod.metadata.name).expect("a broker in the cluster")
}

pub(crate) fn lane(name: &str) -> LaneName {
    LaneName::new(name).unwrap()
}

pub(crate) fn task(id: &str, lane: &str) -> Task {
    let task = json!({
        "schemaVersion": 1, "fleet": "e2e", "id": id, "url": format!("http://site/{id}"), "lane": lane,
        "discoveredAt": "2026-01-02T03:04:05Z", "attempt": 1
    });
    serde_json::from_value(task).unwrap()
}

pub(crate) fn options(holds: usize, lanes: &[&str]) -> ConsumerOptions {
    let lanes = lanes.iter().map(|name| Lane { name: lane(name), weight: 1 }).collect();
    ConsumerOptions { name: "e2e".to_owned(), holds, lanes }
}
