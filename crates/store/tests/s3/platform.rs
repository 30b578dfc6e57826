//! The platform's own credentials. They come from the environment, so each test is this program again in another one.

use std::{env, process::Stdio};

use scrapefleet_store::s3::{self, Credentials, Options};

use crate::{
    between::{Between, Deed},
    minio,
    sample::{self, assert_says, refused},
};

/// Names the bucket and the endpoint, in the environment of a process that plays the part.
const PART: &str = "SCRAPEFLEET_S3_TEST_PART";

/// Opens a bucket with the platform's credentials. `name` is that of the test that plays the part.
async fn open(options: &Options, name: &str, environment: &[(&str, &str)]) -> String {
    let part = format!("{} {}", options.bucket, options.endpoint.as_deref().unwrap());
    let output = tokio::process::Command::new(env::current_exe().unwrap())
        .args(["--exact", &format!("platform::{name}"), "--nocapture"])
        .env_clear()
        .envs(env::var_os("PATH").map(|path| ("PATH", path)))
        .env(PART, part)
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Plays the part, if this process is to.
async fn play() -> bool {
    let Ok(part) = env::var(PART) else { return false };
    let (bucket, endpoint) = part.split_once(' ').unwrap();
    let options = Options {
        endpoint: Some(endpoint.to_owned()),
        credentials: Credentials::Platform,
        limits: sample::limits(),
        ..Options::bucket(bucket)
    };
    match s3::connect(options).await {
        Ok(store) => println!("opened {store:?}"),
        refusal => println!("refused {}", refused(refusal)),
    }
    true
}

#[tokio::test]
async fn keys_of_the_environment_are_used() {
    if play().await {
        return;
    }
    let (server, options) = (minio::plain(), minio::plain().bucket().await);
    let keys = [("AWS_ACCESS_KEY_ID", server.user.as_str()), ("AWS_SECRET_ACCESS_KEY", &server.password)];
    let said = open(&options, "keys_of_the_environment_are_used", &keys).await;
    assert!(said.contains("opened S3Store"), "{said}");
}

#[tokio::test]
async fn the_identity_of_a_pod_is_used() {
    if play().await {
        return;
    }
    // As the agent of EKS Pod Identity answers it, and the container service before it.
    let (server, options) = (minio::plain(), minio::plain().bucket().await);
    let answer = format!(
        r#"{{"AccessKeyId": "{}", "SecretAccessKey": "{}", "Token": "", "Expiration": "2100-01-01T00:00:00Z"}}"#,
        server.user, server.password
    );
    // MinIO takes no token with keys of its own; an empty one is none.
    let mut agent = Options { endpoint: Some("http://127.0.0.1:1".to_owned()), ..Options::bucket("agent") };
    let answer: &'static str = answer.leak();
    let between = Between::of(&mut agent, move |_, _| Deed::Answer(200, answer)).await;
    let uri = format!("{}/v1/credentials", between.endpoint);
    let environment = [("AWS_CONTAINER_CREDENTIALS_FULL_URI", uri.as_str())];
    let said = open(&options, "the_identity_of_a_pod_is_used", &environment).await;
    assert!(said.contains("opened S3Store"), "{said}");
    assert!(!between.asked().is_empty());
}

#[tokio::test]
async fn a_web_identity_is_used() {
    const ROLE: &str = "arn:aws:iam::123456789012:role/scraper";
    if play().await {
        return;
    }
    // As STS answers it, to whoever has a token that the cluster signed for the pod's service account.
    let (server, options) = (minio::plain(), minio::plain().bucket().await);
    let answer = format!(
        "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>\
         <AccessKeyId>{}</AccessKeyId><SecretAccessKey>{}</SecretAccessKey><SessionToken></SessionToken>\
         <Expiration>2100-01-01T00:00:00Z</Expiration>\
         </Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>",
        server.user, server.password
    );
    // MinIO takes no token with keys of its own; an empty one is none.
    let mut sts = Options { endpoint: Some("http://127.0.0.1:1".to_owned()), ..Options::bucket("sts") };
    let answer: &'static str = answer.leak();
    let between = Between::of(&mut sts, move |_, _| Deed::Answer(200, answer)).await;
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "signed-by-the-cluster").unwrap();
    let environment = [
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_str().unwrap()),
        ("AWS_ROLE_ARN", ROLE),
        ("AWS_ENDPOINT_URL_STS", &between.endpoint),
    ];
    let said = open(&options, "a_web_identity_is_used", &environment).await;
    assert!(said.contains("opened S3Store"), "{said}");
    let asked = between.asked();
    let asked = String::from_utf8_lossy(&asked[0].body);
    let role = ROLE.replace(':', "%3A").replace('/', "%2F");
    for part in ["AssumeRoleWithWebIdentity", "WebIdentityToken=signed-by-the-cluster", &role] {
        assert!(asked.contains(part), "{part}: {asked}");
    }
}

#[tokio::test]
async fn a_platform_without_credentials_is_told() {
    if play().await {
        return;
    }
    let options = minio::plain().bucket().await;
    let environment = [("AWS_EC2_METADATA_DISABLED", "true")];
    let said = open(&options, "a_platform_without_credentials_is_told", &environment).await;
    let said = said.lines().find(|line| line.starts_with("refused")).unwrap_or_else(|| panic!("{said}"));
    assert_says(said, &["the platform gave no credentials", "`store.s3.secretName`", &options.bucket]);
}
