//! The whole decision in one page: may this request go on, and as whom? A pure function of facts, credential,
//! policy and clock; whoever calls it does what the verdict says.

use std::sync::Arc;

use crate::auth::access_token::LEEWAY;
use crate::auth::claims::WantedClaims;
use crate::auth::facts::{Arrival, Purpose, RequestFacts, RequestOrigin};
use crate::auth::identity::OrganizationId;
use crate::auth::navigation::Caller;
use crate::auth::policy::{Access, Cause, Destination, Policy, Requirements, Trace, Unauthenticated};
use crate::auth::presented::{Dependency, OpenSession, Presented, Standing};
use crate::auth::refusal::Refusal;
use crate::auth::return_to::ReturnTo;
use crate::auth::session::{Freshness, Lapse, Lifetimes};
use crate::auth::time::Timestamp;

/// Decides. Holds what the operator configured and nothing that changes.
#[derive(Debug)]
pub struct Gate {
    policy: Policy,
    lifetimes: Lifetimes,
    wanted: WantedClaims,
    public_origin: Box<str>,
    organization: Option<OrganizationId>,
}

/// What to do, and why. [`Gate::assess`] decides on a [`Verdict`], [`Gate::settle`] on an [`Outcome`]: a renewal
/// is asked for at most once, because the second type cannot ask.
#[derive(Debug)]
pub struct Decision<V = Verdict> {
    /// What to do.
    pub verdict: V,
    /// Why.
    pub trace: Trace,
}

/// What to do with a request.
#[derive(Debug)]
pub enum Verdict {
    /// Renew the session, then ask [`Gate::settle`].
    Refresh(Stale),
    /// This, and nothing more is asked.
    Final(Outcome),
}

/// A decision that stands.
#[derive(Debug)]
pub enum Outcome {
    /// Let it through.
    Forward(Passage),
    /// Send the person to sign in.
    SignIn(Detour),
    /// Tell the browser that a page of this origin may call.
    AllowPreflight,
    /// Say no.
    Refuse(Refusal),
}

/// A session that must or should be renewed before it is judged.
#[derive(Debug, Clone)]
pub struct Stale {
    /// The session as it came.
    pub session: Arc<OpenSession>,
    /// What to do should the renewal not succeed.
    pub worth: Worth,
}

/// What a session that should be renewed is worth without the renewal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worth {
    /// It is still good.
    StillGood,
    /// It is over, but serves on while WorkOS does not answer.
    InGrace,
    /// Nothing.
    Nothing,
}

/// What became of a renewal.
#[derive(Debug, Clone)]
pub enum Renewal {
    /// A session that is good now.
    Renewed(Arc<OpenSession>),
    /// It could not be renewed now; it may be later.
    Unavailable(Dependency),
    /// It can be renewed only with the person's help: it is good until its access token ends.
    NeedsPerson,
    /// It never will be: the session is over.
    Over,
}

/// Where a person goes to sign in, and where they come back to.
#[derive(Debug, Clone)]
pub struct Detour {
    /// The page they wanted.
    pub return_to: ReturnTo,
    /// Where the sign-in starts.
    pub start: DetourStart,
}

/// Where a sign-in starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DetourStart {
    /// Here: with a redirect to WorkOS and a cookie for the attempt.
    Here,
    /// At the sign-in endpoint of `public_url`, because a cookie set here would not come back there.
    PublicUrl,
}

/// Permission to forward one request. Only the gate makes one, so forwarding without a decision does not
/// compile.
#[derive(Debug)]
pub struct Passage {
    route: Option<usize>,
    upstream: usize,
    session: Option<Arc<OpenSession>>,
}

impl Passage {
    /// Which route of the policy matched; `None` is the default.
    #[must_use]
    pub const fn route(&self) -> Option<usize> {
        self.route
    }

    /// Which upstream it goes to.
    #[must_use]
    pub const fn upstream(&self) -> usize {
        self.upstream
    }

    /// On whose behalf; `None` is the public.
    #[must_use]
    pub const fn session(&self) -> Option<&Arc<OpenSession>> {
        self.session.as_ref()
    }
}

/// Whose session a credential is, where no policy is asked: our own endpoints that speak of the session.
#[derive(Debug)]
pub enum WhoAmI {
    /// Nobody's.
    Nobody,
    /// This one's.
    Somebody(Arc<OpenSession>),
    /// To be renewed first; then ask [`Gate::who_is_it_now`].
    Renew(Stale),
    /// It could not be found out.
    Unknown(Dependency),
}

/// What the presented credential is worth on a route that reads it.
enum Found {
    Nobody(Cause),
    Somebody(Arc<OpenSession>),
    MustRenew(Stale),
    No(Refusal, Cause),
}

impl Gate {
    /// A gate for this policy. `public_origin` is the ASCII serialisation of `public_url`'s origin (RFC 6454).
    #[must_use]
    pub const fn new(
        policy: Policy,
        lifetimes: Lifetimes,
        wanted: WantedClaims,
        public_origin: Box<str>,
    ) -> Self {
        Self { policy, lifetimes, wanted, public_origin, organization: None }
    }

    /// The same gate, but people must be in this organization, if one is given.
    #[must_use]
    pub fn within_organization(self, organization: Option<OrganizationId>) -> Self {
        Self { organization, ..self }
    }

    /// The policy it decides by.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The lifetimes it enforces.
    #[must_use]
    pub const fn lifetimes(&self) -> &Lifetimes {
        &self.lifetimes
    }

    /// The claims that sessions keep for it.
    #[must_use]
    pub const fn wanted(&self) -> &WantedClaims {
        &self.wanted
    }

    /// Decides about one request.
    #[must_use]
    pub fn assess(&self, facts: &RequestFacts<'_>, presented: &Presented, now: Timestamp) -> Decision {
        let found = match self.policy.requirements(facts.destination).access {
            Access::Public | Access::Deny => Found::Nobody(Cause::NoCredential),
            Access::Optional | Access::SignedIn => self.appraise(presented, now),
        };
        let decision = match found {
            Found::MustRenew(stale) => match self.prejudge(facts, HasSession::Yes) {
                Some(decision) => decision,
                None => {
                    let trace = self.trace(facts, Cause::RefreshDue);
                    return Decision { verdict: Verdict::Refresh(stale), trace };
                }
            },
            found @ (Found::Nobody(_) | Found::Somebody(_) | Found::No(..)) => self.judge(facts, found),
        };
        Decision { verdict: Verdict::Final(decision.verdict), trace: decision.trace }
    }

