//! Forwarding one request that the gate lets through: what is removed, what is set, and what happens to the
//! answer on its way back.

use std::sync::Arc;

use http::header::{AUTHORIZATION, CACHE_CONTROL, HOST, SET_COOKIE, VARY};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;

use crate::auth::cookie::{RequestCookies, join_crumbs, sets_ours, strip_ours};
use crate::auth::gate::Passage;
use crate::auth::policy::Access;
use crate::coarse::body_idle::BodyIdle;
use crate::entropy;
use crate::lease::body::GuardedBody;
use crate::lease::{Lease, StreamKind};
use crate::server::application::opening::{Asked, ended, unless_ended};
use crate::server::application::tunnel;
use crate::server::credential::renewal::{self, WriteBack, with_cookies};
use crate::server::data_thread::DataThread;
use crate::server::language::{Kept, Reader};
use crate::server::live::Live;
use crate::server::reply::Fault;
use crate::server::reply::body::{Body, BodyError};
use crate::server::request::body::{self, RequestBody};
use crate::server::request::exchange::{self, Bearings, Exchange};
use crate::server::request::per_stream;
use crate::server::request::watch::Watch;
use crate::server::site::Scheme;
use crate::upstream::Deadlines;
use crate::upstream::error::{Blame, UpstreamError};
use crate::upstream::hop_by_hop::{self, Upgrade, announce_web_socket};
use crate::upstream::pool::body::UpstreamBody;
use crate::upstream::trailers::{FilteredTrailers, filter_announced};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// Directives with which a shared cache is allowed to keep an answer (RFC 9111 §5.2.2).
const SHARED_DIRECTIVES: [&str; 2] = ["public", "s-maxage"];
/// Fields that speak to shared caches alone.
const SHARED_FIELDS: [HeaderName; 2] =
    [HeaderName::from_static("surrogate-control"), HeaderName::from_static("cdn-cache-control")];

/// What forwarding needs beside the request.
pub(crate) struct Forwarding<'a> {
    pub(crate) thread: &'a DataThread,
    pub(crate) bearings: &'a Bearings,
    pub(crate) carried: &'a RequestCookies<'a>,
    pub(crate) write_back: &'a WriteBack,
}

