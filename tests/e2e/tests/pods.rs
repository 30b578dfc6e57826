//! What pods of this cluster do: a native Chrome sidecar, traffic between nodes, names, memory limits.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{Node, Pod, Service};
use kube::api::{Api, ListParams};
use scrapefleet_e2e::{Space, container, image, in_namespace, pod_of, terminated};
use serde_json::{Value, json};

/// How soon a pod with Chrome is ready on a node that has run one before.
const CHROME_READY_WITHIN: Duration = Duration::from_secs(10);
/// How long anything may take that is not what a test measures.
const PATIENCE: Duration = Duration::from_mins(2);
/// How long a sidecar may outlive the main container, in seconds.
const OUTLIVES: i64 = 2;
/// The exit code of the main container, which is read back.
const EXIT_CODE: i32 = 16;

/// Opens a WebDriver session in the sidecar, then waits until it is told to end.
const OPEN_SESSION: &str = r#"
body='{"capabilities":{"alwaysMatch":{"goog:chromeOptions":{"args":["--headless=new","--no-sandbox","--disable-gpu"]}}}}'
exec 3<>/dev/tcp/127.0.0.1/4444
printf 'POST /session HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s' "${#body}" "$body" >&3
read -r -t 30 status <&3
[[ "$status" == *' 200 '* ]] || { echo "no session: $status"; exit 3; }
touch /tmp/session
until [[ -e /tmp/end ]]; do sleep 0.05; done
echo -n '{"said":"the end"}' > /dev/termination-log
exit 16
"#;

/// A pod with Chrome beside a container that uses it: non-root, read-only, without any privilege.
fn chrome_pod(name: &str) -> Value {
    let locked = json!({
        "runAsNonRoot": true,
        "allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": true,
        "capabilities": { "drop": ["ALL"] },
        "seccompProfile": { "type": "RuntimeDefault" },
    });
    let mut main = container("main", OPEN_SESSION);
    main["securityContext"] = locked.clone();
    main["volumeMounts"] = json!([{ "name": "main-tmp", "mountPath": "/tmp" }]);
    main["readinessProbe"] =
        json!({ "exec": { "command": ["test", "-e", "/tmp/session"] }, "periodSeconds": 1 });
    let mut pod = pod_of(name, &json!([main]));
    pod["spec"]["initContainers"] = json!([{
        "name": "chrome",
        "image": image("chrome"),
        "imagePullPolicy": "IfNotPresent",
        "restartPolicy": "Always",
        "securityContext": locked,
        "startupProbe": { "exec": { "command": ["chromedriver-ready"] }, "periodSeconds": 1, "timeoutSeconds": 3, "failureThreshold": 60 },
        "volumeMounts": [
            { "name": "chrome-tmp", "mountPath": "/tmp" },
            { "name": "memory", "mountPath": "/dev/shm" },
        ],
    }]);
    pod["spec"]["volumes"] = json!([
        { "name": "main-tmp", "emptyDir": {} },
        { "name": "chrome-tmp", "emptyDir": {} },
        { "name": "memory", "emptyDir": { "medium": "Memory", "sizeLimit": "512Mi" } },
    ]);
    pod
}

/// Makes a pod with Chrome and tells how long it took until a session was open in it.
async fn start_chrome(space: &Space, name: &str, node: &str) -> Result<Duration> {
    let mut pod = chrome_pod(name);
    pod["spec"]["nodeName"] = json!(node);
    let start = Instant::now();
    space.create::<Pod>(pod).await?;
    space.ready(name, PATIENCE).await?;
    Ok(start.elapsed())
}

async fn end_chrome(space: &Space, name: &str) -> Result<Pod> {
    space.exec(name, "main", &["touch", "/tmp/end"]).await?;
    let both_ended = |pod: &Pod| terminated(pod, "main").is_some() && terminated(pod, "chrome").is_some();
    space.pod_when(name, "has ended, its sidecar too", PATIENCE, both_ended).await
}

async fn node_names(space: &Space) -> Result<Vec<String>> {
    let nodes: Api<Node> = Api::all(space.client.clone());
    Ok(nodes
        .list(&ListParams::default())
        .await?
        .items
        .into_iter()
        .filter_map(|node| node.metadata.name)
        .collect())
}

