//! HTTP in: listeners, connections, the one tower stack, our own endpoints, and the way to the applications.
//!
//! | place | holds |
//! |---|---|
//! | [`connection`] | sockets and what speaks HTTP on them |
//! | `stack`, `router` | the tower layers around every request; whose it is to answer |
//! | `application` | from a decision to the application and back |
//! | [`endpoints`] | our own endpoints, a file or a folder each, and what they share |
//! | `credential` | from cookies and tokens to somebody, and to the cookies that go back |
//! | [`request`] | what a request is on its way, and what is watched of it |
//! | [`live`], [`data_thread`] | what all threads share, and what each has for itself |
//! | [`control`] | what data threads ask of the control runtime |
//! | [`peer`] | who is at the other end |
//! | `reply` | what answers look like; the only place that chooses a status code |
//! | [`settings`], [`site`] | what the operator decides; where we are, and where our endpoints are |
//! | [`language`] | which language somebody reads, and all that our pages and letters say in it |
//! | [`admin`] | the listener of probes and metrics |
//!
//! Each imports those below it.

pub mod admin;
mod application;
pub mod connection;
pub mod control;
mod credential;
pub mod data_thread;
pub mod endpoints;
pub mod language;
pub mod live;
pub mod peer;
mod reply;
pub mod request;
mod router;
pub mod settings;
pub mod site;
mod stack;

pub use reply::page::content_security_policy;
