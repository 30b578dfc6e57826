//! Where artifacts go.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    queue::{PATH, SECRET_NAME},
    schema::rule,
    site::{HTTP_URL, NO_CREDENTIALS},
};

/// Where artifacts go, under which keys. Exactly one of the places is set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [
    rule(
        "[has(self.directory), has(self.s3)].filter(set, set).size() == 1",
        "exactly one place, such as `directory: {}`",
    ),
]))]
pub struct StoreSpec {
    /// A folder on this machine; for `scrapefleet run`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directory: Option<DirectoryStore>,
    /// A bucket of an object store that speaks S3 and has conditional puts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s3: Option<S3Store>,
    /// The key of an artifact: text with `{fleet}`, `{id}`, `{shard}` (two hex digits of the id's hash) and the named groups of the recipe's `idPattern`.
    /// It is made of the item's id alone, so that a repeat lands on the same key.
    #[schemars(
        length(min = 4, max = 512),
        regex(pattern = KEY),
        extend("x-kubernetes-validations" = [
            rule("self.contains('{id}')", "a key with `{id}`, so that no two items share one"),
            rule(
                "!self.startsWith('_') && !self.startsWith('/')",
                "a key that starts with neither `_`, kept for the product's own records, nor `/`",
            ),
        ])
    )]
    pub key: String,
    /// How artifacts are compressed.
    pub compression: Compression,
}

/// The pattern of a key template.
pub(crate) const KEY: &str = "^[A-Za-z0-9._%={}/-]+$";

/// The pattern of a bucket's name.
pub(crate) const BUCKET: &str = "^[a-z0-9][a-z0-9.-]+[a-z0-9]$";

/// The pattern of a region's name.
pub(crate) const REGION: &str = "^[A-Za-z0-9-]+$";

/// A folder on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DirectoryStore {
    /// The folder; a relative path starts at the data folder of the run.
    #[schemars(length(min = 1, max = 255), regex(pattern = PATH))]
    pub path: String,
}

/// A bucket of an object store that speaks S3 and has conditional puts, such as AWS S3 and MinIO.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct S3Store {
    /// The bucket, which must be there.
    #[schemars(length(min = 3, max = 63), regex(pattern = BUCKET))]
    pub bucket: String,
    /// Its region. Left out: that of the platform (`AWS_REGION`), else `us-east-1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), regex(pattern = REGION))]
    pub region: Option<String>,
    /// Where the store is. Left out: AWS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 8, max = 2048),
        regex(pattern = HTTP_URL),
        extend("x-kubernetes-validations" = [
            rule("isURL(self)", "a URL such as `http://minio:9000`"),
            rule(NO_CREDENTIALS.0, NO_CREDENTIALS.1),
        ])
    )]
    pub endpoint: Option<String>,
    /// How a request names the bucket.
    #[serde(default)]
    pub addressing: Addressing,
    /// When requests carry checksums beside those that the store asks for.
    #[serde(default)]
    pub checksums: Checksums,
    /// The Secret with `accessKeyId` and `secretAccessKey`, `sessionToken` where there is one, and `ca.crt` where the
    /// store's certificate is of an authority of your own. Without keys the platform's own identity is used. A run on
    /// one machine reads the same from files: `--store-credentials`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = SECRET_NAME))]
    pub secret_name: Option<String>,
}

/// How a request names the bucket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Addressing {
    /// `Path` with an `endpoint`, `VirtualHost` without.
    #[default]
    Auto,
    /// In the path: `https://store/bucket/key`. Most stores other than AWS want this.
    Path,
    /// In the host: `https://bucket.store/key`.
    VirtualHost,
}

/// When requests carry checksums beside those that the store asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Checksums {
    /// Whenever the store's protocol knows one.
    #[default]
    WhenSupported,
    /// Only where the protocol demands one: for stores that refuse headers they do not know.
    WhenRequired,
}

/// How artifacts are compressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Stored as taken.
    #[default]
    None,
    /// gzip.
    Gzip,
}

impl Default for StoreSpec {
    fn default() -> Self {
        Self {
            directory: None,
            s3: None,
            key: "{fleet}/{id}".to_owned(),
            compression: Compression::default(),
        }
    }
}

impl Default for DirectoryStore {
    fn default() -> Self {
        Self { path: "artifacts".to_owned() }
    }
}
