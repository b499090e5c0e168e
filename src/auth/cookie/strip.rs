//! Keeping our cookies between the browser and us: cutting them out of the `Cookie` fields that the upstream
//! gets, and telling which of its `Set-Cookie` fields would touch them.

use http::header::{COOKIE, Entry};
use http::{HeaderMap, HeaderValue};
use memchr::memmem;

use crate::auth::cookie::names::CookieNames;
use crate::auth::cookie::read::{segments, split_pair};

/// Joins several `Cookie` fields, into which HTTP/2 may split them, to one with `; ` between
/// (RFC 9113 §8.2.3). One field stays as it is.
pub fn join_crumbs(headers: &mut HeaderMap) {
    if headers.get_all(COOKIE).iter().nth(1).is_none() {
        return;
    }
    let crumbs = take_fields(headers);
    let mut joined = Vec::with_capacity(crumbs.iter().map(|crumb| crumb.len() + 2).sum());
    for crumb in crumbs.iter().filter(|crumb| !crumb.is_empty()) {
        if !joined.is_empty() {
            joined.extend_from_slice(b"; ");
        }
        joined.extend_from_slice(crumb.as_bytes());
    }
    append(headers, &joined, &crumbs);
}

/// Cuts exactly our cookies out of every `Cookie` field. All other bytes stay as they are and in their order;
/// a field with none of our cookies is not touched, one with nothing else is removed.
pub fn strip_ours(headers: &mut HeaderMap, names: &CookieNames) {
    let marker = names.session().as_bytes();
    if !headers.get_all(COOKIE).iter().any(|field| memmem::find(field.as_bytes(), marker).is_some()) {
        return;
    }
    for field in take_fields(headers) {
        match without_ours(field.as_bytes(), names) {
            None => {
                headers.append(COOKIE, field);
            }
            Some(rest) => append(headers, &rest, std::slice::from_ref(&field)),
        }
    }
}

/// Would this `Set-Cookie` field of the upstream set or expire one of our cookies, in any browser's reading?
/// Upper and lower case count as one here, and so does a name behind stray blanks, quotes or equals signs: a
/// browser that stores `=name=value` as a nameless cookie sends it back as `name=value`.
#[must_use]
pub fn sets_ours(field: &HeaderValue, names: &CookieNames) -> bool {
    const JUNK: &[u8] = b" \t\"'=";
    let pair = segments(field.as_bytes()).next().unwrap_or_default();
    let start = pair.iter().position(|byte| !JUNK.contains(byte)).unwrap_or(pair.len());
    let named = pair.get(start..).unwrap_or_default();
    let name = named.split(|byte| *byte == b'=').next().unwrap_or_default();
    let end = name.iter().rposition(|byte| !JUNK.contains(byte)).map_or(0, |last| last + 1);
    names.resembles_ours(name.get(..end).unwrap_or_default())
}

/// What is left of a field; `None` when nothing of it is ours.
fn without_ours(field: &[u8], names: &CookieNames) -> Option<Vec<u8>> {
    let is_ours = |segment: &[u8]| split_pair(segment).is_some_and(|(name, _)| names.is_ours(name));
    let mut rest = Vec::with_capacity(field.len());
    let mut kept = 0_usize;
    let mut cut = 0_usize;
    for segment in segments(field) {
        if is_ours(segment) {
            cut += 1;
        } else if kept == 0 && cut > 0 {
            // It moves to the front: the blank that parted it from ours goes with ours.
            rest.extend_from_slice(segment.trim_ascii_start());
            kept += 1;
        } else {
            if kept > 0 {
                rest.push(b';');
            }
            rest.extend_from_slice(segment);
            kept += 1;
        }
    }
    (cut > 0).then_some(rest)
}

fn take_fields(headers: &mut HeaderMap) -> Vec<HeaderValue> {
    match headers.entry(COOKIE) {
        Entry::Occupied(fields) => fields.remove_entry_mult().1.collect(),
        Entry::Vacant(_) => Vec::new(),
    }
}

