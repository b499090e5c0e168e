//! HTTP in: listeners, connections, the one tower stack, our own endpoints, and the way to the applications.
//!
//! | file | holds |
//! |---|---|
//! | [`listener`], [`acceptor`], [`data_thread`], `connection`, `watch`, `stack` | from a socket to a request, and the life of a thread |
//! | `exchange`, `intake`, [`client_addr`], `request_id`, `router` | what a request is, who sent it, whose it is to answer |
//! | `credential`, `bearer`, `renewal`, `proxy`, `forward`, `request_body`, `tunnel` | from a credential to a decision to the application |
//! | `sign_in`, [`own_page`], `callback`, `sign_out`, `signed_out`, `session_json`, `change`, `revoke`, `me`, `well_known` | our own endpoints, a file each |
//! | `magic_link` | signing in with a link by mail |
//! | `form`, `post`, `decision`, `entrance`, `user_agent` | what they share |
//! | `reply`, `page`, `body`, [`site`] | what answers look like |
//! | [`control`], [`profiles`], `lookup`, `codes`, [`admin`], [`live`] | what data threads ask of the control runtime; probes; what all threads share |

use http::header::USER_AGENT;
use http::{HeaderMap, HeaderValue};

use crate::server::client_addr::ClientAddr;
use crate::workos::EndUser;

pub mod acceptor;
pub mod admin;
mod bearer;
pub mod body;
mod callback;
mod callback_page;
mod change;
pub mod client_addr;
mod codes;
mod connection;
pub mod control;
mod credential;
pub mod data_thread;
mod decision;
mod entrance;
mod exchange;
mod form;
mod forward;
mod forwarded;
mod intake;
mod leases;
mod limits;
pub mod listener;
pub mod live;
mod lookup;
mod magic_link;
mod me;
mod opening;
pub mod own_page;
mod page;
mod per_stream;
mod post;
pub mod profiles;
mod proxy;
mod renewal;
mod reply;
mod request_body;
mod request_id;
mod revoke;
mod router;
mod session_json;
mod sign_in;
mod sign_out;
mod signed_out;
pub mod site;
mod stack;
mod tunnel;
mod user_agent;
mod watch;
pub mod webhook;
mod well_known;

pub use page::content_security_policy;

/// Longest user agent that WorkOS is told.
const MAX_USER_AGENT: usize = 512;

/// The person at the other end, as WorkOS is told of them.
fn end_user(client: &ClientAddr, headers: &HeaderMap) -> EndUser {
    end_user_of(client, headers.get(USER_AGENT))
}

/// The same, of a request that is gone.
fn end_user_of(client: &ClientAddr, user_agent: Option<&HeaderValue>) -> EndUser {
    let user_agent = user_agent.and_then(|value| value.to_str().ok());
    let user_agent = user_agent.map(|text| text.chars().take(MAX_USER_AGENT).collect::<String>().into());
    EndUser { ip: client.ip, user_agent }
}
