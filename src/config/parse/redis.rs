//! `[session.redis]`.

use std::fs;

use crate::config::notation::Positive;
use crate::config::places::OptionalFile;
use crate::config::problem::shown;
use crate::config::reader::{Cursor, FoundSecret};
use crate::config::reading::Remark;
use crate::config::redis_url::{RedisTransport, RedisUrl};
use crate::config::settings::{RedisConfig, StoreConfig};
use crate::config::texts::Prefix;

/// Where sessions are kept, in the words of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Cookie,
    Redis,
}

/// Reads the section; `None` only when the reading holds a problem.
pub(super) fn read(mut cursor: Cursor<'_>, kind: Kind) -> Option<StoreConfig> {
    let url = cursor.either_secret("url", "url_file").ok();
    let OptionalFile(ca_file) = cursor.take("ca_file", "\"\"");
    let Prefix(prefix) = cursor.take("prefix", "\"vestibule:\"");
    let Positive(timeout) = cursor.take("timeout", "\"1s\"");
    let store = match (kind, url) {
        (Kind::Cookie, None) => Some(StoreConfig::Cookie),
        (Kind::Cookie, Some(url)) => {
            if let Some(url) = url {
                let found = "found it while session.store is \"cookie\", which does not use it";
                let remark = Remark::new(found, "set session.store = \"redis\", or leave the address out");
                cursor.reading().problem(url.path.as_str(), remark);
            }
            None
        }
        (Kind::Redis, _) if !cfg!(feature = "redis") => {
            let remark = Remark::new(
                "found \"redis\", and this build has no Redis support",
                "use a build with the feature \"redis\", or store = \"cookie\"",
            );
            cursor.reading().problem("session.store", remark);
            None
        }
        (Kind::Redis, None) => {
            let cure =
                "set session.redis.url_file, or url, to the address of a Redis server: redis://redis:6379";
            cursor.report_missing("url", cure);
            None
        }
        (Kind::Redis, Some(url)) => {
            let authorities = ca_file.map(|path| (fs::read(&path), path));
            let authorities = match authorities {
                None => None,
                Some((Ok(authorities), _)) => Some(authorities),
                Some((Err(error), path)) => {
                    let found = format!("{} cannot be read: {error}", shown(&path.display().to_string()));
                    let cure = "name a file in PEM with the certificates of the authorities to believe";
                    cursor.reading().problem("session.redis.ca_file", Remark::new(found, cure));
                    None
                }
            };
            url.and_then(|url| address(&cursor, &url)).map(|url| {
                check_ca_file(&cursor, &url, authorities.is_some());
                StoreConfig::Redis(Box::new(RedisConfig { url, authorities, prefix, timeout }))
            })
        }
    };
    cursor.finish();
    store
}

fn address(cursor: &Cursor<'_>, url: &FoundSecret) -> Option<RedisUrl> {
    let parsed = RedisUrl::parse(url.text.expose());
    let refused = |cure: &'static str| {
        let remark = Remark::new("this is no address of a Redis server", cure);
        cursor.reading().problem(url.path.as_str(), remark);
    };
    parsed.map_err(refused).ok()
}

fn check_ca_file(cursor: &Cursor<'_>, url: &RedisUrl, given: bool) {
    if given && url.transport == RedisTransport::Plain {
        let remark = Remark::new(
            "found it beside an address without TLS, which uses no certificates",
            "use a rediss:// address, or leave it out",
        );
        cursor.reading().problem("session.redis.ca_file", remark);
    }
}
