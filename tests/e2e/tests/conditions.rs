//! What is wrong outside a fleet is told in its conditions, by name and soon, and mends itself when the cause is mended.
#![allow(clippy::large_futures, reason = "a fleet's object is large; a test holds a few")]

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::{
    core::v1::{Pod, Secret, Service},
    discovery::v1::EndpointSlice,
};
use kube::api::{Patch, PatchParams};
use scrapefleet_e2e::{Backing, Fleet, Space, image, in_namespace, operator};
use serde_json::{Value, json};
use tokio::sync::RwLock;

/// How soon a person is told.
const TOLD_WITHIN: Duration = Duration::from_secs(10);
/// How soon a person is told of what a watcher sees. Ten seconds are wanted, and 8 to 9 were measured on two cores; a machine
/// that is as slow again is not to fail this test.
const TOLD_BY_A_WATCHER_WITHIN: Duration = Duration::from_secs(20);
/// How soon after the cause is mended.
const MENDED_WITHIN: Duration = Duration::from_mins(2);

/// A place to scrape: pages that never change, from a server of a line.
async fn pages(space: &Space) -> Result<String> {
    let script = "mkdir -p /tmp/site && cd /tmp/site && echo '<ul><li><a class=item href=item.html>one</a></li></ul>' > \
                  index.html && echo '<p class=done>done</p>' > item.html && exec perl -MIO::Socket::INET -e 'ITSELF'";
    let serve = r#"$s = IO::Socket::INET->new(LocalPort => 8000, Listen => 64, ReuseAddr => 1) or die;
        $SIG{CHLD} = "IGNORE";
        while ($c = $s->accept) {
            if (fork) { close $c; next }
            $line = <$c>; 1 while ($h = <$c>) =~ /\S/;
            ($f) = $line =~ m{^GET /([a-z.]*)}; $f ||= "index.html";
            if (open F, "<", $f) { local $/; $b = <F>; print $c "HTTP/1.1 200 OK\r\n" } else { $b = ""; print $c "HTTP/1.1 404 No\r\n" }
            print $c "Content-Type: text/html\r\nConnection: close\r\nContent-Length: ".length($b)."\r\n\r\n$b"; exit }"#;
    let script = script.replace("ITSELF", &serve.replace('\n', " "));
    let container = json!({
        "name": "pages", "image": image("valkey"), "imagePullPolicy": "IfNotPresent",
        "command": ["/bin/bash", "-euc", script],
        "readinessProbe": { "tcpSocket": { "port": 8000 }, "periodSeconds": 1 },
    });
    space.create::<Pod>(scrapefleet_e2e::pod_of("pages", &json!([container]))).await?;
    let pod = space.ready("pages", Duration::from_mins(1)).await?;
    let address = pod.status.and_then(|status| status.pod_ip).unwrap_or_default();
    Ok(format!("http://{address}:8000"))
}

/// A fleet that scrapes those pages; `selector` finds the items of the list.
fn spec(name: &str, url: &str, selector: &str, backing: &Backing) -> Value {
    let (queue, mut store) = backing.places();
    // Fleets that share a bucket have keys of their own.
    store["key"] = json!(format!("{name}/{{id}}.html"));
    json!({
        "site": { "url": url, "recipe": {
            "mode": "tab",
            "list": {
                "url": "/index.html", "item": selector, "attribute": "href", "idPattern": "^(?<id>[a-z]+)[.]html$",
                "refresh": { "reload": true },
                "emptyWhen": { "selector": "p.none" },
            },
            "item": {
                "url": "/{id}.html", "root": "p", "doneWhen": { "selector": ".done" }, "take": [{ "html": "p" }],
            },
        } },
        "politeness": { "connectionsPerMinute": 600 },
        "watcher": { "standby": false },
        "queue": queue,
        "store": store,
    })
}

/// Held alone where it is measured how soon something is told, for starting Chromes takes all there is of two cores.
static QUIET: RwLock<()> = RwLock::const_new(());

