//! Doing what was planned.

use std::{collections::BTreeMap, fmt::Debug, sync::Arc};

use async_trait::async_trait;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions},
};
use scrapefleet_api::{FleetName, LaneName, ScrapeFleet, queue::RabbitMqQueue};
use scrapefleet_policy::within;
use serde_json::json;

use super::{CALL, code, words};
use crate::{
    build::{Made, build_pod},
    failpoint::{Failpoint, Step},
    names,
    observe::{Data, Supply},
    plan::{Action, Images, Revisions, Share, WhyCreate, WhyDelete},
};

/// Why something could not be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failed {
    /// The API server refused it, or did not answer.
    #[error("{what}: {why}")]
    Refused {
        /// What was asked for.
        what: String,
        /// What it said.
        why: String,
    },
    /// Somebody else changed the object meanwhile: the next look tells more.
    #[error("{what} was changed meanwhile")]
    Conflict {
        /// The object.
        what: String,
    },
    /// The fleet's queues could not be deleted.
    #[error(
        "its queues cannot be deleted: {0}; correct that, or set `spec.queue.rabbitmq.onDelete` to `Keep`"
    )]
    Queues(String),
}

/// The queues of a fleet that are to be deleted.
#[derive(Debug, Clone)]
pub struct Doomed {
    /// The fleet's namespace.
    pub namespace: String,
    /// The fleet's name.
    pub fleet: FleetName,
    /// Its lanes.
    pub lanes: Vec<LaneName>,
    /// The broker.
    pub queue: RabbitMqQueue,
    /// The Secret that the fleet names.
    pub secret: Supply,
    /// What was in it when it was there last, which may be now.
    pub login: Option<Arc<Data>>,
}

/// What became of the queues of a fleet that is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removed {
    /// They are deleted.
    All,
    /// Nobody can delete them from here any more. Which they are, why, and what to do, for people.
    Left(String),
}

/// Deletes the queues of a fleet. Deleting what is not there succeeds.
#[async_trait]
pub trait QueueRemoval: Debug + Send + Sync {
    /// Deletes them within a bound, or says why not; then it is tried again later.
    async fn remove(&self, doomed: &Doomed) -> Result<Removed, String>;
}

/// What was done, for events and metrics.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Applied {
    /// The actions that succeeded, in order.
    pub done: Vec<Action>,
    /// Why the others were left.
    pub failed: Option<Failed>,
    /// Which queues a fleet leaves behind, in words, if it does.
    pub left: Option<String>,
}

/// Does what was planned for one fleet.
pub struct Apply<'a> {
    /// The API server.
    pub client: &'a Client,
    /// The fleet.
    pub fleet: &'a ScrapeFleet,
    /// Its namespace.
    pub namespace: &'a str,
    /// The images of its pods.
    pub images: &'a Images,
    /// What its pods are made of.
    pub revisions: &'a Revisions,
    /// What a pod that is made may ask of the site.
    pub share: Share,
    /// Who deletes queues.
    pub removal: &'a dyn QueueRemoval,
    /// What is to be deleted with the fleet; none where the broker is not known.
    pub doomed: Option<Doomed>,
    /// Where a test has this operator die.
    pub failpoint: Failpoint<'a>,
}

