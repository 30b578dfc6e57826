//! Where a fleet's tasks wait and its artifacts go, opened as its manifest says.

use std::{path::PathBuf, sync::Arc, time::Duration};

use scrapefleet_api::queue::RabbitMqQueue;
use scrapefleet_policy::{Clock, SystemClock};
use scrapefleet_queue::{Now, QueueError, TaskQueue, embedded, rabbitmq};
use scrapefleet_store::{ArtifactStore, DirectoryStore, s3};

use crate::{
    CliError,
    credentials::{Folder, Whose, needed},
    fleet::Fleet,
};

/// A hold is given back by the broker only when it lasts so much longer than the longest the manifest allows.
const BEYOND_HOLD: Duration = Duration::from_mins(15);

/// A fleet's queue.
#[derive(Debug, Clone)]
pub enum Queue {
    /// In a file on this machine.
    Embedded(embedded::Embedded),
    /// On a broker.
    RabbitMq(rabbitmq::RabbitMq),
}

impl Queue {
    /// What can be done with it.
    #[must_use]
    pub fn shared(&self) -> Arc<dyn TaskQueue> {
        match self {
            Self::Embedded(queue) => Arc::new(queue.clone()),
            Self::RabbitMq(queue) => Arc::new(queue.clone()),
        }
    }

    /// Waits until what was confirmed is where it belongs, and closes it.
    pub async fn close(self) -> Result<(), QueueError> {
        match self {
            Self::Embedded(queue) => queue.close().await,
            Self::RabbitMq(queue) => queue.close().await,
        }
    }
}

impl Fleet {
    /// Opens its queue, making it where there is none.
    pub async fn open_queue(&self) -> Result<Queue, CliError> {
        if let Some(spec) = &self.spec.queue.rabbitmq {
            return self.connect(spec).await;
        }
        let path = self.queue_path();
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)
                .map_err(|why| CliError::Unwritable { path: folder.to_owned(), why })?;
        }
        Ok(Queue::Embedded(embedded::open(path, queue_options()).await?))
    }

    /// Opens its queue, which must be there, for reading.
    pub async fn read_queue(&self) -> Result<Queue, CliError> {
        if let Some(spec) = &self.spec.queue.rabbitmq {
            return self.connect(spec).await;
        }
        let path = self.queue_path();
        if !path.exists() {
            return Err(CliError::Usage(format!(
                "there is no queue at {}: run `scrapefleet run` first, or say where its data is with --data",
                path.display()
            )));
        }
        Ok(Queue::Embedded(embedded::open_read_only(path, queue_options()).await?))
    }

    /// Opens its store, making it where there is none.
    pub async fn open_store(&self) -> Result<Arc<dyn ArtifactStore>, CliError> {
        match self.bucket()? {
            Some(bucket) => Ok(Arc::new(s3::connect(bucket).await?)),
            None => Ok(Arc::new(DirectoryStore::open(self.store_path()).await?)),
        }
    }

    /// Opens its store, which must be there, for reading.
    pub async fn read_store(&self) -> Result<Arc<dyn ArtifactStore>, CliError> {
        match self.bucket()? {
            Some(bucket) => {
                Ok(Arc::new(s3::connect(s3::Options { access: s3::Access::ReadOnly, ..bucket }).await?))
            }
            None => Ok(Arc::new(DirectoryStore::open_read_only(self.store_path()).await?)),
        }
    }

    /// Where the object of that key is, for people.
    #[must_use]
    pub fn place_of(&self, key: &str) -> String {
        match &self.spec.store.s3 {
            Some(s3) => format!("s3://{}/{key}", s3.bucket),
            None => self.store_path().join(key).display().to_string(),
        }
    }

    /// Where its tasks wait, for people.
    #[must_use]
    pub fn queue_place(&self) -> String {
        match &self.spec.queue.rabbitmq {
            Some(rabbitmq) => format!("{} ({})", rabbitmq.url, self.scope()),
            None => self.queue_path().display().to_string(),
        }
    }

    /// What starts the name of everything that the fleet has on a broker.
    #[must_use]
    pub fn scope(&self) -> String {
        format!("scrapefleet.{}.{}", self.namespace, self.name)
    }

    async fn connect(&self, spec: &RabbitMqQueue) -> Result<Queue, CliError> {
        let what = "the manifest's queue is on a broker, whose user and password are read from a folder";
        let folder = needed(self.outside.queue_credentials.as_ref(), Whose::Queue, what)?;
        let options = rabbitmq::Options {
            url: spec.url.clone(),
            management_url: spec.management_url.clone(),
            username: folder.text("username")?,
            password: rabbitmq::Password::new(folder.text("password")?),
            ca: folder.optional("ca.crt")?.map(String::into_bytes),
            scope: self.scope(),
            lanes: self.lanes.all().iter().map(|lane| lane.name.clone()).collect(),
            copies: spec.copies.and_then(|copies| u32::try_from(copies).ok()),
            longest_hold: self.spec.policies.hold.hard.get() + BEYOND_HOLD,
            name: format!("scrapefleet {}/{}", self.namespace, self.name),
            now: now(),
        };
        Ok(Queue::RabbitMq(rabbitmq::connect(options).await?))
    }

    /// The bucket of its store, if that is where it is.
    fn bucket(&self) -> Result<Option<s3::Options>, CliError> {
        let Some(spec) = &self.spec.store.s3 else { return Ok(None) };
        let mut options = s3::Options::from(spec);
        if let Some(path) = &self.outside.store_credentials {
            let folder = Folder::new(path, Whose::Store);
            options.ca = folder.optional("ca.crt")?.map(String::into_bytes);
            if let Some(id) = folder.optional("accessKeyId")? {
                let (secret, token) = (folder.text("secretAccessKey")?, folder.optional("sessionToken")?);
                options.credentials = s3::Credentials::Keys(s3::Keys::new(&id, &secret, token.as_deref()));
            }
        }
        Ok(Some(options))
    }

    fn queue_path(&self) -> PathBuf {
        let path = self.spec.queue.embedded.clone().unwrap_or_default().path;
        self.outside.data.join(path)
    }

    fn store_path(&self) -> PathBuf {
        let path = self.spec.store.directory.clone().unwrap_or_default().path;
        self.outside.data.join(path)
    }
}