/// A broker's name in a test's namespace, which leads nowhere until it is told where.
const BROKER: &str = "broker";

/// Makes that name.
async fn name_of_a_broker(space: &Space) -> Result<()> {
    let service = json!({ "metadata": { "name": BROKER }, "spec": { "ports": ports() } });
    space.create::<Service>(service).await?;
    Ok(())
}

/// Has the name lead to the platform's broker.
async fn lead_to_the_broker(space: &Space) -> Result<()> {
    let platform = space.elsewhere("platform");
    let pod = platform.pod_of_app("rabbitmq", MENDED_WITHIN).await?;
    let pod = platform.api::<Pod>().get(&pod).await?;
    let address = pod.status.and_then(|status| status.pod_ip).context("the broker has no address")?;
    let slice = json!({
        "metadata": { "name": BROKER, "labels": { "kubernetes.io/service-name": BROKER } },
        "addressType": "IPv4",
        "endpoints": [{ "addresses": [address] }],
        "ports": ports(),
    });
    space.create::<EndpointSlice>(slice).await?;
    Ok(())
}

fn ports() -> Value {
    json!([{ "name": "amqp", "port": 5672 }, { "name": "management", "port": 15672 }])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_secret_is_named_and_mended() -> Result<()> {
    let _beside_others = QUIET.read().await;
    in_namespace("secret", async |space| {
        operator::install().await?;
        let (url, backing) = tokio::try_join!(pages(&space), Backing::make(&space))?;
        let mut spec = spec("secret", &url, "a.item", &backing);
        spec["queue"]["rabbitmq"]["secretName"] = json!("forgotten");
        let fleet = Fleet::apply(&space, "secret", &spec).await?;
        let message = fleet.condition("QueueReachable", "SecretMissing", TOLD_WITHIN).await?;
        ensure!(message.contains("forgotten"), "{message}");
        ensure!(fleet.pods("bot").await?.is_empty(), "a bot without credentials was made");
        let right = space.api::<Secret>().get("broker").await?;
        let secret = json!({ "metadata": { "name": "forgotten" }, "data": right.data });
        space.create::<Secret>(secret).await?;
        fleet.condition("Ready", "AsWanted", MENDED_WITHIN).await?;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_and_a_broker_that_is_away_are_named_and_mended() -> Result<()> {
    let _beside_others = QUIET.read().await;
    in_namespace("broker", async |space| {
        operator::install().await?;
        let (url, backing) = tokio::try_join!(pages(&space), Backing::make(&space))?;
        let mut wrong = spec("denied", &url, "a.item", &backing);
        wrong["queue"]["rabbitmq"]["secretName"] = json!("wrong");
        let secret = |password: &str| {
            json!({ "metadata": { "name": "wrong" },
            "stringData": { "username": "guest", "password": password } })
        };
        space.create::<Secret>(secret("not-the-password")).await?;
        let denied = Fleet::apply(&space, "denied", &wrong).await?;
        name_of_a_broker(&space).await?;
        let nowhere = format!("{BROKER}.{}.svc.cluster.local", space.namespace);
        let mut away = spec("lonely", &url, "a.item", &backing);
        away["queue"]["rabbitmq"]["url"] = json!(format!("amqp://{nowhere}:5672"));
        away["queue"]["rabbitmq"]["managementUrl"] = json!(format!("http://{nowhere}:15672"));
        let lonely = Fleet::apply(&space, "lonely", &away).await?;
        let applied = Instant::now();
        for (fleet, named) in [(&denied, "guest"), (&lonely, nowhere.as_str())] {
            let message = fleet.condition("QueueReachable", "Unreachable", TOLD_WITHIN).await?;
            println!("{}: told after {:.1} s: {message}", fleet.name, applied.elapsed().as_secs_f64());
            ensure!(message.contains(named) && !message.contains("not-the-password"), "{message}");
        }
        let secrets = space.api::<Secret>();
        secrets.patch("wrong", &PatchParams::default(), &Patch::Merge(secret("guest"))).await?;
        lead_to_the_broker(&space).await?;
        for fleet in [&denied, &lonely] {
            fleet.condition("QueueReachable", "Reachable", MENDED_WITHIN).await?;
            fleet.condition("Ready", "AsWanted", MENDED_WITHIN).await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_bucket_is_named_and_mended() -> Result<()> {
    let beside_others = QUIET.read().await;
    in_namespace("store", async |space| {
        operator::install().await?;
        let (url, backing) = tokio::try_join!(pages(&space), Backing::make(&space))?;
        let bucket = format!("{}-later", space.namespace);
        let mut missing = spec("homeless", &url, "a.item", &backing);
        missing["store"]["s3"]["bucket"] = json!(bucket);

        drop(beside_others);
        let alone = QUIET.write().await;
        let homeless = Fleet::apply(&space, "homeless", &missing).await?;
        let applied = Instant::now();
        let message = homeless.condition("StoreReachable", "Unreachable", TOLD_WITHIN).await?;
        println!("told after {:.1} s: {message}", applied.elapsed().as_secs_f64());
        ensure!(message.contains(&bucket), "{message}");

        let _beside_others = alone.downgrade();
        backing.make_bucket(&bucket).await?;
        homeless.stores(1, MENDED_WITHIN).await?;
        homeless.condition("StoreReachable", "Reachable", MENDED_WITHIN).await?;
        homeless.condition("Ready", "AsWanted", MENDED_WITHIN).await?;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_selector_that_finds_nothing_is_named_and_mended() -> Result<()> {
    const WRONG: &str = "a.nothing-has-this-class";
    let _alone = QUIET.write().await;
    in_namespace("selector", async |space| {
        operator::install().await?;
        let (url, backing) = tokio::try_join!(pages(&space), Backing::make(&space))?;
        let told = async |fleet: &Fleet, what: &str| -> Result<String> {
            let changed = Instant::now();
            let message =
                fleet.condition("SiteAvailable", "ListUnreadable", TOLD_BY_A_WATCHER_WITHIN).await?;
            println!("{what}: told after {:.1} s: {message}", changed.elapsed().as_secs_f64());
            for named in [WRONG, "`spec.site.recipe.list.item`", &format!("{url}/index.html")] {
                ensure!(message.contains(named), "{named}: {message}");
            }
            Ok(message)
        };
        let selector = |item: &str| json!({ "spec": { "site": { "recipe": { "list": { "item": item } } } } });

        let blind = Fleet::apply(&space, "blind", &spec("blind", &url, WRONG, &backing)).await?;
        told(&blind, "a new fleet").await?;
        blind.patch(&selector("a.item")).await?;
        // Not what the status counts: the bot that stores it may be exchanged for the change before it is asked.
        let stored = async || Ok((!backing.artifacts().await?.is_empty()).then_some(()));
        space.until("the item is in the bucket", MENDED_WITHIN, stored).await?;
        blind.condition("Ready", "AsWanted", MENDED_WITHIN).await?;
        blind.condition("SiteAvailable", "Available", MENDED_WITHIN).await?;

        // A fleet that works goes on with the watcher it has until another can take its place.
        let before = blind.pod_names("watcher").await?;
        blind.patch(&selector(WRONG)).await?;
        let message = told(&blind, "a fleet that worked").await?;
        ensure!(message.contains("the manifest before goes on"), "{message}");
        let meanwhile = blind.pod_names("watcher").await?;
        ensure!(before.iter().all(|name| meanwhile.contains(name)), "{before:?} became {meanwhile:?}");
        blind.patch(&selector("a.item")).await?;
        blind.condition("SiteAvailable", "Available", MENDED_WITHIN).await?;
        blind.condition("Ready", "AsWanted", MENDED_WITHIN).await?;
        Ok(())
    })
    .await
}
