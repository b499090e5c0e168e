//! Where we are, as the operator says: the public address, our own endpoints beneath it, and which hosts are
//! answered. Redirects of our own are built from this and never from a request.

use http::uri::Authority;

use crate::auth::return_to::{ReturnTo, Sites};

/// The public address and what is derived from it.
#[derive(Debug, Clone)]
pub struct Site {
    origin: Box<str>,
    authority: Box<str>,
    scheme: Scheme,
    auth_path: Box<str>,
    hosts: Vec<Box<str>>,
    sites: Sites,
}

/// How a browser reaches an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// In the clear.
    Http,
    /// Over TLS.
    Https,
}

impl Scheme {
    /// The word for it in URLs and in `X-Forwarded-Proto`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// One of our own endpoints, by its path under `auth_path`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// Starts a sign-in; also WorkOS' sign-in endpoint (`initiate_login_uri`).
    SignIn,
    /// Where WorkOS sends people back to.
    Callback,
    /// Ends a session.
    SignOut,
    /// Where WorkOS sends people after a sign-out.
    SignedOut,
    /// The session as JSON.
    Session,
    /// Renews the session now.
    SessionRefresh,
    /// Takes the session into another organization.
    SessionOrganization,
    /// Ends another session of the same person.
    SessionRevoke,
    /// The session as a page.
    Me,
    /// What `vestibule login` has to know.
    WellKnown,
    /// Where WorkOS tells what happened.
    Webhook,
    /// Has a code mailed.
    MagicAuth,
    /// Takes the code, or what a further step asks for.
    MagicAuthVerify,
    /// The operator's picture on our own page.
    Logo,
    /// Has a link mailed.
    MagicLink,
    /// Where our own mails lead.
    MagicLinkOpen,
    /// Where WorkOS sends people back to who followed a link.
    MagicLinkCallback,
}

impl Endpoint {
    const ALL: [Self; 17] = [
        Self::SignIn,
        Self::Callback,
        Self::SignOut,
        Self::SignedOut,
        Self::Session,
        Self::SessionRefresh,
        Self::SessionOrganization,
        Self::SessionRevoke,
        Self::Me,
        Self::WellKnown,
        Self::Webhook,
        Self::MagicAuth,
        Self::MagicAuthVerify,
        Self::Logo,
        Self::MagicLink,
        Self::MagicLinkOpen,
        Self::MagicLinkCallback,
    ];

    /// Its path below `auth_path`.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::SignIn => "/sign-in",
            Self::Callback => "/callback",
            Self::SignOut => "/sign-out",
            Self::SignedOut => "/signed-out",
            Self::Session => "/session",
            Self::SessionRefresh => "/session/refresh",
            Self::SessionOrganization => "/session/organization",
            Self::SessionRevoke => "/session/revoke",
            Self::Me => "/me",
            Self::WellKnown => "/.well-known/vestibule",
            Self::Webhook => "/webhook",
            Self::MagicAuth => "/magic-auth",
            Self::MagicAuthVerify => "/magic-auth/verify",
            Self::Logo => "/logo",
            Self::MagicLink => "/magic-link",
            Self::MagicLinkOpen => "/magic-link/open",
            Self::MagicLinkCallback => "/magic-link/callback",
        }
    }
}

impl Site {
    /// `origin` is `public_url`'s ASCII serialisation, `authority` what browsers send as `Host` for it,
    /// `hosts` the hosts that are answered (empty: all).
    #[must_use]
    pub fn new(origin: &str, authority: &str, scheme: Scheme, auth_path: &str, hosts: Vec<Box<str>>) -> Self {
        Self {
            sites: Sites::new(origin, auth_path, []),
            origin: origin.into(),
            authority: authority.into(),
            scheme,
            auth_path: auth_path.into(),
            hosts,
        }
    }

    /// `public_url`'s origin.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// `public_url`'s host, with its port when it is not the scheme's own.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// `public_url`'s scheme.
    #[must_use]
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The places that return targets may name.
    #[must_use]
    pub const fn sites(&self) -> &Sites {
        &self.sites
    }

    /// Which endpoint a path is, if it is one of ours.
    #[must_use]
    pub fn endpoint(&self, path: &str) -> Option<Endpoint> {
        let below = path.strip_prefix(&*self.auth_path)?;
        Endpoint::ALL.into_iter().find(|endpoint| endpoint.path() == below)
    }

    /// The path of an endpoint.
    #[must_use]
    pub fn path(&self, endpoint: Endpoint) -> String {
        format!("{}{}", self.auth_path, endpoint.path())
    }

    /// The absolute address of an endpoint.
    #[must_use]
    pub fn url(&self, endpoint: Endpoint) -> String {
        format!("{}{}{}", self.origin, self.auth_path, endpoint.path())
    }

    /// The address that starts a sign-in which comes back to `return_to`.
    #[must_use]
    pub fn sign_in_url(&self, return_to: &ReturnTo) -> String {
        format!("{}?return_to={}", self.url(Endpoint::SignIn), return_to.to_query_value(&self.sites))
    }

    /// Is this host answered? An entry without a port stands for the host at every port.
    #[must_use]
    pub fn answers(&self, host: &str) -> bool {
        let bare = host.parse::<Authority>().map(|authority| authority.host().to_owned());
        let bare = bare.as_deref().unwrap_or(host);
        self.hosts.is_empty()
            || self
                .hosts
                .iter()
                .any(|known| known.eq_ignore_ascii_case(host) || known.eq_ignore_ascii_case(bare))
    }

    /// Is this the host of `public_url`, as a browser would send it?
    #[must_use]
    pub fn is_public(&self, host: &str) -> bool {
        let default_port = match self.scheme {
            Scheme::Http => ":80",
            Scheme::Https => ":443",
        };
        let host = host.strip_suffix(default_port).unwrap_or(host);
        self.authority.eq_ignore_ascii_case(host)
    }
}
