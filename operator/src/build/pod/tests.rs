//! What pods look like.

use k8s_openapi::api::core::v1::Container;
use scrapefleet_api::{Period, manifest};
use serde_json::{Value, json};

use super::*;
use crate::plan::fixture::fleet;

fn images() -> Images {
    Images { program: "registry.example/scrapefleet:1".into(), chrome: "registry.example/chrome:1".into() }
}

fn made(role: Role, images: &Images) -> Made<'_> {
    Made {
        role,
        slot: 3,
        revision: "r1",
        images,
        namespace: "space",
        failures: 2,
        probes_site: false,
        share: Share { connections_per_minute: 7.5, actions_per_second: 1.5, held: 20 },
        follows: None,
    }
}

fn build(role: Role) -> Pod {
    let images = images();
    build_pod(&fleet(1, 2), &made(role, &images))
}

fn containers(pod: &Pod) -> Vec<&Container> {
    let spec = pod.spec.as_ref().unwrap();
    spec.containers.iter().chain(spec.init_containers.iter().flatten()).collect()
}

#[test]
fn pods_satisfy_the_restricted_standard() {
    for role in [Role::Bot, Role::Watcher] {
        let pod = build(role);
        let spec = pod.spec.as_ref().unwrap();
        let security = spec.security_context.as_ref().unwrap();
        assert_eq!(security.seccomp_profile.as_ref().unwrap().type_, "RuntimeDefault");
        assert_eq!(spec.automount_service_account_token, Some(false));
        assert_eq!(spec.restart_policy.as_deref(), Some("Never"));
        for container in containers(&pod) {
            let own = container.security_context.as_ref().unwrap();
            assert_eq!(
                (own.allow_privilege_escalation, own.run_as_non_root, own.read_only_root_filesystem),
                (Some(false), Some(true), Some(true))
            );
            assert_eq!(own.capabilities.as_ref().unwrap().drop, Some(vec!["ALL".to_owned()]));
            let limits = container.resources.as_ref().unwrap().limits.as_ref().unwrap();
            assert!(limits.contains_key("memory"));
        }
    }
}

#[test]
fn a_bot_is_told_where_everything_is() {
    let pod = build(Role::Bot);
    let args = pod.spec.as_ref().unwrap().containers[0].args.clone().unwrap();
    assert_eq!(
        args.join(" "),
        "bot --manifest /etc/scrapefleet/pod/manifest --slot 3 --share /etc/scrapefleet/pod/share \
         --queue-credentials /etc/scrapefleet/queue --store-credentials /etc/scrapefleet/store \
         --webdriver http://127.0.0.1:4444 --port 8080 --namespace space \
         --termination-log /dev/termination-log"
    );
}

#[test]
fn a_watcher_gets_no_secret_that_it_does_not_need() {
    let pod = build(Role::Watcher);
    let spec = pod.spec.as_ref().unwrap();
    let args = spec.containers[0].args.clone().unwrap().join(" ");
    assert_eq!(
        args,
        "watcher --manifest /etc/scrapefleet/pod/manifest --share /etc/scrapefleet/pod/share \
         --queue-credentials /etc/scrapefleet/queue --webdriver http://127.0.0.1:4444 --port 8080 --namespace space \
         --termination-log /dev/termination-log"
    );
    let secrets: Vec<_> = spec
        .volumes
        .iter()
        .flatten()
        .filter_map(|volume| volume.secret.as_ref()?.secret_name.clone())
        .collect();
    assert_eq!(secrets, ["queue"]);
}

#[test]
fn chrome_sees_no_secret_and_no_manifest() {
    let pod = build(Role::Bot);
    let chrome = &pod.spec.as_ref().unwrap().init_containers.as_ref().unwrap()[0];
    assert_eq!(chrome.restart_policy.as_deref(), Some("Always"));
    let paths: Vec<_> =
        chrome.volume_mounts.iter().flatten().map(|mount| mount.mount_path.as_str()).collect();
    assert_eq!(paths, ["/tmp", "/dev/shm"]);
}

#[test]
fn without_secrets_there_are_no_flags_for_them() {
    let mut fleet = fleet(1, 1);
    fleet.spec.queue.rabbitmq.as_mut().unwrap().secret_name = None;
    fleet.spec.store.s3.as_mut().unwrap().secret_name = None;
    let images = images();
    let pod = build_pod(&fleet, &made(Role::Bot, &images));
    let args = pod.spec.as_ref().unwrap().containers[0].args.clone().unwrap();
    assert!(!args.iter().any(|arg| arg.contains("credentials")), "{args:?}");
}

#[test]
fn the_manifest_on_a_pod_loads_again() {
    let mut fleet = fleet(1, 2);
    fleet.metadata.resource_version = Some("77".into());
    fleet.status = Some(scrapefleet_api::ScrapeFleetStatus::default());
    let text = manifest_json(&fleet);
    let loaded = manifest::load(&text, &[]).unwrap();
    assert_eq!(loaded.spec, fleet.spec);
    assert!(!text.contains("77") && !text.contains("status"), "{text}");
}

