//! What people are told of a fault, a refusal or an objection: the same as programs ([`words`](super::words)), in the
//! language that they read and in words for people.

use crate::auth::refusal::Refusal;
use crate::server::language::{Catalogue, Phrase, Said, UnclearAddress};
use crate::server::reply::{Fault, Objection, Unclear};

/// A heading and a text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told {
    pub(super) title: &'static Phrase,
    pub(super) text: &'static Phrase,
}

impl From<&'static Said> for Told {
    fn from(Said { title, text }: &'static Said) -> Self {
        Self { title, text }
    }
}

/// What a fault is to people.
pub(super) fn of_fault(fault: Fault, words: &'static Catalogue) -> Told {
    let words = &words.fault;
    let said = match fault {
        Fault::Malformed(_) => &words.malformed,
        Fault::BadPath(unclear) => return of_unclear(unclear, &words.unclear),
        Fault::MethodRefused => &words.method_refused,
        Fault::MethodNotAllowed(_) => &words.method_not_allowed,
        Fault::NoSuchEndpoint => &words.no_such_endpoint,
        Fault::OtherHost => &words.other_host,
        Fault::CrossSite => &words.cross_site,
        Fault::BodyTooLarge => &words.body_too_large,
        Fault::BodyKind => &words.body_kind,
        Fault::BodyBroken => &words.body_broken,
        Fault::BadSignature => &words.bad_signature,
        Fault::Overloaded => &words.overloaded,
        Fault::UpstreamUnreachable => &words.upstream_unreachable,
        Fault::BodyTooSlow => &words.body_too_slow,
        Fault::UpstreamTooLate => &words.upstream_too_late,
        Fault::Internal => &words.internal,
    };
    said.into()
}

const fn of_unclear(unclear: Unclear, words: &'static UnclearAddress) -> Told {
    let text = match unclear {
        Unclear::Path => &words.path,
        Unclear::Readings => &words.readings,
        Unclear::EncodedSlash => &words.encoded_slash,
        Unclear::Callback => &words.callback,
        Unclear::LinkCallback => &words.link_callback,
    };
    Told { title: &words.title, text }
}

/// What a refusal is to people.
pub(super) fn of_refusal(refusal: Refusal, words: &'static Catalogue) -> Told {
    let words = &words.refusal;
    let said = match refusal {
        Refusal::SignInRequired => &words.sign_in_required,
        Refusal::InvalidCredential => &words.invalid_credential,
        Refusal::Forbidden => &words.forbidden,
        Refusal::OtherOrganization => &words.other_organization,
        Refusal::RouteClosed => &words.route_closed,
        Refusal::CrossOriginWebSocket => &words.cross_origin_web_socket,
        Refusal::OriginNotAllowed => &words.origin_not_allowed,
        Refusal::Unavailable(_) => &words.unavailable,
        Refusal::SessionTooLarge => &words.session_too_large,
    };
    said.into()
}

/// What an objection is to people.
pub(super) fn of_objection(objection: Objection, words: &'static Catalogue) -> Told {
    let words = &words.objection;
    let said = match objection {
        Objection::NotAMember => &words.not_a_member,
        Objection::OrganizationFixed => &words.organization_fixed,
        Objection::UnknownSession => &words.unknown_session,
        Objection::OwnSession => &words.own_session,
        Objection::Impersonated => &words.impersonated,
        Objection::NotRenewable => &words.not_renewable,
        Objection::OrganizationUnclear => &words.organization_unclear,
        Objection::SessionUnclear => &words.session_unclear,
    };
    said.into()
}
