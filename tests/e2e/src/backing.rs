//! The broker and the store of the platform, for one fleet of a test: its Secrets, its bucket, and a way to both from here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use scrapefleet_api::LaneName;
use scrapefleet_local_tests::truth;
use scrapefleet_policy::{Clock, SystemClock};
use scrapefleet_queue::rabbitmq;
use scrapefleet_store::{Artifact, s3};
use serde_json::{Value, json};

use crate::{forward::Forward, space::Space};

/// The namespace of the services.
pub(crate) const PLATFORM: &str = "platform";
/// How long a service may take until it serves.
const SERVES_WITHIN: Duration = Duration::from_mins(2);
/// How long the broker's management API may take for an answer.
const ANSWERED_WITHIN: Duration = Duration::from_secs(30);
/// What the key of an artifact has behind its item's id.
const SUFFIX: &str = ".log";
/// User and password of the platform's broker, and of its store.
const BROKER: [&str; 2] = ["guest", "guest"];
const STORE: [&str; 2] = ["minioadmin", "minioadmin"];

/// Ways from here to the platform's services; closed when this is dropped.
#[derive(Debug)]
pub struct Backing {
    broker: Forward,
    management: Forward,
    store: Forward,
    bucket: String,
    namespace: String,
}

impl Backing {
    /// Makes the Secrets `broker` and `store` and a bucket in the name of the test's namespace.
    pub async fn make(space: &Space) -> Result<Self> {
        let platform = space.elsewhere(PLATFORM);
        let forward = async |app: &str, port| {
            let pod = platform.pod_of_app(app, SERVES_WITHIN).await?;
            Forward::open(platform.api(), &pod, port).await
        };
        let backing = Self {
            broker: forward("rabbitmq", 5672).await?,
            management: forward("rabbitmq", 15672).await?,
            store: forward("minio", 9000).await?,
            bucket: space.namespace.clone(),
            namespace: space.namespace.clone(),
        };
        let secret =
            |name: &str, values: Value| json!({ "metadata": { "name": name }, "stringData": values });
        let broker = json!({ "username": BROKER[0], "password": BROKER[1] });
        space.create::<Secret>(secret("broker", broker)).await?;
        let store = json!({ "accessKeyId": STORE[0], "secretAccessKey": STORE[1] });
        space.create::<Secret>(secret("store", store)).await?;
        backing.make_bucket(&backing.bucket).await?;
        Ok(backing)
    }

    /// Makes another bucket in the platform's store.
    pub async fn make_bucket(&self, name: &str) -> Result<()> {
        let make = self.bucket_client().create_bucket().bucket(name);
        make.send().await.with_context(|| format!("make bucket {name}"))?;
        Ok(())
    }

    fn bucket_client(&self) -> aws_sdk_s3::Client {
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .endpoint_url(format!("http://{}", self.store.address()))
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new(STORE[0], STORE[1], None, None, "tests"))
            .force_path_style(true)
            .build();
        aws_sdk_s3::Client::from_conf(config)
    }

    /// When each artifact arrived in the bucket, by item: as the store's own clock has it, whatever a bot's says.
    pub async fn arrivals(&self) -> Result<BTreeMap<String, Timestamp>> {
        let mut pages = self.bucket_client().list_objects_v2().bucket(&self.bucket).into_paginator().send();
        let mut arrivals = BTreeMap::new();
        while let Some(page) = pages.next().await {
            for object in page.context("list the bucket")?.contents() {
                let item = object.key().and_then(|key| key.strip_suffix(SUFFIX));
                if let (Some(item), Some(at)) = (item, object.last_modified()) {
                    let at = Timestamp::new(at.secs(), i32::try_from(at.subsec_nanos())?)?;
                    arrivals.insert(item.to_owned(), at);
                }
            }
        }
        Ok(arrivals)
    }

    /// The `queue` and `store` of a manifest for these.
    #[must_use]
    pub fn places(&self) -> (Value, Value) {
        let host = |app: &str| format!("{app}.{PLATFORM}.svc.cluster.local");
        let queue = json!({ "rabbitmq": {
            "url": format!("amqp://{}:5672", host("rabbitmq")),
            "managementUrl": format!("http://{}:15672", host("rabbitmq")),
            "secretName": "broker",
        } });
        let store = json!({
            "s3": { "bucket": self.bucket, "endpoint": format!("http://{}:9000", host("minio")), "secretName": "store" },
            "key": format!("{{id}}{SUFFIX}"),
        });
        (queue, store)
    }

    /// What the names of everything of a fleet on the broker begin with.
    fn scope(&self, fleet: &str) -> String {
        format!("scrapefleet.{}.{fleet}", self.namespace)
    }

    /// The names of all queues and exchanges that the broker has of a fleet.
    pub async fn on_the_broker(&self, fleet: &str) -> Result<Vec<String>> {
        let client = reqwest::Client::builder().timeout(ANSWERED_WITHIN).build()?;
        let scope = self.scope(fleet);
        let of_the_fleet = |name: &&str| {
            name.strip_prefix(&scope).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
        };
        let mut names = Vec::new();
        for kind in ["queues", "exchanges"] {
            let url = format!("http://{}/api/{kind}/%2F?columns=name", self.management.address());
            let answer = client.get(url).basic_auth(BROKER[0], Some(BROKER[1])).send().await?;
            let all: Vec<Value> = answer.error_for_status()?.json().await?;
            let all = all.iter().filter_map(|it| it["name"].as_str());
            names.extend(all.filter(of_the_fleet).map(str::to_owned));
        }
        Ok(names)
    }

    /// The queue of a fleet, as a person outside the cluster reaches it.
    pub async fn queue(&self, fleet: &str, lanes: Vec<LaneName>) -> Result<rabbitmq::RabbitMq> {
        let options = rabbitmq::Options {
            url: format!("amqp://{}", self.broker.address()),
            management_url: Some(format!("http://{}", self.management.address())),
            username: BROKER[0].to_owned(),
            password: rabbitmq::Password::new(BROKER[1].to_owned()),
            ca: None,
            scope: self.scope(fleet),
            lanes,
            copies: None,
            longest_hold: Duration::from_mins(105),
            name: "e2e".to_owned(),
            now: Arc::new(|| SystemClock.now()),
        };
        Ok(rabbitmq::connect(options).await?)
    }

    /// The bucket, as a person outside the cluster reaches it.
    pub async fn store(&self) -> Result<s3::S3Store> {
        let options = s3::Options {
            endpoint: Some(format!("http://{}", self.store.address())),
            credentials: s3::Credentials::Keys(s3::Keys::new(STORE[0], STORE[1], None)),
            access: s3::Access::ReadOnly,
            ..s3::Options::bucket(self.bucket.clone())
        };
        Ok(s3::connect(options).await?)
    }

    /// Every artifact in the bucket, by item; fails when an item has two.
    pub async fn artifacts(&self) -> Result<BTreeMap<String, Artifact>> {
        truth::artifacts_in(&self.store().await?).await
    }
}
