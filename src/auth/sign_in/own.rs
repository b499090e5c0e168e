//! A sign-in on our own page, while it waits for the person: for the code that was mailed to them, or for a step
//! that WorkOS asks for then (<https://workos.com/docs/reference/authkit/authentication-errors>). It is kept in one
//! sealed cookie, so that a browser has one of them at a time and another browser none. What happens with codes and
//! tokens is the shell's matter.

use zeroize::Zeroizing;

use crate::auth::cookie::names::OurCookie;
use crate::auth::cookie::read::RequestCookies;
use crate::auth::entropy::Entropy;
use crate::auth::identity::{OrganizationId, UserId};
use crate::auth::return_to::ReturnTo;
use crate::auth::sealed_cookie::{MAX_SHORT_BYTES, SealContext, SealedCookie};
use crate::auth::secret::Secret;
use crate::auth::session::Remembered;
use crate::auth::sign_in::{CLOCK_SKEW, SCHEMA, storable};
use crate::auth::time::{Span, Timestamp};

/// How long it waits, and the `Max-Age` of its cookie: well beyond the ten minutes of WorkOS' codes, so that whoever
/// comes late is told that the code has expired, on the page that sends another one.
pub const OWN_ATTEMPT_LIFETIME: Span = Span::from_minutes(30);

/// The tags of the fields, in the order in which they stand.
mod tag {
    pub(super) const EMAIL: u8 = 1;
    pub(super) const RETURN_TO: u8 = 2;
    pub(super) const NOT_REMEMBERED: u8 = 3;
    pub(super) const ORGANIZATION: u8 = 4;
    pub(super) const INVITATION: u8 = 5;
    pub(super) const TOKEN: u8 = 6;
    pub(super) const CHALLENGE: u8 = 7;
    pub(super) const SETUP: u8 = 8;
    /// An id, and the name under the next tag; there may be several of the two.
    pub(super) const CHOICE: u8 = 9;
    pub(super) const CHOICE_NAME: u8 = 10;
    pub(super) const PERSON: u8 = 11;
    pub(super) const VERIFICATION: u8 = 12;
    pub(super) const FACTOR: u8 = 13;
}

/// Tells one step of one attempt from all others: 16 random bytes.
pub type StepId = [u8; 16];

/// A sign-in on our own page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnAttempt {
    /// The address that the person typed.
    pub email: Secret<String>,
    /// Where they wanted to go.
    pub return_to: ReturnTo,
    /// Does the session outlive the browser?
    pub remembered: Remembered,
    /// The organization that was asked for.
    pub organization: Option<OrganizationId>,
    /// The invitation that is redeemed on the way.
    pub invitation: Option<Secret<String>>,
    /// What is waited for.
    pub step: OwnStep,
}

/// What a sign-in waits for. Tokens are WorkOS' `pending_authentication_token`s.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnStep {
    /// The code that was mailed.
    Code,
    /// The code that proves the address.
    EmailVerification {
        /// The token.
        token: Secret<String>,
        /// For whom another code can be had, if that is known.
        whose: Option<Whose>,
    },
    /// The first code of an authenticator that is being set up.
    Enrolment {
        /// The token.
        token: Secret<String>,
        /// The challenge that the code answers.
        challenge: Box<str>,
        /// The `otpauth:` address that the authenticator takes.
        setup: Secret<String>,
    },
    /// A code of the person's authenticator.
    Totp {
        /// The token.
        token: Secret<String>,
        /// The challenge that the code answers.
        challenge: Challenge,
    },
    /// The choice of an organization.
    Organization {
        /// The token.
        token: Secret<String>,
        /// What there is to choose from, as far as there was room for it.
        choices: Vec<Choice>,
    },
}

/// A challenge of an authenticator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Challenge {
    /// It has begun, under this id.
    Begun(Box<str>),
    /// It could not be begun so far; the authenticator has this id.
    ToBegin(Box<str>),
}

