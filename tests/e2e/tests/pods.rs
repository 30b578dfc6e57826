//! What pods do on any cluster: a native Chrome sidecar, what Chrome draws, traffic between nodes, names, memory limits.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{Node, Pod, Service};
use kube::api::{Api, ListParams};
use scrapefleet_e2e::{Attached, Forward, Space, container, image, in_namespace, pod_of, terminated};
use scrapefleet_policy::within;
use serde_json::{Value, json};
use tokio::sync::Mutex;

/// How soon a pod with Chrome is ready on a node that has run one before.
const CHROME_READY_WITHIN: Duration = Duration::from_secs(10);
/// How long anything may take that is not what a test measures.
const PATIENCE: Duration = Duration::from_mins(2);
/// How long a sidecar may outlive the main container.
const OUTLIVES: Duration = Duration::from_secs(2);
/// How long a call to the driver may take.
const CALL_WITHIN: Duration = Duration::from_secs(30);
/// The exit code of the main container, which is read back.
const EXIT_CODE: i32 = 16;

/// One test at a time starts Chrome: how soon is measured.
static CHROME: Mutex<()> = Mutex::const_new(());

/// Opens a WebDriver session in the sidecar, then says that it is there until it is told to end.
const OPEN_SESSION: &str = r#"
body='{"capabilities":{"alwaysMatch":{"goog:chromeOptions":{"args":["--headless=new","--no-sandbox","--disable-gpu"]}}}}'
exec 3<>/dev/tcp/127.0.0.1/4444
printf 'POST /session HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s' "${#body}" "$body" >&3
read -r -t 30 status <&3
[[ "$status" == *' 200 '* ]] || { echo "no session: $status"; exit 3; }
touch /tmp/session
until [[ -e /tmp/end ]]; do echo here; sleep 0.05; done
echo -n '{"said":"the end"}' > /dev/termination-log
exit 16
"#;

/// Without any right: not root, on a disk that it can only read.
fn locked() -> Value {
    json!({
        "runAsNonRoot": true,
        "allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": true,
        "capabilities": { "drop": ["ALL"] },
        "seccompProfile": { "type": "RuntimeDefault" },
    })
}

/// A container with Chrome's driver, which is ready once that takes sessions. Its volumes are those of [`chrome_volumes`].
fn chrome() -> Value {
    json!({
        "name": "chrome",
        "image": image("chrome"),
        "imagePullPolicy": "IfNotPresent",
        "securityContext": locked(),
        "startupProbe": { "exec": { "command": ["chromedriver-ready"] }, "periodSeconds": 1, "timeoutSeconds": 3, "failureThreshold": 60 },
        "volumeMounts": [
            { "name": "chrome-tmp", "mountPath": "/tmp" },
            { "name": "memory", "mountPath": "/dev/shm" },
        ],
    })
}

fn chrome_volumes() -> [Value; 2] {
    [
        json!({ "name": "chrome-tmp", "emptyDir": {} }),
        json!({ "name": "memory", "emptyDir": { "medium": "Memory", "sizeLimit": "512Mi" } }),
    ]
}

