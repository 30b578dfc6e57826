//! The bucket of the demo, in the cluster's store.

use std::time::Duration;

use anyhow::{Context, Result};
use aws_sdk_s3::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
    error::DisplayErrorContext,
    operation::list_objects_v2::ListObjectsV2Error,
};
use scrapefleet_policy::within;
use scrapefleet_store::s3;

use super::{
    forward::Forward,
    kubectl::Kubectl,
    manifest::STORE,
    platform::{self, NAMESPACE},
};

/// How long making, emptying or removing it may take.
const CHANGED_WITHIN: Duration = Duration::from_mins(1);

/// A bucket, and a way to it that is closed when this is dropped.
#[derive(Debug)]
pub(super) struct Bucket {
    forward: Forward,
    name: &'static str,
}

impl Bucket {
    /// The bucket of that name, whether it is there or not.
    pub(super) async fn reach(kubectl: &Kubectl, name: &'static str) -> Result<Self> {
        let forward = Forward::open(kubectl, NAMESPACE, platform::STORE, &[platform::S3]).await?;
        Ok(Self { forward, name })
    }

    /// Where the store is, from here.
    pub(super) fn endpoint(&self) -> String {
        format!("http://{}", self.forward.address(0))
    }

    /// Makes it, without what an earlier demo left in it.
    pub(super) async fn make_anew(&self) -> Result<()> {
        self.remove().await?;
        let made = Box::pin(self.client().create_bucket().bucket(self.name).send());
        let made = within(CHANGED_WITHIN, "make a bucket", made).await?;
        made.map_err(|error| self.failed("made", &error)).map(drop)
    }

    /// Removes it with all that is in it; one that is not there is fine.
    pub(super) async fn remove(&self) -> Result<()> {
        within(CHANGED_WITHIN, "remove a bucket", Box::pin(self.remove_all())).await?
    }

    async fn remove_all(&self) -> Result<()> {
        let client = self.client();
        // Each turn removes what it lists, so this ends.
        loop {
            let list = match client.list_objects_v2().bucket(self.name).send().await {
                Ok(list) => list,
                Err(error) if error.as_service_error().is_some_and(ListObjectsV2Error::is_no_such_bucket) => {
                    return Ok(());
                }
                Err(error) => return Err(self.failed("listed", &error)),
            };
            for key in list.contents().iter().filter_map(|object| object.key()) {
                let deleted = client.delete_object().bucket(self.name).key(key).send().await;
                deleted.map_err(|error| self.failed("emptied", &error))?;
            }
            if list.contents().is_empty() {
                break;
            }
        }
        let deleted = client.delete_bucket().bucket(self.name).send().await;
        deleted.map_err(|error| self.failed("deleted", &error)).map(drop)
    }

    /// The store in it, for reading.
    pub(super) async fn store(&self) -> Result<s3::S3Store> {
        let [(_, id), (_, secret)] = STORE;
        let options = s3::Options {
            endpoint: Some(self.endpoint()),
            credentials: s3::Credentials::Keys(s3::Keys::new(id, secret, None)),
            access: s3::Access::ReadOnly,
            ..s3::Options::bucket(self.name)
        };
        s3::connect(options).await.with_context(|| format!("read the bucket {}", self.name))
    }

    fn client(&self) -> Client {
        let [(_, id), (_, secret)] = STORE;
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .endpoint_url(self.endpoint())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new(id, secret, None, None, "demo"))
            .force_path_style(true)
            .build();
        Client::from_conf(config)
    }

    fn failed(&self, what: &str, error: &(impl std::error::Error + 'static)) -> anyhow::Error {
        anyhow::anyhow!("the bucket {} cannot be {what}: {}", self.name, DisplayErrorContext(error))
    }
}
