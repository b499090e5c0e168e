//! What the micro benchmarks work on: a key ring, a signer in the place of WorkOS, sessions of two sizes, and a policy
//! of twenty routes.

use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::COOKIE;
use http::{HeaderMap, HeaderValue, Method};
use serde::Deserialize;
use serde_json::json;
use vestibule::auth::access_token::{KeySet, verify};
use vestibule::auth::claims::WantedClaims;
use vestibule::auth::cookie::{CookieNames, CookiePolicy, SameSite, Transport};
use vestibule::auth::entropy::Entropy;
use vestibule::auth::facts::{Arrival, Purpose, RequestFacts, RequestOrigin};
use vestibule::auth::gate::Gate;
use vestibule::auth::identity::{OrganizationId, Role, User, UserId};
use vestibule::auth::identity_headers::{HeaderRules, Preset};
use vestibule::auth::keyring::{Audience, Keyring, SealingKey};
use vestibule::auth::navigation::Caller;
use vestibule::auth::path::RequestPath;
use vestibule::auth::place::Place;
use vestibule::auth::policy::pattern::PathPattern;
use vestibule::auth::policy::route::{DefaultAccess, EncodedSlash, Route};
use vestibule::auth::policy::rule::Rule;
use vestibule::auth::policy::{Access, BearerUse, Destination, Policy, Unauthenticated};
use vestibule::auth::presented::OpenSession;
use vestibule::auth::sealed_cookie::{SealContext, SealedCookie};
use vestibule::auth::secret::Secret;
use vestibule::auth::session::{Lifetimes, RefreshBefore, Session, SessionId, Tokens};
use vestibule::auth::time::{Span, Timestamp};

/// When everything happens.
pub(crate) const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);
/// Five roles and twenty permissions.
pub(crate) const ORDINARY: Shape = Shape { roles: 5, permissions: 20 };
/// More than one cookie holds.
pub(crate) const SPLIT: Shape = Shape { roles: 5, permissions: 200 };

const ISSUER: &str = "https://api.workos.com/user_management/client_01BENCH000000000000000000";
const USER: &str = "user_01BENCHADA0000000000000000";
const ORGANIZATION: &str = "org_01BENCHACME000000000000000";
const ROUTES: usize = 20;

/// How much a session holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    roles: usize,
    permissions: usize,
}

/// WorkOS' answer to a refresh, with the fields that Vestibule reads.
#[derive(Deserialize)]
struct Answer {
    user: Profile,
    organization_id: Option<String>,
    access_token: String,
    refresh_token: String,
    authentication_method: Option<String>,
}

#[derive(Deserialize)]
struct Profile {
    id: String,
    email: Option<String>,
    email_verified: Option<bool>,
    first_name: Option<String>,
    last_name: Option<String>,
    profile_picture_url: Option<String>,
}

/// Everything the benchmarks need, made once.
pub(crate) struct Material {
    pub(crate) keys: KeySet,
    pub(crate) issuers: Vec<Box<str>>,
    pub(crate) gate: Gate,
    shape: Shape,
    signer: RsaKeyPair,
    keyring: Keyring,
    audience: Audience,
    cookies: CookiePolicy,
    headers: HeaderRules,
}

impl Material {
    pub(crate) fn new(shape: Shape) -> Self {
        let signer = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let number = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let public = signer.public_key();
        let key = json!({
            "kty": "RSA", "use": "sig", "alg": "RS256", "kid": "one",
            "n": number(public.modulus().big_endian_without_leading_zero()),
            "e": number(public.exponent().big_endian_without_leading_zero()),
        });
        let keys = KeySet::from_jwks(json!({ "keys": [key] }).to_string().as_bytes()).unwrap();
        let (sealing, _) = SealingKey::generate(Entropy::from_bytes([3; 32]), NOW);
        Self {
            keys,
            issuers: vec![ISSUER.into()],
            gate: gate(),
            shape,
            signer,
            keyring: Keyring::new(vec![sealing]).unwrap(),
            audience: Audience::host_only("client_01BENCH", "https://app.example.com"),
            cookies: CookiePolicy::new("vestibule", Transport::Https, None, SameSite::Lax).unwrap(),
            headers: HeaderRules::new(Preset::Forwarded, vec![], &[]).unwrap(),
        }
    }

