//! Words about sessions as entries of a Redis stream: a handful of plain texts, with a version in front. An entry
//! that this release does not understand is no word to it.

use redis::Value;

use crate::auth::identity::{OrganizationId, UserId, WorkOsSessionId};
use crate::auth::revocation::{Effect, Revocation, Subject};
use crate::auth::time::Timestamp;
use crate::store::redis::names::{hex, session_id};

/// The version of what is written.
const VERSION: &str = "1";

/// The fields of an entry, names and values in turn.
pub(super) fn to_fields(word: &Revocation) -> Vec<(&'static str, String)> {
    let mut fields = vec![("v", VERSION.to_owned())];
    let mut subject = |kind: &str, id: &str| {
        fields.push(("about", kind.to_owned()));
        fields.push(("id", id.to_owned()));
    };
    match &word.subject {
        Subject::Session(id) => subject("session", &hex(*id)),
        Subject::WorkOsSession(id) => subject("workos_session", id.as_str()),
        Subject::User(id) => subject("user", id.as_str()),
        Subject::Organization(id) => subject("organization", id.as_str()),
        Subject::Member(user, organization) => {
            subject("member", user.as_str());
            fields.push(("of", organization.as_str().to_owned()));
        }
    }
    let effect = match word.effect {
        Effect::End => "end",
        Effect::Renew => "renew",
    };
    fields.push(("effect", effect.to_owned()));
    fields.push(("at", word.at.unix_millis().to_string()));
    fields
}

/// The word that stands in an entry's fields; `None` when it is none that this release knows.
pub(super) fn from_fields(fields: &Value) -> Option<Revocation> {
    let fields = Fields::read(fields)?;
    if fields.find("v")? != VERSION {
        return None;
    }
    let id = fields.find("id")?;
    let subject = match fields.find("about")? {
        "session" => Subject::Session(session_id(id)?),
        "workos_session" => Subject::WorkOsSession(WorkOsSessionId::parse(id).ok()?),
        "user" => Subject::User(UserId::parse(id).ok()?),
        "organization" => Subject::Organization(OrganizationId::parse(id).ok()?),
        "member" => {
            let organization = OrganizationId::parse(fields.find("of")?).ok()?;
            Subject::Member(UserId::parse(id).ok()?, organization)
        }
        _ => return None,
    };
    let effect = match fields.find("effect")? {
        "end" => Effect::End,
        "renew" => Effect::Renew,
        _ => return None,
    };
    let at = Timestamp::from_unix_millis(fields.find("at")?.parse().ok()?);
    Some(Revocation { subject, effect, at })
}

struct Fields<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Fields<'a> {
    fn read(value: &'a Value) -> Option<Self> {
        let texts: Option<Vec<&str>> = value.as_sequence()?.iter().map(text).collect();
        let (pairs, rest) = texts.as_deref()?.as_chunks::<2>();
        rest.is_empty().then(|| Self(pairs.iter().map(|[name, value]| (*name, *value)).collect()))
    }

    fn find(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }
}

/// The text of a value, if it is one.
pub(super) fn text(value: &Value) -> Option<&str> {
    if let Value::BulkString(bytes) = value {
        str::from_utf8(bytes).ok()
    } else if let Value::SimpleString(text) = value {
        Some(text)
    } else {
        None
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;
    use crate::auth::session::SessionId;

    fn value(fields: &[(&str, String)]) -> Value {
        let texts = fields.iter().flat_map(|(name, value)| [(*name).to_owned(), value.clone()]);
        Value::Array(texts.map(|text| Value::BulkString(text.into_bytes())).collect())
    }

    fn words() -> Vec<Revocation> {
        let user = UserId::parse("user_1").unwrap();
        let organization = OrganizationId::parse("org_1").unwrap();
        let subjects = [
            Subject::Session(SessionId::from_bytes([0xa7; 16])),
            Subject::WorkOsSession(WorkOsSessionId::parse("session_1").unwrap()),
            Subject::User(user.clone()),
            Subject::Member(user, organization.clone()),
            Subject::Organization(organization),
        ];
        let at = Timestamp::from_unix_millis(1_800_000_000_123);
        let both = |subject: Subject| {
            [Effect::End, Effect::Renew].map(|effect| Revocation { subject: subject.clone(), effect, at })
        };
        subjects.into_iter().flat_map(both).collect()
    }

    #[test]
    fn every_word_reads_back() {
        for word in words() {
            assert_eq!(from_fields(&value(&to_fields(&word))), Some(word));
        }
    }

    #[test]
    fn a_word_with_a_field_more_is_understood_and_one_with_a_field_less_is_not() {
        for word in words() {
            let fields = to_fields(&word);
            let mut more = fields.clone();
            more.push(("why", "of a later release".to_owned()));
            assert_eq!(from_fields(&value(&more)), Some(word));
            for index in 0..fields.len() {
                let mut less = fields.clone();
                less.remove(index);
                assert_eq!(from_fields(&value(&less)), None);
                let mut other = fields.clone();
                other[index].1 = "?".to_owned();
                // Which session of WorkOS', or which person, may be any text.
                if !matches!(other[index].0, "id" | "of") {
                    assert_eq!(from_fields(&value(&other)), None);
                }
            }
        }
        assert_eq!(from_fields(&Value::Nil), None);
        assert_eq!(from_fields(&Value::Array(vec![Value::Int(1)])), None);
    }
}
