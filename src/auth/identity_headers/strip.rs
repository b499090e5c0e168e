//! The removal of names that a client must not send. Upstreams fold names in their own ways (`X_Forwarded_User`
//! and `X.Forwarded.User` may both arrive as `HTTP_X_FORWARDED_USER`), so names are compared folded.

use http::{HeaderMap, HeaderName};

/// Names of ours begin like this, those of all presets included; nobody else may send such names.
const OURS: [&[u8]; 3] = [b"x-vestibule-", b"x-workos-", b"x-auth-request-"];
/// Names with these beginnings tell how the request came here.
const VIA_PREFIXES: [&[u8]; 2] = [b"x-forwarded-", b"x-original-"];
/// And so do these.
const VIA_NAMES: [&[u8]; 3] = [b"forwarded", b"x-real-ip", b"x-rewrite-url"];
/// Names up to this length are folded on the stack; longer ones are rare and may allocate.
const STACK_BYTES: usize = 64;

/// Is the peer one whose word on how a request came here counts (`server.trusted_proxies`)?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerTrust {
    /// Yes.
    Trusted,
    /// No.
    Untrusted,
}

/// The names that no client may send.
#[derive(Debug, Clone)]
pub(super) struct Denied {
    /// Folded, sorted, each once.
    names: Box<[Box<[u8]>]>,
    /// One bit for each ASCII character that a denied name, folded, can begin with.
    beginnings: u128,
}

impl Denied {
    /// `names` are folded; the beginnings of our own names and of forwarding fields are added.
    pub(super) fn new(mut names: Vec<Box<[u8]>>) -> Self {
        names.sort_unstable();
        names.dedup();
        let all = names.iter().map(|name| &**name).chain(OURS).chain(VIA_PREFIXES).chain(VIA_NAMES);
        let beginnings = all.filter_map(<[u8]>::first).fold(0, |bits, byte| bits | bit(*byte));
        Self { names: names.into(), beginnings }
    }

    pub(super) fn remove_from(&self, headers: &mut HeaderMap, peer: PeerTrust) {
        let doomed: Vec<HeaderName> =
            headers.keys().filter(|name| self.denies(name, peer)).cloned().collect();
        for name in doomed {
            headers.remove(name);
        }
    }

    pub(super) fn denies(&self, name: &HeaderName, peer: PeerTrust) -> bool {
        let name = name.as_str().as_bytes();
        // Most names of ordinary requests begin like none of ours.
        if name.first().is_none_or(|byte| self.beginnings & bit(fold(*byte)) == 0) {
            return false;
        }
        let mut stack = [0; STACK_BYTES];
        let heap;
        let folded = if let Some(place) = stack.get_mut(..name.len()) {
            for (slot, byte) in place.iter_mut().zip(name) {
                *slot = fold(*byte);
            }
            &*place
        } else {
            heap = name.iter().copied().map(fold).collect::<Vec<u8>>();
            &heap
        };
        if OURS.iter().any(|prefix| folded.starts_with(prefix)) {
            return true;
        }
        if self.names.binary_search_by(|known| (**known).cmp(folded)).is_ok() {
            return true;
        }
        let via = VIA_NAMES.contains(&folded) || VIA_PREFIXES.iter().any(|prefix| folded.starts_with(prefix));
        match peer {
            PeerTrust::Untrusted => via,
            PeerTrust::Trusted => via && folded != name,
        }
    }
}

/// The name as the most careless upstream reads it.
pub(super) fn folded(name: &HeaderName) -> Box<[u8]> {
    name.as_str().bytes().map(fold).collect()
}

const fn fold(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' }
}

/// Folded bytes are ASCII, so that there is a bit for each.
const fn bit(folded: u8) -> u128 {
    1 << (folded & 0x7F)
}
