//! Renewing sessions: an actor on the control runtime. WorkOS' refresh tokens are single-use
//! (<https://workos.com/docs/authkit/session-resilience>), so everyone who holds the same token must share one
//! call and its result. One task owns the table of flights (`desk`); data threads send a question and wait for
//! the answer. The actor owns the call, not the asker: a browser that hangs up cancels nothing. While
//! WorkOS does not answer, the `breaker` holds calls back; and nobody has their own session renewed faster than
//! the [`pace`](crate::pace) allows.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::auth::gate::Gate;
use crate::auth::identity::OrganizationId;
use crate::auth::place::Place;
use crate::auth::presented::Dependency;
use crate::auth::session::{Generation, Session, SessionId};
use crate::auth::time::Span;
use crate::clock::Clock;
use crate::standing::StandingTable;
use crate::store::SessionStore;
use crate::telemetry::Metrics;
use crate::workos::error::StepUp;
use crate::workos::{EndUser, WorkOs};

mod actor;
mod breaker;
mod call;
mod desk;

pub use crate::refresh::actor::RefreshActor;

/// Questions that may wait for the actor. Each is a request in flight; more wait at the sender.
const QUESTIONS: usize = 1_024;

/// A question for a newer session.
#[derive(Debug, Clone)]
pub struct Ask {
    /// The session as it came.
    pub session: Arc<Session>,
    /// Where it is kept,
    pub place: Place,
    /// and what keeps it.
    pub store: Arc<dyn SessionStore>,
    /// Knows which claims sessions keep, and how long they last.
    pub gate: Arc<Gate>,
    /// Whom WorkOS is told that it is for.
    pub end_user: EndUser,
    /// What is wanted.
    pub wish: Wish,
}

/// What is wanted of a renewal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// A session that is fresh; one that somebody has renewed already will do.
    WhenDue,
    /// A session that is newer than the one that came.
    Now,
    /// A session in this organization.
    Organization(OrganizationId),
}

impl Wish {
    /// Is nothing wished for but a newer session? Whatever becomes of that concerns everybody who holds the
    /// token; that another organization was refused concerns those alone who wanted it.
    const fn is_plain(&self) -> bool {
        match self {
            Self::WhenDue | Self::Now => true,
            Self::Organization(_) => false,
        }
    }
}

/// What became of a renewal.
#[derive(Debug, Clone)]
pub enum Renewed {
    /// A newer session; whoever asked with the older one goes on with this.
    Yes(Arc<Session>),
    /// Not now: somebody whom it takes did not answer, or refused for a passing reason.
    NotNow {
        /// Who.
        dependency: Dependency,
        /// When to ask again, where that is known.
        retry_after: Option<Span>,
    },
    /// Not without the person: WorkOS asks for this step, which only a sign-in can bring.
    NeedsPerson(Arc<StepUp>),
    /// Never: the session is over.
    Never,
}

/// Asks the actor. Clones share it.
#[derive(Debug, Clone)]
pub struct Refresher {
    questions: mpsc::Sender<Question>,
}

#[derive(Debug)]
enum Question {
    Renew(Box<Ask>, oneshot::Sender<Renewed>),
    Winner(Arc<Session>, oneshot::Sender<Option<Arc<Session>>>),
    Presented(SessionId, Generation),
}

impl Refresher {
    /// The asking side, and the actor to run on the control runtime.
    #[must_use]
    pub fn new(
        workos: WorkOs,
        standing: Arc<StandingTable>,
        metrics: Metrics,
        clock: Clock,
    ) -> (Self, RefreshActor) {
        let (questions, inbox) = mpsc::channel(QUESTIONS);
        (Self { questions }, RefreshActor::new(inbox, workos, standing, metrics, clock))
    }

    /// Renews a session, or gives the result of whoever renewed it already.
    pub async fn renew(&self, ask: Ask) -> Renewed {
        if !ask.session.is_renewable() {
            return Renewed::Never;
        }
        let (answer, result) = oneshot::channel();
        let gone = Renewed::NotNow { dependency: Dependency::WorkOs, retry_after: None };
        match self.questions.send(Question::Renew(Box::new(ask), answer)).await {
            Ok(()) => result.await.unwrap_or(gone),
            Err(_) => gone,
        }
    }

    /// The newest session that `session` became, when it is remembered.
    pub async fn winner(&self, session: Arc<Session>) -> Option<Arc<Session>> {
        if !session.is_renewable() {
            return None;
        }
        let (answer, result) = oneshot::channel();
        self.questions.send(Question::Winner(session, answer)).await.ok()?;
        result.await.ok().flatten()
    }

    /// Says that a browser came with this generation, so that its result need not be remembered much longer.
    /// Best effort: a full inbox only means that memory is kept longer.
    pub fn presented(&self, session: &Session) {
        let _ = self.questions.try_send(Question::Presented(session.id(), session.generation()));
    }
}
