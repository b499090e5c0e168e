//! A step that WorkOS asks of a person before it renews their session or lets it into an organization. A program
//! is told an address that leads there; what the address has to say is put under our seal, so that nobody else can
//! choose through which connection people sign in here.

use crate::auth::entropy::Entropy;
use crate::auth::identity::OrganizationId;
use crate::auth::sealed_cookie::{SealContext, SealedCookie};
use crate::auth::secret::Secret;
use crate::auth::sign_in::CLOCK_SKEW;
use crate::auth::time::{Span, Timestamp};

/// How long an address leads to the step: time enough for a page to ask its person. Afterwards it leads to a
/// plain sign-in.
const LIFETIME: Span = Span::from_minutes(60);
/// The layout of the content.
const SCHEMA: u8 = 1;
/// Longest text that is kept: an address (RFC 5321 §4.5.3.1 allows 320 bytes).
const MAX_TEXT_BYTES: usize = 320;

/// Where a sign-in has to lead so that the step can be taken there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Through this SSO connection; without one, to AuthKit, which knows every other step.
    pub connection: Option<Box<str>>,
    /// Into this organization.
    pub organization_id: Option<OrganizationId>,
    /// The person's address, to be filled in.
    pub login_hint: Option<Secret<String>>,
}

impl Step {
    /// The text that stands for it in an address.
    #[must_use]
    pub fn seal(&self, context: &SealContext<'_>, nonce: Entropy<12>, now: Timestamp) -> SealedCookie {
        let mut content = vec![SCHEMA];
        content.extend_from_slice(&now.unix_seconds().to_be_bytes());
        push(&mut content, self.connection.as_deref());
        push(&mut content, self.organization_id.as_ref().map(OrganizationId::as_str));
        push(&mut content, self.login_hint.as_ref().map(|hint| hint.expose().as_str()));
        context.seal_step(&content, nonce)
    }

    /// What such a text stands for; `None` when it does not open, is malformed, or is over.
    #[must_use]
    pub fn open(context: &SealContext<'_>, text: &str, now: Timestamp) -> Option<Self> {
        let opened = context.open_step(text)?;
        let rest = opened.plaintext.strip_prefix(&[SCHEMA])?;
        let (sealed_at, rest) = rest.split_first_chunk()?;
        let sealed_at = Timestamp::from_unix_seconds(i64::from_be_bytes(*sealed_at));
        if now.since(sealed_at) >= LIFETIME || sealed_at.since(now) > CLOCK_SKEW {
            return None;
        }
        let (connection, rest) = pull(rest)?;
        let (organization, rest) = pull(rest)?;
        let (login_hint, rest) = pull(rest)?;
        rest.is_empty().then(|| Self {
            connection: connection.map(Into::into),
            organization_id: organization.and_then(|id| OrganizationId::parse(id).ok()),
            login_hint: login_hint.map(|hint| Secret::new(hint.to_owned())),
        })
    }
}

/// A text after its length; one that is absent, or too long to be one of these, has none.
fn push(content: &mut Vec<u8>, text: Option<&str>) {
    let text = text.filter(|text| text.len() <= MAX_TEXT_BYTES).unwrap_or_default();
    let length = u16::try_from(text.len()).unwrap_or_default();
    content.extend_from_slice(&length.to_be_bytes());
    content.extend_from_slice(text.as_bytes());
}

/// The text that stands first, if it is one, and what follows it.
fn pull(content: &[u8]) -> Option<(Option<&str>, &[u8])> {
    let (length, rest) = content.split_first_chunk()?;
    let (text, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
    let text = str::from_utf8(text).ok()?;
    Some(((!text.is_empty()).then_some(text), rest))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::auth::sealed_cookie::tests::Sealing;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

    fn step() -> Step {
        Step {
            connection: Some("conn_1".into()),
            organization_id: OrganizationId::parse("org_1").ok(),
            login_hint: Some(Secret::new("canary@example.com".to_owned())),
        }
    }

    fn sealed(sealing: &Sealing, step: &Step) -> String {
        step.seal(&sealing.context(), Entropy::from_bytes([7; 12]), NOW).as_str().to_owned()
    }

    #[test]
    fn a_step_comes_back_as_it_was_sealed_for_an_hour() {
        let sealing = Sealing::new();
        let plain = Step { connection: None, organization_id: None, login_hint: None };
        for step in [step(), plain] {
            let text = sealed(&sealing, &step);
            let at = |seconds| Step::open(&sealing.context(), &text, NOW.plus(Span::from_secs(seconds)));
            assert_eq!(at(0), Some(step.clone()));
            assert_eq!(at(3_599), Some(step));
            assert_eq!(at(3_600), None);
            assert_eq!(Step::open(&sealing.context(), &text, NOW.minus(Span::from_secs(61))), None);
        }
        assert!(!format!("{:?}", step()).contains("canary"));
    }

    #[test]
    fn a_text_that_somebody_else_made_is_no_step() {
        let sealing = Sealing::new();
        let text = sealed(&sealing, &step());
        let mut broken = text.clone();
        broken.pop();
        let state = sealing.context().seal_state(&[SCHEMA; 30], Entropy::from_bytes([7; 12]));
        for text in ["", "x", broken.as_str(), state.as_str()] {
            assert_eq!(Step::open(&sealing.context(), text, NOW), None);
        }
    }

    #[test]
    fn the_longest_texts_fit_into_an_address() {
        let sealing = Sealing::new();
        let longest = Step {
            connection: Some("c".repeat(255).into()),
            organization_id: OrganizationId::parse(&"o".repeat(255)).ok(),
            login_hint: Some(Secret::new("l".repeat(320))),
        };
        let text = sealed(&sealing, &longest);
        assert!(text.len() < 1_300, "{}", text.len());
        assert_eq!(Step::open(&sealing.context(), &text, NOW), Some(longest));
    }
}
