//! A pod as a whole.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{
        LocalObjectReference, Pod, PodSecurityContext, PodSpec, SeccompProfile, Toleration,
        TopologySpreadConstraint,
    },
    apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta},
};
use kube::Resource as _;
use scrapefleet_api::{
    ScrapeFleet, ScrapeFleetSpec,
    fleet::DrainMode,
    pods::{TaintEffect, TolerationOperator},
};
use serde_json::json;

use super::{containers, resources::resources, volumes};
use crate::{
    names,
    plan::{Images, Role, Share, digest},
};

/// How long a pod may take to end when it need not wait for what it holds.
const GRACE_SECONDS: i64 = 30;

/// How long pods stay on a node that does not answer before others are made elsewhere; Kubernetes waits five minutes
/// unless told otherwise.
const NODE_GONE_SECONDS: i64 = 20;

/// The largest manifest that fits into an annotation, in bytes: all annotations of an object may have 256 KiB together.
pub const MOST_MANIFEST: usize = 200 * 1024;

/// What a pod is made of, beside the fleet's manifest.
#[derive(Debug, Clone)]
pub struct Made<'a> {
    /// What it is for.
    pub role: Role,
    /// Its number.
    pub slot: u32,
    /// What it is made of, in a word.
    pub revision: &'a str,
    /// Its images.
    pub images: &'a Images,
    /// The fleet's namespace.
    pub namespace: &'a str,
    /// Ends in a row of this slot before it.
    pub failures: u32,
    /// Whether it is to find out if the site is back.
    pub probes_site: bool,
    /// What it may ask of the site.
    pub share: Share,
    /// The uid of the ended pod whose place it takes.
    pub follows: Option<&'a str>,
}

impl Made<'_> {
    /// The pod's name: the same for the same pod, so that making it twice makes one.
    #[must_use]
    pub fn name(&self, fleet: &ScrapeFleet) -> String {
        let name = fleet.metadata.name.as_deref().unwrap_or_default();
        let what = json!([fleet.metadata.uid, self.role.word(), self.slot, self.revision, self.follows]);
        format!("{name}-{}-{}-{}", self.role.word(), self.slot, &digest(&what)[..6])
    }
}

/// The fleet as its pods read it: name, namespace and spec.
#[must_use]
pub fn manifest_json(fleet: &ScrapeFleet) -> String {
    let metadata = ObjectMeta {
        name: fleet.metadata.name.clone(),
        namespace: fleet.metadata.namespace.clone(),
        ..ObjectMeta::default()
    };
    json!(ScrapeFleet { metadata, spec: fleet.spec.clone(), status: None }).to_string()
}

/// The pod.
#[must_use]
pub fn build_pod(fleet: &ScrapeFleet, made: &Made) -> Pod {
    let metadata = ObjectMeta {
        name: Some(made.name(fleet)),
        namespace: Some(made.namespace.to_owned()),
        labels: Some(labels(fleet, made)),
        annotations: Some(annotations(fleet, made)),
        owner_references: fleet.controller_owner_ref(&()).map(|owner| vec![owner]),
        ..ObjectMeta::default()
    };
    Pod { metadata, spec: Some(pod_spec(fleet, made)), status: None }
}

fn labels(fleet: &ScrapeFleet, made: &Made) -> BTreeMap<String, String> {
    let name = fleet.metadata.name.clone().unwrap_or_default();
    let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    BTreeMap::from([
        label("app.kubernetes.io/name", "scrapefleet"),
        label("app.kubernetes.io/instance", &name),
        label("app.kubernetes.io/component", made.role.word()),
        label("app.kubernetes.io/managed-by", names::MANAGER),
        label(names::FLEET, &name),
        label(names::ROLE, made.role.word()),
        label(names::SLOT, &made.slot.to_string()),
        label(names::REVISION, made.revision),
    ])
}

