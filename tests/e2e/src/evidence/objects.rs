//! The objects of a namespace, of every kind that the cluster knows; secrets are left out.

use anyhow::{Context, Result};
use futures::{StreamExt as _, stream};
use kube::api::{Api, ApiResource, DynamicObject, ListParams};
use kube::discovery::{Discovery, Scope, verbs};
use kube::{Client, ResourceExt as _};

use crate::space::Space;

/// Kinds that are not shown as objects: events have a form of their own.
const NOT_SHOWN: [&str; 2] = ["Secret", "Event"];
/// What is in every namespace and explains nothing.
const IN_EVERY_NAMESPACE: [(&str, &str); 2] =
    [("ConfigMap", "kube-root-ca.crt"), ("ServiceAccount", "default")];
/// How much of an object's status is shown in a line, in bytes.
const SHOWN: usize = 8_000;
/// Of how many kinds objects are listed at the same time.
const AT_ONCE: usize = 8;

/// The kinds of objects that are in namespaces, fleets included where the cluster knows them.
pub(super) async fn kinds(client: &Client) -> Result<Vec<ApiResource>> {
    let discovery =
        Discovery::new(client.clone()).run_aggregated().await.context("ask what kinds there are")?;
    let mut kinds = Vec::new();
    for group in discovery.groups_alphabetical() {
        for (kind, capabilities) in group.recommended_resources() {
            let listed =
                capabilities.scope == Scope::Namespaced && capabilities.supports_operation(verbs::LIST);
            if listed && !NOT_SHOWN.contains(&kind.kind.as_str()) {
                kinds.push(kind);
            }
        }
    }
    Ok(kinds)
}

/// The objects of these kinds.
pub(super) async fn all<'a>(
    space: &Space,
    kinds: &'a [ApiResource],
) -> Vec<(&'a ApiResource, Result<Vec<DynamicObject>>)> {
    let found = kinds.iter().map(|kind| async move { (kind, of_kind(space, kind).await) });
    stream::iter(found).buffered(AT_ONCE).collect().await
}

/// A line for each object that is not in every namespace.
pub(super) async fn lines(space: &Space) -> Result<Vec<String>> {
    let kinds = kinds(&space.client).await?;
    let mut lines = Vec::new();
    for (kind, found) in all(space, &kinds).await {
        match found {
            Ok(objects) => lines.extend(objects.iter().filter_map(|object| line(kind, object))),
            Err(error) => lines.push(format!("({error:#})")),
        }
    }
    Ok(lines)
}

async fn of_kind(space: &Space, kind: &ApiResource) -> Result<Vec<DynamicObject>> {
    let api: Api<DynamicObject> = Api::namespaced_with(space.client.clone(), &space.namespace, kind);
    let list = api.list(&ListParams::default()).await;
    let mut objects = list.with_context(|| format!("list {}", name_of(kind)))?.items;
    for object in &mut objects {
        object.metadata.managed_fields = None;
    }
    Ok(objects)
}

/// The name of a kind, as kubectl takes it: `pods`, `scrapefleets.scrapefleet.io`.
pub(super) fn name_of(kind: &ApiResource) -> String {
    if kind.group.is_empty() { kind.plural.clone() } else { format!("{}.{}", kind.plural, kind.group) }
}

/// Objects as YAML; empty where there are none.
pub(super) fn yaml(objects: &[DynamicObject]) -> Result<String> {
    if objects.is_empty() { Ok(String::new()) } else { Ok(serde_yaml_ng::to_string(objects)?) }
}

/// An object with its status, unless it is one that every namespace has.
fn line(kind: &ApiResource, object: &DynamicObject) -> Option<String> {
    let name = object.name_any();
    if IN_EVERY_NAMESPACE.contains(&(kind.kind.as_str(), name.as_str())) {
        return None;
    }
    let status = object.data.get("status").map(ToString::to_string).unwrap_or_default();
    let shown = &status[..status.floor_char_boundary(SHOWN)];
    Some(format!("{} {name}: {shown}", kind.kind.to_lowercase()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn kind(group: &str, kind: &str, plural: &str) -> ApiResource {
        let mut found = ApiResource::erase::<k8s_openapi::api::core::v1::Pod>(&());
        (found.group, found.kind, found.plural) = (group.to_owned(), kind.to_owned(), plural.to_owned());
        found
    }

    fn object(name: &str, status: &str) -> DynamicObject {
        serde_json::from_value(json!({ "metadata": { "name": name }, "status": { "text": status } })).unwrap()
    }

    #[test]
    fn kinds_of_two_groups_with_the_same_plural_have_two_names() {
        assert_eq!(name_of(&kind("", "Pod", "pods")), "pods");
        assert_eq!(name_of(&kind("metrics.k8s.io", "PodMetrics", "pods")), "pods.metrics.k8s.io");
    }

    #[test]
    fn a_line_has_the_status_within_bounds_and_nothing_that_every_namespace_has() {
        let fleets = kind("scrapefleet.io", "ScrapeFleet", "scrapefleets");
        let line_of = |status: &str| line(&fleets, &object("a", status)).unwrap();
        assert_eq!(line_of("one"), r#"scrapefleet a: {"text":"one"}"#);
        assert_eq!(line_of(&"ö".repeat(SHOWN)).len(), "scrapefleet a: ".len() + SHOWN - 1);
        assert_eq!(line(&kind("", "ConfigMap", "configmaps"), &object("kube-root-ca.crt", "")), None);
    }
}
