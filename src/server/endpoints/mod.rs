//! Our own endpoints, all of them under `auth_path`. An endpoint is a file, or a folder where it is more than one;
//! `form` and `post` are what those share that take something in, `callback_page` what those say that end a sign-in.

pub(crate) mod callback;
mod callback_page;
pub(crate) mod change;
mod form;
pub(crate) mod magic_link;
pub(crate) mod me;
pub(crate) mod own_page;
mod post;
pub(crate) mod revoke;
pub(crate) mod session_json;
pub(crate) mod sign_in;
pub(crate) mod sign_out;
pub(crate) mod signed_out;
pub(crate) mod webhook;
pub(crate) mod well_known;
