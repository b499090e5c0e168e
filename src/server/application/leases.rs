//! Looks after what a data thread holds open, once a second: whether sessions still stand, whether the policy still
//! lets their people in, and what their people did on streams meanwhile. Who may is the gate's word
//! ([`Gate::still_admits`](crate::auth::gate::Gate::still_admits)).
//!
//! No cookie can be set on a stream. Where the session is kept in one, its tokens must not be renewed for a stream,
//! and what is not known of its person counts as refused. Where it is kept in a store that replicas share, it is
//! renewed when something about its person has changed.

use std::sync::Arc;

use crate::activity::{Use, Writing};
use crate::auth::gate::Outcome;
use crate::auth::place::Place;
use crate::auth::policy::{Access, Cause, Destination};
use crate::auth::presented::{OpenSession, Standing};
use crate::auth::session::Session;
use crate::auth::time::{Span, Timestamp};
use crate::coarse::PERIOD;
use crate::lease::{Ending, Fate, Inquiry, Lease, LeaseId};
use crate::refresh::{Ask, Renewed, Wish};
use crate::server::credential;
use crate::server::data_thread::DataThread;
use crate::server::live::{Live, Shared};
use crate::standing::EndedBy;
use crate::store::StoreUnavailable;
use crate::telemetry::{Action, AuditLine, AuditOutcome};
use crate::workos::EndUser;

/// How long an answer about a session is waited for.
const PATIENCE: Span = Span::from_secs(17);
/// When nobody knows what a session has become, it is asked again after this long.
const REST: Span = Span::from_secs(60);

/// Judges everything the thread holds open.
pub(crate) fn sweep(thread: &Arc<DataThread>) {
    let live = thread.shared.live.load_full();
    let now = thread.shared.clock.now();
    note_activity(thread, &live, now);
    let mut found = Findings::default();
    let judge = Judge { shared: &thread.shared, live: &live, now };
    thread.leases.sweep(now, |id, lease| judge.fate(id, lease, &mut found));
    follow(thread, found);
}

/// What judging leaves to do.
#[derive(Default)]
struct Findings {
    questions: Vec<Question>,
    refusals: Vec<AuditLine>,
}

/// What has become of this session?
struct Question {
    lease: LeaseId,
    open: Arc<OpenSession>,
    end_user: EndUser,
}

/// What has become of a session.
enum News {
    /// This.
    Newer(Arc<Session>),
    /// Nobody knows.
    Unknown,
    /// Whoever could say does not answer now.
    NotNow,
    /// It cannot be renewed without its person.
    NeedsPerson,
    /// It is over.
    Over,
}

fn follow(thread: &Arc<DataThread>, found: Findings) {
    for question in found.questions {
        thread.tasks.spawn(inquire(Arc::clone(thread), question));
    }
    if !found.refusals.is_empty() {
        let audit = thread.shared.audit.clone();
        thread.tasks.spawn(async move {
            for line in found.refusals {
                audit.record(line).await;
            }
        });
    }
}

struct Judge<'a> {
    shared: &'a Shared,
    live: &'a Live,
    now: Timestamp,
}

