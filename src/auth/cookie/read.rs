//! Finding our cookies in a request. Whatever else the `Cookie` fields hold is not looked at twice, and no
//! byte of it can make this fail.

use std::borrow::Cow;
use std::fmt;

use http::HeaderMap;
use http::header::COOKIE;
use memchr::{memchr, memmem};

use crate::auth::cookie::names::{AttemptId, CookieNames, OurCookie, Part};
use crate::auth::sealed_cookie::parts_in_head;

/// Most different values of one name, and most ways to put a session's parts together, that are looked at.
/// A browser sends one, two where an old path or domain lingers; more is somebody's attempt to keep us busy.
const MAX_COPIES: usize = 8;
/// Most attempt cookies that are looked at: several times what we allow at once.
const MAX_ATTEMPTS: usize = 64;

/// The values of our cookies in one request.
#[derive(Default)]
pub struct RequestCookies<'a> {
    session: Values<'a>,
    second: Values<'a>,
    third: Values<'a>,
    fourth: Values<'a>,
    attempts: Vec<(AttemptId, &'a str)>,
    signed_out: Values<'a>,
    recent: Values<'a>,
    pending: Values<'a>,
    magic_link: Values<'a>,
}

/// The texts that a session may be in.
#[derive(Clone, PartialEq, Eq)]
pub enum Candidates<'a> {
    /// These, each to be opened; usually one, often none.
    Texts(Vec<Cow<'a, str>>),
    /// So many that they are not looked at: to be treated like sessions in conflict.
    TooMany,
}

impl<'a> RequestCookies<'a> {
    /// Looks through every `Cookie` field: several of them, as HTTP/2 allows (RFC 9113 §8.2.3), read like one.
    #[must_use]
    pub fn read(headers: &'a HeaderMap, names: &CookieNames) -> Self {
        let mut found = Self::default();
        for field in headers.get_all(COOKIE) {
            let field = field.as_bytes();
            if memmem::find(field, names.session().as_bytes()).is_none() {
                continue;
            }
            for pair in segments(field) {
                let Some((cookie, value)) =
                    split_pair(pair).and_then(|(name, value)| Some((names.recognise(name)?, value)))
                else {
                    continue;
                };
                // Sealed text is ASCII: another value is a cookie that is there and cannot open.
                found.take(cookie, std::str::from_utf8(value).unwrap_or_default());
            }
        }
        found
    }

