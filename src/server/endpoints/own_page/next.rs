//! The steps that WorkOS may ask for after a code: they are led through on our own page as far as they can be, and
//! at WorkOS where not (<https://workos.com/docs/reference/authkit/authentication-errors>).

use http::Response;
use http::header::SET_COOKIE;
use serde_json::{Map, Value, json};

use crate::auth::cookie::OurCookie;
use crate::auth::identity::OrganizationId;
use crate::auth::secret::Secret;
use crate::auth::sign_in::{Challenge, Choice, OWN_ATTEMPT_LIFETIME, OwnAttempt, OwnStep, Whose};
use crate::entropy;
use crate::server::control::codes::Enrol;
use crate::server::control::steps::Redeemed;
use crate::server::endpoints::own_page::verify::Desk;
use crate::server::endpoints::own_page::views::StepPage;
use crate::server::endpoints::post::{self, Sender};
use crate::server::endpoints::sign_in;
use crate::server::reply::Hitch;
use crate::server::reply::body::Body;
use crate::server::request::decision;
use crate::telemetry::{Action, AuditOutcome, SignInStage};
use crate::workos::WorkOsError;
use crate::workos::error::{Continuation, Misconfiguration, Rejection, StepUp, StepUpKind};
use crate::workos::one_time::Proof;

/// The organizations that are chosen without asking anybody, one after the other: none should come twice.
const MOST_CHOSEN: usize = 2;

/// What became of a proof that nobody had to be asked for, other than an answer.
enum Chosen {
    /// WorkOS asks for another step.
    Another(Box<StepUp>),
    /// Nothing, for now.
    NotNow(Hitch),
}

/// How a sign-in goes on after a step-up.
enum Way {
    /// With a step on our page.
    Here(OwnStep),
    /// At WorkOS.
    There,
    /// With a step on our page, which could not be begun so far.
    Later(OwnStep, Hitch),
    /// Not now.
    Stopped(Hitch),
}