impl Judge<'_> {
    fn fate(&self, id: LeaseId, lease: &mut Lease, found: &mut Findings) -> Fate {
        let Some(open) = lease.session.clone() else { return self.by_policy(lease, found) };
        if let Some((by, at)) = self.shared.standing.end_of(&open.session) {
            return match by {
                EndedBy::SignOut => Fate::Ends(Ending::SignedOut, at),
                EndedBy::Revocation => Fate::Ends(Ending::Revoked, at),
            };
        }
        if !lease.kind.is_bound() {
            return Fate::Stays;
        }
        let end = open.session.ends_at(self.live.gate.lifetimes());
        if end <= self.now {
            return Fate::Ends(Ending::LifetimeOver, end);
        }
        match self.by_policy(lease, found) {
            Fate::Stays => {}
            over @ Fate::Ends(..) => return over,
        }
        match self.shared.standing.of(&open.session) {
            Standing::Live | Standing::Ended => Fate::Stays,
            Standing::Superseded => self.superseded(id, lease, &open, found),
            Standing::MustRefresh => self.outdated(id, lease, &open, found),
        }
    }

    /// Asks the policy, if it has not been asked since configuration and session are what they are.
    fn by_policy(&self, lease: &mut Lease, found: &mut Findings) -> Fate {
        let Some(opening) = lease.opening.as_ref().filter(|_| lease.judged_under != Some(self.live.number))
        else {
            return Fate::Stays;
        };
        lease.judged_under = Some(self.live.number);
        let policy = self.live.gate.policy();
        let Ok(destination) = policy.resolve(&opening.path, &opening.method, &opening.host) else {
            return self.refuse(lease, Cause::Undecided, found);
        };
        let decision = self.live.gate.still_admits(&opening.facts(destination), lease.session.as_ref());
        lease.destination = destination;
        lease.grace = self.live.stream_grace(destination);
        let public = policy.requirements(destination).access == Access::Public;
        let admitted = match &decision.verdict {
            // What was opened as somebody does not go on as nobody, unless nobody is asked.
            Outcome::Forward(passage) => public || passage.session().is_some() == lease.session.is_some(),
            Outcome::SignIn(_) | Outcome::AllowPreflight | Outcome::Refuse(_) => false,
        };
        if admitted { Fate::Stays } else { self.refuse(lease, decision.trace.cause, found) }
    }

    fn refuse(&self, lease: &Lease, cause: Cause, found: &mut Findings) -> Fate {
        let identity = lease.session.as_ref().map(|open| open.session.identity());
        found.refusals.push(AuditLine {
            route: Some(self.live.route_metrics(Some(lease.destination)).route().clone()),
            user_id: identity.map(|identity| identity.user.id.clone()),
            organization_id: identity.and_then(|identity| identity.organization_id.clone()),
            impersonator: identity
                .and_then(|identity| identity.impersonator.as_ref())
                .map(|impersonator| impersonator.email.clone()),
            ..AuditLine::new(self.now, Action::Refusal, AuditOutcome::Denied, cause.as_str().into())
        });
        Fate::Ends(Ending::Policy, self.now)
    }

    /// Somebody has renewed the session.
    fn superseded(
        &self,
        id: LeaseId,
        lease: &mut Lease,
        open: &Arc<OpenSession>,
        found: &mut Findings,
    ) -> Fate {
        let expired = open.session.access_ends_at() <= self.now;
        match (lease.inquiry, &open.place) {
            // The older state is good until its own access token ends, like that of a request.
            (Inquiry::UnknownUntil(_), Place::Browser)
                if expired && self.asks_for_facts(lease.destination) =>
            {
                self.refuse(lease, Cause::Undecided, found)
            }
            (_, Place::Browser | Place::Record { .. }) => self.ask(id, lease, open, found),
            // Nobody renews what a program brought.
            (_, Place::Token) => Fate::Stays,
        }
    }

    /// Something about its person has changed, and nobody has renewed it since.
    fn outdated(
        &self,
        id: LeaseId,
        lease: &mut Lease,
        open: &Arc<OpenSession>,
        found: &mut Findings,
    ) -> Fate {
        match &open.place {
            _ if !self.asks_for_facts(lease.destination) => Fate::Stays,
            Place::Browser => self.refuse(lease, Cause::Undecided, found),
            Place::Token => self.refuse(lease, Cause::TokenOutdated, found),
            Place::Record { .. } => self.ask(id, lease, open, found),
        }
    }

    fn asks_for_facts(&self, destination: Destination) -> bool {
        self.live.gate.asks_for_facts(destination)
    }

    fn ask(
        &self,
        lease_id: LeaseId,
        lease: &mut Lease,
        open: &Arc<OpenSession>,
        found: &mut Findings,
    ) -> Fate {
        let due = match lease.inquiry {
            Inquiry::None => true,
            Inquiry::UnderWay => false,
            Inquiry::RestsUntil(then) | Inquiry::UnknownUntil(then) => then <= self.now,
        };
        if due {
            lease.inquiry = Inquiry::UnderWay;
            let end_user = lease.opening.as_ref().map(|opening| opening.end_user.clone()).unwrap_or_default();
            found.questions.push(Question { lease: lease_id, open: Arc::clone(open), end_user });
        }
        Fate::Stays
    }

    /// Judges a stream after the question that it waited for.
    fn take_in(&self, id: LeaseId, lease: &mut Lease, news: News, found: &mut Findings) -> Fate {
        let Some(open) = lease.session.clone() else { return Fate::Stays };
        // Whatever was answered, it is not asked again before the next tick.
        lease.inquiry = Inquiry::RestsUntil(self.now.plus(PERIOD));
        match news {
            News::Newer(session) if session.generation() > open.session.generation() => {
                let session = (*session).clone();
                lease.session = Some(credential::prepare(self.live, session, open.place.clone()));
                lease.judged_under = None;
            }
            News::Newer(_) | News::NotNow => {}
            News::Unknown => lease.inquiry = Inquiry::UnknownUntil(self.now.plus(REST)),
            News::NeedsPerson if open.session.access_ends_at() > self.now => {
                let left = open.session.access_ends_at().since(self.now);
                lease.inquiry = Inquiry::RestsUntil(self.now.plus(left.min(REST)));
            }
            News::NeedsPerson | News::Over => return Fate::Ends(Ending::Revoked, self.now),
        }
        self.fate(id, lease, found)
    }
}