    /// Every text that the session cookies can be put together to. A head whose parts are not all there gives
    /// none.
    #[must_use]
    pub fn session_texts(&self) -> Candidates<'a> {
        let heads = self.session.0.iter().filter_map(|head| Some((*head, parts_in_head(head.as_bytes())?)));
        let mut texts = Vec::new();
        for (head, parts) in heads {
            let mut heads = vec![Cow::Borrowed(head)];
            for part in Part::ALL.into_iter().filter(|part| part.index() < parts) {
                let values = &self.part(part).0;
                if heads.len() * values.len() > MAX_COPIES {
                    return Candidates::TooMany;
                }
                heads =
                    heads.iter().flat_map(|head| values.iter().map(move |tail| joined(head, tail))).collect();
            }
            texts.append(&mut heads);
        }
        let crowded = self.session.0.len() > MAX_COPIES || texts.len() > MAX_COPIES;
        if crowded { Candidates::TooMany } else { Candidates::Texts(texts) }
    }

    /// Parts of a session that came along although the session in use takes only `parts_in_use` cookies
    /// (zero: there is none): to be expired.
    pub fn surplus_parts(&self, parts_in_use: usize) -> impl Iterator<Item = OurCookie> {
        Part::ALL
            .into_iter()
            .filter(move |part| part.index() >= parts_in_use && !self.part(*part).0.is_empty())
            .map(OurCookie::SessionPart)
    }

    /// The values of this attempt's cookie.
    pub fn attempt(&self, id: AttemptId) -> impl Iterator<Item = &'a str> {
        self.attempts.iter().filter(move |(other, _)| *other == id).map(|(_, value)| *value)
    }

    /// All attempt cookies.
    pub fn attempts(&self) -> impl Iterator<Item = (AttemptId, &'a str)> {
        self.attempts.iter().copied()
    }

    /// The values of the cookie that waits for the return from signing out.
    pub fn signed_out(&self) -> impl Iterator<Item = &'a str> {
        self.signed_out.0.iter().copied()
    }

    /// The values of the cookie that counts recent sign-ins.
    pub fn recent(&self) -> impl Iterator<Item = &'a str> {
        self.recent.0.iter().copied()
    }

    /// The values of the cookie of a sign-in on our own page.
    pub fn pending(&self) -> impl Iterator<Item = &'a str> {
        self.pending.0.iter().copied()
    }

    /// The values of the cookie of a browser that asked for magic links.
    pub fn magic_link(&self) -> impl Iterator<Item = &'a str> {
        self.magic_link.0.iter().copied()
    }

    /// Which of our cookies came along, each once.
    #[must_use]
    pub fn carried(&self) -> Vec<OurCookie> {
        let single = [
            (OurCookie::Session, &self.session),
            (OurCookie::SessionPart(Part::Second), &self.second),
            (OurCookie::SessionPart(Part::Third), &self.third),
            (OurCookie::SessionPart(Part::Fourth), &self.fourth),
            (OurCookie::SignedOut, &self.signed_out),
            (OurCookie::Recent, &self.recent),
            (OurCookie::Pending, &self.pending),
            (OurCookie::MagicLink, &self.magic_link),
        ];
        let mut attempts: Vec<AttemptId> = self.attempts.iter().map(|(id, _)| *id).collect();
        attempts.sort_unstable();
        attempts.dedup();
        let present = single.into_iter().filter(|(_, values)| !values.0.is_empty()).map(|(cookie, _)| cookie);
        present.chain(attempts.into_iter().map(OurCookie::Attempt)).collect()
    }

    const fn part(&self, part: Part) -> &Values<'a> {
        match part {
            Part::Second => &self.second,
            Part::Third => &self.third,
            Part::Fourth => &self.fourth,
        }
    }

    fn take(&mut self, cookie: OurCookie, value: &'a str) {
        match cookie {
            OurCookie::Session => self.session.take(value),
            OurCookie::SessionPart(Part::Second) => self.second.take(value),
            OurCookie::SessionPart(Part::Third) => self.third.take(value),
            OurCookie::SessionPart(Part::Fourth) => self.fourth.take(value),
            OurCookie::SignedOut => self.signed_out.take(value),
            OurCookie::Recent => self.recent.take(value),
            OurCookie::Pending => self.pending.take(value),
            OurCookie::MagicLink => self.magic_link.take(value),
            OurCookie::Attempt(id) => {
                if self.attempts.len() < MAX_ATTEMPTS && !self.attempts.contains(&(id, value)) {
                    self.attempts.push((id, value));
                }
            }
        }
    }
}

impl fmt::Debug for RequestCookies<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("RequestCookies").field(&self.carried()).finish()
    }
}

impl fmt::Debug for Candidates<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Texts(texts) => write!(formatter, "Texts({})", texts.len()),
            Self::TooMany => formatter.write_str("TooMany"),
        }
    }
}

/// The different values of one name; one more than are looked at, so that too many can be told.
#[derive(Default)]
struct Values<'a>(Vec<&'a str>);

impl<'a> Values<'a> {
    fn take(&mut self, value: &'a str) {
        if self.0.len() <= MAX_COPIES && !self.0.contains(&value) {
            self.0.push(value);
        }
    }
}

/// The pieces of a `Cookie` field between its semicolons, whitespace included.
pub(super) fn segments(field: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(field);
    std::iter::from_fn(move || {
        let current = rest?;
        let end = memchr(b';', current);
        rest = end.and_then(|end| current.get(end + 1..));
        current.get(..end.unwrap_or(current.len()))
    })
}

/// Name and value of a piece, without the whitespace around them (RFC 6265 §5.2, as servers read it).
pub(super) fn split_pair(segment: &[u8]) -> Option<(&[u8], &[u8])> {
    let equals = memchr(b'=', segment)?;
    let (name, value) = segment.split_at_checked(equals)?;
    Some((name.trim_ascii(), value.get(1..)?.trim_ascii()))
}