    /// What sealing and opening ask for.
    pub(crate) fn context(&self) -> SealContext<'_> {
        SealContext { keyring: &self.keyring, audience: &self.audience, names: self.names() }
    }

    const fn names(&self) -> &CookieNames {
        self.cookies.names()
    }

    /// An access token as WorkOS signs it.
    pub(crate) fn token(&self) -> String {
        let roles: Vec<String> = (0..self.shape.roles).map(|index| format!("role-{index}")).collect();
        let permissions: Vec<String> =
            (0..self.shape.permissions).map(|index| format!("resource-{index}:write")).collect();
        let now = NOW.unix_seconds();
        let payload = json!({
            "iss": ISSUER, "sub": USER, "sid": "session_01BENCH0000000000000000000",
            "jti": "01BENCH00000000000000000JT", "org_id": ORGANIZATION, "role": "role-0", "roles": roles,
            "permissions": permissions, "iat": now, "exp": now + 300,
        });
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256","kid":"one"}"#);
        let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(payload.to_string()));
        let mut signature = vec![0; self.signer.public_modulus_len()];
        let random = SystemRandom::new();
        self.signer.sign(&RSA_PKCS1_SHA256, &random, signed.as_bytes(), &mut signature).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// WorkOS' answer to a refresh.
    pub(crate) fn answer(&self) -> Vec<u8> {
        let user = json!({
            "object": "user", "id": USER, "email": "ada@example.com", "email_verified": true,
            "first_name": "Ada", "last_name": "Byron", "profile_picture_url": null,
            "created_at": "2026-01-01T00:00:00.000Z", "updated_at": "2026-01-01T00:00:00.000Z",
        });
        let answer = json!({
            "user": user, "organization_id": ORGANIZATION, "access_token": self.token(),
            "refresh_token": "r".repeat(25), "authentication_method": "MagicAuth",
        });
        answer.to_string().into_bytes()
    }

    /// The answer decoded, and its token verified.
    pub(crate) fn decode(&self, answer: &[u8]) -> Tokens {
        let answer: Answer = serde_json::from_slice(answer).unwrap();
        let claims = verify(&answer.access_token, &self.keys, &self.issuers, NOW).unwrap();
        let boxed = |text: Option<String>| text.map(String::into_boxed_str);
        let profile = answer.user;
        let user = User {
            id: UserId::parse(&profile.id).unwrap(),
            email: boxed(profile.email),
            email_verified: profile.email_verified.unwrap_or(false),
            first_name: boxed(profile.first_name),
            last_name: boxed(profile.last_name),
            profile_picture_url: boxed(profile.profile_picture_url),
        };
        Tokens {
            user,
            organization_id: answer.organization_id.map(|id| OrganizationId::parse(&id).unwrap()),
            claims,
            refresh_token: Secret::new(answer.refresh_token),
            auth_method: boxed(answer.authentication_method),
            impersonator: None,
        }
    }

    /// A session just signed in to.
    pub(crate) fn session(&self) -> Session {
        let tokens = self.decode(&self.answer());
        let id = SessionId::from_bytes([9; 16]);
        Session::open(id, tokens, self.gate.lifetimes(), self.gate.wanted(), NOW).unwrap()
    }

    /// The session as a data thread keeps it.
    pub(crate) fn open(&self, session: Session) -> Arc<OpenSession> {
        let headers = self.headers.prepare(session.identity());
        Arc::new(OpenSession { session, headers, place: Place::Browser })
    }

    /// A request's `Cookie` field with the session and two cookies of the application.
    pub(crate) fn request_headers(&self, sealed: &SealedCookie) -> HeaderMap {
        let names = [self.names().session().to_owned()].into_iter();
        let names = names.chain((1..4).map(|part| format!("{}.{part}", self.names().session())));
        let pairs: Vec<String> =
            names.zip(sealed.parts()).map(|(name, text)| format!("{name}={text}")).collect();
        let field = format!("theme=dark; {}; visits=17", pairs.join("; "));
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, HeaderValue::try_from(field).unwrap());
        headers
    }
}

/// The facts of an ordinary navigation.
pub(crate) const fn facts<'a>(path: &'a RequestPath<'a>, destination: Destination) -> RequestFacts<'a> {
    RequestFacts {
        method: &Method::GET,
        path,
        query: None,
        destination,
        caller: Caller::Navigation,
        purpose: Purpose::Exchange,
        origin: RequestOrigin::Absent,
        arrival: Arrival::Public,
    }
}

fn gate() -> Gate {
    let routes = (0..ROUTES).map(|index| {
        let rule = Rule { roles: vec![Role::parse("role-0").unwrap()], ..Rule::default() };
        let pattern = format!("/area-{index}/**");
        Route {
            name: pattern.as_str().into(),
            paths: vec![PathPattern::parse(&pattern).unwrap()],
            hosts: vec![],
            methods: vec![],
            access: Access::SignedIn,
            allow: vec![rule],
            deny: vec![],
            unauthenticated: Unauthenticated::Auto,
            encoded_slash: EncodedSlash::Refuse,
            origins: vec![],
            bearer: BearerUse::Read,
            upstream: 0,
            body_bytes: None,
            response_timeout: None,
            stream_grace: Span::ZERO,
        }
    });
    let default = DefaultAccess { access: Access::SignedIn, upstream: 0 };
    let policy = Policy::new(routes.collect(), default, "/auth".into());
    let lifetimes = Lifetimes {
        lifetime: Span::from_secs(7 * 86_400),
        idle_timeout: Span::from_secs(86_400),
        refresh_before: RefreshBefore::Auto,
        outage_grace: Span::ZERO,
    };
    Gate::new(policy, lifetimes, WantedClaims::new([]), "https://app.example.com".into())
}
