//! Whom a refusal concerns when a mail was asked for: one address, which is nobody's business but its owner's, or
//! everybody, which is the operator's to mend. Both kinds of mail, codes and links, go by it, so that neither tells
//! addresses apart.

use crate::workos::code::ErrorCode;
use crate::workos::error::{Misconfiguration, Outage, WorkOsError};

/// Whom a refusal concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Concern {
    /// The address, or whoever reads it. Whoever asked is answered as if nothing had been refused.
    OneAddress,
    /// Whoever asks. They are told that it is not possible, and the operator why.
    Everybody,
}

/// What was sent to WorkOS beside our credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// What the person gave, and nothing else: a refused parameter is theirs.
    TheirsAlone,
    /// Settings of ours too, such as a redirect URI: a refused parameter that is not named is taken for ours.
    OursToo,
}

/// What became lately of the same wish for other addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Others {
    /// WorkOS fulfilled it, so it is possible as such.
    Served,
    /// That is not known.
    Unknown,
}

impl WorkOsError {
    /// Whom this concerns. A word that WorkOS may use tomorrow is taken to be about the one address unless its status
    /// is about methods, or about rights that nobody is known to have: it is better to promise a mail in vain than to tell who is known.
    #[must_use]
    pub fn concerns(&self, sent: Sent, others: Others) -> Concern {
        match self {
            // Switched off for everybody, unless others are served: then it is a rule for this person.
            Self::Rejected(rejection)
                if rejection.code() == ErrorCode::METHOD && others == Others::Unknown =>
            {
                Concern::Everybody
            }
            Self::Rejected(_) => Concern::OneAddress,
            Self::Misconfigured(Misconfiguration::Refused { status: 405, .. }) => Concern::Everybody,
            // The key has no right to it, unless others are served with it.
            Self::Misconfigured(Misconfiguration::Refused { status: 403, .. }) => match others {
                Others::Served => Concern::OneAddress,
                Others::Unknown => Concern::Everybody,
            },
            Self::Misconfigured(Misconfiguration::Refused { code, .. }) => match (code.as_str(), sent) {
                ("invalid_request_parameters", Sent::TheirsAlone) => Concern::OneAddress,
                (
                    "invalid_request_parameters"
                    | "redirect_uri_refused"
                    | "invalid_request"
                    | "pkce_not_supported"
                    | "unsupported_grant_type",
                    _,
                ) => Concern::Everybody,
                _ => Concern::OneAddress,
            },
            Self::Misconfigured(Misconfiguration::Credentials { .. } | Misconfiguration::AccessToken(_))
            | Self::Transient { .. } => Concern::Everybody,
        }
    }

    /// What the operator can do about a refusal that concerns everybody.
    #[must_use]
    pub fn cure(&self) -> &'static str {
        match self {
            Self::Rejected(_) => {
                "switch this way in on under Authentication in the WorkOS dashboard, or take it out of sign_in.methods"
            }
            Self::Misconfigured(Misconfiguration::Credentials { .. }) => {
                "check workos.client_id and workos.api_key"
            }
            Self::Misconfigured(Misconfiguration::Refused { code, .. })
                if *code == ErrorCode::REDIRECT_URI =>
            {
                "register the redirect URI under Redirects in the WorkOS dashboard"
            }
            Self::Misconfigured(Misconfiguration::Refused { .. } | Misconfiguration::AccessToken(_)) => {
                "check workos.api_url, the rights of workos.api_key, whether this way in is switched on in the WorkOS \
                 dashboard, and whether its redirect URI is registered there"
            }
            Self::Transient { cause: Outage::Quota, .. } => {
                "the day's quota at WorkOS is used up: ask WorkOS for more, or send mail of your own"
            }
            Self::Transient { .. } => "nothing but wait",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workos::code::look_up;
    use crate::workos::error::{Rejection, RequestId};

    fn refused(status: u16, word: &str) -> WorkOsError {
        WorkOsError::Misconfigured(Misconfiguration::Refused {
            status,
            code: look_up(word).0,
            request_id: RequestId::UNKNOWN,
        })
    }

    #[test]
    fn what_may_be_about_one_address_is() {
        let rejected = |word| WorkOsError::Rejected(Rejection::Other(look_up(word).0));
        for error in [
            rejected("sign_up_not_allowed"),
            rejected("invitation_invalid"),
            WorkOsError::Rejected(Rejection::Other(ErrorCode::EMAIL)),
            refused(400, "word_of_tomorrow"),
            refused(404, "entity_not_found"),
            refused(409, "word_of_tomorrow"),
            refused(422, "word_of_tomorrow"),
        ] {
            for sent in [Sent::TheirsAlone, Sent::OursToo] {
                assert_eq!(error.concerns(sent, Others::Unknown), Concern::OneAddress, "{error}");
            }
        }
    }

    #[test]
    fn what_nobody_gets_past_is_about_everybody() {
        let credentials = Misconfiguration::Credentials {
            status: 401,
            code: ErrorCode::ABSENT,
            request_id: RequestId::UNKNOWN,
        };
        for error in [
            WorkOsError::Misconfigured(credentials),
            WorkOsError::transient(Outage::Timeout),
            refused(405, "word_of_tomorrow"),
            refused(400, "invalid_request"),
            WorkOsError::Misconfigured(Misconfiguration::Refused {
                status: 422,
                code: ErrorCode::REDIRECT_URI,
                request_id: RequestId::UNKNOWN,
            }),
        ] {
            for sent in [Sent::TheirsAlone, Sent::OursToo] {
                assert_eq!(error.concerns(sent, Others::Served), Concern::Everybody, "{error}");
            }
        }
        let parameters = refused(422, "invalid_request_parameters");
        assert_eq!(parameters.concerns(Sent::OursToo, Others::Unknown), Concern::Everybody);
        assert_eq!(parameters.concerns(Sent::TheirsAlone, Others::Unknown), Concern::OneAddress);
    }

    #[test]
    fn a_way_in_that_is_switched_off_is_told_from_a_rule_for_one_person() {
        let switched_off = WorkOsError::Rejected(Rejection::Other(ErrorCode::METHOD));
        for error in [switched_off, refused(403, "word_of_tomorrow")] {
            for sent in [Sent::TheirsAlone, Sent::OursToo] {
                assert_eq!(error.concerns(sent, Others::Unknown), Concern::Everybody);
                assert_eq!(error.concerns(sent, Others::Served), Concern::OneAddress);
            }
        }
    }
}
