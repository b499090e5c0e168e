//! One request to WorkOS and its whole answer, with a bound on everything: time, size, redirects, idle
//! connections. What an answer means is left to `classify` and `tokens`.

use std::error::Error;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, RequestBuilder};
use rustls::ClientConfig;
use url::Url;

use crate::auth::secret::Secret;
use crate::auth::time::Span;
use crate::clock::Clock;
use crate::workos::BuildError;
use crate::workos::error::{Outage, RequestId};
use crate::workos::retry_after;
use crate::workos::tls;

/// Under which name we call; WorkOS' SDKs do the same with theirs.
const USER_AGENT: &str = concat!("vestibule/", env!("CARGO_PKG_VERSION"));
/// Larger answers are not read: the largest that WorkOS gives are a few kilobytes.
pub(super) const MAX_ANSWER_BYTES: usize = 1024 * 1024;
/// A connection that takes longer is not made. Shorter than any request may take, so that "nothing was sent"
/// can be told from "the reply was lost".
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Idle connections are closed before the load balancers on the way forget them.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(50);
/// Idle connections that are kept; HTTP/2 needs one, HTTP/1.1 as many as refreshes run at once.
const POOL_MAX_IDLE: usize = 8;
/// A pooled HTTP/2 connection that does not answer a ping within these two spans is dropped.
const PING_INTERVAL: Duration = Duration::from_secs(15);
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// Which connection a request may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Connection {
    /// One that is open already, if there is any.
    Any,
    /// A new one: what a replay needs, since the one before may be dead.
    Fresh,
}

/// A request.
#[derive(Debug, Clone)]
pub(super) enum Call<'a> {
    /// Read a public resource.
    Get { url: &'a Url },
    /// Read under the API key.
    GetAs { url: &'a Url, api_key: &'a Secret<String> },
    /// Send JSON that carries its own credentials.
    Post { url: &'a Url, json: Bytes },
    /// Send a form that carries its own credentials.
    PostForm { url: &'a Url, form: &'a Secret<String> },
    /// Send JSON under the API key.
    PostAs { url: &'a Url, json: Bytes, api_key: &'a Secret<String> },
    /// Any method under the API key, with JSON where there is any.
    As {
        method: Method,
        url: &'a Url,
        json: Option<Bytes>,
        api_key: &'a Secret<String>,
        idempotency_key: Option<&'a str>,
    },
}

/// A whole answer, whatever its status.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) retry_after: Option<Span>,
    pub(super) request_id: RequestId,
    pub(super) body: Vec<u8>,
}

impl Reply {
    /// Is it a 2xx?
    pub(super) const fn is_success(&self) -> bool {
        matches!(self.status, 200..=299)
    }
}

/// The transport. Used on the control runtime only: its connections live on the runtime that opened them.
pub(super) struct Http {
    pooled: Client,
    unpooled: Client,
    clock: Clock,
}

impl Http {
    /// A transport for calls to `base`.
    pub(super) fn new(base: &Url, allow_http: bool, clock: Clock) -> Result<Self, BuildError> {
        let plain = plain_http(base, allow_http)?;
        let tls = tls::client_config(base).map_err(BuildError::Tls)?;
        let pooled = client(tls.clone(), &plain)
            .pool_max_idle_per_host(POOL_MAX_IDLE)
            .pool_idle_timeout(POOL_IDLE_TIMEOUT)
            .http2_keep_alive_interval(PING_INTERVAL)
            .http2_keep_alive_timeout(PING_TIMEOUT)
            .http2_keep_alive_while_idle(true);
        let unpooled = client(tls, &plain).pool_max_idle_per_host(0);
        Ok(Self {
            pooled: pooled.build().map_err(|_| BuildError::Client)?,
            unpooled: unpooled.build().map_err(|_| BuildError::Client)?,
            clock,
        })
    }

    /// Sends one request and reads the whole answer, within `timeout` altogether.
    pub(super) async fn send(
        &self,
        call: Call<'_>,
        connection: Connection,
        timeout: Span,
        max_bytes: usize,
    ) -> Result<Reply, Outage> {
        let client = match connection {
            Connection::Any => &self.pooled,
            Connection::Fresh => &self.unpooled,
        };
        let exchange = self.exchange(request(client, call), max_bytes);
        self.clock.within(timeout, exchange).await.unwrap_or(Err(Outage::Timeout))
    }

