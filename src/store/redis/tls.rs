//! Whose certificates a Redis server may show: the ones of the authorities in `ca_file` alone, or else the
//! system's, or else the ones built in when the system has none (an image made `FROM scratch`).

use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;
use thiserror::Error;

/// Why there can be no TLS.
#[derive(Debug, Error)]
pub enum TlsError {
    /// `ca_file` holds no certificate.
    #[error("session.redis.ca_file holds no certificate in PEM")]
    NoAuthority,
    /// A certificate in `ca_file` is none.
    #[error("session.redis.ca_file holds a certificate that cannot be read")]
    Authority,
    /// The library refuses the settings.
    #[error("TLS cannot be set up: {0}")]
    Rustls(#[from] rustls::Error),
}

/// TLS 1.2 and 1.3, keys and ciphers by aws-lc-rs, certificates by these authorities or the system's.
pub(super) fn client_config(authorities: Option<&[u8]>) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions()?;
    if let Some(pem) = authorities {
        return Ok(builder.with_root_certificates(roots_of(pem)?).with_no_client_auth());
    }
    match Verifier::new(provider) {
        Ok(system) => {
            let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(system));
            Ok(builder.with_no_client_auth())
        }
        Err(error) => {
            tracing::warn!(
                reason = %error,
                "the system has no certificate authorities: Redis is verified against the built-in ones"
            );
            let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
            Ok(builder.with_root_certificates(roots).with_no_client_auth())
        }
    }
}

fn roots_of(pem: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|_| TlsError::Authority)?;
        roots.add(certificate).map_err(|_| TlsError::Authority)?;
    }
    if roots.is_empty() { Err(TlsError::NoAuthority) } else { Ok(roots) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_certificates_is_no_authority() {
        assert!(matches!(client_config(Some(b"")), Err(TlsError::NoAuthority)));
        let broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(client_config(Some(broken)), Err(TlsError::Authority)));
    }
}