#[test]
fn every_pod_reads_its_share_from_a_file() {
    for role in [Role::Bot, Role::Watcher] {
        let pod = build(role);
        assert_eq!(
            pod.metadata.annotations.unwrap()[names::SHARE],
            r#"{"connectionsPerMinute":7.5,"actionsPerSecond":1.5,"held":20}"#
        );
        let volumes = pod.spec.unwrap().volumes.unwrap();
        let mut files =
            volumes.into_iter().find_map(|volume| volume.downward_api?.items).unwrap().into_iter();
        let share = files.find(|file| file.path == "share").and_then(|file| file.field_ref).unwrap();
        assert_eq!(share.field_path, format!("metadata.annotations['{}']", names::SHARE));
    }
}

#[test]
fn a_pod_has_the_time_that_its_drain_takes() {
    let mut spec = fleet(1, 1).spec;
    assert_eq!(grace_seconds(&spec, Role::Bot), 30);
    (spec.drain.mode, spec.drain.deadline) = (DrainMode::Finish, Period::minutes(45));
    assert_eq!(grace_seconds(&spec, Role::Bot), 45 * 60 + 30);
    assert_eq!(grace_seconds(&spec, Role::Watcher), 30);
}

#[test]
fn a_program_that_was_stopped_is_noticed_within_six_seconds_and_ended_at_once() {
    for role in [Role::Bot, Role::Watcher] {
        let pod = build(role);
        let main = &pod.spec.as_ref().unwrap().containers[0];
        let probe = main.liveness_probe.as_ref().unwrap();
        let [period, timeout, failures] =
            [probe.period_seconds, probe.timeout_seconds, probe.failure_threshold].map(Option::unwrap);
        assert!(period * failures > 10, "the node must not be the first to end it: {probe:?}");
        let readiness = main.readiness_probe.as_ref().unwrap();
        let asked = [readiness.period_seconds, readiness.failure_threshold].map(Option::unwrap);
        assert!(asked[0] * asked[1] + timeout < 6, "it is found unready too late: {readiness:?}");
        assert_eq!(probe.http_get.as_ref().unwrap().path.as_deref(), Some("/livez"));
        for probe in [probe, main.startup_probe.as_ref().unwrap()] {
            assert_eq!(probe.termination_grace_period_seconds, Some(1), "it would wait for the pod's drain");
        }
        assert_eq!(main.readiness_probe.as_ref().unwrap().termination_grace_period_seconds, None);
        let startup = main.startup_probe.as_ref().unwrap();
        assert!(
            startup.period_seconds.unwrap() * startup.failure_threshold.unwrap() >= 60,
            "a slow start counts"
        );
    }
}

#[test]
fn how_soon_a_program_that_does_not_answer_is_ended_is_in_the_manifest() {
    let mut fleet = fleet(1, 1);
    fleet.spec.policies.abandonment.liveness.period = Period::millis(2500);
    fleet.spec.policies.abandonment.liveness.failures = 7;
    let images = images();
    let pod = build_pod(&fleet, &made(Role::Bot, &images));
    let probe = pod.spec.unwrap().containers[0].liveness_probe.clone().unwrap();
    assert_eq!((probe.period_seconds, probe.failure_threshold), (Some(3), Some(7 * 4)));
}

#[test]
fn names_tell_fleet_role_and_slot_and_differ_where_the_pod_does() {
    let (fleet, images) = (fleet(1, 1), images());
    let one = made(Role::Bot, &images);
    let name = one.name(&fleet);
    assert!(name.starts_with("fleet-bot-3-"), "{name}");
    assert_eq!(name, one.clone().name(&fleet));
    for other in [
        Made { slot: 4, ..one.clone() },
        Made { revision: "r2", ..one.clone() },
        Made { follows: Some("uid"), ..one.clone() },
        Made { role: Role::Watcher, ..one.clone() },
    ] {
        assert_ne!(other.name(&fleet), name);
    }
}

#[test]
fn pods_of_one_fleet_and_role_rather_run_on_different_nodes() {
    for (role, word) in [(Role::Bot, "bot"), (Role::Watcher, "watcher")] {
        let spread = build(role).spec.unwrap().topology_spread_constraints.unwrap();
        assert_eq!(
            json!(spread),
            json!([{
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": { "matchLabels": { names::FLEET: "fleet", names::ROLE: word } },
            }])
        );
        let labels = build(role).metadata.labels.unwrap();
        assert_eq!((labels[names::FLEET].as_str(), labels[names::ROLE].as_str()), ("fleet", word));
    }
}

#[test]
fn taints_of_the_manifest_are_put_up_with_and_its_own_patience_wins() {
    let mut fleet = fleet(1, 1);
    let yaml = r#"{ "key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute" }"#;
    fleet.spec.pods.tolerations = vec![serde_json::from_str(yaml).unwrap()];
    let shown: Vec<Value> = tolerations(&fleet.spec)
        .into_iter()
        .map(|toleration| json!([toleration.key, toleration.toleration_seconds]))
        .collect();
    assert_eq!(
        shown,
        [json!(["node.kubernetes.io/not-ready", null]), json!(["node.kubernetes.io/unreachable", 20])]
    );
}
