//! The only place that chooses a status code. An answer of our own is a page for people and a problem document
//! (RFC 9457) for programs; gRPC callers get their own status in trailers-only form.

use http::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_LANGUAGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION,
    REFERRER_POLICY, RETRY_AFTER, VARY, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use serde_json::{Value, json};

use crate::auth::identity::OrganizationId;
use crate::auth::navigation::Caller;
use crate::auth::refusal::Refusal;
use crate::auth::return_to::ReturnTo;
use crate::auth::time::Span;
use crate::server::language::{Catalogue, Deeds, Reader};
use crate::server::reply::body::Body;
use crate::server::reply::page::{Code, Deed, Notice, Page, policy_within_frames};
use crate::server::reply::told::Told;
use crate::server::reply::words::{Words, fault_words, refusal_words};
use crate::server::site::{Endpoint, Site};

pub(crate) mod body;
mod hitch;
mod objection;
pub(crate) mod page;
mod told;
mod words;

pub(crate) use crate::server::reply::hitch::Hitch;
pub(crate) use crate::server::reply::objection::Objection;

const X_ROBOTS_TAG: HeaderName = HeaderName::from_static("x-robots-tag");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Seconds after which a caller may try again when a dependency is away and named no time itself.
const RETRY_SECONDS: u64 = 5;

/// Something of ours that went wrong with a request, beside the refusals of the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The request is not one; the text says why to programs and holds nothing of the request. Closes.
    Malformed(&'static str),
    /// The path can be read in several ways, or in none.
    BadPath(Unclear),
    /// The method is never taken. Closes.
    MethodRefused,
    /// The endpoint takes other methods.
    MethodNotAllowed(&'static str),
    /// There is no such endpoint.
    NoSuchEndpoint,
    /// The host is not answered here.
    OtherHost,
    /// A form from another site.
    CrossSite,
    /// The body is too large.
    BodyTooLarge,
    /// The body is neither a form nor JSON.
    BodyKind,
    /// The body does not parse, or did not come whole.
    BodyBroken,
    /// A webhook that WorkOS did not sign, or not lately.
    BadSignature,
    /// Too many requests are in flight.
    Overloaded,
    /// The body came too slowly.
    BodyTooSlow,
    /// The upstream could not be reached, or broke off.
    UpstreamUnreachable,
    /// The upstream took too long.
    UpstreamTooLate,
    /// Our own error.
    Internal,
}

/// In which way an address is not clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unclear {
    /// Something in its path has several readings.
    Path,
    /// The readings of its path lead to different places.
    Readings,
    /// There is an encoded slash in its path.
    EncodedSlash,
    /// A callback names one thing twice.
    Callback,
    /// A callback of a link names one thing twice, or nothing.
    LinkCallback,
}

/// Who gets the answer, and in which form.
#[derive(Debug, Clone)]
pub(crate) struct Asker<'a> {
    pub(crate) caller: Caller,
    /// Who reads it, when it is a page.
    pub(crate) reader: Reader<'a>,
    pub(crate) request_id: &'a str,
    pub(crate) site: &'a Site,
    pub(crate) page_policy: &'a HeaderValue,
    /// Path and query of a navigation, where it can be asked for once more.
    pub(crate) wanted: Option<&'a str>,
    /// The organization that everybody must be in.
    pub(crate) organization: Option<&'a OrganizationId>,
    /// The page's origin, when it may read our answers (CORS).
    pub(crate) cors_origin: Option<HeaderValue>,
}

