//! A request on its way from the connection to whoever answers it, and the answer on its way back.

use std::sync::{Arc, OnceLock};

use http::uri::PathAndQuery;
use http::{Request, Response};
use hyper::body::Incoming;

use crate::auth::identity::{OrganizationId, UserId};
use crate::auth::navigation::Caller;
use crate::auth::path::RequestPath;
use crate::auth::policy::Destination;
use crate::auth::time::Timestamp;
use crate::server::language::{Language, Reader};
use crate::server::live::Live;
use crate::server::peer::client_addr::{ClientAddr, Peer};
use crate::server::reply::Asker;
use crate::server::reply::body::Body;
use crate::server::request::id::RequestId;
use crate::server::request::watch::Watch;
use crate::telemetry::DecisionWord;

/// A request as a connection hands it in.
#[derive(Debug)]
pub(crate) struct Inbound {
    pub(crate) request: Request<Incoming>,
    pub(crate) peer: Peer,
    pub(crate) watch: Arc<Watch>,
}

/// A request on its way through the stack.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) request: Request<Incoming>,
    pub(crate) peer: Peer,
    pub(crate) watch: Arc<Watch>,
    pub(crate) live: Arc<Live>,
    pub(crate) id: RequestId,
    pub(crate) caller: Caller,
    pub(crate) now: Timestamp,
    /// What is known already when a request goes on to an application: its client may leave before it answers.
    pub(crate) early: Arc<OnceLock<Note>>,
}

impl Exchange {
    /// Who gets the answer.
    pub(crate) fn asker(&self) -> Asker<'_> {
        let wanted = self.request.uri().path_and_query().filter(|_| self.caller == Caller::Navigation);
        let reader = Reader::Here(self.request.headers());
        Asker { wanted: wanted.map(PathAndQuery::as_str), ..asker(&self.live, &self.id, self.caller, reader) }
    }

    /// The language of whoever gets the answer.
    pub(crate) fn language(&self) -> &'static Language {
        Reader::Here(self.request.headers()).language()
    }
}

pub(crate) fn asker<'a>(live: &'a Live, id: &'a RequestId, caller: Caller, reader: Reader<'a>) -> Asker<'a> {
    Asker {
        caller,
        reader,
        request_id: id.as_str(),
        site: &live.site,
        page_policy: &live.page_policy,
        wanted: None,
        organization: live.authorize.organization_id.as_ref(),
        cors_origin: None,
    }
}

/// An answer, with what the access line says of it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) response: Response<Body>,
    pub(crate) note: Note,
}

/// What the access line and the counters say of an answer.
#[derive(Debug, Clone)]
pub(crate) struct Note {
    /// Where the path led; `None`: it never came to that.
    pub(crate) destination: Option<Destination>,
    /// What was decided, in a word.
    pub(crate) decision: DecisionWord,
    pub(crate) user_id: Option<UserId>,
    pub(crate) organization_id: Option<OrganizationId>,
}

impl Default for Note {
    /// The note of what was not a request that can be judged.
    fn default() -> Self {
        Self { destination: None, decision: DecisionWord::Malformed, user_id: None, organization_id: None }
    }
}

/// Where a request came from and where it is to go, once it was taken in.
#[derive(Debug)]
pub(crate) struct Bearings {
    /// Who asks, as far as that can be known.
    pub(crate) client: ClientAddr,
    /// The host that the browser used.
    pub(crate) host: String,
    /// The one path that is matched and forwarded.
    pub(crate) path: RequestPath<'static>,
    /// Where it leads.
    pub(crate) destination: Destination,
}
