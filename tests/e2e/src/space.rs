//! A namespace for one test.

use std::any::Any;
use std::fmt::Debug;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use futures::FutureExt as _;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config, Error, Resource};
use scrapefleet_policy::within;
use serde_json::{Value, json};

use crate::{await_condition, evidence, pod};

/// How long making or deleting one object may take.
const CALL_WITHIN: Duration = Duration::from_secs(30);

/// What a test works with: a client, and a namespace that no other test uses.
#[derive(Clone)]
pub struct Space {
    /// A client of the cluster, as its administrator.
    pub client: Client,
    /// The namespace of this test.
    pub namespace: String,
}

/// The file that says how to reach the cluster that the tests run on.
pub(crate) fn kubeconfig() -> Result<PathBuf> {
    let file = std::env::var_os("SCRAPEFLEET_E2E_KUBECONFIG").or_else(|| std::env::var_os("KUBECONFIG")).context(
        "no cluster to test on: SCRAPEFLEET_E2E_KUBECONFIG is not set. `cargo xtask cluster up` starts a cluster and \
         `cargo xtask cluster env` tells its kubeconfig",
    )?;
    Ok(file.into())
}

/// A client of the cluster that the tests run on.
pub async fn client() -> Result<Client> {
    let file = kubeconfig()?;
    let kubeconfig = Kubeconfig::read_from(&file).with_context(|| format!("read {}", file.display()))?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .with_context(|| format!("use {}", file.display()))?;
    Client::try_from(config).with_context(|| format!("make a client for {}", file.display()))
}

/// Runs a test in a namespace of its own, which is deleted afterwards. When the test fails, with an error or a panic,
/// what explains it is collected into a folder first, and the error names the folder.
pub async fn in_namespace(name: &str, test: impl AsyncFnOnce(Space) -> Result<()>) -> Result<()> {
    let space = Space::make(name).await?;
    // A panic is an outcome like any other.
    let outcome = match AssertUnwindSafe(test(space.clone())).catch_unwind().await {
        Ok(outcome) => outcome,
        Err(panic) => Err(anyhow!("it panicked: {}", message_of(panic.as_ref()))),
    };
    let outcome = match outcome {
        Ok(()) => Ok(()),
        Err(error) => Err(match Box::pin(evidence::collect(&space, &error)).await {
            Ok(folder) => {
                error.context(format!("{name} failed; what explains it is in {}", folder.display()))
            }
            Err(missing) => {
                error.context(format!("{name} failed, and nothing could be collected: {missing:#}"))
            }
        }),
    };
    space.delete().await?;
    outcome
}

/// What a panic said.
fn message_of(panic: &(dyn Any + Send)) -> &str {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    owned.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

impl Space {
    async fn make(name: &str) -> Result<Self> {
        let client = client().await?;
        let namespace = format!("e2e-{name}-{:06x}", fastrand::u32(..0x0100_0000));
        let object = serde_json::from_value(json!({
            "metadata": { "name": namespace, "labels": { "scrapefleet.dev/e2e": name } },
        }))?;
        let api: Api<Namespace> = Api::all(client.clone());
        within(CALL_WITHIN, "make a namespace", api.create(&PostParams::default(), &object)).await??;
        let space = Self { client, namespace };
        // Pods are refused until their account is there.
        let account = space.api::<k8s_openapi::api::core::v1::ServiceAccount>();
        await_condition::until(&space, "the default service account", CALL_WITHIN, async || {
            Ok(account.get_opt("default").await?)
        })
        .await?;
        Ok(space)
    }

    async fn delete(&self) -> Result<()> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        // Its deletion goes on by itself; nothing waits for it.
        within(CALL_WITHIN, "delete a namespace", api.delete(&self.namespace, &DeleteParams::default()))
            .await??;
        Ok(())
    }

    /// Has the API server refuse every pod, from now on, that does not meet the pod security standard `restricted`.
    pub async fn refuse_unrestricted(&self) -> Result<()> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let labels =
            json!({ "metadata": { "labels": { "pod-security.kubernetes.io/enforce": "restricted" } } });
        let (patch, labels) = (PatchParams::default(), Patch::Merge(labels));
        within(CALL_WITHIN, "label a namespace", api.patch(&self.namespace, &patch, &labels)).await??;
        let unrestricted: Pod =
            serde_json::from_value(pod::pod_of("unrestricted", &json!([pod::container("main", "true")])))?;
        let dry_run = PostParams { dry_run: true, ..PostParams::default() };
        self.until("a pod that may do too much is refused", CALL_WITHIN, async || {
            match self.api::<Pod>().create(&dry_run, &unrestricted).await {
                Err(Error::Api(refusal)) if refusal.message.contains("PodSecurity") => Ok(Some(())),
                answer => answer.map(|_| None).map_err(Into::into),
            }
        })
        .await
    }

    /// The objects of one kind in this namespace.
    #[must_use]
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Makes an object of this namespace from JSON.
    pub async fn create<K>(&self, object: Value) -> Result<K>
    where
        K: Resource<Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + serde::Serialize
            + serde::de::DeserializeOwned,
        K::DynamicType: Default,
    {
        let object = serde_json::from_value(object).context("not an object of this kind")?;
        let created =
            within(CALL_WITHIN, "make an object", self.api::<K>().create(&PostParams::default(), &object))
                .await?;
        created.context("the API server refused the object")
    }

    /// Looks at something again and again until it is there; the error of a deadline shows the objects, events and
    /// logs of this namespace.
    pub async fn until<T>(
        &self,
        what: &str,
        limit: Duration,
        look: impl AsyncFnMut() -> Result<Option<T>>,
    ) -> Result<T> {
        // What is awaited may be large.
        Box::pin(await_condition::until(self, what, limit, look)).await
    }
}