fn joined<'a>(head: &Cow<'a, str>, tail: &str) -> Cow<'a, str> {
    let mut text = String::with_capacity(head.len() + tail.len());
    text.push_str(head);
    text.push_str(tail);
    Cow::Owned(text)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;
    use crate::auth::cookie::names::Scope;
    use crate::auth::entropy::Entropy;
    use crate::auth::sealed_cookie::tests::Sealing;

    fn names() -> CookieNames {
        CookieNames::new("vestibule", Scope::Loopback).unwrap()
    }

    fn headers<B: AsRef<[u8]>>(fields: &[B]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(COOKIE, HeaderValue::from_bytes(field.as_ref()).unwrap());
        }
        headers
    }

    /// A text of that many cookies, whose content is all `byte`.
    fn sealed(byte: u8, parts: usize) -> Vec<String> {
        let sealing = Sealing::new();
        let content = vec![byte; 2_816 * (parts - 1) + 100];
        let nonce = Entropy::from_bytes([byte; 12]);
        let sealed = sealing.context().seal(OurCookie::Session, &content, nonce).unwrap();
        assert_eq!(sealed.part_count(), parts);
        sealed.parts().map(str::to_owned).collect()
    }

    fn texts(headers: &HeaderMap) -> Vec<String> {
        match RequestCookies::read(headers, &names()).session_texts() {
            Candidates::Texts(texts) => texts.into_iter().map(Cow::into_owned).collect(),
            Candidates::TooMany => panic!("too many"),
        }
    }

    #[test]
    fn a_request_without_our_cookies_has_none() {
        for field in ["", ";", "a=1; b=2", "vestibules=1", "vestibule", "=vestibule", "x=vestibule=1"] {
            let headers = headers(&[field]);
            let found = RequestCookies::read(&headers, &names());
            assert_eq!(found.carried(), [], "{field}");
            assert_eq!(texts(&headers), Vec::<String>::new());
        }
        assert_eq!(RequestCookies::read(&HeaderMap::new(), &names()).carried(), []);
    }

    #[test]
    fn a_session_is_found_among_others_in_one_field_and_in_crumbs() {
        let text = &sealed(1, 1)[0];
        let ways: [Vec<String>; 4] = [
            vec![format!("vestibule={text}")],
            vec![format!("a=1; vestibule={text}; b=\"x\"")],
            vec!["a=1".to_owned(), format!("vestibule={text}"), "b=2".to_owned()],
            vec![format!("a=1;\tvestibule = {text} ;;")],
        ];
        for way in ways {
            assert_eq!(texts(&headers(&way)), [text.as_str()], "{way:?}");
        }
    }

    #[test]
    fn a_value_that_is_no_head_of_ours_is_no_candidate_but_is_carried() {
        for value in ["", "x", "\"quoted\"", "AAAAAAAAAAAAAAAAAAAAAAAAAAAA", "\u{e9}"] {
            let headers = headers(&[format!("vestibule={value}")]);
            assert_eq!(texts(&headers), Vec::<String>::new(), "{value}");
            assert_eq!(RequestCookies::read(&headers, &names()).carried(), [OurCookie::Session]);
        }
    }

    #[test]
    fn eight_bit_bytes_are_carried_and_harmless() {
        let headers = headers(&[b"a=\xff\xfe; vestibule=\xc3\x28; \x80=1; vestibule-recent=\xff".as_slice()]);
        let found = RequestCookies::read(&headers, &names());
        assert_eq!(found.carried(), [OurCookie::Session, OurCookie::Recent]);
        assert_eq!(found.recent().collect::<Vec<_>>(), [""]);
    }

    #[test]
    fn parts_are_put_together_in_their_order_wherever_they_stand() {
        let parts = sealed(1, 3);
        let field =
            format!("vestibule.2={}; a=1; vestibule={}; vestibule.1={}", parts[2], parts[0], parts[1]);
        let headers = headers(&[field]);
        assert_eq!(texts(&headers), [parts.concat()]);
        assert_eq!(RequestCookies::read(&headers, &names()).surplus_parts(3).count(), 0);
    }

    #[test]
    fn a_missing_part_makes_it_absent() {
        let parts = sealed(1, 3);
        assert_eq!(texts(&headers(&[format!("vestibule={}; vestibule.2={}", parts[0], parts[2])])), [""; 0]);
        assert_eq!(
            texts(&headers(&[format!("vestibule.1={}; vestibule.2={}", parts[1], parts[2])])),
            [""; 0]
        );
    }

    #[test]
    fn surplus_parts_are_ignored_and_reported() {
        let text = &sealed(1, 1)[0];
        let headers = headers(&[format!("vestibule={text}; vestibule.1=old; vestibule.3=older")]);
        assert_eq!(texts(&headers), [text.as_str()]);
        let found = RequestCookies::read(&headers, &names());
        let second_and_fourth = [Part::Second, Part::Fourth].map(OurCookie::SessionPart);
        assert_eq!(found.surplus_parts(1).collect::<Vec<_>>(), second_and_fourth);
        assert_eq!(found.surplus_parts(0).collect::<Vec<_>>(), second_and_fourth);
        assert_eq!(found.surplus_parts(2).collect::<Vec<_>>(), [OurCookie::SessionPart(Part::Fourth)]);
    }

    #[test]
    fn two_cookies_of_one_name_are_two_candidates_and_equal_ones_are_one() {
        let (one, two) = (&sealed(1, 1)[0], &sealed(2, 1)[0]);
        let headers = headers(&[format!("vestibule={one}; vestibule={two}"), format!("vestibule={one}")]);
        assert_eq!(texts(&headers), [one.as_str(), two]);
    }

    #[test]
    fn doubled_parts_give_every_combination() {
        let (one, two) = (sealed(1, 2), sealed(2, 2));
        let field = format!(
            "vestibule={}; vestibule.1={}; vestibule={}; vestibule.1={}",
            one[0], one[1], two[0], two[1]
        );
        let found = texts(&headers(&[field]));
        assert_eq!(found.len(), 4);
        assert!(found.contains(&one.concat()) && found.contains(&two.concat()));
    }

    #[test]
    fn too_many_candidates_are_told_and_not_tried() {
        let several: Vec<String> = (1..=9).map(|byte| format!("vestibule={}", sealed(byte, 1)[0])).collect();
        let eight = headers(&several[..8]);
        assert_eq!(texts(&eight).len(), 8);
        let nine = headers(&several);
        assert_eq!(RequestCookies::read(&nine, &names()).session_texts(), Candidates::TooMany);
        let head = &sealed(1, 4)[0];
        let tails = (0..30).map(|tail| format!("vestibule.{}=tail{tail}", tail % 3 + 1));
        let crowded: Vec<String> = std::iter::once(format!("vestibule={head}")).chain(tails).collect();
        let crowded = headers(&crowded);
        assert_eq!(RequestCookies::read(&crowded, &names()).session_texts(), Candidates::TooMany);
    }

    #[test]
    fn attempts_are_found_by_their_id() {
        let headers =
            headers(&["vestibule-signin-00000001=a; vestibule-signin-00000002=b; vestibule-signin-1=c"]);
        let found = RequestCookies::read(&headers, &names());
        let id = AttemptId::from_bytes([0, 0, 0, 2]);
        assert_eq!(found.attempt(id).collect::<Vec<_>>(), ["b"]);
        assert_eq!(found.attempts().count(), 2);
        assert_eq!(found.carried().len(), 2);
    }

    #[test]
    fn the_number_of_attempts_that_are_looked_at_is_bounded() {
        let field: String = (0..500).map(|number| format!("vestibule-signin-{number:08x}=x;")).collect();
        let headers = headers(&[field + "vestibule-signed-out=kept"]);
        let found = RequestCookies::read(&headers, &names());
        assert_eq!(found.attempts().count(), MAX_ATTEMPTS);
        assert_eq!(found.signed_out().collect::<Vec<_>>(), ["kept"]);
    }

    #[test]
    fn nothing_of_the_values_is_printed() {
        let headers =
            headers(&["vestibule=canary; vestibule-recent=canary; vestibule-signin-00000001=canary"]);
        let found = RequestCookies::read(&headers, &names());
        let printed = format!("{found:?} {:?}", found.session_texts());
        assert!(!printed.contains("canary"), "{printed}");
    }

    proptest! {
        #[test]
        fn arbitrary_cookie_fields_do_no_harm(
            fields in prop::collection::vec(prop::collection::vec(prop_oneof![
                Just(b';'), Just(b'='), Just(b' '), Just(b'\t'), 0x20_u8..0x7f, 0x80_u8..=0xff
            ], 0..60), 0..4),
            ours in "vestibule(\\.[1-3]|-recent|-signin-[0-9a-f]{8})?=[A-Za-z0-9_-]{0,40}",
        ) {
            let mut fields = fields;
            if let Some(first) = fields.first_mut() {
                first.extend_from_slice(ours.as_bytes());
            }
            let headers = headers(&fields);
            let found = RequestCookies::read(&headers, &names());
            let _ = (found.session_texts(), found.carried(), found.attempts().count());
        }
    }
}