impl Forwarding<'_> {
    /// Sends the request on and gives the answer, with `cookies` set on it.
    pub(crate) async fn send(
        &self,
        mut exchange: Exchange,
        passage: Passage,
        cookies: Vec<HeaderValue>,
    ) -> Response<Body> {
        let live = Arc::clone(&exchange.live);
        let Some(upstream) = live.upstreams.get(passage.upstream()) else {
            return exchange.asker().fault(Fault::Internal);
        };
        let began = exchange.now;
        let upgrading = hyper::upgrade::on(&mut exchange.request);
        let asked = Asked::of(exchange.request.method(), exchange.request.headers());
        let wants_upgrade = self.rewrite(&mut exchange, &passage);
        let (id, caller, watch) = (exchange.id.clone(), exchange.caller, Arc::clone(&exchange.watch));
        let reader = Kept::of(caller, exchange.request.headers());
        let asker = exchange::asker(&live, &id, caller, Reader::Gone(&reader));
        let route = passage.route().and_then(|index| live.gate.policy().routes().get(index));
        let limit = route.and_then(|route| route.body_bytes).unwrap_or(live.limits.body_bytes);
        let idle = BodyIdle::new(self.thread.timer.clone(), live.limits.body_idle_timeout);
        let (head, incoming) = exchange.request.into_parts();
        let (leases, session) = (&self.thread.leases, passage.session());
        let call = asked.hold_call(leases, &live, self.bearings, &head.headers, session);
        let listener = asked.listener(leases, &live, self.bearings, call.as_ref(), session, &incoming);
        let body = match RequestBody::new(incoming, limit, &idle, &live, listener) {
            Ok(body) => body,
            // Our own answer still tells of a renewed session: its old cookie is spent.
            Err(fault) => return with_cookies(asker.fault(fault), cookies),
        };
        let response = route.and_then(|route| route.response_timeout).unwrap_or(upstream.response_timeout);
        let request = Request::from_parts(head, body);
        let sent = self.thread.pool.send(&passage, upstream, request, Deadlines { response });
        let sent = unless_ended(call.as_ref(), sent).await;
        let cookies =
            renewal::confirmed(self.thread, &live, self.carried, self.write_back, cookies, began).await;
        let response = match sent {
            Ok(Ok(response)) => response,
            Err(ending) => return with_cookies(ended(&asker, ending), cookies),
            Ok(Err(error)) => {
                self.count(&live, &passage, &error);
                return with_cookies(asker.fault(fault_of(&error)), cookies);
            }
        };
        if response.status() == StatusCode::SWITCHING_PROTOCOLS && wants_upgrade == Upgrade::WebSocket {
            let lease = asked.lease(&live, self.bearings, StreamKind::WebSocket, session);
            return self.switch(&live, lease, upgrading, watch, response, cookies);
        }
        let (mut head, body) = response.into_parts();
        filter_announced(&mut head.headers, |_| true);
        let body = FilteredTrailers::new(body, |_: &HeaderName| true);
        self.finish_head(&live, &mut head.headers, cookies);
        let kind = StreamKind::of(&head.headers);
        let body = match call {
            Some(call) if kind == StreamKind::Grpc => GuardedBody::held(call, body),
            Some(_) | None => {
                GuardedBody::new(leases, asked.lease(&live, self.bearings, kind, session), body)
            }
        };
        let body = idle.response(body, per_stream::stuck(&watch));
        Response::from_parts(head, Body::stream(Box::pin(body.map_err(|error| Box::new(error) as BodyError))))
    }

    /// What the application gets: the client's request without what belongs to its connection, without our
    /// cookies, without anything that claims an identity; with the one path, and with ours set last.
    fn rewrite(&self, exchange: &mut Exchange, passage: &Passage) -> Upgrade {
        let live = &exchange.live;
        let request = &mut exchange.request;
        let host = self.named_host(request);
        *request.uri_mut() = target(self.bearings, request.uri());
        let headers = request.headers_mut();
        let hops = hop_by_hop::strip_request(headers);
        live.headers.strip(headers, self.bearings.client.trust);
        filter_announced(headers, |name| !live.headers.removes(name));
        join_crumbs(headers);
        strip_ours(headers, live.sealer.cookies().names());
        if let Some(host) = host {
            headers.insert(HOST, host);
        }
        self.set_forwarded(live, headers);
        exchange.id.set(headers);
        if let Some(open) = passage.session() {
            if !open.place.is_ambient() {
                // The token was for us: whoever has it can be its person elsewhere.
                headers.remove(AUTHORIZATION);
            }
            open.headers.set(headers);
        }
        // RFC 6455 §4.1: the handshake is a GET of HTTP/1.1; anything else that says Upgrade stays what it is.
        if request.method() != Method::GET || request.version() != Version::HTTP_11 {
            return Upgrade::Nothing;
        }
        hops.ask_again(request.headers_mut());
        hops.upgrade()
    }

    /// The host as the client named it, for an upstream that is shown it. HTTP/2 names it in the target.
    fn named_host(&self, request: &Request<Incoming>) -> Option<HeaderValue> {
        match request.uri().authority() {
            Some(authority) => HeaderValue::from_str(authority.as_str()).ok(),
            None => request
                .headers()
                .get(HOST)
                .cloned()
                .or_else(|| HeaderValue::from_str(&self.bearings.host).ok()),
        }
    }

    fn set_forwarded(&self, live: &Live, headers: &mut HeaderMap) {
        let client = &self.bearings.client;
        match client.forwarded_for.as_deref().and_then(|chain| HeaderValue::from_str(chain).ok()) {
            Some(chain) => headers.insert(X_FORWARDED_FOR, chain),
            None => headers.remove(X_FORWARDED_FOR),
        };
        let public = live.site.is_public(&self.bearings.host);
        let scheme =
            if public { live.site.scheme() } else { client.forwarded_scheme.unwrap_or(Scheme::Http) };
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(scheme.as_str()));
        let host = if public { live.site.authority() } else { &self.bearings.host };
        if let Ok(host) = HeaderValue::from_str(host) {
            headers.insert(X_FORWARDED_HOST, host);
        }
    }

    /// What the browser gets of the application's answer: everything but `Set-Cookie` of our names, and no
    /// leave for shared caches to keep what depends on a session.
    fn finish_head(&self, live: &Live, headers: &mut HeaderMap, cookies: Vec<HeaderValue>) {
        drop_our_cookies(live, headers);
        if cookies.is_empty() {
            if live.gate.policy().requirements(self.bearings.destination).access != Access::Public {
                keep_private(headers);
            }
            return;
        }
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
        for field in SHARED_FIELDS {
            headers.remove(field);
        }
        headers.append(VARY, HeaderValue::from_static("Cookie"));
        for cookie in cookies {
            headers.append(SET_COOKIE, cookie);
        }
    }

    fn switch(
        &self,
        live: &Arc<Live>,
        lease: Lease,
        client: OnUpgrade,
        watch: Arc<Watch>,
        mut response: Response<UpstreamBody<RequestBody>>,
        cookies: Vec<HeaderValue>,
    ) -> Response<Body> {
        let upstream = hyper::upgrade::on(&mut response);
        let (mut head, _) = response.into_parts();
        self.finish_head(live, &mut head.headers, cookies);
        announce_web_socket(&mut head.headers);
        let guard = self.thread.leases.hold(lease);
        let timer = self.thread.timer.clone();
        self.thread.tasks.spawn(async move {
            tunnel::run(client, upstream, guard, timer, entropy::draw()).await;
            // The connection's place is taken until here.
            drop(watch);
        });
        Response::from_parts(head, Body::empty())
    }

    fn count(&self, live: &Live, passage: &Passage, error: &UpstreamError) {
        if error.blame() == Blame::Client {
            return;
        }
        if let Some(name) = live.upstream_names.get(passage.upstream()) {
            tracing::warn!(upstream = &**name, %error, "the application did not answer");
            self.thread.shared.metrics.upstream_error(name, error.kind());
        }
    }
}

