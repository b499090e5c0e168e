//! Stories about the whole product: a browser, Vestibule, WorkOS and an application, over real sockets and with a
//! clock that the test moves. Each file tells one kind of story.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    clippy::disallowed_methods,
    clippy::type_complexity,
    reason = "tests"
)]

mod answers;
mod architecture;
mod attack;
mod bearers;
mod bodies;
mod caching;
mod callback;
mod command_line;
mod cookies;
mod device_sign_in;
mod endurance;
mod forwarding;
mod framing;
mod http2;
mod identity_headers;
mod identity_values;
mod intake;
mod key_rotation;
mod languages;
mod leases;
mod limits;
mod logs;
mod magic_auth;
mod magic_link;
mod mutants;
mod operations;
mod outages;
mod own_sessions;
mod pages;
mod paths;
mod policy;
#[cfg(feature = "redis")]
mod redis_outages;
#[cfg(feature = "redis")]
mod redis_store;
mod refresh;
mod revocation;
mod sessions;
mod sign_in;
mod sign_out;
mod store_contract;
mod streams;
#[allow(dead_code, reason = "a tool for every story; not each part has its own yet")]
mod support;
mod trusted_proxies;
mod upstreams;
mod ways_in;
mod web_socket_endings;
mod web_sockets;
mod workos_catalogue;
mod workos_command;
mod workos_every_command;
