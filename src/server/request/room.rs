//! Webhooks that are read whole, and the memory that all of them together may take while they are.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The largest webhook; WorkOS' are a few kilobytes.
pub(crate) const MAX_BYTES: usize = 1024 * 1024;
/// What each may send without asking for room: more than nearly all have.
const SMALL_BYTES: usize = 16 * 1024;
/// Room for what all of them together send beyond that. Nobody has shown yet that they know the secret.
const ROOM_BYTES: usize = 16 * 1024 * 1024;

/// How much of the room for large webhooks is taken.
#[derive(Debug, Default)]
pub struct WebhookRoom(AtomicUsize);

/// A body as far as it has come. What it takes of the room is free again when it is dropped.
pub(crate) struct Whole<'a> {
    bytes: Vec<u8>,
    taken: usize,
    room: &'a WebhookRoom,
}

/// What is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// This body is larger than any may be.
    One,
    /// There is no room for more of all of them.
    All,
}

impl<'a> Whole<'a> {
    /// Nothing has come yet.
    pub(crate) const fn new(room: &'a WebhookRoom) -> Self {
        Self { bytes: Vec::new(), taken: 0, room }
    }

    /// What has come.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Takes more in.
    ///
    /// # Errors
    /// What is full; the body is to be dropped then.
    pub(crate) fn push(&mut self, data: &[u8]) -> Result<(), Full> {
        let length = self.bytes.len().saturating_add(data.len());
        if length > MAX_BYTES {
            return Err(Full::One);
        }
        let more = length.saturating_sub(SMALL_BYTES).saturating_sub(self.taken);
        self.taken += more;
        if self.room.0.fetch_add(more, Ordering::Relaxed).saturating_add(more) > ROOM_BYTES {
            return Err(Full::All);
        }
        self.bytes.extend_from_slice(data);
        Ok(())
    }
}

impl Drop for Whole<'_> {
    fn drop(&mut self) {
        self.room.0.fetch_sub(self.taken, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_room_is_shared_by_large_ones_and_free_again_after_them() {
        let room = WebhookRoom::default();
        let large = vec![0; MAX_BYTES];
        let mut many = Vec::new();
        let refused = loop {
            let mut whole = Whole::new(&room);
            if let Err(full) = whole.push(&large) {
                break full;
            }
            many.push(whole);
        };
        assert_eq!((refused, many.len()), (Full::All, ROOM_BYTES / (MAX_BYTES - SMALL_BYTES)));
        assert_eq!(Whole::new(&room).push(&[0; SMALL_BYTES]), Ok(()), "small ones need none");
        many.clear();
        let mut whole = Whole::new(&room);
        assert_eq!(whole.push(&large), Ok(()));
        assert_eq!(whole.push(&[0]), Err(Full::One));
    }
}