    /// Decides about one request after the renewal that [`assess`](Self::assess) asked for. Never asks for
    /// another.
    #[must_use]
    pub fn settle(
        &self,
        facts: &RequestFacts<'_>,
        stale: Stale,
        renewal: Renewal,
        now: Timestamp,
    ) -> Decision<Outcome> {
        let found = self.reappraise(stale, renewal, now);
        self.judge(facts, found)
    }

    /// Decides once more about a request that was let through and lasts still: for this session, which is known
    /// to stand whatever the age of its access token, or for nobody.
    #[must_use]
    pub fn still_admits(
        &self,
        facts: &RequestFacts<'_>,
        session: Option<&Arc<OpenSession>>,
    ) -> Decision<Outcome> {
        let nobody = Found::Nobody(Cause::NoCredential);
        self.judge(facts, session.map_or(nobody, |session| Found::Somebody(Arc::clone(session))))
    }

    /// Does it depend on more than which person asks, whether they may go there?
    #[must_use]
    pub fn asks_for_facts(&self, destination: Destination) -> bool {
        let requirements = self.policy.requirements(destination);
        match requirements.access {
            Access::Public | Access::Deny => false,
            Access::Optional | Access::SignedIn => {
                self.organization.is_some() || requirements.depends_on_facts()
            }
        }
    }

    /// Whose session is presented?
    #[must_use]
    pub fn who_is_it(&self, presented: &Presented, now: Timestamp) -> WhoAmI {
        who(self.appraise(presented, now))
    }

    /// Whose session is it, after the renewal that [`who_is_it`](Self::who_is_it) asked for? Never asks for
    /// another.
    #[must_use]
    pub fn who_is_it_now(&self, stale: Stale, renewal: Renewal, now: Timestamp) -> WhoAmI {
        who(self.reappraise(stale, renewal, now))
    }

    /// May a page of this origin call this destination and read what it says (CORS)?
    #[must_use]
    pub fn admits_origin(&self, destination: Destination, origin: &str) -> bool {
        self.admits(self.policy.requirements(destination).origins, origin)
    }

    fn appraise(&self, presented: &Presented, now: Timestamp) -> Found {
        let (open, standing) = match presented {
            Presented::Nothing => return Found::Nobody(Cause::NoCredential),
            Presented::Session(open, standing) => (open, *standing),
            Presented::Program(open, standing) => return vouched(open, *standing, now),
            Presented::Invalid(_) => return Found::No(Refusal::InvalidCredential, Cause::BadCredential),
            Presented::Unavailable(dependency) => {
                return Found::No(Refusal::Unavailable(*dependency), Cause::Undecided);
            }
        };
        if standing == Standing::Ended {
            return Found::Nobody(Cause::SessionEnded);
        }
        if let Some(lapse) = open.session.lapse(&self.lifetimes, now) {
            return Found::Nobody(lapsed(lapse));
        }
        let renew = |worth| Found::MustRenew(Stale { session: Arc::clone(open), worth });
        match (open.session.freshness(&self.lifetimes, now), standing) {
            (_, Standing::MustRefresh) if !open.session.is_renewable() => Found::Nobody(Cause::SessionEnded),
            (_, Standing::MustRefresh) => renew(Worth::Nothing),
            _ if !open.session.holds(&self.wanted) => renew(Worth::Nothing),
            (Freshness::Expired, _) if open.session.is_in_grace(&self.lifetimes, now) => {
                renew(Worth::InGrace)
            }
            (Freshness::Expired, _) => renew(Worth::Nothing),
            // An older generation's refresh token is spent: it serves until its own access token ends.
            (Freshness::Stale, Standing::Superseded) => Found::Somebody(Arc::clone(open)),
            (Freshness::Stale, _) => renew(Worth::StillGood),
            (Freshness::Fresh, _) => Found::Somebody(Arc::clone(open)),
        }
    }

    /// What a session is worth after the attempt to renew it. That took time: whatever is served must be good
    /// now, or nothing can be decided.
    fn reappraise(&self, stale: Stale, renewal: Renewal, now: Timestamp) -> Found {
        let undecided = |dependency| Found::No(Refusal::Unavailable(dependency), Cause::Undecided);
        let (session, otherwise) = match (renewal, stale.worth) {
            (Renewal::Renewed(session), _) => (session, undecided(Dependency::WorkOs)),
            (Renewal::Unavailable(dependency), Worth::StillGood) => (stale.session, undecided(dependency)),
            (Renewal::Unavailable(Dependency::WorkOs), Worth::InGrace) => {
                return self.in_grace(stale.session, now);
            }
            (Renewal::Unavailable(dependency), Worth::InGrace | Worth::Nothing) => {
                return undecided(dependency);
            }
            (Renewal::NeedsPerson, Worth::StillGood) => {
                (stale.session, Found::Nobody(Cause::RefreshRejected))
            }
            (Renewal::NeedsPerson, Worth::InGrace | Worth::Nothing) | (Renewal::Over, _) => {
                return Found::Nobody(Cause::RefreshRejected);
            }
        };
        if let Some(lapse) = session.session.lapse(&self.lifetimes, now) {
            return Found::Nobody(lapsed(lapse));
        }
        let expired = session.session.freshness(&self.lifetimes, now) == Freshness::Expired;
        if expired || !session.session.holds(&self.wanted) {
            return otherwise;
        }
        Found::Somebody(session)
    }

    /// What a session is worth whose access token is over while WorkOS does not answer.
    fn in_grace(&self, session: Arc<OpenSession>, now: Timestamp) -> Found {
        if let Some(lapse) = session.session.lapse(&self.lifetimes, now) {
            Found::Nobody(lapsed(lapse))
        } else if session.session.is_in_grace(&self.lifetimes, now) {
            Found::Somebody(session)
        } else {
            Found::No(Refusal::Unavailable(Dependency::WorkOs), Cause::Undecided)
        }
    }

    /// What can be said without looking at the identity.
    fn prejudge(&self, facts: &RequestFacts<'_>, has_session: HasSession) -> Option<Decision<Outcome>> {
        let Requirements { access, origins, .. } = self.policy.requirements(facts.destination);
        let refuse = |refusal, cause| Some(self.refuse(facts, refusal, cause));
        match (access, facts.purpose, has_session) {
            (Access::Deny, _, _) => refuse(Refusal::RouteClosed, Cause::RouteClosed),
            (Access::SignedIn, Purpose::Preflight, _) => match facts.origin {
                RequestOrigin::Named(origin) if self.admits(origins, origin) => Some(Decision {
                    verdict: Outcome::AllowPreflight,
                    trace: self.trace(facts, Cause::OriginAllowed),
                }),
                RequestOrigin::Named(_) | RequestOrigin::Absent | RequestOrigin::Unreadable => {
                    refuse(Refusal::OriginNotAllowed, Cause::OriginNotAllowed)
                }
            },
            (Access::Optional | Access::SignedIn, Purpose::WebSocket, HasSession::Yes) => {
                let ours = match facts.origin {
                    RequestOrigin::Absent => true,
                    RequestOrigin::Named(origin) => self.admits(origins, origin),
                    RequestOrigin::Unreadable => false,
                };
                if ours { None } else { refuse(Refusal::CrossOriginWebSocket, Cause::OriginNotAllowed) }
            }
            (Access::Public | Access::Optional | Access::SignedIn, _, _) => None,
        }
    }

