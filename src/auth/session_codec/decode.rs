//! From bytes to session.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::auth::identity::{
    IdError, Identity, Impersonator, Kind, OrganizationId, Permission, Role, User, UserId, WorkOsSessionId,
};
use crate::auth::secret::Secret;
use crate::auth::session::{Generation, RefreshToken, Remembered, Session, SessionId};
use crate::auth::session_codec::{SCHEMA, SECONDS_PER_MINUTE, tag};
use crate::auth::time::Timestamp;

/// How many fields there are, so that reading them allocates once.
const USUAL_FIELDS: usize = 20;

/// The session that [`encode`](crate::auth::session_codec::encode) made these bytes of; `None` when they are
/// anything else.
#[must_use]
pub fn decode(bytes: &[u8]) -> Option<Session> {
    read_session(bytes).ok()
}

/// The bytes are no session. There is nothing more to say: they come from under a seal, so nobody but us
/// wrote them.
struct Malformed;

fn read_session(bytes: &[u8]) -> Result<Session, Malformed> {
    let mut reader = Reader { rest: bytes };
    if reader.array()? != [SCHEMA] {
        return Err(Malformed);
    }
    let head = Head::read(&mut reader)?;
    let fields = Fields::read(reader)?;
    let (identity, refresh_token) = (fields.identity()?, fields.refresh_token()?);
    match (&identity.session_id, &refresh_token, fields.find(tag::UNRENEWED)) {
        (Some(_), Some(_), None) | (None, None, Some([])) => {}
        _ => return Err(Malformed),
    }
    Ok(Session {
        id: head.id,
        generation: head.generation,
        signed_in_at: head.signed_in_at,
        // Rounded to its minute, the last activity may seem to lie before the sign-in.
        last_seen_at: head.last_seen_at.max(head.signed_in_at),
        ends_at: head.ends_at,
        access_issued_at: fields.timestamp(tag::ACCESS_ISSUED_AT)?,
        access_ends_at: head.access_ends_at,
        claims_fingerprint: head.claims_fingerprint,
        identity,
        remembered: fields.remembered()?,
        refresh_token,
    })
}

/// Takes bytes from the front.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(Malformed)?;
        self.rest = rest;
        Ok(*taken)
    }

    /// Bytes after their length.
    fn prefixed(&mut self) -> Result<&'a [u8], Malformed> {
        let length = usize::from(u16::from_be_bytes(self.array()?));
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Malformed)?;
        self.rest = rest;
        Ok(taken)
    }

    fn timestamp(&mut self) -> Result<Timestamp, Malformed> {
        Ok(Timestamp::from_unix_seconds(i64::from_be_bytes(self.array()?)))
    }
}

/// What stands before the fields.
struct Head {
    id: SessionId,
    generation: Generation,
    signed_in_at: Timestamp,
    last_seen_at: Timestamp,
    ends_at: Timestamp,
    access_ends_at: Timestamp,
    claims_fingerprint: [u8; 8],
}

impl Head {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let id = SessionId::from_bytes(reader.array()?);
        let generation = Generation(u32::from_be_bytes(reader.array()?));
        let signed_in_at = reader.timestamp()?;
        let _sealed_at = reader.timestamp()?;
        let minutes = i64::from(u32::from_be_bytes(reader.array()?));
        Ok(Self {
            id,
            generation,
            signed_in_at,
            last_seen_at: Timestamp::from_unix_seconds(minutes * SECONDS_PER_MINUTE),
            ends_at: reader.timestamp()?,
            access_ends_at: reader.timestamp()?,
            claims_fingerprint: reader.array()?,
        })
    }
}

/// The fields, by tag.
struct Fields<'a>(Vec<(u8, &'a [u8])>);

impl<'a> Fields<'a> {
    /// All fields up to the last byte. Tags rise, so none comes twice.
    fn read(mut reader: Reader<'a>) -> Result<Self, Malformed> {
        let mut fields: Vec<(u8, &[u8])> = Vec::with_capacity(USUAL_FIELDS);
        let mut last = 0;
        while !reader.rest.is_empty() {
            let [tag] = reader.array()?;
            if tag <= last {
                return Err(Malformed);
            }
            last = tag;
            fields.push((tag, reader.prefixed()?));
        }
        Ok(Self(fields))
    }