    async fn exchange(&self, request: RequestBuilder, max_bytes: usize) -> Result<Reply, Outage> {
        let mut response = request.send().await.map_err(|error| outage(&error))?;
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let retry_after = header(RETRY_AFTER.as_str());
        let retry_after = retry_after.and_then(|value| retry_after::parse(value, self.clock.now()));
        let request_id = RequestId::from_header(header("x-request-id"));
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|_| Outage::Broken)? {
            if body.len().saturating_add(chunk.len()) > max_bytes {
                return Err(Outage::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Reply { status: response.status().as_u16(), retry_after, request_id, body })
    }
}

/// How a base may be reached.
enum Reach {
    /// By TLS, and through the proxy that the environment names, if any.
    Tls,
    /// In plain text, on this machine.
    Loopback,
    /// In plain text, because the operator said so.
    PlainText,
}

fn plain_http(base: &Url, allow_http: bool) -> Result<Reach, BuildError> {
    match base.scheme() {
        "https" => Ok(Reach::Tls),
        "http" if is_loopback(base) => Ok(Reach::Loopback),
        "http" if allow_http => Ok(Reach::PlainText),
        "http" => Err(BuildError::PlainHttp),
        _ => Err(BuildError::Scheme),
    }
}

fn is_loopback(base: &Url) -> bool {
    match base.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}

fn client(tls: ClientConfig, reach: &Reach) -> ClientBuilder {
    let builder = Client::builder()
        .tls_backend_preconfigured(tls)
        .user_agent(USER_AGENT)
        .redirect(Policy::none())
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT);
    match reach {
        Reach::Tls => builder.https_only(true),
        Reach::Loopback => builder.no_proxy(),
        Reach::PlainText => builder,
    }
}

fn request(client: &Client, call: Call<'_>) -> RequestBuilder {
    const JSON: &str = "application/json";
    const FORM: &str = "application/x-www-form-urlencoded";
    match call {
        Call::Get { url } => client.get(url.clone()).header(ACCEPT, JSON),
        Call::GetAs { url, api_key } => {
            client.get(url.clone()).header(ACCEPT, JSON).bearer_auth(api_key.expose())
        }
        Call::Post { url, json } => {
            client.post(url.clone()).header(ACCEPT, JSON).header(CONTENT_TYPE, JSON).body(json)
        }
        Call::PostForm { url, form } => {
            let post = client.post(url.clone()).header(ACCEPT, JSON).header(CONTENT_TYPE, FORM);
            post.body(form.expose().clone())
        }
        Call::PostAs { url, json, api_key } => {
            let post = client.post(url.clone()).header(ACCEPT, JSON).header(CONTENT_TYPE, JSON);
            post.bearer_auth(api_key.expose()).body(json)
        }
        Call::As { method, url, json, api_key, idempotency_key } => {
            let mut request = client.request(method, url.clone()).header(ACCEPT, JSON);
            request = request.bearer_auth(api_key.expose());
            if let Some(key) = idempotency_key {
                request = request.header("idempotency-key", key);
            }
            match json {
                Some(json) => request.header(CONTENT_TYPE, JSON).body(json),
                None => request,
            }
        }
    }
}

/// The library's error text names the address and quotes causes, so only its kind is kept.
fn outage(error: &reqwest::Error) -> Outage {
    if error.is_dns() {
        Outage::Name
    } else if is_about_certificate(error) {
        Outage::Certificate
    } else if error.is_connect() || error.is_builder() {
        Outage::Connect
    } else {
        Outage::Broken
    }
}

fn is_about_certificate(error: &(dyn Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| cause(*error)).any(|error| {
        matches!(error.downcast_ref::<rustls::Error>(), Some(rustls::Error::InvalidCertificate(_)))
    })
}

/// An I/O error names its cause's cause as its own, so the cause is taken out of it.
fn cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    wrapped.map(|wrapped| wrapped as &(dyn Error + 'static)).or_else(|| error.source())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::io::Read as _;
    use std::net::TcpListener;
    use std::sync::Arc;

    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
    use rustls::ServerConfig;
    use rustls::crypto::aws_lc_rs as provider;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
    use rustls::server::{ClientHello, ResolvesServerCert};
    use rustls::sign::CertifiedKey;

    use super::*;
    use crate::workos::test_peer::NOW;

    #[derive(Debug)]
    struct Stranger(Arc<CertifiedKey>);

    impl ResolvesServerCert for Stranger {
        fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
            Some(Arc::clone(&self.0))
        }
    }

    fn stranger() -> ServerConfig {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let der = PrivatePkcs8KeyDer::from(key.to_pkcs8v1().unwrap().as_ref().to_vec());
        let key = provider::sign::any_supported_type(&PrivateKeyDer::Pkcs8(der)).unwrap();
        let certificate = CertificateDer::from(b"not signed by anybody".to_vec());
        let shown = Stranger(Arc::new(CertifiedKey::new(vec![certificate], key)));
        ServerConfig::builder_with_provider(Arc::new(provider::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(shown))
    }

    #[test]
    fn a_stranger_in_workos_place_is_told_nothing() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = Url::parse(&format!("https://{}", listener.local_addr().unwrap())).unwrap();
        let server = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let session = rustls::ServerConnection::new(Arc::new(stranger())).unwrap();
            let mut heard = Vec::new();
            let ended = rustls::StreamOwned::new(session, stream).read_to_end(&mut heard);
            (heard, ended.is_err())
        });
        let transport = Http::new(&base, false, Clock::manual(NOW)).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let call = Call::Post { url: &base, json: Bytes::from_static(b"canary") };
        let sent = transport.send(call, Connection::Any, Span::from_secs(5), MAX_ANSWER_BYTES);
        assert_eq!(runtime.block_on(sent).err(), Some(Outage::Certificate));
        assert_eq!(server.join().unwrap(), (Vec::new(), true));
    }
}