    fn judge(&self, facts: &RequestFacts<'_>, found: Found) -> Decision<Outcome> {
        // What no browser brings by itself, no page of another site can abuse.
        let has_session = match &found {
            Found::Somebody(open) if open.place.is_ambient() => HasSession::Yes,
            Found::Somebody(_) | Found::Nobody(_) | Found::MustRenew(_) | Found::No(..) => HasSession::No,
        };
        if let Some(decision) = self.prejudge(facts, has_session) {
            return decision;
        }
        let requirements = self.policy.requirements(facts.destination);
        match (requirements.access, found) {
            (Access::Public, _) => self.forward(facts, None, Cause::PublicRoute),
            (_, Found::No(refusal, cause)) => self.refuse(facts, refusal, cause),
            (Access::Optional, Found::Somebody(session)) if self.is_elsewhere(&session) => {
                self.forward(facts, None, Cause::OtherOrganization)
            }
            (_, Found::Somebody(session)) if self.is_elsewhere(&session) => {
                self.refuse(facts, Refusal::OtherOrganization, Cause::OtherOrganization)
            }
            (Access::Optional, Found::Somebody(session)) => {
                match requirements.denied(session.session.identity()) {
                    Some(cause) => self.refuse(facts, Refusal::Forbidden, cause),
                    None => self.forward(facts, Some(session), Cause::OptionalRoute),
                }
            }
            (Access::Optional, _) => self.forward(facts, None, Cause::OptionalRoute),
            (Access::SignedIn | Access::Deny, Found::Somebody(session)) => {
                match requirements.verdict_on(session.session.identity()) {
                    Ok(cause) => self.forward(facts, Some(session), cause),
                    Err(cause) => self.refuse(facts, Refusal::Forbidden, cause),
                }
            }
            (Access::SignedIn | Access::Deny, Found::Nobody(cause)) => self.turn_away(facts, cause),
            (Access::SignedIn | Access::Deny, Found::MustRenew(_)) => {
                self.refuse(facts, Refusal::Unavailable(Dependency::WorkOs), Cause::Undecided)
            }
        }
    }

    /// Is the session in another organization than everybody must be in?
    fn is_elsewhere(&self, session: &OpenSession) -> bool {
        let chosen = session.session.identity().organization_id.as_ref();
        self.organization.as_ref().is_some_and(|required| chosen != Some(required))
    }

    fn turn_away(&self, facts: &RequestFacts<'_>, cause: Cause) -> Decision<Outcome> {
        // An unsafe method is never redirected, and nobody follows a WebSocket's handshake elsewhere.
        let movable = matches!(facts.method.as_str(), "GET" | "HEAD") && facts.purpose == Purpose::Exchange;
        let redirect = match self.policy.requirements(facts.destination).unauthenticated {
            Unauthenticated::Auto => movable && facts.caller == Caller::Navigation,
            Unauthenticated::Redirect => movable,
            Unauthenticated::Refuse => false,
        };
        if !redirect {
            return self.refuse(facts, Refusal::SignInRequired, cause);
        }
        let start = match facts.arrival {
            Arrival::Public => DetourStart::Here,
            Arrival::Elsewhere => DetourStart::PublicUrl,
        };
        let return_to = ReturnTo::here(facts.path, facts.query);
        let outcome = Outcome::SignIn(Detour { return_to, start });
        Decision { verdict: outcome, trace: self.trace(facts, cause) }
    }

    fn forward(
        &self,
        facts: &RequestFacts<'_>,
        session: Option<Arc<OpenSession>>,
        cause: Cause,
    ) -> Decision<Outcome> {
        let upstream = self.policy.requirements(facts.destination).upstream;
        let passage = Passage { route: facts.destination.route(), upstream, session };
        let verdict = Outcome::Forward(passage);
        Decision { verdict, trace: self.trace(facts, cause) }
    }

    fn refuse(&self, facts: &RequestFacts<'_>, refusal: Refusal, cause: Cause) -> Decision<Outcome> {
        Decision { verdict: Outcome::Refuse(refusal), trace: self.trace(facts, cause) }
    }

    fn admits(&self, origins: &[Box<str>], origin: &str) -> bool {
        *origin == *self.public_origin || origins.iter().any(|allowed| **allowed == *origin)
    }

    #[expect(clippy::unused_self, reason = "reads as the gate's own word beside the other constructors")]
    const fn trace(&self, facts: &RequestFacts<'_>, cause: Cause) -> Trace {
        Trace { destination: facts.destination, cause }
    }
}

/// What a program's token is worth: nobody here can renew it, so it is good as it is, or it is none.
fn vouched(open: &Arc<OpenSession>, standing: Standing, now: Timestamp) -> Found {
    let none = |cause| Found::No(Refusal::InvalidCredential, cause);
    match standing {
        Standing::Ended => none(Cause::SessionEnded),
        Standing::MustRefresh => none(Cause::TokenOutdated),
        Standing::Live | Standing::Superseded if now >= open.session.access_ends_at().plus(LEEWAY) => {
            none(Cause::BadCredential)
        }
        Standing::Live | Standing::Superseded => Found::Somebody(Arc::clone(open)),
    }
}

fn who(found: Found) -> WhoAmI {
    match found {
        Found::Somebody(session) => WhoAmI::Somebody(session),
        Found::MustRenew(stale) => WhoAmI::Renew(stale),
        Found::No(Refusal::Unavailable(dependency), _) => WhoAmI::Unknown(dependency),
        Found::Nobody(_) | Found::No(..) => WhoAmI::Nobody,
    }
}

/// Does the request carry a session that opened, as browsers bring it by themselves?
#[derive(Clone, Copy)]
enum HasSession {
    Yes,
    No,
}

