//! A bucket that is named in the host of a request. No machine knows such a host by itself, so the client is this program again
//! where it does.

use std::{env, fs, process::Stdio};

use scrapefleet_api::store::Addressing;
use scrapefleet_store::{
    ArtifactStore as _, Put,
    s3::{self, Credentials, Keys, Options},
};

use crate::{
    between::{Between, Deed},
    minio,
    sample::{self, key, object},
};

/// The endpoint, the bucket and the keys, in the environment of a process that plays the client.
const PART: &str = "SCRAPEFLEET_S3_TEST_ADDRESSING";

/// Runs a program where the file that is its first argument says which hosts there are. Nobody else sees that.
const WITH_HOSTS: &str = r#"mount --bind "$1" /etc/hosts && shift && exec "$@""#;

/// Plays the client, if this process is to.
async fn play() -> bool {
    let Ok(part) = env::var(PART) else { return false };
    let words: Vec<&str> = part.split(' ').collect();
    let [endpoint, bucket, id, secret] = words[..] else { panic!("{} words", words.len()) };
    let options = Options {
        endpoint: Some(endpoint.to_owned()),
        addressing: Addressing::VirtualHost,
        credentials: Credentials::Keys(Keys::new(id, secret, None)),
        limits: sample::limits(),
        ..Options::bucket(bucket)
    };
    let store = s3::connect(options).await.unwrap();
    let object = object(1, 1_000);
    let put = store.put_new(&key("a/b"), object.bytes.clone(), &object.metadata).await;
    assert_eq!(put.unwrap(), Put::Stored);
    assert_eq!(store.get(&key("a/b")).await.unwrap(), Some(object));
    println!("the client is content");
    true
}

/// What the client says when `host` is the name of this machine.
async fn client(host: &str, part: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let hosts = folder.path().join("hosts");
    fs::write(&hosts, format!("127.0.0.1 localhost {host}\n")).unwrap();
    let user: &[&str] = if rustix::process::geteuid().is_root() { &[] } else { &["--map-root-user"] };
    let output = tokio::process::Command::new("unshare")
        .args(user)
        .args(["--mount", "--propagation", "private", "--", "sh", "-c", WITH_HOSTS, "sh"])
        .arg(&hosts)
        .arg(env::current_exe().unwrap())
        .args(["--exact", "addressing::a_bucket_in_the_host_is_used", "--nocapture"])
        .env(PART, part)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

#[tokio::test]
async fn a_bucket_in_the_host_is_used() {
    if play().await {
        return;
    }
    let (server, mut options) = (minio::plain(), minio::plain().bucket().await);
    let between = Between::of(&mut options, |_, _| Deed::Pass).await;
    let endpoint = between.endpoint.replace("127.0.0.1", "localhost");
    let host = format!("{}.localhost", options.bucket);
    let part = [&endpoint, &options.bucket, &server.user, &server.password].map(String::as_str).join(" ");
    let said = client(&host, &part).await;
    assert!(said.contains("the client is content"), "{said}");
    let asked = between.asked();
    // The look at the bucket, whether its puts are conditional, a put, a get.
    assert!(asked.len() >= 4, "{asked:?}");
    for request in asked {
        let named = request.headers["host"].to_str().unwrap();
        assert_eq!(named.split(':').next(), Some(host.as_str()));
        assert!(!request.uri.path().contains(&options.bucket), "{}", request.uri);
    }
}
