//! Random bytes as a value. The pure core never draws any: the shell does (`crate::entropy`) and hands them
//! down, by value, so that one draw cannot serve twice.

use std::fmt;

/// `N` random bytes, to be used once.
pub struct Entropy<const N: usize>([u8; N]);

impl<const N: usize> Entropy<N> {
    /// Bytes that came from a random generator; tests give fixed ones.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; N]) -> Self {
        Self(bytes)
    }

    /// The bytes; the draw is spent.
    #[must_use]
    pub const fn into_bytes(self) -> [u8; N] {
        self.0
    }
}

impl<const N: usize> fmt::Debug for Entropy<N> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Entropy<{N}>")
    }
}
