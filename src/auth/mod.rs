//! The pure core: what a request may do, and every value that decision is made of. Nothing in here awaits,
//! reads a clock, draws randomness, opens a socket, reads the environment or logs; time and random bytes come
//! in as arguments, and what is to be done goes out as a value.

pub mod access_token;
pub mod bearer;
pub mod claims;
pub mod cookie;
pub mod entropy;
pub mod event;
pub mod facts;
pub mod gate;
pub mod identity;
pub mod identity_headers;
pub mod keyring;
pub mod magic_link;
pub mod navigation;
pub mod path;
pub mod place;
pub mod policy;
pub mod presented;
pub mod profile;
pub mod record;
pub mod refusal;
pub mod return_to;
pub mod revocation;
pub mod sealed_cookie;
pub mod secret;
pub mod session;
pub mod session_choice;
pub mod session_codec;
pub mod sign_in;
pub mod sign_out;
pub mod time;
pub mod webhook;