impl Asker<'_> {
    /// Answers a fault.
    pub(crate) fn fault(&self, fault: Fault) -> Response<Body> {
        self.decided_fault(fault, None)
    }

    /// Answers a fault that was written down. `decision_id` is the one in the audit line.
    pub(crate) fn decided_fault(&self, fault: Fault, decision_id: Option<&str>) -> Response<Body> {
        let told = |words| told::of_fault(fault, words);
        let deeds = |words: &'static Catalogue| self.deeds_after(fault, &words.deed);
        let mut response = self.say(&fault_words(fault), decision_id, told, deeds);
        let headers = response.headers_mut();
        match fault {
            Fault::Malformed(_) => close(headers),
            Fault::MethodRefused => {
                close(headers);
                headers
                    .insert(ALLOW, HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
            }
            Fault::MethodNotAllowed(allowed) => {
                headers.insert(ALLOW, HeaderValue::from_static(allowed));
            }
            Fault::Overloaded | Fault::UpstreamUnreachable => retry(headers, RETRY_SECONDS),
            Fault::BadPath(_)
            | Fault::NoSuchEndpoint
            | Fault::OtherHost
            | Fault::CrossSite
            | Fault::BodyTooLarge
            | Fault::BodyKind
            | Fault::BodyBroken
            | Fault::BadSignature
            | Fault::UpstreamTooLate
            | Fault::Internal => {}
            Fault::BodyTooSlow => close(headers),
        }
        response
    }

    /// Answers a refusal of the gate. `decision_id` is the one in the audit line.
    pub(crate) fn refusal(
        &self,
        refusal: Refusal,
        decision_id: Option<&str>,
        retry_after: Option<Span>,
    ) -> Response<Body> {
        let told = |words| told::of_refusal(refusal, words);
        let deeds = |words: &'static Catalogue| self.deeds(refusal, &words.deed);
        let mut response = self.say(&refusal_words(refusal), decision_id, told, deeds);
        match refusal {
            Refusal::SignInRequired => challenge(&mut response, "Bearer realm=\"vestibule\""),
            Refusal::InvalidCredential => {
                challenge(&mut response, "Bearer realm=\"vestibule\", error=\"invalid_token\"");
            }
            Refusal::Unavailable(_) => retry(response.headers_mut(), seconds_to_wait(retry_after)),
            Refusal::Forbidden
            | Refusal::OtherOrganization
            | Refusal::RouteClosed
            | Refusal::CrossOriginWebSocket
            | Refusal::OriginNotAllowed
            | Refusal::SessionTooLarge => {}
        }
        response
    }

    /// What a person can do about a fault.
    fn deeds_after(&self, fault: Fault, words: &'static Deeds) -> Vec<Deed> {
        match fault {
            Fault::Overloaded | Fault::UpstreamUnreachable | Fault::UpstreamTooLate => self.try_again(words),
            Fault::Malformed(_)
            | Fault::BadPath(_)
            | Fault::MethodRefused
            | Fault::MethodNotAllowed(_)
            | Fault::NoSuchEndpoint
            | Fault::OtherHost
            | Fault::CrossSite
            | Fault::BodyTooLarge
            | Fault::BodyKind
            | Fault::BodyBroken
            | Fault::BodyTooSlow
            | Fault::BadSignature
            | Fault::Internal => Vec::new(),
        }
    }

    /// Asks for the same page once more. The link is empty, which is the address of the page itself: nothing of
    /// what was asked is repeated.
    fn try_again(&self, words: &'static Deeds) -> Vec<Deed> {
        let again = self.wanted.map(|_| Deed::link(&words.try_again, String::new()));
        again.into_iter().collect()
    }

    /// Leads to the organization that everybody must be in, and back to the page that was wanted.
    fn switch(&self, organization: &OrganizationId, words: &'static Deeds) -> Deed {
        let mut fields = vec![("organization_id", organization.to_string())];
        if let Some(wanted) = self.wanted {
            let sites = self.site.sites();
            fields.push(("return_to", ReturnTo::parse(wanted, sites).location(sites)));
        }
        let press = Deed::press(&words.switch_organization, self.site.path(Endpoint::SessionOrganization));
        Deed { fields, ..press }
    }

    /// What a person can do about a refusal.
    fn deeds(&self, refusal: Refusal, words: &'static Deeds) -> Vec<Deed> {
        let sign_in = || self.site.url(Endpoint::SignIn);
        match refusal {
            Refusal::SignInRequired | Refusal::InvalidCredential => {
                vec![Deed::new_tab(&words.sign_in_apart, sign_in())]
            }
            Refusal::Forbidden => vec![
                Deed::link(&words.show_session, self.site.url(Endpoint::Me)),
                Deed::link(&words.sign_in_as_another, format!("{}?prompt=login", sign_in())),
            ],
            Refusal::OtherOrganization => vec![
                match self.organization {
                    // A page around a frame could have people press what they do not see.
                    Some(organization) if self.caller != Caller::Frame => self.switch(organization, words),
                    Some(_) | None => Deed::link(&words.sign_in_anew, sign_in()),
                },
                Deed::link(&words.show_session, self.site.url(Endpoint::Me)),
            ],
            Refusal::SessionTooLarge => vec![Deed::link(&words.sign_in_as_another, sign_in())],
            Refusal::Unavailable(_) => self.try_again(words),
            Refusal::RouteClosed | Refusal::CrossOriginWebSocket | Refusal::OriginNotAllowed => Vec::new(),
        }
    }

    /// Says it in the caller's form.
    fn say(
        &self,
        words: &Words,
        decision_id: Option<&str>,
        told: impl FnOnce(&'static Catalogue) -> Told,
        deeds: impl FnOnce(&'static Catalogue) -> Vec<Deed>,
    ) -> Response<Body> {
        match self.caller {
            Caller::Navigation | Caller::Frame | Caller::UnsafeNavigation => {
                let language = self.reader.language();
                let Told { title, text } = told(&language.words);
                let mut notice = Notice::new(language, title, text);
                if words.status == StatusCode::UNAUTHORIZED {
                    notice.paragraphs.push((&language.words.refusal.how_to_sign_in).into());
                }
                notice.deeds = deeds(&language.words);
                let labels = &language.words.code;
                notice.codes.push(Code { label: &labels.request, value: self.request_id.to_owned() });
                let decision = decision_id.map(|id| Code { label: &labels.decision, value: id.to_owned() });
                notice.codes.extend(decision);
                let mut response = self.page(PageStatus::Exactly(words.status), &notice);
                if self.caller == Caller::Frame {
                    let headers = response.headers_mut();
                    headers.insert(CONTENT_SECURITY_POLICY, policy_within_frames());
                    headers.remove(X_FRAME_OPTIONS);
                }
                response
            }
            Caller::Grpc => self.grpc(words),
            Caller::Program => {
                let sign_in_url = self.site.url(Endpoint::SignIn);
                let leads_there = words.status == StatusCode::UNAUTHORIZED;
                self.problem(words, decision_id, leads_there.then_some(&sign_in_url))
            }
        }
    }

    fn problem(&self, words: &Words, decision_id: Option<&str>, sign_in_url: Option<&str>) -> Response<Body> {
        let mut document = json!({
            "type": format!("urn:vestibule:{}", words.kind),
            "title": words.title,
            "status": words.status.as_u16(),
            "detail": words.detail,
            "request_id": self.request_id,
        });
        if let Value::Object(fields) = &mut document {
            if let Some(id) = decision_id {
                fields.insert("decision_id".to_owned(), Value::from(id));
            }
            if let Some(url) = sign_in_url {
                fields.insert("sign_in_url".to_owned(), Value::from(url));
            }
        }
        self.own(words.status, "application/problem+json", Body::whole(document.to_string()))
    }

    fn grpc(&self, words: &Words) -> Response<Body> {
        let code = match words.status {
            StatusCode::UNAUTHORIZED => "16",
            StatusCode::FORBIDDEN => "7",
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::BAD_GATEWAY => "14",
            StatusCode::GATEWAY_TIMEOUT => "4",
            StatusCode::BAD_REQUEST => "3",
            _ => "2",
        };
        let mut response = self.own(StatusCode::OK, "application/grpc", Body::empty());
        let headers = response.headers_mut();
        headers.insert(HeaderName::from_static("grpc-status"), HeaderValue::from_static(code));
        headers.insert(HeaderName::from_static("grpc-message"), HeaderValue::from_static(words.kind));
        response
    }

    /// A page of ours, in the language that it is written in.
    pub(crate) fn page(&self, status: PageStatus, page: &impl Page) -> Response<Body> {
        let status = match status {
            PageStatus::Shown => StatusCode::OK,
            PageStatus::Refused => StatusCode::FORBIDDEN,
            PageStatus::BadRequest => StatusCode::BAD_REQUEST,
            PageStatus::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            PageStatus::Exactly(status) => status,
        };
        let Ok(html) = page.render() else {
            return self.own(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", Body::whole("page broken"));
        };
        let mut response = self.own(status, "text/html; charset=utf-8", Body::whole(html));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            retry(response.headers_mut(), RETRY_SECONDS);
        }
        let headers = response.headers_mut();
        headers.insert(CONTENT_SECURITY_POLICY, self.page_policy.clone());
        headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
        headers.insert(CONTENT_LANGUAGE, HeaderValue::from_static(page.language().code));
        headers.append(VARY, HeaderValue::from_static("Accept-Language"));
        response
    }

    /// A JSON answer of ours.
    pub(crate) fn json(&self, document: &Value) -> Response<Body> {
        self.own(StatusCode::OK, "application/json", Body::whole(document.to_string()))
    }

    /// A JSON answer of ours that is the same for everybody.
    pub(crate) fn public_json(&self, document: &Value) -> Response<Body> {
        let mut response = self.json(document);
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
        response.headers_mut().remove(VARY);
        response
    }

    /// Sends a navigation elsewhere with `302`.
    pub(crate) fn found(&self, location: &str) -> Response<Body> {
        self.redirect(StatusCode::FOUND, location)
    }

    /// Answers a form or a callback by sending the browser on with a GET: `303`.
    pub(crate) fn see_other(&self, location: &str) -> Response<Body> {
        self.redirect(StatusCode::SEE_OTHER, location)
    }

    fn redirect(&self, status: StatusCode, location: &str) -> Response<Body> {
        let Ok(location) = HeaderValue::from_str(location) else { return self.fault(Fault::Internal) };
        let mut response = self.own(status, "text/plain", Body::empty());
        response.headers_mut().remove(CONTENT_TYPE);
        response.headers_mut().insert(LOCATION, location);
        response
    }

    /// Tells a browser that a page of another origin may call (Fetch standard, CORS preflight).
    pub(crate) fn preflight(&self, method: &HeaderValue, asked: Option<&HeaderValue>) -> Response<Body> {
        let mut response = self.own(StatusCode::NO_CONTENT, "text/plain", Body::empty());
        let headers = response.headers_mut();
        headers.remove(CONTENT_TYPE);
        headers.insert("access-control-allow-methods", method.clone());
        if let Some(asked) = asked {
            headers.insert("access-control-allow-headers", asked.clone());
        }
        headers.insert("access-control-max-age", HeaderValue::from_static("600"));
        response
    }

    fn own(&self, status: StatusCode, kind: &'static str, body: Body) -> Response<Body> {
        let mut response = Response::new(body);
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
        headers.insert(VARY, HeaderValue::from_static("Cookie"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        headers.insert(X_ROBOTS_TAG, HeaderValue::from_static("noindex"));
        if let Ok(id) = HeaderValue::from_str(self.request_id) {
            headers.insert(X_REQUEST_ID, id);
        }
        if let Some(origin) = &self.cors_origin {
            headers.insert("access-control-allow-origin", origin.clone());
            headers.insert("access-control-allow-credentials", HeaderValue::from_static("true"));
            headers.append(VARY, HeaderValue::from_static("Origin"));
        }
        response
    }
}

/// The status of a page of ours, in the words of whoever shows it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum PageStatus {
    /// All is well.
    Shown,
    /// The person is refused.
    Refused,
    /// The request makes no sense.
    BadRequest,
    /// It may work later.
    Unavailable,
    /// The status that this file chose.
    Exactly(StatusCode),
}

/// The status of an answer of the admin listener, in its own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AdminStatus {
    /// All is well.
    Good,
    /// Not ready to serve.
    Unready,
    /// Not for this peer.
    Forbidden,
    /// There is no such thing.
    Unknown,
}

/// An answer of the admin listener.
pub(crate) fn admin(status: AdminStatus, kind: &'static str, text: String) -> Response<Body> {
    let mut response = Response::new(Body::whole(text));
    *response.status_mut() = match status {
        AdminStatus::Good => StatusCode::OK,
        AdminStatus::Unready => StatusCode::SERVICE_UNAVAILABLE,
        AdminStatus::Forbidden => StatusCode::FORBIDDEN,
        AdminStatus::Unknown => StatusCode::NOT_FOUND,
    };
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The admin listener's answer to a method that the address does not take.
pub(crate) fn admin_method(allowed: &'static str) -> Response<Body> {
    let mut response = admin(AdminStatus::Good, "text/plain", "method not allowed".to_owned());
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

fn challenge(response: &mut Response<Body>, challenge: &'static str) {
    if response.status() == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
}

/// How many seconds somebody is told to wait (RFC 9110 §10.2.3). Whoever comes back a moment early is sent away once
/// more, so it is rounded up.
fn seconds_to_wait(wait: Option<Span>) -> u64 {
    wait.map_or(RETRY_SECONDS, |wait| wait.as_millis().div_ceil(1_000).max(1))
}

fn retry(headers: &mut http::HeaderMap, seconds: u64) {
    headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
}

fn close(headers: &mut http::HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
}
