//! Signing out: which cookies go, and where the browser goes next. Ending the session itself (here and at
//! WorkOS) is the shell's matter, and comes first.

use url::Url;

use crate::auth::cookie::names::{OurCookie, Part};
use crate::auth::cookie::read::RequestCookies;
use crate::auth::entropy::Entropy;
use crate::auth::identity::WorkOsSessionId;
use crate::auth::return_to::ReturnTo;
use crate::auth::sealed_cookie::{SealContext, SealedCookie};
use crate::auth::sign_in::authorize::under;
use crate::auth::sign_in::storable;
use crate::auth::time::{Span, Timestamp};

/// How long the way back from WorkOS may take: the `Max-Age` of [`OurCookie::SignedOut`].
pub const RETURN_LIFETIME: Span = Span::from_minutes(5);
/// How far the clocks of two replicas may be apart.
const CLOCK_SKEW: Span = Span::from_secs(60);
/// The layout of the cookie's content.
const SCHEMA: u8 = 1;

/// The addresses that a sign-out leads through.
#[derive(Debug, Clone, Copy)]
pub struct Places<'a> {
    /// WorkOS' base address.
    pub api_url: &'a Url,
    /// Our own origin, without a slash at its end.
    pub public_url: &'a str,
    /// Where our endpoints live (`/auth`).
    pub auth_path: &'a str,
}

/// What a sign-out does in the browser.
#[derive(Debug)]
pub struct SignOut {
    /// These cookies expire: the session in all its parts, and whatever else of ours came along.
    pub expire: Vec<OurCookie>,
    /// Where it goes from here.
    pub next: Next,
}

/// Where a sign-out goes.
#[derive(Debug)]
pub enum Next {
    /// To WorkOS, which ends its session and sends the browser back to `signed-out`.
    WorkOs {
        /// The address there
        /// (<https://workos.com/docs/reference/authkit/logout/get-logout-url>).
        logout_url: Url,
        /// The content of [`OurCookie::SignedOut`], to be set for [`RETURN_LIFETIME`].
        keep: SealedCookie,
    },
    /// There is no session at WorkOS to end: straight to the target.
    Target(ReturnTo),
}

impl SignOut {
    /// Begins the sign-out of the session that the request carried, if it carried one.
    #[must_use]
    pub fn begin(
        context: &SealContext<'_>,
        cookies: &RequestCookies<'_>,
        session: Option<&WorkOsSessionId>,
        places: &Places<'_>,
        return_to: ReturnTo,
        nonce: Entropy<12>,
        now: Timestamp,
    ) -> Self {
        let next = match session {
            Some(session) => Next::WorkOs {
                logout_url: logout_url(places, session),
                keep: keep(context, &return_to, nonce, now),
            },
            None => Next::Target(return_to),
        };
        let mut expire = vec![OurCookie::Session];
        expire.extend(Part::ALL.map(OurCookie::SessionPart));
        // A cookie cannot be set and expired by one answer.
        let is_set =
            |cookie: OurCookie| cookie == OurCookie::SignedOut && matches!(next, Next::WorkOs { .. });
        let further =
            cookies.carried().into_iter().filter(|cookie| !expire.contains(cookie) && !is_set(*cookie));
        let further: Vec<_> = further.collect();
        expire.extend(further);
        Self { expire, next }
    }

    /// Back from WorkOS: the target that was kept, if it was kept in this browser and not too long ago. The
    /// cookie is to be expired.
    #[must_use]
    pub fn finish(
        context: &SealContext<'_>,
        cookies: &RequestCookies<'_>,
        now: Timestamp,
    ) -> Option<ReturnTo> {
        cookies.signed_out().find_map(|text| {
            let opened = context.open(OurCookie::SignedOut, text)?;
            let rest = opened.plaintext.strip_prefix(&[SCHEMA])?;
            let (begun, target) = rest.split_first_chunk()?;
            let begun = Timestamp::from_unix_seconds(i64::from_be_bytes(*begun));
            let current = now.since(begun) < RETURN_LIFETIME && begun.since(now) <= CLOCK_SKEW;
            let target = str::from_utf8(target).ok().filter(|_| current)?;
            Some(ReturnTo::from_stored(target))
        })
    }
}

fn keep(context: &SealContext<'_>, return_to: &ReturnTo, nonce: Entropy<12>, now: Timestamp) -> SealedCookie {
    let mut bytes = vec![SCHEMA];
    bytes.extend_from_slice(&now.unix_seconds().to_be_bytes());
    bytes.extend_from_slice(storable(return_to).as_bytes());
    context.seal_short(OurCookie::SignedOut, &bytes, nonce)
}

