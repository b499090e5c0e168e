//! Whose certificates WorkOS' server may show: the system's roots, or the ones built in when the system has
//! none (an image made `FROM scratch`).

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;
use url::Url;

/// The TLS settings for calls to `base`: HTTP/2 preferred, TLS 1.2 and 1.3, keys and ciphers by aws-lc-rs.
/// For a plain `http` base no roots are loaded, since nothing will be reached by TLS.
pub(super) fn client_config(base: &Url) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    if base.scheme() == "http" {
        return config_with_roots(provider, RootCertStore::empty());
    }
    let system = Verifier::new(Arc::clone(&provider));
    config_with_system(provider, system)
}

fn config_with_system(
    provider: Arc<CryptoProvider>,
    system: Result<Verifier, rustls::Error>,
) -> Result<ClientConfig, rustls::Error> {
    match system {
        Ok(verifier) => {
            let builder =
                ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
            let verified = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
            Ok(with_protocols(verified.with_no_client_auth()))
        }
        Err(error) => {
            tracing::warn!(
                reason = %error,
                "the system has no certificate authorities: WorkOS is verified against the built-in ones"
            );
            config_with_roots(provider, RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() })
        }
    }
}

fn config_with_roots(
    provider: Arc<CryptoProvider>,
    roots: RootCertStore,
) -> Result<ClientConfig, rustls::Error> {
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(with_protocols(builder.with_root_certificates(roots).with_no_client_auth()))
}

fn with_protocols(mut config: ClientConfig) -> ClientConfig {
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_system_without_certificate_authorities_falls_back_to_the_built_in_ones() {
        let nothing = rustls::Error::General("No CA certificates were loaded from the system".into());
        let config = config_with_system(Arc::new(aws_lc_rs::default_provider()), Err(nothing)).unwrap();
        assert_eq!(config.alpn_protocols, [b"h2".to_vec(), b"http/1.1".to_vec()]);
    }

    #[test]
    fn https_and_http_bases_both_get_a_configuration() {
        for base in ["https://api.workos.com", "http://127.0.0.1:4100"] {
            let config = client_config(&Url::parse(base).unwrap()).unwrap();
            assert_eq!(config.alpn_protocols.len(), 2, "{base}");
        }
    }
}
