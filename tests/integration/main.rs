//! Stories about the whole product: a browser, Vestibule, WorkOS and an application, over real sockets and with a
//! clock that the test moves. Each file tells one kind of story.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "tests"
)]

mod architecture;
mod callback;
mod cookies;
mod forwarding;
mod framing;
mod identity_headers;
mod intake;
mod paths;
mod policy;
mod refresh;
mod sessions;
mod sign_in;
mod sign_out;
#[allow(dead_code, reason = "a tool for every story; not each part has its own yet")]
mod support;
mod trusted_proxies;
mod web_sockets;