/// Whose address is to be proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// This person's.
    Person(UserId),
    /// Of whom this code was for (`email_verification_…`).
    Verification(Box<str>),
}

/// An organization that can be chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Which.
    pub id: OrganizationId,
    /// What it is called.
    pub name: Box<str>,
}

impl OwnAttempt {
    /// Is it the sign-in of this address? Case plays no part, as in mail.
    #[must_use]
    pub fn is_of(&self, email: &str) -> bool {
        self.email.expose().to_lowercase() == email.trim().to_lowercase()
    }

    /// The content of [`OurCookie::Pending`], to be set for
    /// [`OWN_ATTEMPT_LIFETIME`]. Choices that there is no room for are left out; `None` when the rest does not fit into
    /// one cookie either.
    #[must_use]
    pub fn seal(
        &self,
        context: &SealContext<'_>,
        entropy: Entropy<28>,
        now: Timestamp,
    ) -> Option<SealedCookie> {
        let bytes = entropy.into_bytes();
        let (id, nonce) = bytes.split_first_chunk::<16>()?;
        let nonce: [u8; 12] = nonce.try_into().ok()?;
        let all = match &self.step {
            OwnStep::Organization { choices, .. } => choices.len(),
            OwnStep::Code
            | OwnStep::EmailVerification { .. }
            | OwnStep::Enrolment { .. }
            | OwnStep::Totp { .. } => 0,
        };
        // Halved until it fits: a text of that length is sealed once only.
        let mut choices = all;
        loop {
            let content = self.encode(id, now, choices);
            let fits = content.filter(|content| content.len() <= MAX_SHORT_BYTES);
            match fits {
                Some(content) => {
                    let nonce = Entropy::from_bytes(nonce);
                    return Some(context.seal_short(OurCookie::Pending, &content, nonce));
                }
                None if choices == 0 => return None,
                None => choices /= 2,
            }
        }
    }

    /// The attempt that the request's cookie holds, which step of which attempt it is, and since when; `None` when there
    /// is none that opens, or it is over.
    #[must_use]
    pub fn open(
        context: &SealContext<'_>,
        cookies: &RequestCookies<'_>,
        now: Timestamp,
    ) -> Option<(Self, StepId, Timestamp)> {
        let opened = cookies.pending().find_map(|text| context.open(OurCookie::Pending, text))?;
        let rest = opened.plaintext.strip_prefix(&[SCHEMA])?;
        let (id, rest) = rest.split_first_chunk::<16>()?;
        let (begun, rest) = rest.split_first_chunk()?;
        let begun = Timestamp::from_unix_seconds(i64::from_be_bytes(*begun));
        let (kind, rest) = rest.split_first()?;
        let attempt = Self::decode(*kind, rest)?;
        let current = now.since(begun) < OWN_ATTEMPT_LIFETIME && begun.since(now) <= CLOCK_SKEW;
        current.then_some((attempt, *id, begun))
    }

    fn encode(&self, id: &StepId, now: Timestamp, choices: usize) -> Option<Zeroizing<Vec<u8>>> {
        let mut writer = Writer(Zeroizing::new(vec![SCHEMA]));
        writer.0.extend_from_slice(id);
        writer.0.extend_from_slice(&now.unix_seconds().to_be_bytes());
        writer.0.push(self.step.kind());
        writer.text(tag::EMAIL, self.email.expose())?;
        writer.text(tag::RETURN_TO, &storable(&self.return_to))?;
        if self.remembered == Remembered::No {
            writer.text(tag::NOT_REMEMBERED, "")?;
        }
        if let Some(organization) = &self.organization {
            writer.text(tag::ORGANIZATION, organization.as_str())?;
        }
        if let Some(invitation) = &self.invitation {
            writer.text(tag::INVITATION, invitation.expose())?;
        }
        match &self.step {
            OwnStep::Code => {}
            OwnStep::EmailVerification { token, whose } => {
                writer.text(tag::TOKEN, token.expose())?;
                match whose {
                    Some(Whose::Person(user)) => writer.text(tag::PERSON, user.as_str())?,
                    Some(Whose::Verification(id)) => writer.text(tag::VERIFICATION, id)?,
                    None => {}
                }
            }
            OwnStep::Enrolment { token, challenge, setup } => {
                writer.text(tag::TOKEN, token.expose())?;
                writer.text(tag::CHALLENGE, challenge)?;
                writer.text(tag::SETUP, setup.expose())?;
            }
            OwnStep::Totp { token, challenge } => {
                writer.text(tag::TOKEN, token.expose())?;
                match challenge {
                    Challenge::Begun(id) => writer.text(tag::CHALLENGE, id)?,
                    Challenge::ToBegin(factor) => writer.text(tag::FACTOR, factor)?,
                }
            }
            OwnStep::Organization { token, choices: all } => {
                writer.text(tag::TOKEN, token.expose())?;
                for choice in all.iter().take(choices) {
                    writer.text(tag::CHOICE, choice.id.as_str())?;
                    writer.text(tag::CHOICE_NAME, &choice.name)?;
                }
            }
        }
        Some(writer.0)
    }