fn fault_of(error: &UpstreamError) -> Fault {
    match error.blame() {
        Blame::Upstream => Fault::UpstreamUnreachable,
        Blame::UpstreamTime => Fault::UpstreamTooLate,
        Blame::Ourselves => Fault::Overloaded,
        Blame::Client => body::fault_of(error),
    }
}

/// The target for the application: the one path that was matched, and the query as it came.
fn target(bearings: &Bearings, uri: &Uri) -> Uri {
    let path = bearings.path.as_str();
    let same = uri.path() == path && uri.authority().is_none();
    if same {
        return uri.clone();
    }
    let whole = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    PathAndQuery::try_from(whole).map_or_else(|_| Uri::from_static("/"), Uri::from)
}

fn drop_our_cookies(live: &Live, headers: &mut HeaderMap) {
    let names = live.sealer.cookies().names();
    if !headers.get_all(SET_COOKIE).iter().any(|field| sets_ours(field, names)) {
        return;
    }
    let kept: Vec<HeaderValue> =
        headers.get_all(SET_COOKIE).iter().filter(|field| !sets_ours(field, names)).cloned().collect();
    headers.remove(SET_COOKIE);
    for field in kept {
        headers.append(SET_COOKIE, field);
    }
}

/// Takes shared caches' leave away and says that the answer depends on cookies; leaves the rest of what the
/// application says to the browser.
fn keep_private(headers: &mut HeaderMap) {
    let said = headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let mut kept: Vec<&str> = said.flat_map(|line| line.split(',')).map(str::trim).collect();
    kept.retain(|directive| {
        let name = directive.split('=').next().unwrap_or_default().trim();
        let shared = SHARED_DIRECTIVES.iter().any(|shared| name.eq_ignore_ascii_case(shared));
        !(directive.is_empty() || shared || name.eq_ignore_ascii_case("private"))
    });
    kept.insert(0, "private");
    let value = HeaderValue::from_str(&kept.join(", ")).unwrap_or(HeaderValue::from_static("private"));
    headers.insert(CACHE_CONTROL, value);
    for field in SHARED_FIELDS {
        headers.remove(field);
    }
    headers.append(VARY, HeaderValue::from_static("Cookie"));
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn private(said: &[&'static str]) -> String {
        let mut headers = HeaderMap::new();
        for line in said {
            headers.append(CACHE_CONTROL, HeaderValue::from_static(line));
        }
        headers.insert("surrogate-control", HeaderValue::from_static("max-age=60"));
        keep_private(&mut headers);
        assert!(!headers.contains_key("surrogate-control"));
        assert_eq!(headers.get(VARY).unwrap(), "Cookie");
        headers.get(CACHE_CONTROL).unwrap().to_str().unwrap().to_owned()
    }

    #[test]
    fn shared_caches_lose_their_leave_and_browsers_keep_theirs() {
        assert_eq!(private(&[]), "private");
        assert_eq!(private(&["public, max-age=60, s-maxage=600"]), "private, max-age=60");
        assert_eq!(private(&["no-cache", "Public"]), "private, no-cache");
        assert_eq!(private(&["private, max-age=5"]), "private, max-age=5");
    }
}
