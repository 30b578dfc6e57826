//! Telling a fleet's state, also of a fleet that cannot be read.

use std::time::Duration;

use kube::{
    Api,
    api::{Patch, PatchParams},
    core::error_boundary::InvalidObject,
};
use scrapefleet_api::{ScrapeFleet, ScrapeFleetStatus, crd};
use scrapefleet_policy::within;
use serde_json::json;

use super::{Context, Key, PERIOD, Trouble};
use crate::{
    api::{CALL, code, words},
    names,
    session::Session,
};

/// Writes the status.
pub(super) async fn write(context: &Context, key: &Key, status: &ScrapeFleetStatus) -> Result<(), Trouble> {
    apply_status(context, key, json!(status)).await
}

async fn apply_status(context: &Context, key: &Key, status: serde_json::Value) -> Result<(), Trouble> {
    let fleets: Api<ScrapeFleet> = Api::namespaced(context.client.clone(), &key.0);
    let object = json!({
        "apiVersion": crd::api_version(),
        "kind": crd::kind(),
        "metadata": { "name": key.1 },
        "status": status,
    });
    let parameters = PatchParams::apply(names::MANAGER).force();
    let patch = Patch::Apply(object);
    match within(CALL, "writing a status", fleets.patch_status(&key.1, &parameters, &patch)).await {
        // What was written comes back unreadable only where the object is; that is told by its own look.
        Ok(Ok(_) | Err(kube::Error::SerdeError(_))) => Ok(()),
        // It is gone.
        Ok(Err(error)) if code(&error) == Some(404) => Ok(()),
        Ok(Err(error)) => Err(Trouble(format!("its status cannot be written: {}", words(&error)))),
        Err(expired) => Err(Trouble(expired.to_string())),
    }
}

/// A fleet that cannot be read, as after a change of the definition: it is told so once for each generation, and its
/// pods are left as they are.
pub(super) async fn unreadable(
    context: &Context,
    key: &Key,
    invalid: &InvalidObject,
    session: &mut Session,
) -> Result<Duration, Trouble> {
    let generation = invalid.metadata.generation.unwrap_or(0);
    if session.unreadable == Some(generation) {
        return Ok(PERIOD * 30);
    }
    let message = format!(
        "the fleet cannot be read: {}; correct it, bots go on with what they were made of",
        crate::observe::shown(&invalid.error)
    );
    tracing::warn!(namespace = key.0, fleet = key.1, message, "a fleet cannot be read");
    let at = context.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let ready = json!({
        "type": "Ready", "status": "False", "reason": "InvalidSpec", "message": message,
        "lastTransitionTime": at, "observedGeneration": generation,
    });
    let status = json!({
        "observedGeneration": generation, "phase": "Failed", "message": message, "conditions": [ready],
    });
    apply_status(context, key, status).await?;
    session.unreadable = Some(generation);
    Ok(PERIOD * 30)
}