fn logout_url(places: &Places<'_>, session: &WorkOsSessionId) -> Url {
    let mut url = under(places.api_url, "/user_management/sessions/logout");
    let back = format!("{}{}/signed-out", places.public_url, places.auth_path);
    url.query_pairs_mut().append_pair("session_id", session.as_str()).append_pair("return_to", &back);
    url
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod tests {
    use http::header::COOKIE;
    use http::{HeaderMap, HeaderValue};

    use super::*;
    use crate::auth::cookie::names::AttemptId;
    use crate::auth::sealed_cookie::tests::{Sealing, golden};

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);
    const ATTEMPT: OurCookie = OurCookie::Attempt(AttemptId::from_bytes([0, 0, 0, 1]));

    fn target() -> ReturnTo {
        ReturnTo::from_stored("0/goodbye")
    }

    fn carrying(field: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, HeaderValue::from_str(field).unwrap());
        headers
    }

    fn sign_out(sealing: &Sealing, field: &str, session: Option<&str>) -> SignOut {
        let headers = carrying(field);
        let cookies = RequestCookies::read(&headers, &sealing.names);
        let api_url = Url::parse("https://api.workos.com").unwrap();
        let places = Places { api_url: &api_url, public_url: "https://app.example.com", auth_path: "/auth" };
        let session = session.map(|id| WorkOsSessionId::parse(id).unwrap());
        let nonce = Entropy::from_bytes([2; 12]);
        SignOut::begin(&sealing.context(), &cookies, session.as_ref(), &places, target(), nonce, NOW)
    }

    fn finish(sealing: &Sealing, text: &str, after: Span) -> Option<ReturnTo> {
        let headers = carrying(&format!("{}={text}", sealing.names.name(OurCookie::SignedOut)));
        let cookies = RequestCookies::read(&headers, &sealing.names);
        SignOut::finish(&sealing.context(), &cookies, NOW.plus(after))
    }

    #[test]
    fn a_sign_out_leads_through_workos_and_back_to_the_target() {
        let sealing = Sealing::new();
        let Next::WorkOs { logout_url, keep } = sign_out(&sealing, "a=1", Some("session_1")).next else {
            panic!("nowhere");
        };
        assert_eq!(
            logout_url.as_str(),
            "https://api.workos.com/user_management/sessions/logout?session_id=session_1\
             &return_to=https%3A%2F%2Fapp.example.com%2Fauth%2Fsigned-out"
        );
        assert_eq!(finish(&sealing, keep.as_str(), Span::from_secs(299)), Some(target()));
        assert_eq!(finish(&sealing, keep.as_str(), RETURN_LIFETIME), None);
        assert_eq!(finish(&sealing, "broken", Span::ZERO), None);
    }

    #[test]
    fn a_way_back_that_begins_in_the_future_is_none() {
        let sealing = Sealing::new();
        let kept = |ahead| {
            let nonce = Entropy::from_bytes([2; 12]);
            keep(&sealing.context(), &target(), nonce, NOW.plus(Span::from_secs(ahead)))
        };
        assert_eq!(finish(&sealing, kept(60).as_str(), Span::ZERO), Some(target()));
        assert_eq!(finish(&sealing, kept(61).as_str(), Span::ZERO), None);
    }

    #[test]
    fn everything_of_ours_goes_and_the_session_names_always() {
        let sealing = Sealing::new();
        let session: Vec<OurCookie> =
            std::iter::once(OurCookie::Session).chain(Part::ALL.map(OurCookie::SessionPart)).collect();
        assert_eq!(sign_out(&sealing, "a=1", Some("session_1")).expire, session);
        let field = "__Host-vestibule=s; __Host-vestibule.1=t; __Host-vestibule-recent=r; \
                     __Host-vestibule-signed-out=o; __Host-vestibule-signin-00000001=a; other=1";
        let with_session = sign_out(&sealing, field, Some("session_1")).expire;
        assert_eq!(with_session, [&*session, &[OurCookie::Recent, ATTEMPT]].concat());
        let without = sign_out(&sealing, field, None).expire;
        assert_eq!(without, [&*session, &[OurCookie::SignedOut, OurCookie::Recent, ATTEMPT]].concat());
    }

    #[test]
    fn without_a_session_it_goes_straight_to_the_target() {
        let next = sign_out(&Sealing::new(), "a=1", None).next;
        assert!(matches!(next, Next::Target(found) if found == target()));
    }

    #[test]
    fn the_golden_cookie_opens_and_is_sealed_the_same_way_today() {
        let golden = golden!("signed-out-1");
        let begun = Timestamp::from_unix_seconds(golden.seconds("begun_at"));
        assert_eq!(begun, NOW);
        let kept = finish(&golden.sealing, golden.text, Span::from_secs(1)).unwrap();
        assert_eq!(kept.to_stored(), golden.text_of("return_to"));
        let nonce = Entropy::from_bytes(golden.bytes("nonce"));
        assert_eq!(keep(&golden.sealing.context(), &kept, nonce, begun).as_str(), golden.text);
    }
}
