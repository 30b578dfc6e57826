//! The containers of a pod: the program, and Chrome beside it.

use k8s_openapi::{
    api::core::v1::{
        Capabilities, Container, ContainerPort, ExecAction, HTTPGetAction, Probe, ResourceRequirements,
        SecurityContext,
    },
    apimachinery::pkg::util::intstr::IntOrString,
};
use scrapefleet_api::{ScrapeFleetSpec, policies::LivenessSpec};

use super::{
    pod::Made,
    volumes::{self, POD},
};
use crate::{PORT, plan::Role};

/// Where Chrome's driver listens, inside the pod.
const WEBDRIVER: &str = "http://127.0.0.1:4444";

/// Where Kubernetes reads why a program ended.
const TERMINATION_LOG: &str = "/dev/termination-log";

/// How long a program may take to answer that it is alive, in seconds.
const LIVENESS_TIMEOUT: i32 = 1;

/// A node ends a program that does not answer after so many times what the manifest gives it. The operator is sooner.
const BACKSTOP: i32 = 4;

/// The program.
pub(super) fn main(spec: &ScrapeFleetSpec, made: &Made, resources: ResourceRequirements) -> Container {
    Container {
        name: made.role.word().into(),
        image: Some(made.images.program.clone()),
        args: Some(args(spec, made)),
        termination_message_path: Some(TERMINATION_LOG.into()),
        ports: Some(vec![ContainerPort {
            name: Some("http".into()),
            container_port: i32::from(PORT),
            ..ContainerPort::default()
        }]),
        resources: Some(resources),
        security_context: Some(restricted()),
        // Its server answers as soon as it runs; what takes long to start is Chrome, and that has started before.
        startup_probe: Some(ending_at_once(http("/livez", 1, 2, 60))),
        liveness_probe: Some(liveness(&spec.policies.abandonment.liveness)),
        readiness_probe: Some(http("/readyz", 1, LIVENESS_TIMEOUT, 3)),
        volume_mounts: Some(volumes::main_mounts(spec, made.role)),
        ..Container::default()
    }
}

/// Chrome and its driver, as a sidecar that starts before the program and ends after it.
pub(super) fn chrome(made: &Made, resources: ResourceRequirements) -> Container {
    let ready = ExecAction { command: Some(vec!["chromedriver-ready".into()]) };
    Container {
        name: "chrome".into(),
        image: Some(made.images.chrome.clone()),
        restart_policy: Some("Always".into()),
        resources: Some(resources),
        security_context: Some(restricted()),
        startup_probe: Some(Probe {
            exec: Some(ready),
            period_seconds: Some(1),
            timeout_seconds: Some(3),
            failure_threshold: Some(60),
            ..Probe::default()
        }),
        volume_mounts: Some(volumes::chrome_mounts()),
        ..Container::default()
    }
}

fn args(spec: &ScrapeFleetSpec, made: &Made) -> Vec<String> {
    let mut args = vec![made.role.word().to_owned()];
    let mut flag = |name: &str, value: String| args.extend([format!("--{name}"), value]);
    flag("manifest", format!("{POD}/manifest"));
    if made.role == Role::Bot {
        flag("slot", made.slot.to_string());
    }
    flag("share", format!("{POD}/share"));
    for (volume, _, folder) in volumes::secrets(spec, made.role) {
        flag(&format!("{volume}-credentials"), folder.to_owned());
    }
    flag("webdriver", WEBDRIVER.to_owned());
    flag("port", PORT.to_string());
    flag("namespace", made.namespace.to_owned());
    flag("termination-log", TERMINATION_LOG.to_owned());
    args
}

/// Whether the program answers; it does so from memory, however busy or full it is. Its node asks so many times more often
/// than the manifest says, because it must not be the first to end the pod: once it has begun, it waits for the pod's whole grace
/// period, whatever the probe says and whoever deletes the pod meanwhile.
fn liveness(spec: &LivenessSpec) -> Probe {
    let whole_seconds = spec.period.get().as_millis().div_ceil(1000);
    let period = i32::try_from(whole_seconds).unwrap_or(i32::MAX);
    ending_at_once(http("/livez", period, LIVENESS_TIMEOUT, spec.failures.saturating_mul(BACKSTOP)))
}

/// A program that does not answer hears no SIGTERM either: without this its node would wait for the pod's whole grace
/// period, which is as long as a drain.
fn ending_at_once(probe: Probe) -> Probe {
    Probe { termination_grace_period_seconds: Some(1), ..probe }
}

fn http(path: &str, period: i32, timeout: i32, failures: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.into()),
            port: IntOrString::Int(i32::from(PORT)),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period),
        timeout_seconds: Some(timeout),
        failure_threshold: Some(failures),
        ..Probe::default()
    }
}

/// What the `restricted` pod security standard asks of a container, and a root file system that nobody writes to.
fn restricted() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        capabilities: Some(Capabilities { drop: Some(vec!["ALL".into()]), add: None }),
        read_only_root_filesystem: Some(true),
        run_as_non_root: Some(true),
        ..SecurityContext::default()
    }
}