    fn decode(kind: u8, fields: &[u8]) -> Option<Self> {
        let fields = Fields::read(fields)?;
        let secret = |tag| fields.text(tag).map(|text| Secret::new(text.to_owned()));
        let step = match kind {
            1 => OwnStep::Code,
            2 => OwnStep::EmailVerification { token: secret(tag::TOKEN)?, whose: fields.whose()? },
            3 => OwnStep::Enrolment {
                token: secret(tag::TOKEN)?,
                challenge: fields.text(tag::CHALLENGE)?.into(),
                setup: secret(tag::SETUP)?,
            },
            4 => OwnStep::Totp { token: secret(tag::TOKEN)?, challenge: fields.challenge()? },
            5 => OwnStep::Organization { token: secret(tag::TOKEN)?, choices: fields.choices()? },
            _ => return None,
        };
        let organization = fields.text(tag::ORGANIZATION).map(OrganizationId::parse);
        Some(Self {
            email: secret(tag::EMAIL)?,
            return_to: ReturnTo::from_stored(fields.text(tag::RETURN_TO)?),
            remembered: match fields.text(tag::NOT_REMEMBERED) {
                Some(_) => Remembered::No,
                None => Remembered::Yes,
            },
            organization: organization.transpose().ok()?,
            invitation: secret(tag::INVITATION),
            step,
        })
    }
}

impl OwnStep {
    /// The word for it in the fields of its page, by which a page of another step is told.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::EmailVerification { .. } => "email_verification",
            Self::Enrolment { .. } => "enrolment",
            Self::Totp { .. } => "totp",
            Self::Organization { .. } => "organization",
        }
    }

    const fn kind(&self) -> u8 {
        match self {
            Self::Code => 1,
            Self::EmailVerification { .. } => 2,
            Self::Enrolment { .. } => 3,
            Self::Totp { .. } => 4,
            Self::Organization { .. } => 5,
        }
    }
}

/// Appends fields: a tag, a length in two bytes, and the text.
struct Writer(Zeroizing<Vec<u8>>);

impl Writer {
    fn text(&mut self, tag: u8, text: &str) -> Option<()> {
        let length = u16::try_from(text.len()).ok()?;
        self.0.push(tag);
        self.0.extend_from_slice(&length.to_be_bytes());
        self.0.extend_from_slice(text.as_bytes());
        Some(())
    }
}

/// The fields, in their order.
struct Fields<'a>(Vec<(u8, &'a str)>);

impl<'a> Fields<'a> {
    fn read(mut rest: &'a [u8]) -> Option<Self> {
        let mut fields = Vec::new();
        while let Some((tag, after)) = rest.split_first() {
            let (length, after) = after.split_first_chunk()?;
            let (text, after) = after.split_at_checked(u16::from_be_bytes(*length).into())?;
            fields.push((*tag, str::from_utf8(text).ok()?));
            rest = after;
        }
        Some(Self(fields))
    }

