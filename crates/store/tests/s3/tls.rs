//! A store behind TLS, with an authority of its own.

use aws_sdk_s3::config::SharedHttpClient;
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode},
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use scrapefleet_store::{ArtifactStore as _, Put, s3};

use crate::{
    minio,
    sample::{assert_says, key, object, refused, unreachable},
};

/// What a server of TLS needs, as PEM.
pub(crate) struct Certificates {
    pub(crate) authority: String,
    pub(crate) server: String,
    pub(crate) key: String,
}

impl Certificates {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority_key = KeyPair::generate().unwrap();
        let authority = params.self_signed(&authority_key).unwrap().pem();
        let issuer = Issuer::new(params, authority_key);
        let key = KeyPair::generate().unwrap();
        let server = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let server = server.signed_by(&key, &issuer).unwrap().pem();
        Self { authority, server, key: key.serialize_pem() }
    }
}

/// A transport that trusts the authority only.
pub(crate) fn transport(builder: Builder, authority: &str) -> SharedHttpClient {
    let trust = TrustStore::empty().with_pem_certificate(authority.as_bytes());
    let context = TlsContext::builder().with_trust_store(trust).build().unwrap();
    builder.tls_provider(Provider::Rustls(CryptoMode::Ring)).tls_context(context).build_https()
}

#[tokio::test]
async fn a_store_with_an_authority_of_its_own_is_used() {
    let store = s3::connect(minio::tls().bucket().await).await.unwrap();
    let object = object(1, 100_000);
    let put = store.put_new(&key("a/b"), object.bytes.clone(), &object.metadata).await;
    assert_eq!(put.unwrap(), Put::Stored);
    assert!(store.get(&key("a/b")).await.unwrap().is_some_and(|found| found == object));
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_refused() {
    let server = minio::tls();
    let mut options = server.options("some-bucket");
    for ca in [Some(Certificates::new().authority.into_bytes()), None] {
        options.ca = ca;
        let text = refused(s3::connect(options.clone()).await);
        assert_says(&text, &[&server.endpoint, "some-bucket", "TLS: invalid peer certificate", "`ca.crt`"]);
    }
}

#[tokio::test]
async fn an_authority_that_cannot_be_read_is_refused() {
    let mut options = minio::tls().options("some-bucket");
    options.ca = Some(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_vec());
    let text = refused(s3::connect(options).await);
    assert_says(&text, &["`ca.crt`", "Secret"]);
}

#[tokio::test]
async fn http_where_https_is_spoken_and_the_other_way_round_is_told() {
    let mut options = minio::tls().options("some-bucket");
    options.endpoint = options.endpoint.map(|endpoint| endpoint.replace("https", "http"));
    let text = refused(s3::connect(options).await);
    assert_says(&text, &["HTTP 400", "`http` or `https`"]);

    let mut options = minio::plain().options("some-bucket");
    options.endpoint = options.endpoint.map(|endpoint| endpoint.replace("http", "https"));
    options.ca = Some(Certificates::new().authority.into_bytes());
    let text = refused(s3::connect(options).await);
    assert_says(&text, &["TLS", "does the store speak TLS"]);
}

#[tokio::test]
async fn another_region_is_told() {
    let mut options = minio::tls().bucket().await;
    options.region = Some("us-east-1".to_owned());
    let text = refused(s3::connect(options).await);
    assert_says(&text, &["AuthorizationHeaderMalformed", "eu-test-1", "`store.s3.region`"]);
}

#[tokio::test]
async fn an_endpoint_where_nobody_listens_is_unreachable() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for scheme in ["http", "https"] {
        let mut options = minio::tls().options("some-bucket");
        let endpoint = format!("{scheme}://127.0.0.1:{port}");
        options.endpoint = Some(endpoint.clone());
        let text = unreachable(s3::connect(options).await);
        assert_says(&text, &[&endpoint, "some-bucket", "Connection refused", "`store.s3.endpoint`"]);
    }
}
