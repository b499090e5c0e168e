//! Whoever will read an answer, as far as the request tells: asked only when a page is made of it.

use http::header::ACCEPT_LANGUAGE;
use http::{HeaderMap, HeaderValue};

use crate::auth::navigation::Caller;
use crate::server::language::{Language, choose};

/// Where it stands which languages somebody reads.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Reader<'a> {
    /// In the request, which is here.
    Here(&'a HeaderMap),
    /// In what was kept of a request that has gone on.
    Gone(&'a Kept),
    /// Nowhere: a program asks.
    Nobody,
}

impl Reader<'_> {
    /// The language for them.
    pub(crate) fn language(self) -> &'static Language {
        match self {
            Self::Here(headers) => choose(headers.get_all(ACCEPT_LANGUAGE)),
            Self::Gone(Kept { first, more }) => choose(first.iter().chain(more)),
            Self::Nobody => choose([]),
        }
    }
}

/// What is kept of a request that goes on to an application, in case its answer is a page of ours after all. Costs no
/// more than a look, and nothing where a program asks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Kept {
    first: Option<HeaderValue>,
    /// Browsers send one field.
    more: Vec<HeaderValue>,
}

impl Kept {
    /// What a page needs of this request.
    pub(crate) fn of(caller: Caller, headers: &HeaderMap) -> Self {
        match caller {
            Caller::Navigation | Caller::Frame | Caller::UnsafeNavigation => {
                let mut fields = headers.get_all(ACCEPT_LANGUAGE).into_iter().cloned();
                Self { first: fields.next(), more: fields.collect() }
            }
            Caller::Grpc | Caller::Program => Self::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[&'static str]) -> HeaderMap {
        fields.iter().map(|field| (ACCEPT_LANGUAGE, HeaderValue::from_static(field))).collect()
    }

    #[test]
    fn what_is_kept_tells_the_same_as_the_request() {
        for fields in [&[][..], &["de"], &["en;q=0.1", "de;q=0.2"], &["fr", "en"], &["de;q=0"]] {
            let headers = headers(fields);
            let kept = Kept::of(Caller::Navigation, &headers);
            assert_eq!(
                Reader::Here(&headers).language().code,
                Reader::Gone(&kept).language().code,
                "{fields:?}"
            );
        }
    }

    #[test]
    fn nothing_is_kept_for_programs() {
        let kept = Kept::of(Caller::Program, &headers(&["de"]));
        assert!(kept.first.is_none() && kept.more.is_empty());
        assert_eq!(Reader::Gone(&kept).language().code, Reader::Nobody.language().code);
    }
}