impl Desk<'_> {
    /// Goes on with what WorkOS asks for.
    pub(super) async fn go_on(mut self, mut step_up: StepUp) -> Response<Body> {
        for _ in 0..MOST_CHOSEN {
            self.record(&step_up).await;
            let Some((token, organization)) = self.chosen(&step_up) else { break };
            let Some(organization) = organization else { return self.stop(Hitch::Refused).await };
            let proof = Proof::Organization { token: token.clone(), organization: organization.clone() };
            match self.redeem_on(proof).await {
                Ok(response) => return response,
                Err(Chosen::Another(next)) => step_up = *next,
                // The code before is spent, so the choice is left to be made once more.
                Err(Chosen::NotNow(hitch)) => {
                    self.entrance.failed(hitch.as_str()).await;
                    let offered = step_up.pending.iter().flat_map(|pending| pending.organizations.iter());
                    let choices = offered.filter(|choice| choice.id == organization).cloned().collect();
                    self.attempt.step = OwnStep::Organization { token, choices };
                    return self.ask(&step_up, Some(hitch));
                }
            }
        }
        match self.way(&step_up).await {
            Way::Here(step) => {
                self.attempt.step = step;
                self.ask(&step_up, None)
            }
            Way::Later(step, hitch) => {
                self.entrance.failed(hitch.as_str()).await;
                self.attempt.step = step;
                self.ask(&step_up, Some(hitch))
            }
            Way::There => self.lead_away(&step_up),
            // The code is spent: what WorkOS began cannot be gone on with from the page before.
            Way::Stopped(hitch) => {
                self.entrance.failed(hitch.as_str()).await;
                self.begin_anew(hitch)
            }
        }
    }

    /// The organization that everybody must be in, or that was asked for, where there is a choice; without one in
    /// it when the person does not belong to the one that everybody must be in.
    fn chosen(&self, step_up: &StepUp) -> Option<(Secret<String>, Option<OrganizationId>)> {
        let pending = step_up.pending.as_deref()?;
        if step_up.code.as_str() != "organization_selection_required" {
            return None;
        }
        let offered = |id: &OrganizationId| pending.organizations.iter().any(|choice| choice.id == *id);
        let fixed = self.entrance.exchange.live.authorize.organization_id.as_ref();
        match (fixed, &self.attempt.organization) {
            (Some(fixed), _) => Some((pending.token.clone(), Some(fixed.clone()).filter(offered))),
            (None, Some(wish)) if offered(wish) => Some((pending.token.clone(), Some(wish.clone()))),
            (None, _) => None,
        }
    }

    /// Gives the proof that nobody had to be asked for.
    async fn redeem_on(&self, proof: Proof) -> Result<Response<Body>, Chosen> {
        let control = &self.entrance.thread.shared.control;
        let step = entropy::draw::<16>().into_bytes();
        match control.redeem(self.applicant.clone(), step, proof).await {
            Some(Redeemed::Tokens(tokens)) => Ok(self.enter(*tokens).await),
            Some(Redeemed::Refused(WorkOsError::Rejected(Rejection::StepUp(next)))) => {
                Err(Chosen::Another(Box::new(next)))
            }
            Some(Redeemed::Refused(WorkOsError::Transient { retry_after, .. })) => {
                Err(Chosen::NotNow(Hitch::Unavailable(retry_after)))
            }
            Some(Redeemed::TooMany(wait)) => Err(Chosen::NotNow(Hitch::TooMany(Some(wait)))),
            Some(Redeemed::Refused(WorkOsError::Rejected(_))) => Ok(self.ended(Hitch::Refused).await),
            Some(Redeemed::Refused(error @ WorkOsError::Misconfigured(_))) => {
                tracing::error!(%error, cure = error.cure(), "WorkOS lets nobody into an organization");
                Err(Chosen::NotNow(Hitch::Unavailable(None)))
            }
            Some(Redeemed::Spent | Redeemed::Exhausted) | None => {
                Err(Chosen::NotNow(Hitch::Unavailable(None)))
            }
        }
    }

    async fn ended(&self, hitch: Hitch) -> Response<Body> {
        self.entrance.failed(hitch.as_str()).await;
        self.begin_anew(hitch)
    }

    async fn way(&self, step_up: &StepUp) -> Way {
        let Some(pending) = step_up.pending.as_deref() else { return Way::There };
        let token = pending.token.clone();
        match step_up.kind {
            StepUpKind::EmailVerification => {
                let verification = || pending.verification.clone().map(Whose::Verification);
                let whose = pending.user.clone().map(Whose::Person).or_else(verification);
                Way::Here(OwnStep::EmailVerification { token, whose })
            }
            StepUpKind::Organization if !pending.organizations.is_empty() => {
                Way::Here(OwnStep::Organization { token, choices: pending.organizations.clone() })
            }
            StepUpKind::Mfa if step_up.code.as_str() == "mfa_enrollment" => self.enrol(pending).await,
            StepUpKind::Mfa => self.challenge(pending).await,
            StepUpKind::Sso | StepUpKind::Organization | StepUpKind::Hosted => Way::There,
        }
    }

    async fn enrol(&self, pending: &Continuation) -> Way {
        let Some(user) = pending.user.clone() else { return Way::There };
        let site = &self.entrance.exchange.live.site;
        let (issuer, name) = (site.authority().to_owned(), self.attempt.email.clone());
        let control = &self.entrance.thread.shared.control;
        match control.enrol(Enrol { user, issuer, name }).await {
            Some(Ok(enrolment)) => Way::Here(OwnStep::Enrolment {
                token: pending.token.clone(),
                challenge: enrolment.challenge,
                setup: enrolment.setup,
            }),
            Some(Err(error)) => stopped(&error),
            None => Way::Stopped(Hitch::Unavailable(None)),
        }
    }

    async fn challenge(&self, pending: &Continuation) -> Way {
        let step = |challenge| OwnStep::Totp { token: pending.token.clone(), challenge };
        if let Some(begun) = &pending.challenge {
            return Way::Here(step(Challenge::Begun(begun.clone())));
        }
        let Some(factor) = pending.factors.first() else { return Way::There };
        match self.begin_challenge(factor).await {
            Ok(begun) => Way::Here(step(Challenge::Begun(begun))),
            // The code before is spent, and what is asked for now can be had without the challenge: it is begun with
            // the next try.
            Err(Way::Stopped(hitch)) => Way::Later(step(Challenge::ToBegin(factor.clone())), hitch),
            Err(other) => other,
        }
    }

    async fn begin_challenge(&self, factor: &str) -> Result<Box<str>, Way> {
        match self.entrance.thread.shared.control.challenge(factor.into()).await {
            Some(Ok(challenge)) => Ok(challenge),
            Some(Err(error)) => Err(stopped(&error)),
            None => Err(Way::Stopped(Hitch::Unavailable(None))),
        }
    }

    /// Asks for the step on our page, with its own cookie in the place of the one before, and what stands in its way.
    fn ask(&self, step_up: &StepUp, hitch: Option<Hitch>) -> Response<Body> {
        let exchange = self.entrance.exchange;
        let live = &exchange.live;
        let Some(sealed) = self.attempt.seal(&live.sealer.context(), entropy::draw(), exchange.now) else {
            return self.lead_away(step_up);
        };
        let mut response = match post::sender(exchange) {
            Sender::Form => StepPage { exchange, page: self.page, attempt: &self.attempt }.show(hitch),
            Sender::Program => match hitch {
                Some(hitch) => post::asker(exchange).hitch(hitch),
                None => post::asker(exchange).step_asked(step_up.code.as_str(), needed(&self.attempt)),
            },
        };
        let cookie = live.sealer.cookies().set(OurCookie::Pending, &sealed, OWN_ATTEMPT_LIFETIME);
        response.headers_mut().append(SET_COOKIE, cookie);
        response
    }

    /// Leads to WorkOS, where the step can be taken.
    fn lead_away(&self, step_up: &StepUp) -> Response<Body> {
        let exchange = self.entrance.exchange;
        let step_up = StepUp {
            login_hint: step_up.login_hint.clone().or_else(|| Some(self.attempt.email.clone())),
            organization: step_up.organization.clone().or_else(|| self.attempt.organization.clone()),
            ..step_up.clone()
        };
        let mut response = match post::sender(exchange) {
            Sender::Form => sign_in::go_on_there(exchange, &self.attempt, &step_up),
            Sender::Program => {
                let url = sign_in::step_up_url(exchange, Some(&self.attempt.return_to), &step_up);
                let more = Map::from_iter([("sign_in_url".to_owned(), Value::from(url))]);
                post::asker(exchange).step_asked(step_up.code.as_str(), more)
            }
        };
        let gone = exchange.live.sealer.cookies().expire(OurCookie::Pending);
        response.headers_mut().append(SET_COOKIE, gone);
        response
    }

    async fn record(&self, step_up: &StepUp) {
        let (thread, exchange) = (self.entrance.thread, self.entrance.exchange);
        let code = step_up.code.as_str();
        tracing::info!(code, "WorkOS asks for one more step");
        thread.shared.metrics.sign_in(SignInStage::Continued, code);
        let line = decision::line(exchange, Action::StepUp, AuditOutcome::Failure, code, None);
        thread.shared.audit.record(line).await;
    }
}