fn annotations(fleet: &ScrapeFleet, made: &Made) -> BTreeMap<String, String> {
    let main = made.role.word().to_owned();
    let mut annotations = BTreeMap::from([
        ("kubectl.kubernetes.io/default-container".to_owned(), main),
        (names::MANIFEST.to_owned(), manifest_json(fleet)),
        (names::FAILURES.to_owned(), made.failures.to_string()),
        (names::SHARE.to_owned(), json!(made.share).to_string()),
    ]);
    if made.probes_site {
        annotations.insert(names::PROBES_SITE.to_owned(), "true".to_owned());
    }
    annotations
}

fn pod_spec(fleet: &ScrapeFleet, made: &Made) -> PodSpec {
    let spec = &fleet.spec;
    let (main, chrome) = resources(spec, made.role);
    let pull = spec.pods.image_pull_secrets.iter().map(|name| LocalObjectReference { name: name.clone() });
    PodSpec {
        restart_policy: Some("Never".into()),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        service_account_name: spec.pods.service_account_name.clone(),
        image_pull_secrets: Some(pull.collect()).filter(|list: &Vec<_>| !list.is_empty()),
        node_selector: Some(spec.pods.node_selector.clone()).filter(|labels| !labels.is_empty()),
        tolerations: Some(tolerations(spec)),
        priority_class_name: spec.pods.priority_class_name.clone(),
        termination_grace_period_seconds: Some(grace_seconds(spec, made.role)),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".into(), localhost_profile: None }),
            ..PodSecurityContext::default()
        }),
        topology_spread_constraints: Some(vec![spread(fleet, made.role)]),
        init_containers: Some(vec![containers::chrome(made, chrome)]),
        containers: vec![containers::main(spec, made, main)],
        volumes: Some(volumes::volumes(spec, made.role)),
        ..PodSpec::default()
    }
}

/// How long a pod has from being asked to end to being killed.
fn grace_seconds(spec: &ScrapeFleetSpec, role: Role) -> i64 {
    let waits = role == Role::Bot && spec.drain.mode == DrainMode::Finish;
    let deadline = if waits { spec.drain.deadline.get().as_secs() } else { 0 };
    i64::try_from(deadline).unwrap_or(i64::MAX - GRACE_SECONDS) + GRACE_SECONDS
}

/// Soft: on a cluster of one node all pods run on that.
fn spread(fleet: &ScrapeFleet, role: Role) -> TopologySpreadConstraint {
    let label = |key: &str, value: String| (key.to_owned(), value);
    let selector = BTreeMap::from([
        label(names::FLEET, fleet.metadata.name.clone().unwrap_or_default()),
        label(names::ROLE, role.word().to_owned()),
    ]);
    TopologySpreadConstraint {
        max_skew: 1,
        topology_key: "kubernetes.io/hostname".into(),
        when_unsatisfiable: "ScheduleAnyway".into(),
        label_selector: Some(LabelSelector { match_labels: Some(selector), ..LabelSelector::default() }),
        ..TopologySpreadConstraint::default()
    }
}

/// Those of the manifest, and for a node that is gone a shorter patience than Kubernetes has, unless the manifest
/// names those taints itself.
fn tolerations(spec: &ScrapeFleetSpec) -> Vec<Toleration> {
    let own = spec.pods.tolerations.iter().map(|own| Toleration {
        key: own.key.clone(),
        operator: Some(match own.operator {
            TolerationOperator::Equal => "Equal".into(),
            TolerationOperator::Exists => "Exists".into(),
        }),
        value: own.value.clone(),
        effect: own.effect.map(|effect| match effect {
            TaintEffect::NoSchedule => "NoSchedule".into(),
            TaintEffect::PreferNoSchedule => "PreferNoSchedule".into(),
            TaintEffect::NoExecute => "NoExecute".into(),
        }),
        toleration_seconds: own.toleration_seconds.map(i64::from),
    });
    let gone = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"];
    let named =
        |key: &str| spec.pods.tolerations.iter().any(|own| own.key.as_deref().is_none_or(|own| own == key));
    let patience = gone.into_iter().filter(|key| !named(key)).map(|key| Toleration {
        key: Some(key.into()),
        operator: Some("Exists".into()),
        value: None,
        effect: Some("NoExecute".into()),
        toleration_seconds: Some(NODE_GONE_SECONDS),
    });
    own.chain(patience).collect()
}

#[cfg(test)]
mod tests;
