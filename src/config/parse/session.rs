//! `[session]`.

use crate::auth::cookie::SameSite;
use crate::auth::session::Lifetimes;
use crate::config::notation::Positive;
use crate::config::parse::{keys, redis};
use crate::config::reader::Cursor;
use crate::config::session_keys::SessionKeys;
use crate::config::settings::{SessionConfig, StoreConfig};
use crate::config::texts::{CookieDomain, CookieName};

/// `[session]` as far as it could be read.
pub(super) struct SessionDraft {
    keys: Option<SessionKeys>,
    pub(super) lifetimes: Lifetimes,
    cookie_name: Box<str>,
    pub(super) cookie_domain: Option<Box<str>>,
    pub(super) same_site: SameSite,
    store: Option<StoreConfig>,
}

impl SessionDraft {
    /// The settings, if nothing is missing.
    pub(super) fn finish(self) -> Option<SessionConfig> {
        Some(SessionConfig {
            keys: self.keys?,
            lifetimes: self.lifetimes,
            cookie_name: self.cookie_name,
            cookie_domain: self.cookie_domain,
            same_site: self.same_site,
            store: self.store?,
        })
    }
}

/// Reads the section.
pub(super) fn read(mut cursor: Cursor<'_>) -> SessionDraft {
    let keys = keys::read(&mut cursor);
    let Positive(lifetime) = cursor.take("lifetime", "\"7d\"");
    let Positive(idle_timeout) = cursor.take("idle_timeout", "\"24h\"");
    let refresh_before = cursor.take("refresh_before", "\"auto\"");
    let outage_grace = cursor.take("outage_grace", "\"0s\"");
    let CookieName(cookie_name) = cursor.take("cookie_name", "\"vestibule\"");
    let cookie_domain: Option<CookieDomain> = cursor.take("cookie_domain", "\"\"");
    let others = [("strict", SameSite::Strict), ("none", SameSite::None)];
    let same_site = cursor.one_of("same_site", ("lax", SameSite::Lax), &others);
    let others = [("redis", redis::Kind::Redis)];
    let kind = cursor.one_of("store", ("cookie", redis::Kind::Cookie), &others);
    let store = redis::read(cursor.table("redis"), kind);
    cursor.finish();
    SessionDraft {
        keys,
        lifetimes: Lifetimes { lifetime, idle_timeout, refresh_before, outage_grace },
        cookie_name,
        cookie_domain: cookie_domain.map(|CookieDomain(domain)| domain),
        same_site,
        store,
    }
}