fn stopped(error: &WorkOsError) -> Way {
    match error {
        // It is not to be had over the API, so the hosted pages have to do it.
        WorkOsError::Rejected(_) => {
            tracing::warn!(%error, "WorkOS does not begin a second step here");
            Way::There
        }
        WorkOsError::Misconfigured(Misconfiguration::Refused { .. }) => {
            tracing::error!(%error, cure = error.cure(), "WorkOS does not begin a second step here");
            Way::There
        }
        WorkOsError::Misconfigured(_) => {
            tracing::error!(%error, cure = error.cure(), "WorkOS does not begin a second step");
            Way::Stopped(Hitch::Unavailable(None))
        }
        WorkOsError::Transient { retry_after, .. } => {
            tracing::warn!(%error, "WorkOS did not begin a second step");
            Way::Stopped(Hitch::Unavailable(*retry_after))
        }
    }
}

/// What a program needs to lead its person through a step.
fn needed(attempt: &OwnAttempt) -> Map<String, Value> {
    let one = |name: &str, value: Value| Map::from_iter([(name.to_owned(), value)]);
    match &attempt.step {
        OwnStep::Code | OwnStep::EmailVerification { .. } | OwnStep::Totp { .. } => Map::new(),
        OwnStep::Enrolment { setup, .. } => one("otpauth_uri", Value::from(setup.expose().as_str())),
        OwnStep::Organization { choices, .. } => {
            let row = |choice: &Choice| json!({ "id": choice.id.as_str(), "name": choice.name });
            one("organizations", choices.iter().map(row).collect())
        }
    }
}
