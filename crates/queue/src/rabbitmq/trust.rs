//! Whose certificates a broker may show, and what to do when it shows another's.

use std::{error::Error, io};

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};

/// What to do about a certificate that is not trusted.
const ADVICE: &str = "give the certificate of the broker's authority as `ca.crt` in the Secret, or correct the name in the \
                      broker's address";

/// The machine's authorities and those of `ca`; why not, when these cannot be read.
pub(super) fn authorities(ca: Option<&[u8]>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(pem) = ca {
        add(&mut roots, pem).map_err(|why| format!("`ca.crt` {why}: correct it in the Secret"))?;
    }
    Ok(roots)
}

/// The client of AMQP passes over what it cannot read: it has to be found out here.
fn add(roots: &mut RootCertStore, pem: &[u8]) -> Result<(), String> {
    let mut count = 0;
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| format!("is not PEM: {error}"))?;
        roots.add(certificate).map_err(|error| format!("holds what is not a certificate: {error}"))?;
        count += 1;
    }
    if count == 0 { Err("holds no certificate".to_owned()) } else { Ok(()) }
}

/// What to do, where the error is that a certificate is not trusted.
pub(super) fn advice(error: &(dyn Error + 'static)) -> Option<&'static str> {
    let tls: &rustls::Error = chain(error).find_map(<dyn Error>::downcast_ref)?;
    matches!(tls, rustls::Error::InvalidCertificate(_)).then_some(ADVICE)
}

/// The error, and those behind it from the outermost to the innermost. An `io::Error` hides what it holds from `source`.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| match error.downcast_ref::<io::Error>() {
        Some(io) => io.get_ref().map(|inner| inner as &(dyn Error + 'static)),
        None => error.source(),
    })
}

#[cfg(test)]
mod tests {
    use rustls::{CertificateError, Error::InvalidCertificate};

    use super::*;

    #[test]
    fn authorities_that_cannot_be_read_are_told_with_their_place() {
        let table = [
            ("", "holds no certificate"),
            ("not PEM at all", "holds no certificate"),
            ("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", "is not PEM"),
            (
                "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                "holds what is not a certificate",
            ),
        ];
        for (pem, expected) in table {
            let why = authorities(Some(pem.as_bytes())).unwrap_err();
            assert!(
                why.starts_with(&format!("`ca.crt` {expected}")) && why.contains("Secret"),
                "{pem:?}: {why}"
            );
        }
        assert!(authorities(None).is_ok());
    }

    #[test]
    fn a_certificate_that_is_not_trusted_is_found_however_deep() {
        let untrusted = InvalidCertificate(CertificateError::UnknownIssuer);
        let error = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, untrusted));
        assert!(advice(&error).unwrap().contains("`ca.crt`"));
        assert_eq!(advice(&io::Error::other(rustls::Error::HandshakeNotComplete)), None);
        assert_eq!(advice(&io::Error::other("something else")), None);
    }
}
