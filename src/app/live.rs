//! From the configuration to what the parts are handed: each gets its own settings, and none the whole.

use std::sync::Arc;

use thiserror::Error;
use url::Url;

use crate::app::store::{Backend, BackendError};
use crate::auth::cookie::{CookiePolicy, CookiePolicyError, Transport};
use crate::auth::gate::Gate;
use crate::auth::keyring::{Audience, Keyring, KeyringError};
use crate::auth::magic_link::{Template, TemplateError};
use crate::auth::policy::Policy;
use crate::auth::time::{Span, Timestamp};
use crate::auth::webhook::WebhookSecret;
use crate::clock::Clock;
use crate::config::listen::Listen as ConfigListen;
use crate::config::session_keys::SessionKeys;
use crate::config::settings::{BearerKind, Config, CountLimit, Method, Selector, UpstreamConfig};
use crate::config::smtp_url::SmtpProtection;
use crate::config::upstream_address::UpstreamAddress;
use crate::mail::{Mailer, MailerError, Protection, Relay};
use crate::server::connection::listener::Listen;
use crate::server::content_security_policy;
use crate::server::language::Letters;
use crate::server::live::{Live, RouteLabels};
use crate::server::peer::client_addr::{TrustedPeers, UnixTrust};
use crate::server::settings::{
    AccessLogging, AuthorizeSettings, BearerRules, ConnectionLimits, LinkMail, RequestLimits, WayIn,
};
use crate::server::settings::{Logo, OwnPage, Remembering, Way};
use crate::server::site::{Scheme, Site};
use crate::standing::StandingTable;
use crate::store::Sealer;
use crate::telemetry::Metrics;
use crate::upstream::{Address, HostHeader, Upstream};
use crate::workos;

/// The heading of our own page that is said in each language by its own word.
const USUAL_TITLE: &str = "Sign in";

