//! Opening a bucket: what is wrong with it is found out now, and said.

use std::sync::Arc;

use scrapefleet_policy::within;
use tokio::sync::OnceCell;
use url::Url;

use super::{
    S3Store,
    bucket::{Bucket, Patience},
    client,
    fault::Fault,
    options::{Access, Credentials, Options},
    probe,
    saying::Secrets,
};
use crate::StoreError;

/// Where requests go when no endpoint is given, for errors.
const AWS: &str = "AWS";

/// Opens the bucket: asks whether it is there and may be listed, and, unless it is opened for reading only, whether
/// its puts are conditional.
///
/// What a person must change is [`Refused`](StoreError::Refused) and says what: the bucket is missing, the keys are
/// wrong or not allowed to do this, the region is another one, the store's certificate is not trusted, the store has
/// no conditional puts. [`Unreachable`](StoreError::Unreachable) is answered within [`Limits::connect`](super::Limits)
/// where nobody listens.
pub async fn connect(options: Options) -> Result<S3Store, StoreError> {
    check(&options).map_err(StoreError::Refused)?;
    let endpoint = options.endpoint.as_deref().map(parse).transpose().map_err(StoreError::Refused)?;
    let built = client::build(&options, endpoint.as_ref()).await?;
    let bucket = Bucket {
        client: built.client,
        name: options.bucket,
        endpoint: endpoint.as_ref().map_or_else(|| AWS.to_owned(), shown),
        access: options.access,
        limits: options.limits,
        secrets: secrets(&options.credentials),
        completes_conditionally: OnceCell::new(),
    };
    if let Some(platform) = built.platform {
        let asked = within(bucket.limits.connect, "credentials", client::try_platform(&platform)).await;
        let fault = match asked {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(Fault::of_credentials(&error, &bucket.secrets)),
            Err(late) => Some(Fault::late(late.limit).of_platform()),
        };
        fault.map_or(Ok(()), |fault| Err(fault.into_error("open the bucket", &bucket.place())))?;
    }
    look(&bucket).await?;
    if bucket.access == Access::ReadAndWrite {
        probe::require_conditional_puts(&bucket).await?;
    }
    Ok(S3Store { bucket: Arc::new(bucket) })
}

/// Lists one key: unlike a HEAD of the bucket, the answer to a list says in words what is wrong.
async fn look(bucket: &Bucket) -> Result<(), StoreError> {
    let patience = Patience { attempt: bucket.limits.connect.div_f64(2.0), overall: bucket.limits.connect };
    let looked = bucket
        .send("look at the bucket", patience, || {
            bucket.client.list_objects_v2().bucket(&bucket.name).max_keys(1).send()
        })
        .await;
    match looked {
        Ok(_) => Ok(()),
        Err(fault) => Err(fault.into_error("look at the bucket", &bucket.place())),
    }
}

/// What is wrong, as far as can be seen without asking anybody.
fn check(options: &Options) -> Result<(), String> {
    let name = &options.bucket;
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-');
    if !(3..=63).contains(&name.len()) || !name.bytes().all(plain) {
        let shown: String = name.chars().take(80).collect();
        return Err(format!(
            "`{}` cannot be a bucket, whose name is 3 to 63 of a-z 0-9 . -: correct `store.s3.bucket`",
            shown.escape_debug()
        ));
    }
    match &options.credentials {
        Credentials::Keys(keys) => keys.fault().map_or(Ok(()), Err),
        Credentials::Platform => Ok(()),
    }
}

/// Reads the endpoint; what is wrong with it is told without the text itself, which may hold a password.
fn parse(endpoint: &str) -> Result<Url, String> {
    const ALLOWED: &str = "correct `store.s3.endpoint`, such as `http://minio:9000`";
    let url =
        Url::parse(endpoint).map_err(|error| format!("the endpoint is not a URL ({error}): {ALLOWED}"))?;
    let wrong = if !matches!(url.scheme(), "http" | "https") {
        "is neither `http` nor `https`"
    } else if !url.has_host() {
        "names no host"
    } else if !url.username().is_empty() || url.password().is_some() {
        "holds a name or a password, which belong into the Secret"
    } else if url.query().is_some() || url.fragment().is_some() {
        "has a query or a fragment"
    } else {
        return Ok(url);
    };
    Err(format!("the endpoint {wrong}: {ALLOWED}"))
}

fn shown(endpoint: &Url) -> String {
    endpoint.as_str().trim_end_matches('/').to_owned()
}

fn secrets(credentials: &Credentials) -> Secrets {
    match credentials {
        Credentials::Keys(keys) => Secrets::new(
            [keys.access_key_id.clone(), keys.secret_access_key.clone()]
                .into_iter()
                .chain(keys.session_token.clone()),
        ),
        Credentials::Platform => Secrets::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_read_or_refused_without_being_repeated() {
        assert_eq!(shown(&parse("http://minio:9000/").unwrap()), "http://minio:9000");
        let table = [
            ("minio:9000", "is neither"),
            ("ftp://minio", "is neither"),
            ("not a url", "is not a URL"),
            ("http://", "is not a URL"),
            ("https://user:hunter2@minio", "holds a name or a password"),
            ("https://minio/?token=hunter2", "has a query"),
        ];
        for (endpoint, expected) in table {
            let why = parse(endpoint).unwrap_err();
            assert!(why.contains(expected) && why.contains("store.s3.endpoint"), "{endpoint}: {why}");
            assert!(!why.contains("hunter2"), "{why}");
        }
    }

    #[test]
    fn a_name_that_no_bucket_has_is_refused() {
        for name in ["", "ab", "Logs", "a/b", "../x", "arn:aws:s3:::x", "a\nb.c", &"x".repeat(64)] {
            let why = check(&Options::bucket(name)).unwrap_err();
            assert!(why.contains("store.s3.bucket") && !why.contains('\n'), "{why}");
        }
        assert_eq!(check(&Options::bucket("battle-logs.2026")), Ok(()));
    }
}