/// Appends a `Cookie` field made of pieces of `sources`, as sensitive as they were, unless nothing is in it.
fn append(headers: &mut HeaderMap, bytes: &[u8], sources: &[HeaderValue]) {
    if bytes.trim_ascii().is_empty() {
        return;
    }
    // Pieces of valid fields and semicolons always make a valid field (RFC 9110 §5.5).
    if let Ok(mut field) = HeaderValue::from_bytes(bytes) {
        field.set_sensitive(sources.iter().any(HeaderValue::is_sensitive));
        headers.append(COOKIE, field);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::auth::cookie::names::Scope;

    fn names() -> CookieNames {
        CookieNames::new("vestibule", Scope::Host).unwrap()
    }

    fn headers<B: AsRef<[u8]>>(fields: &[B]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(COOKIE, HeaderValue::from_bytes(field.as_ref()).unwrap());
        }
        headers
    }

    fn fields(headers: &HeaderMap) -> Vec<&[u8]> {
        headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect()
    }

    fn stripped<B: AsRef<[u8]>>(given: &[B]) -> Vec<Vec<u8>> {
        let mut headers = headers(given);
        strip_ours(&mut headers, &names());
        fields(&headers).into_iter().map(<[u8]>::to_vec).collect()
    }

    #[test]
    fn our_cookies_are_cut_and_the_rest_stays_byte_for_byte() {
        let cases = [
            ("a=1; __Host-vestibule=s; b=2", "a=1; b=2"),
            ("__Host-vestibule=s; b=2", "b=2"),
            ("a=1; __Host-vestibule=s", "a=1"),
            ("a=1;__Host-vestibule=s;b=2", "a=1;b=2"),
            ("a=1;  b = \"2;3\" ; __Host-vestibule=s;;c", "a=1;  b = \"2;3\" ;;c"),
            ("a=1; __Host-vestibule.1=s; __Host-vestibule-recent=r; b=2;", "a=1; b=2;"),
            ("__Host-vestibule-signin-0011aabb=x; \t b=2", "b=2"),
            ("a=1;\t__Host-vestibule\t=s; b=2", "a=1; b=2"),
            ("__Host-vestibule=one; a=1; __Host-vestibule=two", "a=1"),
        ];
        for (given, left) in cases {
            assert_eq!(stripped(&[given]), [left.as_bytes()], "{given}");
        }
    }

    #[test]
    fn a_field_of_nothing_but_ours_is_removed() {
        for given in ["__Host-vestibule=s", "__Host-vestibule=s;", "__Host-vestibule=s; __Host-vestibule.1=t"]
        {
            assert_eq!(stripped(&[given]), Vec::<Vec<u8>>::new(), "{given}");
        }
        assert_eq!(stripped(&["a=1", "__Host-vestibule=s", "b=2"]), [b"a=1", b"b=2"]);
    }

    #[test]
    fn cookies_that_are_not_ours_are_not_touched() {
        let given = [
            "vestibule=1; __Secure-vestibule=2; __host-vestibule=3",
            "__Host-vestibule; x=__Host-vestibule=1",
            "__Host-vestibule.4=1; __Host-vestibule-signin-XYZ=2;;  ; ",
            "",
        ];
        assert_eq!(stripped(&given), given.map(|field| field.as_bytes().to_vec()));
    }

    #[test]
    fn a_field_that_must_not_be_indexed_stays_so() {
        let mut headers = headers(&["a=1; __Host-vestibule=s"]);
        headers.get_mut(COOKIE).unwrap().set_sensitive(true);
        strip_ours(&mut headers, &names());
        assert!(headers.get(COOKIE).unwrap().is_sensitive());
    }

    #[test]
    fn crumbs_become_one_field() {
        let mut headers = headers(&["a=1", "", "b=2; c=3", "d=4"]);
        join_crumbs(&mut headers);
        assert_eq!(fields(&headers), [b"a=1; b=2; c=3; d=4"]);
    }

    #[test]
    fn one_field_is_not_joined_with_anything() {
        let mut headers = headers(&[" a=1;b=2;"]);
        join_crumbs(&mut headers);
        assert_eq!(fields(&headers), [b" a=1;b=2;"]);
    }

    #[test]
    fn an_upstream_cannot_set_our_cookies_by_any_spelling() {
        let ours = [
            "__Host-vestibule=evil",
            "__Host-vestibule=",
            "__Host-vestibule",
            "__Host-vestibule; Max-Age=0",
            "  __Host-vestibule =evil; Path=/",
            "\t__Host-vestibule\t=\tevil",
            "__HOST-VESTIBULE=evil",
            "__Host-vestibule.1=evil",
            "__Host-vestibule-Signed-Out=evil",
            "__Host-vestibule-signin-00AAbbCC=evil",
            "\"__Host-vestibule\"=evil",
            "=__Host-vestibule=evil",
            "= =__Host-vestibule=evil",
            "'__Host-vestibule'=evil",
        ];
        for field in ours {
            assert!(sets_ours(&HeaderValue::from_str(field).unwrap(), &names()), "{field}");
        }
    }

    #[test]
    fn an_upstream_may_set_its_own_cookies() {
        let theirs = [
            "",
            "=",
            "vestibule=1",
            "session=__Host-vestibule=1",
            "a=1; __Host-vestibule=2",
            "__Host-vestibule2=1",
            "__Host-vestibule-theme=dark",
            "=value",
        ];
        for field in theirs {
            assert!(!sets_ours(&HeaderValue::from_str(field).unwrap(), &names()), "{field}");
        }
        assert!(!sets_ours(&HeaderValue::from_bytes(b"\xff\xfe=1").unwrap(), &names()));
    }

    /// A pair of somebody else's, with whatever a header may hold but a semicolon.
    fn other_pair() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![0x20_u8..0x3b, 0x3c_u8..0x7f, 0x80_u8..=0xff, Just(b'\t'), Just(b'=')];
        prop::collection::vec(byte, 0..20).prop_filter("is one of ours", |pair| {
            split_pair(pair).is_none_or(|(name, _)| !names().is_ours(name))
        })
    }

    fn our_pair() -> impl Strategy<Value = Vec<u8>> {
        "[ \t]{0,2}__Host-vestibule(\\.[1-3]|-recent|-signed-out|-signin-[0-9a-f]{8})?[ \t]?=[ -:<-~]{0,20}"
            .prop_map(String::into_bytes)
    }

    proptest! {
        #[test]
        fn other_cookies_keep_every_byte_and_their_order(
            pairs in prop::collection::vec((any::<bool>(), other_pair(), our_pair()), 1..8),
        ) {
            let given: Vec<&[u8]> = pairs.iter().map(|(ours, other, our)| if *ours { &**our } else { &**other }).collect();
            let others: Vec<&[u8]> = pairs.iter().filter(|(ours, ..)| !ours).map(|(_, other, _)| &**other).collect();
            let left = stripped(&[given.join(&b';')]);
            let kept = others.join(&b';');
            if others.len() == pairs.len() {
                prop_assert_eq!(left, vec![kept]);
            } else {
                // Blanks before a pair that moved to the front go; nothing else does.
                let starts_with_ours = pairs.first().is_some_and(|(ours, ..)| *ours);
                let kept = if starts_with_ours { kept.trim_ascii_start() } else { &kept };
                let expected: Vec<Vec<u8>> = if kept.trim_ascii().is_empty() { vec![] } else { vec![kept.to_vec()] };
                prop_assert_eq!(left, expected);
            }
        }

        #[test]
        fn nothing_of_ours_is_left_whatever_stands_around_it(
            fields in prop::collection::vec(prop::collection::vec(prop_oneof![other_pair(), our_pair()], 0..6), 0..4),
        ) {
            let given: Vec<Vec<u8>> = fields.iter().map(|pairs| pairs.join(&b';')).collect();
            let mut headers = headers(&given);
            strip_ours(&mut headers, &names());
            prop_assert_eq!(crate::auth::cookie::RequestCookies::read(&headers, &names()).carried(), vec![]);
            join_crumbs(&mut headers);
            prop_assert_eq!(crate::auth::cookie::RequestCookies::read(&headers, &names()).carried(), vec![]);
        }
    }
}