/// Why settings that are valid one by one do not fit together.
#[derive(Debug, Error)]
pub enum LiveError {
    /// The cookies cannot be set as configured.
    #[error("the session cookie cannot be set: {0}")]
    Cookies(#[from] CookiePolicyError),
    /// The sealing keys make no ring.
    #[error(transparent)]
    Keys(#[from] KeyringError),
    /// An address of WorkOS' does not parse.
    #[error("workos.api_url is not a URL")]
    ApiUrl,
    /// Mail of our own cannot be sent.
    #[error(transparent)]
    Mail(#[from] MailerError),
    /// The letter has no place for its link.
    #[error("sign_in.mail.template_file: {0}")]
    Letter(#[from] TemplateError),
    /// The place where sessions are kept cannot be set up.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

/// What the app is made of.
#[derive(Debug)]
pub struct AppSettings {
    /// Where to listen.
    pub listen: Listen,
    /// Where the admin listener listens.
    pub admin_listen: Listen,
    /// How many data threads.
    pub threads: usize,
    /// Limits on connections.
    pub connection_limits: ConnectionLimits,
    /// How long to serve on after the signal to end.
    pub drain_delay: Span,
    /// How long to wait for what is in flight.
    pub drain_timeout: Span,
    api_url: Url,
    magic_link: Option<LinkMail>,
    config: Config,
}

impl AppSettings {
    /// The settings of this configuration.
    ///
    /// # Errors
    /// [`LiveError`] when they do not fit together.
    pub fn new(config: Config) -> Result<Self, LiveError> {
        let server = &config.server;
        let limits = &server.limits;
        let connection_limits = ConnectionLimits {
            connections: limits.connections,
            header_bytes: limits.header_bytes,
            header_timeout: limits.header_timeout,
            idle_timeout: limits.idle_timeout,
            requests_in_flight: match limits.requests_in_flight {
                CountLimit::Unlimited => None,
                CountLimit::Max(most) => Some(most),
            },
        };
        Ok(Self {
            listen: listen(&server.listen),
            admin_listen: listen(&config.admin.listen),
            threads: server.threads,
            connection_limits,
            drain_delay: server.drain_delay,
            drain_timeout: server.drain_timeout,
            api_url: Url::parse(config.workos.api_url.as_str()).map_err(|_| LiveError::ApiUrl)?,
            magic_link: magic_link(&config)?,
            config,
        })
    }

    pub(super) fn workos_settings(&self) -> workos::Settings {
        let workos = &self.config.workos;
        workos::Settings {
            api_url: self.api_url.clone(),
            client_id: workos.client_id.clone(),
            api_key: workos.api_key.clone(),
            issuers: workos.issuers.clone(),
            request_timeout: workos.request_timeout,
            allow_http: workos.allow_http,
        }
    }

    /// The sealing keys as they were found at the start.
    pub(super) const fn session_keys(&self) -> &SessionKeys {
        &self.config.session.keys
    }

    pub(super) fn backend(
        &self,
        standing: &Arc<StandingTable>,
        metrics: &Metrics,
        clock: &Clock,
    ) -> Result<Backend, BackendError> {
        Backend::new(&self.config.session, standing, metrics, clock)
    }

    /// What data threads see at the start, when it is `now`; its number is 1.
    ///
    /// # Errors
    /// [`LiveError`] when the settings do not fit together.
    pub fn first_live(
        &self,
        now: Timestamp,
        backend: &Backend,
        metrics: &Metrics,
    ) -> Result<Live, LiveError> {
        self.live(self.session_keys().ring(now)?, 1, backend, metrics)
    }

    /// What data threads see of these settings, with this key ring. `number` is higher than that of any before.
    pub(super) fn live(
        &self,
        keyring: Keyring,
        number: u64,
        backend: &Backend,
        metrics: &Metrics,
    ) -> Result<Live, LiveError> {
        let config = &self.config;
        let sealer = Arc::new(self.sealer(keyring)?);
        let names = config.routes.iter().map(|route| &*route.name);
        let routes = RouteLabels::new(metrics, names);
        let gate = Gate::new(
            Policy::new(config.routes.clone(), config.default, config.server.auth_path.clone()),
            config.session.lifetimes,
            config.wanted.clone(),
            config.server.public_url.origin().into(),
        )
        .within_organization(config.workos.organization_id.clone());
        Ok(Live {
            number,
            gate: Arc::new(gate),
            site: self.site(),
            store: backend.store(&sealer),
            sealer,
            headers: config.identity.clone(),
            upstreams: config.upstreams.iter().map(upstream).collect(),
            upstream_names: config.upstreams.iter().map(|one| Arc::from(&*one.name)).collect(),
            trusted: self.trusted(),
            authorize: self.authorize(),
            own_page: self.own_page(),
            bearers: self.bearers(),
            limits: RequestLimits {
                body_bytes: config.server.limits.body_bytes,
                body_idle_timeout: config.server.limits.body_idle_timeout,
            },
            page_policy: content_security_policy(),
            access_log: if config.log.access { AccessLogging::On } else { AccessLogging::Off },
            routes,
            magic_link: self.magic_link.clone(),
            webhook_secret: config.workos.webhook_secret.as_ref().map(WebhookSecret::new),
            events_interval: config.workos.events_interval,
        })
    }

    fn sealer(&self, keyring: Keyring) -> Result<Sealer, LiveError> {
        let (session, public_url) = (&self.config.session, &self.config.server.public_url);
        let client_id = &self.config.workos.client_id;
        let (transport, audience) = match &session.cookie_domain {
            Some(_) => (Transport::Https, Audience::domain_wide(client_id)),
            None => (
                if public_url.is_https() { Transport::Https } else { Transport::HttpLoopback },
                Audience::host_only(client_id, public_url.origin()),
            ),
        };
        let domain = session.cookie_domain.as_deref();
        let cookies = CookiePolicy::new(&session.cookie_name, transport, domain, session.same_site)?;
        Ok(Sealer::new(Arc::new(keyring), audience, cookies))
    }

    fn site(&self) -> Site {
        let server = &self.config.server;
        let scheme = if server.public_url.is_https() { Scheme::Https } else { Scheme::Http };
        let (origin, authority) = (server.public_url.origin(), server.public_url.authority());
        Site::new(origin, authority, scheme, &server.auth_path, server.hosts.clone())
    }

    fn trusted(&self) -> TrustedPeers {
        let proxies = &self.config.server.trusted_proxies;
        let unix = if proxies.trusts_unix_peers() { UnixTrust::Trusted } else { UnixTrust::Untrusted };
        TrustedPeers::new(proxies.networks().to_vec(), unix)
    }

    /// Our own page, where there is more than one way in or another than WorkOS' own.
    fn own_page(&self) -> Option<OwnPage> {
        let sign_in = &self.config.sign_in;
        let way = |method: &Method| match method {
            Method::AuthKit => Way::AuthKit,
            Method::MagicAuth => Way::MagicAuth,
            Method::MagicLink => Way::MagicLink,
        };
        (sign_in.methods != [Method::AuthKit]).then(|| OwnPage {
            ways: sign_in.methods.iter().map(way).collect(),
            title: Some(sign_in.title.clone()).filter(|title| **title != *USUAL_TITLE),
            logo: sign_in.logo.as_ref().map(|logo| Logo::new(logo.media_type, logo.bytes.clone())),
            support_url: sign_in.support_url.clone(),
            remembering: if sign_in.remember_me { Remembering::Asked } else { Remembering::Always },
        })
    }

    fn bearers(&self) -> Option<BearerRules> {
        let workos = &self.config.workos;
        let listed = self.config.bearers.iter().any(|bearer| bearer.kind == BearerKind::WorkOsSession);
        listed.then(|| BearerRules { issuers: workos.issuers.clone(), client_id: workos.client_id.clone() })
    }

    fn authorize(&self) -> AuthorizeSettings {
        let workos = &self.config.workos;
        AuthorizeSettings {
            api_url: self.api_url.clone(),
            client_id: workos.client_id.clone(),
            way_in: match &workos.selector {
                Selector::Provider(name) => WayIn::Provider(name.clone()),
                Selector::Connection(id) => WayIn::Connection(id.clone()),
            },
            organization_id: workos.organization_id.clone(),
        }
    }
}

/// Who mails magic links, if people may sign in with them.
fn magic_link(config: &Config) -> Result<Option<LinkMail>, LiveError> {
    let mail = match (&config.sign_in.mail, config.sign_in.methods.contains(&Method::MagicLink)) {
        (_, false) => return Ok(None),
        (None, true) => return Ok(Some(LinkMail::WorkOs)),
        (Some(mail), true) => mail,
    };
    let site = config.server.public_url.origin();
    let letters = match &mail.template {
        Some(file) => Letters::own(Template::parse(file, site)?),
        None => Letters::usual(site)?,
    };
    let relay = Relay {
        host: mail.relay.host.clone(),
        port: mail.relay.port,
        protection: match mail.relay.protection {
            SmtpProtection::Tls => Protection::Tls,
            SmtpProtection::StartTls => Protection::StartTls,
            SmtpProtection::None => Protection::None,
        },
        login: mail.relay.login.clone(),
        authorities: mail.authorities.clone(),
    };
    let mailer = Mailer::new(&relay, &mail.from)?;
    Ok(Some(LinkMail::Own(Arc::new(mailer), Arc::new(letters))))
}

fn listen(listen: &ConfigListen) -> Listen {
    match listen {
        ConfigListen::Tcp(address) => Listen::Tcp(*address),
        ConfigListen::Unix(path) => Listen::Unix(path.clone()),
    }
}

fn upstream(config: &UpstreamConfig) -> Upstream {
    let address = match &config.address {
        UpstreamAddress::Unix(path) => Address::Unix(path.clone()),
        UpstreamAddress::Http { authority } => {
            let (host, port) = authority.rsplit_once(':').unwrap_or((authority, "80"));
            Address::tcp(host, port.parse().unwrap_or(80))
        }
    };
    Upstream {
        name: config.name.clone(),
        host: if config.preserve_host { HostHeader::Keep } else { HostHeader::of(&address) },
        address,
        connect_timeout: config.connect_timeout,
        response_timeout: config.response_timeout,
        idle_timeout: config.idle_timeout,
    }
}
