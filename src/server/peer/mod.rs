//! Who is at the other end of a connection, as far as that can be known, and what others are told of them.

use http::header::USER_AGENT;
use http::{HeaderMap, HeaderValue};

use crate::server::peer::client_addr::ClientAddr;
use crate::workos::EndUser;

pub mod client_addr;
mod forwarded;
pub(crate) mod user_agent;

/// Longest user agent that WorkOS is told.
const MAX_USER_AGENT: usize = 512;

/// The person at the other end, as WorkOS is told of them.
pub(crate) fn end_user(client: &ClientAddr, headers: &HeaderMap) -> EndUser {
    end_user_of(client, headers.get(USER_AGENT))
}

/// The same, of a request that is gone.
pub(crate) fn end_user_of(client: &ClientAddr, user_agent: Option<&HeaderValue>) -> EndUser {
    let user_agent = user_agent.and_then(|value| value.to_str().ok());
    let user_agent = user_agent.map(|text| text.chars().take(MAX_USER_AGENT).collect::<String>().into());
    EndUser { ip: client.ip, user_agent }
}