    fn text(&self, tag: u8) -> Option<&'a str> {
        self.0.iter().find(|(found, _)| *found == tag).map(|(_, text)| *text)
    }

    fn challenge(&self) -> Option<Challenge> {
        let begun = self.text(tag::CHALLENGE).map(|id| Challenge::Begun(id.into()));
        begun.or_else(|| Some(Challenge::ToBegin(self.text(tag::FACTOR)?.into())))
    }

    fn whose(&self) -> Option<Option<Whose>> {
        Some(match (self.text(tag::PERSON), self.text(tag::VERIFICATION)) {
            (Some(user), _) => Some(Whose::Person(UserId::parse(user).ok()?)),
            (None, Some(id)) => Some(Whose::Verification(id.into())),
            (None, None) => None,
        })
    }

    fn choices(&self) -> Option<Vec<Choice>> {
        let mut ids = self.0.iter().filter(|(found, _)| *found == tag::CHOICE);
        let mut names = self.0.iter().filter(|(found, _)| *found == tag::CHOICE_NAME);
        let mut choices = Vec::new();
        while let (Some((_, id)), Some((_, name))) = (ids.next(), names.next()) {
            choices.push(Choice { id: OrganizationId::parse(id).ok()?, name: (*name).into() });
        }
        Some(choices)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use http::header::COOKIE;
    use http::{HeaderMap, HeaderValue};

    use super::*;
    use crate::auth::sealed_cookie::tests::{Sealing, golden};

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

    fn secret(text: &str) -> Secret<String> {
        Secret::new(text.to_owned())
    }

    fn choice(number: usize) -> Choice {
        Choice { id: OrganizationId::parse(&format!("org_{number}")).unwrap(), name: "A name".into() }
    }

    fn attempt(step: OwnStep) -> OwnAttempt {
        OwnAttempt {
            email: secret("canary@example.com"),
            return_to: ReturnTo::from_stored("0/reports?x=1"),
            remembered: Remembered::No,
            organization: OrganizationId::parse("org_1").ok(),
            invitation: Some(secret("canary-invitation")),
            step,
        }
    }

    fn steps() -> Vec<OwnStep> {
        let token = || secret("canary-token");
        vec![
            OwnStep::Code,
            OwnStep::EmailVerification { token: token(), whose: None },
            OwnStep::EmailVerification {
                token: token(),
                whose: UserId::parse("user_1").ok().map(Whose::Person),
            },
            OwnStep::EmailVerification { token: token(), whose: Some(Whose::Verification("e_1".into())) },
            OwnStep::Enrolment { token: token(), challenge: "c".into(), setup: secret("otpauth://x") },
            OwnStep::Totp { token: token(), challenge: Challenge::Begun("auth_challenge_1".into()) },
            OwnStep::Totp { token: token(), challenge: Challenge::ToBegin("auth_factor_1".into()) },
            OwnStep::Organization { token: token(), choices: vec![choice(1), choice(2)] },
            OwnStep::Organization { token: token(), choices: vec![] },
        ]
    }

    fn open(sealing: &Sealing, text: &str, now: Timestamp) -> Option<(OwnAttempt, StepId)> {
        let mut headers = HeaderMap::new();
        let field = format!("{}={text}", sealing.names.name(OurCookie::Pending));
        headers.insert(COOKIE, HeaderValue::from_str(&field).unwrap());
        let opened =
            OwnAttempt::open(&sealing.context(), &RequestCookies::read(&headers, &sealing.names), now);
        opened.map(|(attempt, id, _)| (attempt, id))
    }

    fn sealed(sealing: &Sealing, attempt: &OwnAttempt) -> String {
        let sealed = attempt.seal(&sealing.context(), Entropy::from_bytes([7; 28]), NOW).unwrap();
        assert_eq!(sealed.part_count(), 1);
        sealed.as_str().to_owned()
    }

    #[test]
    fn every_step_comes_back_as_it_was_sealed_for_half_an_hour() {
        let sealing = Sealing::new();
        for step in steps() {
            let attempt = attempt(step);
            let text = sealed(&sealing, &attempt);
            let last = NOW.plus(OWN_ATTEMPT_LIFETIME).minus(Span::from_secs(1));
            for now in [NOW, last] {
                assert_eq!(open(&sealing, &text, now), Some((attempt.clone(), [7; 16])));
            }
            assert_eq!(open(&sealing, &text, NOW.plus(OWN_ATTEMPT_LIFETIME)), None);
            assert_eq!(open(&sealing, &text, NOW.minus(Span::from_secs(61))), None);
            assert!(!format!("{attempt:?}").contains("canary"));
        }
        let plain = OwnAttempt {
            remembered: Remembered::Yes,
            organization: None,
            invitation: None,
            ..attempt(OwnStep::Code)
        };
        assert_eq!(open(&sealing, &sealed(&sealing, &plain), NOW).unwrap().0, plain);
    }

    #[test]
    fn what_was_changed_or_cut_is_no_attempt() {
        let sealing = Sealing::new();
        let text = sealed(&sealing, &attempt(OwnStep::Code));
        let mut changed = text.clone().into_bytes();
        changed[40] = if changed[40] == b'A' { b'B' } else { b'A' };
        for broken in [&text[..text.len() - 4], "x", "", str::from_utf8(&changed).unwrap()] {
            assert_eq!(open(&sealing, broken, NOW), None, "{broken}");
        }
        for length in 0..60 {
            let content = attempt(OwnStep::Code).encode(&[1; 16], NOW, 0).unwrap();
            let context = sealing.context();
            let text =
                context.seal_short(OurCookie::Pending, &content[..length], Entropy::from_bytes([1; 12]));
            assert_eq!(open(&sealing, text.as_str(), NOW), None, "{length} bytes");
        }
    }

    #[test]
    fn of_too_many_choices_some_are_kept_and_a_token_beyond_measure_is_not() {
        let sealing = Sealing::new();
        let many = OwnStep::Organization { token: secret("t"), choices: (0..500).map(choice).collect() };
        let (kept, _) = open(&sealing, &sealed(&sealing, &attempt(many)), NOW).unwrap();
        let OwnStep::Organization { choices, .. } = kept.step else { unreachable!() };
        assert!((50..500).contains(&choices.len()), "{}", choices.len());
        let huge = attempt(OwnStep::EmailVerification { token: secret(&"t".repeat(3_000)), whose: None });
        assert_eq!(huge.seal(&sealing.context(), Entropy::from_bytes([7; 28]), NOW), None);
        let huge = attempt(OwnStep::EmailVerification { token: secret(&"t".repeat(70_000)), whose: None });
        assert_eq!(huge.seal(&sealing.context(), Entropy::from_bytes([7; 28]), NOW), None);
    }

    #[test]
    fn the_golden_attempt_opens_and_is_sealed_the_same_way_today() {
        let golden = golden!("pending-1");
        let begun = Timestamp::from_unix_seconds(golden.seconds("begun_at"));
        let (attempt, id) = open(&golden.sealing, golden.text, begun).unwrap();
        assert_eq!(attempt.email.expose(), golden.text_of("email"));
        assert_eq!(attempt.return_to.to_stored(), golden.text_of("return_to"));
        assert_eq!(attempt.remembered, Remembered::No);
        let OwnStep::Totp { token, challenge: Challenge::Begun(challenge) } = &attempt.step else {
            unreachable!()
        };
        assert_eq!(
            (token.expose().as_str(), &**challenge),
            (golden.text_of("token"), golden.text_of("challenge"))
        );
        let entropy: [u8; 28] = golden.bytes("entropy");
        assert_eq!(id, entropy[..16]);
        let again = attempt.seal(&golden.sealing.context(), Entropy::from_bytes(entropy), begun).unwrap();
        assert_eq!(again.as_str(), golden.text);
    }
}
