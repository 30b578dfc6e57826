//! What happened in a namespace.

use anyhow::Result;
use k8s_openapi::api::core::v1::Event;
use k8s_openapi::jiff::Timestamp;
use kube::api::ListParams;

use crate::space::Space;

/// Its events, a line each, in the order of their time.
pub(super) async fn lines(space: &Space) -> Result<Vec<String>> {
    let mut events = space.api::<Event>().list(&ListParams::default()).await?.items;
    events.sort_by_key(time);
    Ok(events.iter().map(line).collect())
}

/// When it happened last: those who report events fill in one field or another.
fn time(event: &Event) -> Option<Timestamp> {
    let last = event.last_timestamp.as_ref().map(|time| time.0);
    let only = event.event_time.as_ref().map(|time| time.0);
    last.or(only).or_else(|| event.metadata.creation_timestamp.as_ref().map(|time| time.0))
}

fn line(event: &Event) -> String {
    let time = time(event).map(|time| time.to_string()).unwrap_or_default();
    let kind = event.involved_object.kind.as_deref().unwrap_or_default();
    let about = event.involved_object.name.as_deref().unwrap_or_default();
    let reason = event.reason.as_deref().unwrap_or_default();
    let message = event.message.as_deref().unwrap_or_default();
    format!("event {time} {kind} {about}: {reason}: {message}")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn event(times: &Value) -> Event {
        let mut event = json!({
            "metadata": { "creationTimestamp": "2026-01-01T00:00:00Z" },
            "involvedObject": { "kind": "Pod", "name": "p" },
            "reason": "Killing",
            "message": "Stopping container main",
        });
        event.as_object_mut().unwrap().append(&mut times.as_object().unwrap().clone());
        serde_json::from_value(event).unwrap()
    }

    #[test]
    fn an_event_has_a_time_whoever_reports_it() {
        for (times, expected) in [
            (json!({ "lastTimestamp": "2026-01-03T00:00:00Z" }), "2026-01-03T00:00:00Z"),
            (json!({ "eventTime": "2026-01-02T00:00:00.000000Z" }), "2026-01-02T00:00:00Z"),
            (json!({}), "2026-01-01T00:00:00Z"),
        ] {
            assert_eq!(
                line(&event(&times)),
                format!("event {expected} Pod p: Killing: Stopping container main")
            );
        }
    }
}
