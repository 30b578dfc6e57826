//! Where tasks wait.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    schema::rule,
    site::{HTTP_URL, NO_CREDENTIALS},
};

/// Where tasks wait. Exactly one field is set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [
    rule(
        "[has(self.embedded), has(self.rabbitmq)].filter(set, set).size() == 1",
        "exactly one place, such as `embedded: {}`",
    ),
]))]
pub struct QueueSpec {
    /// One file on this machine; for `scrapefleet run`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedded: Option<EmbeddedQueue>,
    /// Queues of a RabbitMQ broker, 4.0 or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rabbitmq: Option<RabbitMqQueue>,
}

/// A queue in one file on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct EmbeddedQueue {
    /// The file; a relative path starts at the data folder of the run.
    #[schemars(length(min = 1, max = 255), regex(pattern = PATH))]
    pub path: String,
}

/// Queues of a RabbitMQ broker. Several fleets share a broker: each has queues of its own, named after its namespace and itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RabbitMqQueue {
    /// Where the broker is: `amqp://host:5672/vhost`, or `amqps` for TLS. The vhost is `/` when left out.
    #[schemars(
        length(min = 8, max = 2048),
        regex(pattern = AMQP_URL),
        extend("x-kubernetes-validations" = [rule(NO_CREDENTIALS.0, NO_CREDENTIALS.1)])
    )]
    pub url: String,
    /// Where the broker's management API is, from which depths are read. Left out: the same host, `http` at port 15672
    /// or, for `amqps`, `https` at port 15671.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 8, max = 2048),
        regex(pattern = HTTP_URL),
        extend("x-kubernetes-validations" = [
            rule("isURL(self)", "a URL such as `http://rabbitmq:15672`"),
            rule(NO_CREDENTIALS.0, NO_CREDENTIALS.1),
        ])
    )]
    pub management_url: Option<String>,
    /// The Secret with `username` and `password`, and `ca.crt` where the broker's certificate is of an authority of
    /// your own. A run on one machine reads the same from files: `--queue-credentials`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = SECRET_NAME))]
    pub secret_name: Option<String>,
    /// How many nodes of the broker keep each queue. Left out: the broker decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 15))]
    pub copies: Option<i32>,
    /// What becomes of the queues when the fleet is deleted.
    #[serde(default)]
    pub on_delete: OnDelete,
}

/// What becomes of the queues when the fleet is deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnDelete {
    /// They stay with all they hold; a fleet of the same name goes on with them.
    #[default]
    Keep,
    /// They are deleted, with waiting tasks, dead letters and journal.
    Delete,
}

/// The pattern of a path: no control characters.
pub(crate) const PATH: &str = "^[^\\x00-\\x1f\\x7f]+$";

/// The pattern of a broker's URL.
pub(crate) const AMQP_URL: &str = "^amqps?://[^/?#\\s]+(/[^/?#\\s]*)?$";

/// The pattern of a Secret's name.
pub(crate) const SECRET_NAME: &str = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$";

impl Default for EmbeddedQueue {
    fn default() -> Self {
        Self { path: "queue.redb".to_owned() }
    }
}
