//! What people and programs are told when their own session cannot be changed as they asked.

use http::{Response, StatusCode};

use crate::server::language::{Catalogue, Deeds};
use crate::server::reply::body::Body;
use crate::server::reply::page::Deed;
use crate::server::reply::words::{Words, words};
use crate::server::reply::{Asker, told};
use crate::server::site::Endpoint;

/// Why somebody's own session is not changed as they asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Objection {
    /// They do not belong to the organization, or there is none.
    NotAMember,
    /// Everybody here is in one organization.
    OrganizationFixed,
    /// The session is none of theirs, or there is none.
    UnknownSession,
    /// The session is the one that they ask with.
    OwnSession,
    /// Somebody else acts for them.
    Impersonated,
    /// There is no session at WorkOS behind it.
    NotRenewable,
    /// The field that names an organization is not there, or names none.
    OrganizationUnclear,
    /// The field that names a session is not there, or names none.
    SessionUnclear,
}

const NOT_A_MEMBER: Words = words(
    StatusCode::FORBIDDEN,
    "not_a_member",
    "You do not belong to this organization",
    "You can switch to organizations that you are an active member of. Your session stays as it was.",
);

const ORGANIZATION_FIXED: Words = words(
    StatusCode::FORBIDDEN,
    "organization_fixed",
    "This site belongs to one organization",
    "Everybody here is in the organization that this site belongs to; another one cannot be chosen.",
);

const UNKNOWN_SESSION: Words = words(
    StatusCode::NOT_FOUND,
    "unknown_session",
    "There is no such session",
    "None of your sessions has this id. It may have been over for a while.",
);

const OWN_SESSION: Words = words(
    StatusCode::CONFLICT,
    "own_session",
    "This is the session that you are using",
    "To end it, sign out.",
);

const IMPERSONATED: Words = words(
    StatusCode::FORBIDDEN,
    "impersonated",
    "This is not open to somebody who acts for another",
    "Whoever acts on somebody else's account stays in their organization and leaves their sessions alone.",
);

const NOT_RENEWABLE: Words = words(
    StatusCode::CONFLICT,
    "not_renewable",
    "This session stays as it is until its end",
    "It was begun with a link by mail, so it cannot be renewed and cannot switch to an organization. Sign in in \
     another way for that.",
);

const ORGANIZATION_UNCLEAR: Words = words(
    StatusCode::UNPROCESSABLE_ENTITY,
    "invalid_field",
    "The organization is not named",
    "Send organization_id with the id of an organization (org_...).",
);

const SESSION_UNCLEAR: Words = words(
    StatusCode::UNPROCESSABLE_ENTITY,
    "invalid_field",
    "The session is not named",
    "Send session_id with the id of one of your sessions (session_...).",
);

const STEP_UP_REQUIRED: Words = words(
    StatusCode::CONFLICT,
    "step_up_required",
    "One more step is needed",
    "The sign-in service asks for a further step first. Send the person to sign_in_url.",
);

impl Objection {
    /// The word for it in problem documents and audit lines.
    pub(crate) const fn as_str(self) -> &'static str {
        self.words().kind
    }

    const fn words(self) -> &'static Words {
        match self {
            Self::NotAMember => &NOT_A_MEMBER,
            Self::OrganizationFixed => &ORGANIZATION_FIXED,
            Self::UnknownSession => &UNKNOWN_SESSION,
            Self::OwnSession => &OWN_SESSION,
            Self::Impersonated => &IMPERSONATED,
            Self::NotRenewable => &NOT_RENEWABLE,
            Self::OrganizationUnclear => &ORGANIZATION_UNCLEAR,
            Self::SessionUnclear => &SESSION_UNCLEAR,
        }
    }
}

impl Asker<'_> {
    /// Tells why not. `decision_id` is the one in the audit line.
    pub(crate) fn objection(&self, objection: Objection, decision_id: Option<&str>) -> Response<Body> {
        let deeds = |words: &'static Catalogue| self.deeds_after_objection(objection, &words.deed);
        let told = |words| told::of_objection(objection, words);
        self.say(objection.words(), decision_id, told, deeds)
    }

    /// What a person can do about an objection.
    fn deeds_after_objection(&self, objection: Objection, words: &'static Deeds) -> Vec<Deed> {
        let back = Deed::link(&words.show_session, self.site.path(Endpoint::Me));
        match objection {
            Objection::OwnSession => {
                vec![Deed::press(&words.sign_out, self.site.path(Endpoint::SignOut)), back]
            }
            Objection::NotRenewable => {
                vec![Deed::link(&words.sign_in_anew, self.site.url(Endpoint::SignIn)), back]
            }
            Objection::NotAMember
            | Objection::OrganizationFixed
            | Objection::UnknownSession
            | Objection::Impersonated
            | Objection::OrganizationUnclear
            | Objection::SessionUnclear => vec![back],
        }
    }

    /// Tells a program that the person has to do something at WorkOS first, and where.
    pub(crate) fn step_up_required(&self, sign_in_url: &str) -> Response<Body> {
        self.problem(&STEP_UP_REQUIRED, None, Some(sign_in_url))
    }
}