fn queue_options() -> embedded::Options {
    embedded::Options::new(now())
}

fn now() -> Now {
    Arc::new(|| SystemClock.now())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::FleetArgs;

    const MANIFEST: &str = "{ apiVersion: scrapefleet.io/v1alpha1, kind: ScrapeFleet, metadata: { name: fleet }, spec: { \
         site: { preset: showdown, url: 'https://site.example' }, queue: { rabbitmq: { url: 'amqp://mq' } }, \
         store: { s3: { bucket: logs } } } }";

    #[tokio::test]
    async fn credentials_that_are_missing_are_the_queues_or_the_stores_fault() {
        let folder = tempfile::tempdir().unwrap();
        let given = |name: &str| Some(folder.path().join(name));
        let args = FleetArgs {
            file: folder.path().join("fleet.yaml"),
            set: Vec::new(),
            data: folder.path().to_owned(),
            namespace: None,
            queue_credentials: given("queue"),
            store_credentials: given("store"),
        };
        std::fs::write(&args.file, MANIFEST).unwrap();
        std::fs::create_dir(folder.path().join("store")).unwrap();
        std::fs::write(folder.path().join("store/accessKeyId"), "id").unwrap();
        let fleet = Fleet::load(&args).unwrap();
        assert_eq!(fleet.open_queue().await.unwrap_err().exit_code(), 13);
        assert_eq!(fleet.open_store().await.unwrap_err().exit_code(), 14);
        let without = Fleet::load(&FleetArgs { queue_credentials: None, ..args }).unwrap();
        assert_eq!(without.open_queue().await.unwrap_err().exit_code(), 15);
    }
}