const fn lapsed(lapse: Lapse) -> Cause {
    match lapse {
        Lapse::Absolute => Cause::LifetimeOver,
        Lapse::Idle => Cause::IdleTooLong,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod tests {
    use http::Method;

    use super::*;
    use crate::auth::identity::tests::ada;
    use crate::auth::identity::{Kind, OrganizationId, Role, UserId};
    use crate::auth::identity_headers::IdentityHeaders;
    use crate::auth::path::RequestPath;
    use crate::auth::place::Place;
    use crate::auth::policy::route::Route;
    use crate::auth::policy::rule::Rule;
    use crate::auth::policy::tests::{policy, route};
    use crate::auth::policy::{Destination, Unauthenticated};
    use crate::auth::presented::CredentialFault;
    use crate::auth::session::Session;
    use crate::auth::session::tests::{LIFETIMES, session, session_of_a_profile};
    use crate::auth::time::Span;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);
    const OURS: &str = "https://app.example.com";
    const PARTNER: &str = "https://partner.example.com";
    const EVIL: &str = "https://evil.example";
    const ACCESSES: [Access; 4] = [Access::Public, Access::Optional, Access::SignedIn, Access::Deny];

    /// A verdict, short enough for a table.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Seen {
        Anonymous,
        AsAda,
        SignInHere,
        SignInAtPublicUrl,
        Preflight,
        No(Refusal),
        Renew(Worth),
    }

    fn seen(decision: &Decision) -> Seen {
        match &decision.verdict {
            Verdict::Refresh(stale) => Seen::Renew(stale.worth),
            Verdict::Final(outcome) => outcome_seen(outcome),
        }
    }

    fn outcome_seen(outcome: &Outcome) -> Seen {
        match outcome {
            Outcome::Forward(passage) => match passage.session() {
                None => Seen::Anonymous,
                Some(open) if open.session.identity().user.id.as_str() == "user_ada" => Seen::AsAda,
                Some(open) => panic!("forwarded as {:?}", open.session.identity().user.id),
            },
            Outcome::SignIn(detour) => match detour.start {
                DetourStart::Here => Seen::SignInHere,
                DetourStart::PublicUrl => Seen::SignInAtPublicUrl,
            },
            Outcome::AllowPreflight => Seen::Preflight,
            Outcome::Refuse(refusal) => Seen::No(*refusal),
        }
    }

    /// One request; [`ASK`] is a person who goes to a page.
    #[derive(Debug, Clone, Copy)]
    struct Ask<'a> {
        method: &'a Method,
        caller: Caller,
        purpose: Purpose,
        origin: RequestOrigin<'a>,
        arrival: Arrival,
    }

    const ASK: Ask<'static> = Ask {
        method: &Method::GET,
        caller: Caller::Navigation,
        purpose: Purpose::Exchange,
        origin: RequestOrigin::Absent,
        arrival: Arrival::Public,
    };

    const PROGRAM: Ask<'static> = Ask { caller: Caller::Program, ..ASK };

    const WEB_SOCKET: Ask<'static> = Ask { purpose: Purpose::WebSocket, ..PROGRAM };

    const PREFLIGHT: Ask<'static> = Ask {
        method: &Method::OPTIONS,
        purpose: Purpose::Preflight,
        origin: RequestOrigin::Named(OURS),
        ..PROGRAM
    };

    fn with_facts<T>(gate: &Gate, ask: Ask<'_>, then: impl FnOnce(&RequestFacts<'_>) -> T) -> T {
        let path = RequestPath::parse("/page").unwrap();
        let destination = gate.policy().resolve(&path, ask.method, "app.example.com").unwrap();
        let Ask { method, caller, purpose, origin, arrival } = ask;
        then(&RequestFacts {
            method,
            path: &path,
            query: Some("x=1"),
            destination,
            caller,
            purpose,
            origin,
            arrival,
        })
    }

    fn assess(gate: &Gate, ask: Ask<'_>, presented: &Presented, now: Timestamp) -> Decision {
        with_facts(gate, ask, |facts| gate.assess(facts, presented, now))
    }

    /// The type of what is settled has no way to ask for another renewal.
    fn settle(gate: &Gate, ask: Ask<'_>, stale: &Stale, renewal: &Renewal, now: Timestamp) -> Seen {
        let settled: Decision<Outcome> =
            with_facts(gate, ask, |facts| gate.settle(facts, stale.clone(), renewal.clone(), now));
        outcome_seen(&settled.verdict)
    }

    fn gate_of(route: Route) -> Gate {
        Gate::new(policy(vec![route]), LIFETIMES, WantedClaims::new([]), OURS.into())
    }

    fn gate(access: Access) -> Gate {
        gate_of(Route { origins: vec![PARTNER.into()], ..route("/page", access) })
    }

    fn open(session: Session) -> Arc<OpenSession> {
        Arc::new(OpenSession { session, headers: IdentityHeaders::default(), place: Place::Browser })
    }

    fn standing(standing: Standing) -> Presented {
        Presented::Session(open(session(NOW)), standing)
    }

    fn program(standing: Standing) -> Presented {
        let brought =
            OpenSession { session: session(NOW), headers: IdentityHeaders::default(), place: Place::Token };
        Presented::Program(Arc::new(brought), standing)
    }

    fn by_link(standing: Standing) -> Presented {
        let mut session = session_of_a_profile(NOW);
        session.identity = ada();
        Presented::Session(open(session), standing)
    }

    fn after(seconds: u64) -> Timestamp {
        NOW.plus(Span::from_secs(seconds))
    }

    /// What may come along, at the moment it comes, and what it is worth.
    fn everything() -> Vec<(&'static str, Presented, Timestamp, Value)> {
        let mut elsewhere = session(NOW);
        elsewhere.claims_fingerprint = WantedClaims::new(["plan"]).fingerprint();
        let used = session(NOW).seen(after(7 * 86_400 - 10));
        let outage = |dependency| (Presented::Unavailable(dependency), Value::Undecided(dependency));
        let ((workos, no_workos), (store, no_store)) =
            (outage(Dependency::WorkOs), outage(Dependency::Store));
        vec![
            ("nothing", Presented::Nothing, NOW, Value::Nobody(Cause::NoCredential)),
            ("fresh", standing(Standing::Live), after(10), Value::Good),
            ("stale", standing(Standing::Live), after(280), Value::Renew(Worth::StillGood)),
            ("expired", standing(Standing::Live), after(300), Value::Renew(Worth::Nothing)),
            ("superseded, fresh", standing(Standing::Superseded), after(10), Value::Good),
            ("superseded, stale", standing(Standing::Superseded), after(280), Value::Good),
            ("superseded, expired", standing(Standing::Superseded), after(300), Value::Renew(Worth::Nothing)),
            ("must refresh", standing(Standing::MustRefresh), after(10), Value::Renew(Worth::Nothing)),
            (
                "other claims",
                Presented::Session(open(elsewhere), Standing::Live),
                NOW,
                Value::Renew(Worth::Nothing),
            ),
            ("ended", standing(Standing::Ended), after(10), Value::Nobody(Cause::SessionEnded)),
            ("ended, expired", standing(Standing::Ended), after(300), Value::Nobody(Cause::SessionEnded)),
            ("by link, late", by_link(Standing::Live), after(11 * 3_600), Value::Good),
            ("by link, over", by_link(Standing::Live), after(12 * 3_600), Value::Nobody(Cause::LifetimeOver)),
            (
                "by link, forgotten",
                by_link(Standing::MustRefresh),
                after(10),
                Value::Nobody(Cause::SessionEnded),
            ),
            ("idle", standing(Standing::Live), after(86_400), Value::Nobody(Cause::IdleTooLong)),
            (
                "over",
                Presented::Session(open(used), Standing::Live),
                after(7 * 86_400),
                Value::Nobody(Cause::LifetimeOver),
            ),
            ("token", program(Standing::Live), after(10), Value::Good),
            ("token, in the leeway", program(Standing::Live), after(359), Value::Good),
            ("token, over", program(Standing::Live), after(360), Value::Bad(Cause::BadCredential)),
            ("token, ended", program(Standing::Ended), after(10), Value::Bad(Cause::SessionEnded)),
            ("token, outdated", program(Standing::MustRefresh), after(10), Value::Bad(Cause::TokenOutdated)),
            (
                "bad token",
                Presented::Invalid(CredentialFault::BadToken),
                NOW,
                Value::Bad(Cause::BadCredential),
            ),
            ("workos away", workos, NOW, no_workos),
            ("store away", store, NOW, no_store),
        ]
    }

    /// What something presented is worth on a route that reads it.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Value {
        Good,
        Renew(Worth),
        Nobody(Cause),
        Bad(Cause),
        Undecided(Dependency),
    }

    #[test]
    fn what_was_presented_decides_only_where_it_is_read() {
        for (name, presented, now, value) in everything() {
            let look = |access| seen(&assess(&gate(access), PROGRAM, &presented, now));
            assert_eq!(look(Access::Public), Seen::Anonymous, "{name}");
            assert_eq!(look(Access::Deny), Seen::No(Refusal::RouteClosed), "{name}");
            let (optional, signed_in) = match value {
                Value::Good => (Seen::AsAda, Seen::AsAda),
                Value::Renew(worth) => (Seen::Renew(worth), Seen::Renew(worth)),
                Value::Nobody(_) => (Seen::Anonymous, Seen::No(Refusal::SignInRequired)),
                Value::Bad(_) => (Seen::No(Refusal::InvalidCredential), Seen::No(Refusal::InvalidCredential)),
                Value::Undecided(dependency) => {
                    let refused = Seen::No(Refusal::Unavailable(dependency));
                    (refused, refused)
                }
            };
            assert_eq!(look(Access::Optional), optional, "{name}");
            assert_eq!(look(Access::SignedIn), signed_in, "{name}");
        }
    }

    #[test]
    fn the_trace_names_the_cause() {
        for (name, presented, now, value) in everything() {
            let cause = match value {
                Value::Good => Cause::SignedIn,
                Value::Renew(_) => Cause::RefreshDue,
                Value::Nobody(cause) => cause,
                Value::Bad(cause) => cause,
                Value::Undecided(_) => Cause::Undecided,
            };
            let trace = assess(&gate(Access::SignedIn), ASK, &presented, now).trace;
            assert_eq!(trace, Trace { destination: Destination::Route(0), cause }, "{name}");
        }
        let cause = |access| assess(&gate(access), ASK, &Presented::Nothing, NOW).trace.cause;
        assert_eq!(
            ACCESSES.map(cause),
            [Cause::PublicRoute, Cause::OptionalRoute, Cause::NoCredential, Cause::RouteClosed]
        );
    }

    #[test]
    fn who_has_no_identity_is_sent_to_sign_in_or_turned_away() {
        const SIGN_IN: Seen = Seen::SignInHere;
        const NO: Seen = Seen::No(Refusal::SignInRequired);
        let get = |caller| Ask { caller, ..ASK };
        let post = |caller| Ask { caller, method: &Method::POST, ..ASK };
        let head = Ask { method: &Method::HEAD, ..ASK };
        let lower = Method::from_bytes(b"get").unwrap();
        let lower = Ask { method: &lower, ..ASK };
        // The request, and the answers with `auto`, `redirect` and `401`.
        let table = [
            (get(Caller::Navigation), [SIGN_IN, SIGN_IN, NO]),
            (head, [SIGN_IN, SIGN_IN, NO]),
            (get(Caller::Frame), [NO, SIGN_IN, NO]),
            (get(Caller::Program), [NO, SIGN_IN, NO]),
            (get(Caller::Grpc), [NO, SIGN_IN, NO]),
            (post(Caller::UnsafeNavigation), [NO, NO, NO]),
            (post(Caller::Navigation), [NO, NO, NO]),
            (post(Caller::Frame), [NO, NO, NO]),
            (post(Caller::Program), [NO, NO, NO]),
            (post(Caller::Grpc), [NO, NO, NO]),
            (Ask { method: &Method::OPTIONS, ..ASK }, [NO, NO, NO]),
            (lower, [NO, NO, NO]),
            (WEB_SOCKET, [NO, NO, NO]),
            (Ask { caller: Caller::Navigation, ..WEB_SOCKET }, [NO, NO, NO]),
        ];
        let ways = [Unauthenticated::Auto, Unauthenticated::Redirect, Unauthenticated::Refuse];
        for (ask, answers) in table {
            for (unauthenticated, answer) in ways.into_iter().zip(answers) {
                let gate = gate_of(Route { unauthenticated, ..route("/page", Access::SignedIn) });
                assert_eq!(
                    seen(&assess(&gate, ask, &Presented::Nothing, NOW)),
                    answer,
                    "{ask:?} {unauthenticated:?}"
                );
            }
        }
    }

    #[test]
    fn a_person_who_came_by_another_address_signs_in_at_ours() {
        let elsewhere = Ask { arrival: Arrival::Elsewhere, ..ASK };
        let gate = gate(Access::SignedIn);
        assert_eq!(seen(&assess(&gate, elsewhere, &Presented::Nothing, NOW)), Seen::SignInAtPublicUrl);
        let program = Ask { caller: Caller::Program, ..elsewhere };
        assert_eq!(
            seen(&assess(&gate, program, &Presented::Nothing, NOW)),
            Seen::No(Refusal::SignInRequired)
        );
        let signed_in = standing(Standing::Live);
        assert_eq!(seen(&assess(&gate, elsewhere, &signed_in, NOW)), Seen::AsAda);
    }

    #[test]
    fn a_person_comes_back_to_the_page_they_wanted() {
        let decision = assess(&gate(Access::SignedIn), ASK, &Presented::Nothing, NOW);
        let Verdict::Final(Outcome::SignIn(detour)) = decision.verdict else { panic!("{decision:?}") };
        assert_eq!(detour.return_to.as_str(), "/page?x=1");
    }

    #[test]
    fn without_a_route_the_default_decides() {
        let gate = |access| {
            let default = crate::auth::policy::route::DefaultAccess { access, upstream: 3 };
            let policy = Policy::new(vec![], default, "/auth".into());
            Gate::new(policy, LIFETIMES, WantedClaims::new([]), OURS.into())
        };
        let look = |access, presented| assess(&gate(access), ASK, &presented, NOW);
        assert_eq!(seen(&look(Access::SignedIn, Presented::Nothing)), Seen::SignInHere);
        assert_eq!(seen(&look(Access::Deny, standing(Standing::Live))), Seen::No(Refusal::RouteClosed));
        let decision = look(Access::SignedIn, standing(Standing::Live));
        assert_eq!(decision.trace.destination, Destination::Default);
        let Verdict::Final(Outcome::Forward(passage)) = decision.verdict else { panic!("refused") };
        assert_eq!((passage.route(), passage.upstream()), (None, 3));
    }

    #[test]
    fn our_own_endpoints_are_never_forwarded() {
        let gate = gate_of(route("/**", Access::Public));
        let path = RequestPath::parse("/auth/none").unwrap();
        let destination = gate.policy().resolve(&path, &Method::GET, "a").unwrap();
        let decision = with_facts(&gate, ASK, |facts| {
            gate.assess(&RequestFacts { destination, ..*facts }, &standing(Standing::Live), NOW)
        });
        assert_eq!(seen(&decision), Seen::No(Refusal::RouteClosed));
    }

    #[test]
    fn a_passage_names_route_upstream_and_session() {
        let gate = gate_of(Route { upstream: 7, ..route("/page", Access::SignedIn) });
        let came = open(session(NOW));
        let decision = assess(&gate, ASK, &Presented::Session(Arc::clone(&came), Standing::Live), NOW);
        let Verdict::Final(Outcome::Forward(passage)) = decision.verdict else { panic!("refused") };
        assert_eq!((passage.route(), passage.upstream()), (Some(0), 7));
        assert!(Arc::ptr_eq(passage.session().unwrap(), &came), "the session is not copied");
    }

    fn roles(roles: &[&str]) -> Rule {
        Rule { roles: roles.iter().map(|role| Role::parse(role).unwrap()).collect(), ..Rule::default() }
    }

    #[test]
    fn deny_rules_speak_before_allow_rules() {
        let acme = OrganizationId::parse("org_acme").unwrap();
        let acme = Rule { organizations: vec![acme], ..Rule::default() };
        let somebody_else = Rule { users: vec![UserId::parse("user_ben").unwrap()], ..Rule::default() };
        // Allow rules, deny rules, and the cause of the decision about Ada.
        let table = [
            (vec![], vec![], Ok(Cause::SignedIn)),
            (vec![roles(&["admin"])], vec![], Ok(Cause::AllowRule(0))),
            (vec![somebody_else.clone(), acme.clone()], vec![], Ok(Cause::AllowRule(1))),
            (vec![somebody_else.clone()], vec![], Err(Cause::NoAllowRule)),
            (vec![roles(&["admin"])], vec![acme.clone()], Err(Cause::DenyRule(0))),
            (vec![acme.clone()], vec![somebody_else.clone(), roles(&["admin"])], Err(Cause::DenyRule(1))),
            (vec![], vec![somebody_else.clone()], Ok(Cause::SignedIn)),
            (vec![], vec![roles(&["admin", "member"])], Err(Cause::DenyRule(0))),
            (vec![Rule::default()], vec![], Err(Cause::NoAllowRule)),
        ];
        for (allow, deny, expected) in table {
            let gate = gate_of(Route {
                allow: allow.clone(),
                deny: deny.clone(),
                ..route("/page", Access::SignedIn)
            });
            let decision = assess(&gate, ASK, &standing(Standing::Live), NOW);
            let answer = if expected.is_ok() { Seen::AsAda } else { Seen::No(Refusal::Forbidden) };
            assert_eq!(seen(&decision), answer, "{allow:?} {deny:?}");
            let cause = expected.unwrap_or_else(|cause| cause);
            assert_eq!(decision.trace.cause, cause, "{allow:?} {deny:?}");
        }
    }

    #[test]
    fn deny_rules_hold_on_optional_routes_too() {
        let gate = gate_of(Route { deny: vec![roles(&["admin"])], ..route("/page", Access::Optional) });
        let decision = assess(&gate, ASK, &standing(Standing::Live), NOW);
        assert_eq!(seen(&decision), Seen::No(Refusal::Forbidden));
        assert_eq!(decision.trace.cause, Cause::DenyRule(0));
        assert_eq!(seen(&assess(&gate, ASK, &Presented::Nothing, NOW)), Seen::Anonymous);
    }

    #[test]
    fn rules_mean_people_unless_they_say_otherwise() {
        for kind in [Kind::Machine, Kind::ApiKey] {
            let mut machine = session(NOW);
            machine.identity.kind = kind;
            let machine = Presented::Session(open(machine), Standing::Live);
            for allow in [vec![], vec![roles(&["admin"])]] {
                let gate = gate_of(Route { allow, ..route("/page", Access::SignedIn) });
                assert_eq!(seen(&assess(&gate, PROGRAM, &machine, NOW)), Seen::No(Refusal::Forbidden));
            }
            let gate = gate_of(Route { deny: vec![roles(&["admin"])], ..route("/page", Access::SignedIn) });
            assert_eq!(assess(&gate, PROGRAM, &machine, NOW).trace.cause, Cause::DenyRule(0));
        }
    }

    #[test]
    fn a_preflight_is_answered_for_allowed_origins_whoever_asks() {
        let refused = Seen::No(Refusal::OriginNotAllowed);
        for (name, presented, now, _) in everything() {
            let look =
                |access, origin| seen(&assess(&gate(access), Ask { origin, ..PREFLIGHT }, &presented, now));
            for origin in [OURS, PARTNER] {
                assert_eq!(look(Access::SignedIn, RequestOrigin::Named(origin)), Seen::Preflight, "{name}");
            }
            for origin in [EVIL, "null", "", "https://app.example.com.evil.example", "http://app.example.com"]
            {
                assert_eq!(
                    look(Access::SignedIn, RequestOrigin::Named(origin)),
                    refused,
                    "{name} from {origin}"
                );
            }
            assert_eq!(look(Access::SignedIn, RequestOrigin::Absent), refused, "{name}");
            assert_eq!(look(Access::SignedIn, RequestOrigin::Unreadable), refused, "{name}");
            assert_eq!(look(Access::Public, RequestOrigin::Named(EVIL)), Seen::Anonymous, "{name}");
            assert_eq!(
                look(Access::Deny, RequestOrigin::Named(OURS)),
                Seen::No(Refusal::RouteClosed),
                "{name}"
            );
        }
    }

    #[test]
    fn a_web_socket_with_a_session_opens_only_from_our_pages() {
        let refused = Seen::No(Refusal::CrossOriginWebSocket);
        let table = [
            (RequestOrigin::Absent, true),
            (RequestOrigin::Named(OURS), true),
            (RequestOrigin::Named(PARTNER), true),
            (RequestOrigin::Named(EVIL), false),
            (RequestOrigin::Named("null"), false),
            (RequestOrigin::Unreadable, false),
        ];
        for (origin, ours) in table {
            let ask = Ask { origin, ..WEB_SOCKET };
            for access in [Access::Optional, Access::SignedIn] {
                let look = |seconds| {
                    let presented = standing(Standing::Live);
                    seen(&assess(&gate(access), ask, &presented, after(seconds)))
                };
                assert_eq!(look(10), if ours { Seen::AsAda } else { refused }, "{origin:?}");
                let expired = if ours { Seen::Renew(Worth::Nothing) } else { refused };
                assert_eq!(look(300), expired, "no renewal for a stranger: {origin:?}");
            }
            let nobody = |access| seen(&assess(&gate(access), ask, &Presented::Nothing, NOW));
            assert_eq!(nobody(Access::Optional), Seen::Anonymous);
            assert_eq!(nobody(Access::SignedIn), Seen::No(Refusal::SignInRequired));
            assert_eq!(nobody(Access::Public), Seen::Anonymous);
        }
    }

    #[test]
    fn an_expired_session_serves_on_in_an_outage_for_as_long_as_the_operator_says() {
        let lifetimes = Lifetimes { outage_grace: Span::from_minutes(10), ..LIFETIMES };
        let policy = policy(vec![route("/page", Access::SignedIn)]);
        let gate = Gate::new(policy, lifetimes, WantedClaims::new([]), OURS.into());
        let look = |seconds| seen(&assess(&gate, PROGRAM, &standing(Standing::Live), after(seconds)));
        assert_eq!(look(299), Seen::Renew(Worth::StillGood));
        assert_eq!((look(300), look(899)), (Seen::Renew(Worth::InGrace), Seen::Renew(Worth::InGrace)));
        assert_eq!(look(900), Seen::Renew(Worth::Nothing));
        let outdated = standing(Standing::MustRefresh);
        let seen_outdated = seen(&assess(&gate, PROGRAM, &outdated, after(400)));
        assert_eq!(seen_outdated, Seen::Renew(Worth::Nothing), "what is known to be outdated has no grace");
        let stale = Stale { session: open(session(NOW)), worth: Worth::InGrace };
        let gone = Renewal::Unavailable(Dependency::WorkOs);
        let settled = |seconds| settle(&gate, PROGRAM, &stale, &gone, after(seconds));
        assert_eq!(settled(899), Seen::AsAda);
        assert_eq!(
            settled(900),
            Seen::No(Refusal::Unavailable(Dependency::WorkOs)),
            "it ended while waiting"
        );
    }

    #[test]
    fn a_renewal_settles_the_matter() {
        let renewed = || Renewal::Renewed(open(session(after(290))));
        let gone = Renewal::Unavailable(Dependency::WorkOs);
        let no_store = Renewal::Unavailable(Dependency::Store);
        let away = |dependency| Seen::No(Refusal::Unavailable(dependency));
        // What the session was worth, what became of it, and the answers on optional and protected routes.
        let table = [
            (Worth::StillGood, renewed(), Seen::AsAda, Seen::AsAda),
            (Worth::Nothing, renewed(), Seen::AsAda, Seen::AsAda),
            (Worth::StillGood, gone.clone(), Seen::AsAda, Seen::AsAda),
            (Worth::InGrace, renewed(), Seen::AsAda, Seen::AsAda),
            (Worth::InGrace, no_store.clone(), away(Dependency::Store), away(Dependency::Store)),
            (Worth::InGrace, Renewal::NeedsPerson, Seen::Anonymous, Seen::SignInHere),
            (Worth::InGrace, Renewal::Over, Seen::Anonymous, Seen::SignInHere),
            (Worth::Nothing, gone, away(Dependency::WorkOs), away(Dependency::WorkOs)),
            (Worth::Nothing, no_store, away(Dependency::Store), away(Dependency::Store)),
            (Worth::StillGood, Renewal::NeedsPerson, Seen::AsAda, Seen::AsAda),
            (Worth::Nothing, Renewal::NeedsPerson, Seen::Anonymous, Seen::SignInHere),
            (Worth::StillGood, Renewal::Over, Seen::Anonymous, Seen::SignInHere),
            (Worth::Nothing, Renewal::Over, Seen::Anonymous, Seen::SignInHere),
        ];
        for (worth, renewal, optional, signed_in) in table {
            let stale = Stale { session: open(session(NOW)), worth };
            let look = |access| settle(&gate(access), ASK, &stale, &renewal, after(290));
            assert_eq!(look(Access::Optional), optional, "{worth:?} {renewal:?}");
            assert_eq!(look(Access::SignedIn), signed_in, "{worth:?} {renewal:?}");
            assert_eq!(look(Access::Public), Seen::Anonymous);
            assert_eq!(look(Access::Deny), Seen::No(Refusal::RouteClosed));
        }
    }

    #[test]
    fn a_session_that_ended_while_its_renewal_was_tried_is_not_served() {
        let stale = Stale { session: open(session(NOW)), worth: Worth::StillGood };
        let outage = Renewal::Unavailable(Dependency::WorkOs);
        let look = |ask, now| settle(&gate(Access::SignedIn), ask, &stale, &outage, now);
        assert_eq!(look(PROGRAM, after(299)), Seen::AsAda);
        assert_eq!(look(PROGRAM, after(300)), Seen::No(Refusal::Unavailable(Dependency::WorkOs)));
        assert_eq!(look(ASK, after(86_400)), Seen::SignInHere, "idle for too long");
    }

    #[test]
    fn a_session_that_only_the_person_can_renew_is_served_to_the_end_of_its_token() {
        let stale = Stale { session: open(session(NOW)), worth: Worth::StillGood };
        let look = |ask, now| settle(&gate(Access::SignedIn), ask, &stale, &Renewal::NeedsPerson, now);
        assert_eq!(look(ASK, after(299)), Seen::AsAda);
        assert_eq!(look(ASK, after(300)), Seen::SignInHere);
        assert_eq!(look(PROGRAM, after(300)), Seen::No(Refusal::SignInRequired));
    }

    #[test]
    fn our_own_endpoints_learn_whose_session_it_is() {
        let gate = gate(Access::SignedIn);
        for (name, presented, now, value) in everything() {
            let fits = match (gate.who_is_it(&presented, now), value) {
                (WhoAmI::Somebody(open), Value::Good) => *open.session.identity() == ada(),
                (WhoAmI::Renew(stale), Value::Renew(worth)) => stale.worth == worth,
                (WhoAmI::Nobody, Value::Nobody(_) | Value::Bad(_)) => true,
                (WhoAmI::Unknown(found), Value::Undecided(dependency)) => found == dependency,
                _ => false,
            };
            assert!(fits, "{name}");
        }
        let stale = || Stale { session: open(session(NOW)), worth: Worth::StillGood };
        let now = |renewal, seconds| gate.who_is_it_now(stale(), renewal, after(seconds));
        assert!(matches!(now(Renewal::Renewed(open(session(after(290)))), 290), WhoAmI::Somebody(_)));
        assert!(matches!(now(Renewal::Unavailable(Dependency::Store), 290), WhoAmI::Somebody(_)));
        assert!(matches!(
            now(Renewal::Unavailable(Dependency::Store), 300),
            WhoAmI::Unknown(Dependency::Store)
        ));
        assert!(matches!(now(Renewal::Over, 290), WhoAmI::Nobody));
    }

    #[test]
    fn a_renewed_session_is_judged_like_any_other() {
        let stale = Stale { session: open(session(NOW)), worth: Worth::Nothing };
        let look =
            |gate: &Gate, session, now| settle(gate, PROGRAM, &stale, &Renewal::Renewed(open(session)), now);
        let signed_in = gate(Access::SignedIn);
        let away = Seen::No(Refusal::Unavailable(Dependency::WorkOs));
        assert_eq!(look(&signed_in, session(NOW), after(300)), away, "its token has ended as well");
        let mut elsewhere = session(NOW);
        elsewhere.claims_fingerprint = WantedClaims::new(["plan"]).fingerprint();
        assert_eq!(look(&signed_in, elsewhere, NOW), away, "it lacks claims that the rules need");
        let over = session(NOW).seen(after(7 * 86_400));
        assert_eq!(look(&signed_in, over, after(7 * 86_400)), Seen::No(Refusal::SignInRequired));
        let mut demoted = session(after(300));
        demoted.identity.roles.clear();
        demoted.identity.role = None;
        let admins = gate_of(Route { allow: vec![roles(&["admin"])], ..route("/page", Access::SignedIn) });
        assert_eq!(look(&admins, session(after(300)), after(300)), Seen::AsAda);
        assert_eq!(look(&admins, demoted, after(300)), Seen::No(Refusal::Forbidden), "the new roles count");
    }

    #[test]
    fn an_origin_is_asked_for_again_after_a_renewal() {
        let stale = Stale { session: open(session(NOW)), worth: Worth::StillGood };
        let renewal = Renewal::Renewed(open(session(after(290))));
        let stranger = Ask { origin: RequestOrigin::Named(EVIL), ..WEB_SOCKET };
        let answer = settle(&gate(Access::SignedIn), stranger, &stale, &renewal, after(290));
        assert_eq!(answer, Seen::No(Refusal::CrossOriginWebSocket));
    }

    /// Every combination of what a request can be.
    fn every_ask() -> Vec<Ask<'static>> {
        let mut asks = Vec::new();
        for method in [&Method::GET, &Method::HEAD, &Method::POST, &Method::OPTIONS, &Method::DELETE] {
            for caller in
                [Caller::Navigation, Caller::Frame, Caller::UnsafeNavigation, Caller::Grpc, Caller::Program]
            {
                for purpose in [Purpose::Exchange, Purpose::WebSocket, Purpose::Preflight] {
                    for origin in
                        [RequestOrigin::Absent, RequestOrigin::Named(OURS), RequestOrigin::Named(EVIL)]
                    {
                        for arrival in [Arrival::Public, Arrival::Elsewhere] {
                            asks.push(Ask { method, caller, purpose, origin, arrival });
                        }
                    }
                }
            }
        }
        asks
    }

    #[test]
    fn no_combination_lets_through_whom_the_policy_does_not() {
        let ways = [Unauthenticated::Auto, Unauthenticated::Redirect, Unauthenticated::Refuse];
        for (access, unauthenticated) in ACCESSES.into_iter().flat_map(|access| ways.map(|way| (access, way)))
        {
            let gate = gate_of(Route { unauthenticated, ..route("/page", access) });
            for ask in every_ask() {
                for (name, presented, now, value) in everything() {
                    let note = format!("{access:?} {unauthenticated:?} {ask:?} {name}");
                    let answer = seen(&assess(&gate, ask, &presented, now));
                    check_bounds(access, ask, value, answer, &note);
                }
            }
        }
    }

    /// What must hold for every answer, whatever else is true.
    fn check_bounds(access: Access, ask: Ask<'_>, value: Value, answer: Seen, note: &str) {
        let safe = [Method::GET, Method::HEAD].contains(ask.method) && ask.purpose == Purpose::Exchange;
        let holds = match answer {
            Seen::Anonymous => match access {
                Access::Public => true,
                Access::Optional => matches!(value, Value::Nobody(_)),
                Access::SignedIn | Access::Deny => false,
            },
            Seen::AsAda => value == Value::Good && matches!(access, Access::Optional | Access::SignedIn),
            Seen::SignInHere | Seen::SignInAtPublicUrl => {
                safe && access == Access::SignedIn && matches!(value, Value::Nobody(_))
            }
            Seen::Preflight => ask.purpose == Purpose::Preflight && ask.origin == RequestOrigin::Named(OURS),
            Seen::Renew(worth) => {
                value == Value::Renew(worth) && access != Access::Public && access != Access::Deny
            }
            Seen::No(_) => access != Access::Public,
        };
        assert!(holds, "{answer:?} for {note}");
    }
}
