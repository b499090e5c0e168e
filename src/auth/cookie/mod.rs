//! Our cookies as they travel: what they are called ([`names`]), finding them in a request and putting a
//! session's text together again ([`read`]), cutting them out of what the upstream gets and sets ([`strip`]), and
//! the `Set-Cookie` fields that set and expire them ([`mod@write`]). What is sealed inside is
//! [`crate::auth::sealed_cookie`]'s matter, and which of several sessions counts
//! [`crate::auth::session_choice`]'s.

pub mod names;
pub mod read;
pub mod strip;
pub mod write;

pub use crate::auth::cookie::names::{AttemptId, CookieNames, NameError, OurCookie, Part, Scope};
pub use crate::auth::cookie::read::{Candidates, RequestCookies};
pub use crate::auth::cookie::strip::{join_crumbs, sets_ours, strip_ours};
pub use crate::auth::cookie::write::{CookieLife, CookiePolicy, CookiePolicyError, SameSite, Transport};