    fn identity(&self) -> Result<Identity, Malformed> {
        Ok(Identity {
            // Programs have no sessions: their credential comes with each request.
            kind: Kind::User,
            user: self.user()?,
            session_id: self.parsed(tag::WORKOS_SESSION_ID, WorkOsSessionId::parse)?,
            organization_id: self.parsed(tag::ORGANIZATION_ID, OrganizationId::parse)?,
            role: self.parsed(tag::ROLE, Role::parse)?,
            roles: self.list(tag::ROLES, Role::parse)?,
            permissions: self.list(tag::PERMISSIONS, Permission::parse)?,
            entitlements: self.list(tag::ENTITLEMENTS, plain)?,
            feature_flags: self.list(tag::FEATURE_FLAGS, plain)?,
            auth_method: self.parsed(tag::AUTH_METHOD, plain)?,
            impersonator: self.impersonator()?,
            claims: self.claims()?,
        })
    }

    fn user(&self) -> Result<User, Malformed> {
        let email_verified = match self.find(tag::EMAIL_VERIFIED) {
            None => false,
            Some([1]) => true,
            Some(_) => return Err(Malformed),
        };
        Ok(User {
            id: self.parsed(tag::USER_ID, UserId::parse)?.ok_or(Malformed)?,
            email: self.parsed(tag::EMAIL, plain)?,
            email_verified,
            first_name: self.parsed(tag::FIRST_NAME, plain)?,
            last_name: self.parsed(tag::LAST_NAME, plain)?,
            profile_picture_url: self.parsed(tag::PROFILE_PICTURE_URL, plain)?,
        })
    }

    fn impersonator(&self) -> Result<Option<Impersonator>, Malformed> {
        let email = self.parsed(tag::IMPERSONATOR_EMAIL, plain)?;
        match (email, self.parsed(tag::IMPERSONATOR_REASON, plain)?) {
            (Some(email), reason) => Ok(Some(Impersonator { email, reason })),
            (None, None) => Ok(None),
            (None, Some(_)) => Err(Malformed),
        }
    }

    fn claims(&self) -> Result<BTreeMap<Box<str>, Value>, Malformed> {
        let items: Vec<Box<str>> = self.list(tag::CLAIMS, plain)?;
        let mut claims = BTreeMap::new();
        for pair in items.chunks(2) {
            let [path, value] = pair else {
                return Err(Malformed);
            };
            claims.insert(path.clone(), serde_json::from_str(value).map_err(|_| Malformed)?);
        }
        Ok(claims)
    }

    fn remembered(&self) -> Result<Remembered, Malformed> {
        match self.find(tag::NOT_REMEMBERED) {
            None => Ok(Remembered::Yes),
            Some([1]) => Ok(Remembered::No),
            Some(_) => Err(Malformed),
        }
    }

    fn refresh_token(&self) -> Result<Option<RefreshToken>, Malformed> {
        Ok(self.text(tag::REFRESH_TOKEN)?.map(|token| Secret::new(token.to_owned())))
    }

    fn timestamp(&self, tag: u8) -> Result<Timestamp, Malformed> {
        let bytes = self.find(tag).and_then(|content| content.try_into().ok()).ok_or(Malformed)?;
        Ok(Timestamp::from_unix_seconds(i64::from_be_bytes(bytes)))
    }

    fn list<T>(&self, tag: u8, parse: impl Fn(&str) -> Result<T, IdError>) -> Result<Vec<T>, Malformed> {
        let mut reader = Reader { rest: self.find(tag).unwrap_or_default() };
        let mut items = Vec::new();
        while !reader.rest.is_empty() {
            let item = str::from_utf8(reader.prefixed()?).map_err(|_| Malformed)?;
            items.push(parse(item).map_err(|_| Malformed)?);
        }
        Ok(items)
    }

    fn parsed<T>(&self, tag: u8, parse: impl Fn(&str) -> Result<T, IdError>) -> Result<Option<T>, Malformed> {
        self.text(tag)?.map(parse).transpose().map_err(|_| Malformed)
    }

    fn text(&self, tag: u8) -> Result<Option<&'a str>, Malformed> {
        self.find(tag).map(str::from_utf8).transpose().map_err(|_| Malformed)
    }

    fn find(&self, tag: u8) -> Option<&'a [u8]> {
        let index = self.0.binary_search_by_key(&tag, |(tag, _)| *tag).ok()?;
        self.0.get(index).map(|(_, content)| *content)
    }
}

/// Text that is no identifier: taken as it stands, where an identifier would be parsed.
fn plain(text: &str) -> Result<Box<str>, IdError> {
    Ok(text.into())
}