#[tokio::test]
async fn a_pod_with_a_chrome_sidecar_is_ready_soon_works_and_ends_whole() -> Result<()> {
    in_namespace("chrome", async |space| {
        let node = node_names(&space).await?.into_iter().next().context("no node")?;
        // The first one warms the node: its disk cache is empty after a start.
        start_chrome(&space, "first", &node).await?;
        end_chrome(&space, "first").await?;

        let took = start_chrome(&space, "second", &node).await?;
        println!("a pod with Chrome had a session open {:.1} s after it was made", took.as_secs_f64());
        ensure!(took < CHROME_READY_WITHIN, "ready only after {took:?}");

        let pod = end_chrome(&space, "second").await?;
        let (main, chrome) =
            (terminated(&pod, "main").context("main")?, terminated(&pod, "chrome").context("chrome")?);
        ensure!(main.exit_code == EXIT_CODE, "exit code {}", main.exit_code);
        ensure!(main.message.as_deref() == Some(r#"{"said":"the end"}"#), "message {:?}", main.message);
        let second = |time: &Option<k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>| {
            time.as_ref().map(|time| time.0.as_second()).context("no time of the end")
        };
        let outlived = second(&chrome.finished_at)? - second(&main.finished_at)?;
        ensure!(
            (0..=OUTLIVES).contains(&outlived),
            "the sidecar ended {outlived} s after the main container"
        );
        Ok(())
    })
    .await
}

/// Asks a Valkey by its name, again and again until its Service knows the pod, and tells the answer.
const PING: &str = r#"
for attempt in {1..100}; do
  if exec 3<>/dev/tcp/server/6379 && printf 'PING\r\n' >&3 && read -r -t 2 answer <&3; then
    echo -n "${answer%$'\r'}" > /dev/termination-log
    exit 0
  fi
  sleep 0.2
done 2>/dev/null
exit 1
"#;

#[tokio::test]
async fn a_pod_reaches_a_service_on_another_node_by_its_name() -> Result<()> {
    in_namespace("service", async |space| {
        let nodes = node_names(&space).await?;
        ensure!(nodes.len() >= 2, "this test needs two nodes, found {nodes:?}");
        for (number, (server_node, client_node)) in [(&nodes[0], &nodes[1]), (&nodes[1], &nodes[0])].into_iter().enumerate() {
            let (server, client) = (format!("server{number}"), format!("client{number}"));
            let mut pod = pod_of(&server, &json!([{ "name": "valkey", "image": image("valkey"), "imagePullPolicy": "IfNotPresent" }]));
            pod["spec"]["nodeName"] = json!(server_node);
            space.create::<Pod>(pod).await?;
            let port = json!([{ "port": 6379 }]);
            space
                .create::<Service>(json!({ "metadata": { "name": server }, "spec": { "selector": { "app": server }, "ports": port } }))
                .await?;
            let mut pod = pod_of(&client, &json!([container("main", &PING.replace("server", &server))]));
            pod["spec"]["nodeName"] = json!(client_node);
            space.create::<Pod>(pod).await?;
            let ended = space.pod_when(&client, "has ended", PATIENCE, |pod| terminated(pod, "main").is_some()).await?;
            let end = terminated(&ended, "main").context("main")?;
            ensure!(end.message.as_deref() == Some("+PONG"), "{client} on {client_node} asked {server} on {server_node}: {end:?}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_memory_limit_kills() -> Result<()> {
    in_namespace("memory", async |space| {
        // A line without an end: tail keeps all of it.
        let mut greedy = container("greedy", "exec tail /dev/zero");
        greedy["resources"] = json!({ "limits": { "memory": "48Mi" } });
        space.create::<Pod>(pod_of("greedy", &json!([greedy]))).await?;
        let pod = space
            .pod_when("greedy", "has ended", PATIENCE, |pod| terminated(pod, "greedy").is_some())
            .await?;
        let end = terminated(&pod, "greedy").context("greedy")?;
        ensure!(end.reason.as_deref() == Some("OOMKilled") && end.exit_code == 137, "{end:?}");
        Ok(())
    })
    .await
}
