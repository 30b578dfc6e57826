//! The SDK's client: one TLS stack, no retries and no timeouts of its own.

use aws_config::{
    default_provider::credentials::DefaultCredentialsChain, environment::EnvironmentVariableRegionProvider,
    meta::region::ProvideRegion as _, provider_config::ProviderConfig,
};
use aws_sdk_s3::{
    Client, Config,
    config::{
        BehaviorVersion, Credentials as SdkCredentials, ProvideCredentials, Region,
        RequestChecksumCalculation, ResponseChecksumValidation, SharedCredentialsProvider, SharedHttpClient,
        StalledStreamProtectionConfig, retry::RetryConfig, timeout::TimeoutConfig,
    },
};
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode},
};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use scrapefleet_api::store::{Addressing, Checksums};
use url::Url;

use super::options::{Credentials, Options};
use crate::StoreError;

/// The region where the platform has none, as the manifest's documentation says.
const DEFAULT_REGION: &str = "us-east-1";

/// The client, and the platform's chain of credentials where it is used.
pub(super) struct Built {
    pub(super) client: Client,
    pub(super) platform: Option<SharedCredentialsProvider>,
}

/// Builds the client that `options` describe; sends nothing.
pub(super) async fn build(options: &Options, endpoint: Option<&Url>) -> Result<Built, StoreError> {
    let region = region(options).await;
    let (credentials, platform) = match &options.credentials {
        Credentials::Keys(keys) => {
            let keys = SdkCredentials::new(
                &keys.access_key_id,
                &keys.secret_access_key,
                keys.session_token.clone(),
                None,
                "manifest",
            );
            (SharedCredentialsProvider::new(keys), None)
        }
        Credentials::Platform => {
            let chain = platform(region.clone()).await;
            (chain.clone(), Some(chain))
        }
    };
    let by_path = match options.addressing {
        Addressing::Auto => endpoint.is_some(),
        Addressing::Path => true,
        Addressing::VirtualHost => false,
    };
    let (calculation, validation) = checksums(options.checksums);
    let mut config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(transport(options, endpoint)?)
        .region(region)
        .credentials_provider(credentials)
        .force_path_style(by_path)
        .request_checksum_calculation(calculation)
        .response_checksum_validation(validation)
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    if let Some(endpoint) = endpoint {
        config = config.endpoint_url(endpoint.as_str());
    }
    Ok(Built { client: Client::from_conf(config.build()), platform })
}

async fn region(options: &Options) -> Region {
    match &options.region {
        Some(region) => Region::new(region.clone()),
        None => EnvironmentVariableRegionProvider::new()
            .region()
            .await
            .unwrap_or_else(|| Region::from_static(DEFAULT_REGION)),
    }
}

async fn platform(region: Region) -> SharedCredentialsProvider {
    let config = ProviderConfig::without_region()
        .with_http_client(https(machines_authorities()))
        .with_region(Some(region.clone()));
    let chain = DefaultCredentialsChain::builder().configure(config).region(region).build().await;
    SharedCredentialsProvider::new(chain)
}

/// Asks the platform for credentials, and says why when there are none.
pub(super) async fn try_platform(
    platform: &SharedCredentialsProvider,
) -> Result<(), aws_credential_types::provider::error::CredentialsError> {
    platform.provide_credentials().await.map(drop)
}

fn checksums(checksums: Checksums) -> (RequestChecksumCalculation, ResponseChecksumValidation) {
    match checksums {
        Checksums::WhenSupported => {
            (RequestChecksumCalculation::WhenSupported, ResponseChecksumValidation::WhenSupported)
        }
        Checksums::WhenRequired => {
            (RequestChecksumCalculation::WhenRequired, ResponseChecksumValidation::WhenRequired)
        }
    }
}

/// Plain HTTP needs no authorities, and a machine may have none.
fn transport(options: &Options, endpoint: Option<&Url>) -> Result<SharedHttpClient, StoreError> {
    if endpoint.is_some_and(|endpoint| endpoint.scheme() == "http") {
        return Ok(Builder::new().build_http());
    }
    Ok(https(match &options.ca {
        Some(pem) => {
            check_authorities(pem)
                .map_err(|why| StoreError::Refused(format!("`ca.crt` {why}: correct it in the Secret")))?;
            TrustStore::empty().with_pem_certificate(pem.clone())
        }
        None => machines_authorities(),
    }))
}

fn https(authorities: TrustStore) -> SharedHttpClient {
    #[expect(clippy::expect_used)]
    // cannot fail: in this version the builder of the context has nothing to check.
    let context =
        TlsContext::builder().with_trust_store(authorities).build().expect("a context of authorities");
    Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).tls_context(context).build_https()
}

/// Those of the operating system (or of `SSL_CERT_FILE`). The transport takes it ill when it is told to use them and
/// there are none; without any, the handshake says that the certificate's issuer is not known.
fn machines_authorities() -> TrustStore {
    TrustStore::empty().with_native_roots(!rustls_native_certs::load_native_certs().certs.is_empty())
}

/// Reads the authorities as the transport will, which panics where it cannot.
fn check_authorities(pem: &[u8]) -> Result<(), String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| format!("is not PEM: {error}"))?;
        roots.add(certificate).map_err(|error| format!("holds what is not a certificate: {error}"))?;
    }
    if roots.is_empty() { Err("holds no certificate".to_owned()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_that_cannot_be_read_are_told_and_do_not_panic() {
        let table = [
            ("", "holds no certificate"),
            ("not PEM at all", "holds no certificate"),
            ("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", "is not PEM"),
            (
                "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                "holds what is not a certificate",
            ),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n", "is not PEM"),
        ];
        for (pem, expected) in table {
            let why = check_authorities(pem.as_bytes()).unwrap_err();
            assert!(why.starts_with(expected), "{pem:?}: {why}");
        }
    }
}
