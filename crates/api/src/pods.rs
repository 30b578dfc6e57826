//! What the pods of a fleet are made of and where they run.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::{queue::SECRET_NAME, schema::rule};

/// What the pods on Kubernetes are made of and where they run; a run on one machine has none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PodsSpec {
    /// The image of bots and watchers. Left out: that of the operator's set-up.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512), regex(pattern = IMAGE))]
    pub image: Option<String>,
    /// The image of Chrome and its driver. Left out: that of the operator's set-up.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512), regex(pattern = IMAGE))]
    pub chrome_image: Option<String>,
    /// Names of Secrets with which images are pulled.
    #[schemars(schema_with = "secret_names")]
    pub image_pull_secrets: Vec<String>,
    /// The service account of the pods, for stores that know the platform's own identities. The pods get no token for
    /// the API server. Left out: the namespace's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = SECRET_NAME))]
    pub service_account_name: Option<String>,
    /// Labels that a node must have.
    #[schemars(schema_with = "node_labels")]
    pub node_selector: BTreeMap<String, String>,
    /// Taints of nodes that the pods put up with.
    #[schemars(length(max = 32))]
    pub tolerations: Vec<Toleration>,
    /// The priority class of the pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = SECRET_NAME))]
    pub priority_class_name: Option<String>,
}

/// A taint that the pods put up with, as Kubernetes has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [
    rule(
        "has(self.key) || self.operator == 'Exists'",
        "the name of a taint; without one `operator` is `Exists`: add the key",
    ).field_path(".key"),
]))]
pub struct Toleration {
    /// The taint's name. Left out, with `Exists`: every taint.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 317), regex(pattern = LABEL_NAME))]
    pub key: Option<String>,
    /// Whether the taint's value matters.
    pub operator: TolerationOperator,
    /// The taint's value, with `Equal`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63), regex(pattern = LABEL_VALUE))]
    pub value: Option<String>,
    /// What the taint does. Left out: anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effect: Option<TaintEffect>,
    /// With `NoExecute`: for how many seconds. Left out: for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 604_800))]
    pub toleration_seconds: Option<i32>,
}

/// Whether a taint's value matters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TolerationOperator {
    /// The taint has this value.
    #[default]
    Equal,
    /// Any value.
    Exists,
}

/// What a taint does to a pod that does not put up with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TaintEffect {
    /// It is not placed on the node.
    NoSchedule,
    /// It is placed elsewhere where that is possible.
    PreferNoSchedule,
    /// It is not placed on the node, and ended where it runs there.
    NoExecute,
}

/// The pattern of an image's name.
pub(crate) const IMAGE: &str = "^[a-zA-Z0-9][a-zA-Z0-9._:/@-]*$";

/// The pattern of the name of a label or taint, with or without a prefix.
pub(crate) const LABEL_NAME: &str =
    "^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$";

/// The pattern of the value of a label or taint.
pub(crate) const LABEL_VALUE: &str = "^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$";

fn secret_names(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 16,
        "items": { "type": "string", "minLength": 1, "maxLength": 253, "pattern": SECRET_NAME },
    })
}

fn node_labels(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 32,
        "additionalProperties": { "type": "string", "maxLength": 63, "pattern": LABEL_VALUE },
    })
}