/// Finds out what a session has become, and has its stream judged by that.
async fn inquire(thread: Arc<DataThread>, question: Question) {
    let Question { lease: id, open, end_user } = question;
    let asking = ask(&thread, &open, end_user);
    let news = thread.timer.within(PATIENCE, asking).await.unwrap_or(News::NotNow);
    let live = thread.shared.live.load_full();
    let now = thread.shared.clock.now();
    let mut found = Findings::default();
    let judge = Judge { shared: &thread.shared, live: &live, now };
    thread.leases.judge(id, now, |lease| judge.take_in(id, lease, news, &mut found));
    follow(&thread, found);
}

async fn ask(thread: &DataThread, open: &OpenSession, end_user: EndUser) -> News {
    let session = Arc::new(open.session.clone());
    let refresher = &thread.shared.refresher;
    if let Some(newer) = refresher.winner(Arc::clone(&session)).await {
        return News::Newer(newer);
    }
    match &open.place {
        Place::Browser | Place::Token => return News::Unknown,
        Place::Record { .. } => {}
    }
    let live = thread.shared.live.load_full();
    // What the stream knows of its session may be hours old: others have used it since, and a renewal that did not
    // know of that would have it lapse.
    let session = match live.store.newest(&open.place).await {
        Ok(Some(newest)) if newest.generation() > session.generation() => {
            return News::Newer(Arc::new(newest));
        }
        Ok(Some(newest)) if newest.generation() == session.generation() => Arc::new(newest),
        Ok(Some(older)) => Arc::new((*session).clone().seen(older.last_seen_at())),
        // Whether it is kept no longer, the renewal finds out.
        Ok(None) => session,
        Err(StoreUnavailable) => return News::NotNow,
    };
    let (place, store, gate) = (open.place.clone(), Arc::clone(&live.store), Arc::clone(&live.gate));
    let ask = Ask { session, place, store, gate, end_user, wish: Wish::WhenDue };
    match refresher.renew(ask).await {
        Renewed::Yes(newer) => News::Newer(newer),
        Renewed::NotNow { .. } => News::NotNow,
        Renewed::NeedsPerson(_) => News::NeedsPerson,
        Renewed::Never => News::Over,
    }
}

/// Takes in what people have sent on streams since the last tick.
fn note_activity(thread: &Arc<DataThread>, live: &Arc<Live>, now: Timestamp) {
    let idle_timeout = live.gate.lifetimes().idle_timeout;
    // A token does not end for want of use.
    for open in thread.leases.take_heard().into_iter().filter(|open| open.place.is_ambient()) {
        let writing = thread.shared.activity.note(open.session.id(), idle_timeout, now);
        match (writing, &open.place) {
            (Writing::Due, Place::Record { .. }) => {
                let (thread, live) = (Arc::clone(thread), Arc::clone(live));
                thread
                    .tasks
                    .clone()
                    .spawn(async move { write_down(&thread.shared, &live, &open, now).await });
            }
            (Writing::NotYet, _) | (Writing::Due, Place::Browser | Place::Token) => {}
        }
    }
}

/// Writes the use of a session into its record, so that other replicas know. Best effort: it is due again soon.
async fn write_down(shared: &Shared, live: &Live, open: &OpenSession, now: Timestamp) {
    let Some(Use { since, last }) = shared.activity.of(open.session.id()) else { return };
    let Ok(Some(newest)) = live.store.newest(&open.place).await else { return };
    if let Some(used) = newest.used(live.gate.lifetimes(), since, last, now)
        && shared.standing.end_of(&used).is_none()
    {
        let _ = live.store.keep(&used, &open.place, now).await;
    }
}
