//! The facts of a request that a decision may depend on; nothing else of the request reaches the gate.

use http::Method;

use crate::auth::navigation::Caller;
use crate::auth::path::RequestPath;
use crate::auth::policy::Destination;

/// What a decision may depend on.
#[derive(Debug, Clone, Copy)]
pub struct RequestFacts<'a> {
    /// The method.
    pub method: &'a Method,
    /// The one path that is matched and forwarded.
    pub path: &'a RequestPath<'a>,
    /// The query, without its `?`: part of the return target, never of a match.
    pub query: Option<&'a str>,
    /// Where the path leads.
    pub destination: Destination,
    /// What kind of caller asks.
    pub caller: Caller,
    /// What is asked for.
    pub purpose: Purpose,
    /// The `Origin` header, when there is exactly one.
    pub origin: RequestOrigin<'a>,
    /// Did the browser use the address of `public_url`?
    pub arrival: Arrival,
}

/// What a request wants beside its method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// An ordinary exchange.
    Exchange,
    /// To become a WebSocket (RFC 6455, RFC 8441).
    WebSocket,
    /// To know whether a page of another origin may call (CORS preflight).
    Preflight,
}

/// The page that made a browser send the request, by its own word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestOrigin<'a> {
    /// No `Origin` header.
    Absent,
    /// This one.
    Named(&'a str),
    /// Several, or one that is not text: nobody's.
    Unreadable,
}

/// The address under which the browser reached us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// That of `public_url`.
    Public,
    /// Another host, or plain http while `public_url` is https.
    Elsewhere,
}
