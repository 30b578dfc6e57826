//! What the demo applies: the examples that a person starts from, with the addresses of the test cluster in them.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use serde::Deserialize as _;
use serde_json::{Value, json};

/// The examples, under the root of the project.
const FLEET: &str = "examples/kubernetes/showdown.yaml";
const SECRETS: &str = "examples/kubernetes/secrets.yaml";

/// User and password of the test cluster's broker, and of its store; they protect nothing.
pub(super) const BROKER: [(&str, &str); 2] = [("username", "guest"), ("password", "guest")];
pub(super) const STORE: [(&str, &str); 2] =
    [("accessKeyId", "minioadmin"), ("secretAccessKey", "minioadmin")];

/// A field of a manifest and what it is set to: `spec.bots.max`, `1`.
pub(super) type Setting = (&'static str, Value);

/// A fleet, and the Secrets that it names.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Manifest {
    /// The ScrapeFleet.
    pub(super) fleet: Value,
    /// Its Secrets.
    pub(super) secrets: Vec<Value>,
}

/// What is different from the example: where the server is, where logs go, and that nothing is left in the broker.
pub(super) fn settings(bucket: &str) -> Vec<Setting> {
    vec![
        ("spec.site.url", json!("http://showdown-site.platform.svc.cluster.local:8000")),
        ("spec.bots.min", json!(1)),
        ("spec.bots.max", json!(1)),
        ("spec.store.s3.bucket", json!(bucket)),
        ("spec.queue.rabbitmq.onDelete", json!("Delete")),
    ]
}

impl Manifest {
    /// The examples of this checkout with these settings.
    pub(super) fn of(root: &Path, namespace: &str, settings: &[Setting]) -> Result<Self> {
        let mut fleet = one(&read(root, FLEET)?).with_context(|| format!("{FLEET} is no fleet"))?;
        for (path, value) in settings {
            set(&mut fleet, path, value).with_context(|| format!("set {path} of {FLEET}"))?;
        }
        fleet["metadata"]["namespace"] = json!(namespace);
        let secret = |path: &str, values: &[(&str, &str)]| {
            let name = fleet.pointer(path).with_context(|| format!("{FLEET} has no {path}"))?;
            secret(&read(root, SECRETS)?, name, namespace, values).with_context(|| format!("use {SECRETS}"))
        };
        let secrets = vec![
            secret("/spec/queue/rabbitmq/secretName", &BROKER)?,
            secret("/spec/store/s3/secretName", &STORE)?,
        ];
        Ok(Self { fleet, secrets })
    }

    /// The fleet's name.
    pub(super) fn name(&self) -> Result<&str> {
        self.fleet["metadata"]["name"].as_str().context("the fleet has no name")
    }

    /// The fleet as a file for kubectl and for `scrapefleet`.
    pub(super) fn fleet_yaml(&self) -> Result<String> {
        serde_yaml_ng::to_string(&self.fleet).context("write the fleet as YAML")
    }

    /// The Secrets as a file for kubectl.
    pub(super) fn secrets_yaml(&self) -> Result<String> {
        let texts: Result<Vec<_>, _> = self.secrets.iter().map(serde_yaml_ng::to_string).collect();
        Ok(texts.context("write the Secrets as YAML")?.join("---\n"))
    }
}

fn read(root: &Path, path: &str) -> Result<String> {
    let path = root.join(path);
    fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))
}

/// The documents of a text in YAML, without the empty ones.
fn documents(text: &str) -> Result<Vec<Value>> {
    let all = serde_yaml_ng::Deserializer::from_str(text).map(Value::deserialize);
    let mut all: Vec<Value> = all.collect::<Result<_, _>>().context("it is not YAML")?;
    all.retain(|document| !document.is_null());
    Ok(all)
}

fn one(text: &str) -> Result<Value> {
    documents(text)?.into_iter().next().context("it is empty")
}

/// Sets a field, whose parent must be there.
fn set(manifest: &mut Value, path: &str, value: &Value) -> Result<()> {
    let pointer = format!("/{}", path.replace('.', "/"));
    let (parent, field) = pointer.rsplit_once('/').context("it is no path")?;
    let parent = manifest.pointer_mut(parent).and_then(Value::as_object_mut);
    parent.context("there is nothing it could be a field of")?.insert(field.to_owned(), value.clone());
    Ok(())
}

/// The Secret of that name among the examples, with these values.
fn secret(examples: &str, name: &Value, namespace: &str, values: &[(&str, &str)]) -> Result<Value> {
    let named = |secret: &Value| secret["metadata"]["name"] == *name;
    let mut secret = documents(examples)?.into_iter().find(named);
    let secret = secret.as_mut().with_context(|| format!("there is no Secret {name}"))?;
    secret["metadata"]["namespace"] = json!(namespace);
    for (key, value) in values {
        set(secret, &format!("stringData.{key}"), &json!(value))?;
    }
    Ok(secret.take())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
    }

    fn manifest() -> Manifest {
        Manifest::of(&root(), "here", &settings("logs")).unwrap()
    }

    #[test]
    fn the_fleet_is_the_example_but_for_the_settings() {
        let mut example = one(&read(&root(), FLEET).unwrap()).unwrap();
        let fleet = manifest().fleet;
        assert_ne!(fleet, example);
        for (path, value) in settings("logs") {
            let pointer = format!("/{}", path.replace('.', "/"));
            assert_eq!(fleet.pointer(&pointer), Some(&value), "{path}");
            set(&mut example, path, &value).unwrap();
        }
        example["metadata"]["namespace"] = json!("here");
        assert_eq!(fleet, example);
    }

    #[test]
    fn the_fleet_is_one_that_the_product_takes() {
        let yaml = manifest().fleet_yaml().unwrap();
        let fleet = scrapefleet_api::manifest::load(&yaml, &[]).unwrap();
        assert_eq!(fleet.metadata.namespace.as_deref(), Some("here"));
        assert_eq!(fleet.spec.bots.max, 1);
    }

    #[test]
    fn the_secrets_are_those_that_the_fleet_names_with_every_value_filled_in() {
        let Manifest { fleet, secrets } = manifest();
        assert_eq!(secrets[0]["metadata"]["name"], fleet["spec"]["queue"]["rabbitmq"]["secretName"]);
        assert_eq!(secrets[1]["metadata"]["name"], fleet["spec"]["store"]["s3"]["secretName"]);
        let yaml = manifest().secrets_yaml().unwrap();
        assert!(!yaml.contains("CHANGE-ME") && yaml.contains("minioadmin"), "{yaml}");
        assert_eq!(documents(&yaml).unwrap(), secrets);
    }

    #[test]
    fn a_field_that_has_no_place_is_an_error() {
        let mut fleet = json!({ "spec": { "suspend": false } });
        set(&mut fleet, "spec.suspend", &json!(true)).unwrap();
        assert_eq!(fleet["spec"]["suspend"], true);
        assert!(set(&mut fleet, "spec.bots.max", &json!(1)).is_err());
    }

    #[test]
    fn a_secret_that_the_examples_do_not_have_is_an_error() {
        let error = secret("kind: Secret\n", &json!("mine"), "here", &[]).unwrap_err().to_string();
        assert_eq!(error, "there is no Secret \"mine\"");
    }
}