/// A pod with Chrome beside a container that uses it.
fn chrome_pod(name: &str) -> Value {
    let mut main = container("main", OPEN_SESSION);
    main["securityContext"] = locked();
    main["volumeMounts"] = json!([{ "name": "main-tmp", "mountPath": "/tmp" }]);
    main["readinessProbe"] =
        json!({ "exec": { "command": ["test", "-e", "/tmp/session"] }, "periodSeconds": 1 });
    let mut sidecar = chrome();
    sidecar["restartPolicy"] = json!("Always");
    let [temporary, memory] = chrome_volumes();
    let mut pod = pod_of(name, &json!([main]));
    pod["spec"]["initContainers"] = json!([sidecar]);
    pod["spec"]["volumes"] = json!([{ "name": "main-tmp", "emptyDir": {} }, temporary, memory]);
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

/// The same, and how much longer Chrome ran than the main container.
async fn measured_end(space: &Space, name: &str) -> Result<(Pod, Duration)> {
    let chrome = Attached::to(space, name, "chrome").await?;
    let mut main = Attached::to(space, name, "main").await?;
    let ends = async {
        // Whoever hears it hears its end, too.
        main.speaks().await?;
        tokio::try_join!(end_chrome(space, name), main.end(), chrome.end())
    };
    let (pod, main, chrome) = within(PATIENCE, "the end of a pod", Box::pin(ends)).await??;
    let outlived = chrome.checked_duration_since(main).context("the sidecar ended first")?;
    Ok((pod, outlived))
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
    let _turn = CHROME.lock().await;
    in_namespace("chrome", async |space| {
        let node = node_names(&space).await?.into_iter().next().context("no node")?;
        // The first one warms the node: its disk cache is empty after a start.
        start_chrome(&space, "first", &node).await?;
        end_chrome(&space, "first").await?;

        let took = start_chrome(&space, "second", &node).await?;
        println!("a pod with Chrome had a session open {:.1} s after it was made", took.as_secs_f64());
        ensure!(took < CHROME_READY_WITHIN, "ready only after {took:?}");

        let (pod, outlived) = measured_end(&space, "second").await?;
        println!("its sidecar ended {:.2} s after its main container", outlived.as_secs_f64());
        ensure!(outlived <= OUTLIVES, "the sidecar ended {outlived:?} after the main container");
        let main = terminated(&pod, "main").context("main")?;
        ensure!(main.exit_code == EXIT_CODE, "exit code {}", main.exit_code);
        ensure!(main.message.as_deref() == Some(r#"{"said":"the end"}"#), "message {:?}", main.message);
        Ok(())
    })
    .await
}

/// What Chrome is to draw, each in a way of its own; two of them are nothing, and a letter that there is not.
const LETTERS: [(&str, &str); 8] = [
    ("nothing", " "),
    ("a letter that no font has", "\u{378}"),
    ("Latin", "\u{c4}"),
    ("Japanese", "\u{3042}"),
    ("Korean", "\u{d55c}"),
    ("simplified Chinese", "\u{8fd9}"),
    ("traditional Chinese", "\u{9f9c}"),
    (EMOJI, "\u{1f980}"),
];
const EMOJI: &str = "emoji";

/// Draws each of the letters, and answers the pictures and whether they have any colour.
const DRAW: &str = "return arguments[0].map(letter => {
    const canvas = document.createElement('canvas');
    canvas.width = canvas.height = 64;
    const context = canvas.getContext('2d', { willReadFrequently: true });
    context.font = '48px sans-serif';
    context.fillText(letter, 4, 52);
    const pixels = context.getImageData(0, 0, 64, 64).data;
    const coloured = pixels.some((value, at) => at % 4 < 2 && value !== pixels[at + 1]);
    return { picture: canvas.toDataURL(), coloured };
});";

#[tokio::test]
async fn chrome_draws_the_letters_of_every_script_that_screenshots_show() -> Result<()> {
    let _turn = CHROME.lock().await;
    in_namespace("letters", async |space| {
        let mut pod = pod_of("letters", &json!([chrome()]));
        pod["spec"]["volumes"] = json!(chrome_volumes());
        space.create::<Pod>(pod).await?;
        space.ready("letters", PATIENCE).await?;
        let driver = Forward::open(space.api(), "letters", 4444).await?;
        let post = async |path: &str, body: Value| {
            let request = reqwest::Client::new().post(format!("http://{}/session{path}", driver.address()));
            let call = async { request.json(&body).send().await?.json::<Value>().await };
            let answer = within(CALL_WITHIN, "a call to the driver", call).await??;
            ensure!(answer["value"]["error"].is_null(), "{path}: {answer}");
            anyhow::Ok(answer["value"].clone())
        };
        let options = json!({ "args": ["--headless=new", "--no-sandbox", "--disable-gpu"] });
        let wanted = json!({ "alwaysMatch": { "goog:chromeOptions": options } });
        let session = post("", json!({ "capabilities": wanted })).await?;
        let session = session["sessionId"].as_str().context("no session")?;
        let letters = LETTERS.map(|(_, letter)| letter);
        let drawn =
            post(&format!("/{session}/execute/sync"), json!({ "script": DRAW, "args": [letters] })).await?;
        for (at, (name, _)) in LETTERS.into_iter().enumerate() {
            let same = |other: &usize| drawn[*other]["picture"] == drawn[at]["picture"];
            let like = (0..at).find(same).map(|other| LETTERS[other].0);
            ensure!(like.is_none(), "{name} looks like {like:?}: {}", drawn[at]["picture"]);
            ensure!(drawn[at]["coloured"] == (name == EMOJI), "{name}: {}", drawn[at]);
        }
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
