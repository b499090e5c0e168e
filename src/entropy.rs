//! The only place that draws random bytes. They go down into the pure core as values.

use aws_lc_rs::rand;

use crate::auth::entropy::Entropy;

/// Draws `N` bytes from the operating system's generator.
///
/// # Panics
/// When the operating system has no random bytes to give; nothing safe can be done then, and the panic costs
/// this one request.
#[must_use]
#[expect(clippy::expect_used, reason = "without random bytes nothing may be sealed or begun")]
#[expect(clippy::disallowed_methods, reason = "this file is where random bytes come from")]
pub fn draw<const N: usize>() -> Entropy<N> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).expect("the operating system gives random bytes");
    Entropy::from_bytes(bytes)
}