impl Apply<'_> {
    /// Does the actions in order, up to the first that fails.
    pub async fn all(&self, actions: Vec<Action>) -> Applied {
        let mut applied = Applied::default();
        for action in actions {
            self.failpoint.pass(Step::Before(&action));
            match self.one(&action).await {
                Ok(left) => {
                    self.failpoint.pass(Step::After(&action));
                    applied.left = left.or(applied.left);
                    applied.done.push(action);
                }
                Err(failed) => {
                    applied.failed = Some(failed);
                    break;
                }
            }
        }
        applied
    }

    /// Does one, and says what it leaves behind.
    async fn one(&self, action: &Action) -> Result<Option<String>, Failed> {
        match action {
            Action::AddFinalizer => self.finalizers(true).await?,
            Action::RemoveFinalizer => self.finalizers(false).await?,
            Action::Deal { pod, share } => self.deal(pod, share).await?,
            Action::Create { .. } => self.create(action).await?,
            Action::Delete { pod, uid, why, .. } => self.delete(pod, uid, *why).await?,
            Action::RemoveQueues => return self.remove_queues().await,
        }
        Ok(None)
    }

    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), self.namespace)
    }

    async fn create(&self, action: &Action) -> Result<(), Failed> {
        let Action::Create { role, slot, failures, probes_site, why } = action else { return Ok(()) };
        let follows = match why {
            WhyCreate::Replaces { uid, .. } | WhyCreate::Abandons { uid, .. } => Some(uid.as_str()),
            WhyCreate::Needed | WhyCreate::Exchange => None,
        };
        let made = Made {
            role: *role,
            slot: *slot,
            revision: self.revisions.role(*role),
            images: self.images,
            namespace: self.namespace,
            failures: *failures,
            probes_site: *probes_site,
            share: self.share,
            follows,
        };
        let (pods, pod) = (self.pods(), build_pod(self.fleet, &made));
        let parameters =
            PostParams { field_manager: Some(names::MANAGER.to_owned()), ..PostParams::default() };
        let what = format!("making pod {}", made.name(self.fleet));
        // Who is there already was made by the same plan, seen late.
        harmless(call(&what, pods.create(&parameters, &pod)).await, &[409])
    }

    async fn delete(&self, pod: &str, uid: &str, why: WhyDelete) -> Result<(), Failed> {
        let only = Preconditions { uid: Some(uid.to_owned()), resource_version: None };
        let grace_period_seconds = if let WhyDelete::Abandoned(why) = why { why.grace() } else { None };
        let parameters =
            DeleteParams { preconditions: Some(only), grace_period_seconds, ..DeleteParams::default() };
        let pods = self.pods();
        // Gone, or another of the same name: there is nothing left to delete.
        harmless(call(&format!("deleting pod {pod}"), pods.delete(pod, &parameters)).await, &[404, 409])
    }

    async fn deal(&self, pod: &str, share: &Share) -> Result<(), Failed> {
        let annotations = BTreeMap::from([(names::SHARE, json!(share).to_string())]);
        let patch = Patch::Merge(json!({ "metadata": { "annotations": annotations } }));
        let pods = self.pods();
        harmless(
            call(&format!("dealing a share to pod {pod}"), pods.patch(pod, &manager(), &patch)).await,
            &[404],
        )
    }

    async fn finalizers(&self, keep: bool) -> Result<(), Failed> {
        let metadata = &self.fleet.metadata;
        let mut finalizers = metadata.finalizers.clone().unwrap_or_default();
        finalizers.retain(|finalizer| finalizer != names::FINALIZER);
        if keep {
            finalizers.push(names::FINALIZER.to_owned());
        }
        let name = metadata.name.as_deref().unwrap_or_default();
        // With the version that was seen: another's finalizer is not to be lost.
        let patch =
            json!({ "metadata": { "finalizers": finalizers, "resourceVersion": metadata.resource_version } });
        let fleets: Api<ScrapeFleet> = Api::namespaced(self.client.clone(), self.namespace);
        let what = format!("changing the finalizers of {name}");
        match call(&what, fleets.patch(name, &manager(), &Patch::Merge(patch))).await {
            Err(error) if error.code == Some(409) => Err(Failed::Conflict { what: format!("fleet {name}") }),
            answer => harmless(answer, &[404]),
        }
    }

    async fn remove_queues(&self) -> Result<Option<String>, Failed> {
        let Some(doomed) = &self.doomed else { return Ok(None) };
        match self.removal.remove(doomed).await.map_err(Failed::Queues)? {
            Removed::All => Ok(None),
            Removed::Left(which) => Ok(Some(which)),
        }
    }
}

fn manager() -> PatchParams {
    PatchParams { field_manager: Some(names::MANAGER.to_owned()), ..PatchParams::default() }
}

struct CallError {
    code: Option<u16>,
    failed: Failed,
}

async fn call<T>(what: &str, request: impl Future<Output = kube::Result<T>>) -> Result<T, CallError> {
    let failed = |why, code| CallError { code, failed: Failed::Refused { what: what.to_owned(), why } };
    match within(CALL, "a call to the API server", request).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(failed(words(&error), code(&error))),
        Err(expired) => Err(failed(expired.to_string(), None)),
    }
}

/// Success, also when the API server refused with one of these codes.
fn harmless<T>(answer: Result<T, CallError>, codes: &[u16]) -> Result<(), Failed> {
    match answer {
        Err(error) if !error.code.is_some_and(|code| codes.contains(&code)) => Err(error.failed),
        _ => Ok(()),
    }
}
