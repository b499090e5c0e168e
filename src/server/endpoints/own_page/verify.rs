//! `POST {auth_path}/magic-auth/verify`: takes the code that was mailed, or what a further step asks for, and opens
//! the session. The attempt is in its sealed cookie; a step of it is taken once.

use http::Response;
use http::header::SET_COOKIE;
use serde_json::json;

use crate::auth::cookie::{OurCookie, RequestCookies};
use crate::auth::gate::WhoAmI;
use crate::auth::identity::OrganizationId;
use crate::auth::presented::Dependency;
use crate::auth::refusal::Refusal;
use crate::auth::return_to::ReturnTo;
use crate::auth::secret::Secret;
use crate::auth::session::{Remembered, Tokens};
use crate::auth::sign_in::{Challenge, Hints, OwnAttempt, OwnStep, StepId, Whose};
use crate::auth::time::Span;
use crate::server::control::codes::{Applicant, Mail};
use crate::server::control::steps::Redeemed;
use crate::server::credential;
use crate::server::credential::entrance::{self, Entrance, NotEntered};
use crate::server::credential::renewal;
use crate::server::data_thread::DataThread;
use crate::server::endpoints::callback_page;
use crate::server::endpoints::form::Form;
use crate::server::endpoints::own_page::views::{Door, StepPage};
use crate::server::endpoints::own_page::{Typed, is_address, return_to, send};
use crate::server::endpoints::post::{self, Sender};
use crate::server::endpoints::session_json;
use crate::server::peer::end_user;
use crate::server::reply::body::Body;
use crate::server::reply::{Fault, Hitch};
use crate::server::request::exchange::{Bearings, Exchange};
use crate::server::settings::OwnPage;
use crate::workos::WorkOsError;
use crate::workos::concern::{Concern, Others, Sent};
use crate::workos::error::{Outage, Rejection};
use crate::workos::one_time::Proof;

/// The digits of a code.
const DIGITS: usize = 6;
/// Longest text that is looked at for them; people paste them with spaces.
const MAX_CODE_BYTES: usize = 64;

/// Whoever waits for so long, behind many others and a slow WorkOS, is asked to try again.
const PATIENCE: Span = Span::from_secs(30);

/// Takes a code, or a choice.
pub(crate) async fn answer(
    thread: &DataThread,
    mut exchange: Exchange,
    bearings: &Bearings,
    page: &OwnPage,
) -> Response<Body> {
    let form = match post::take_in(thread, &mut exchange).await {
        Ok(form) => form,
        Err(response) => return response,
    };
    let live = &exchange.live;
    let carried = RequestCookies::read(exchange.request.headers(), live.sealer.cookies().names());
    let entrance = Entrance { thread, exchange: &exchange, carried: &carried };
    let opened = OwnAttempt::open(&live.sealer.context(), &carried, exchange.now);
    let Some((mut attempt, step, begun)) = opened else {
        return nothing_waits(&entrance, page, &form).await;
    };
    // Another tab may have begun the attempt anew on the way to another page; this one knows where it leads.
    if form.field("return_to").is_some() {
        attempt.return_to = return_to(&exchange, &form);
    }
    let end_user = end_user(&bearings.client, exchange.request.headers());
    let waiting = exchange.now.since(begun);
    let applicant = Applicant { email: attempt.email.clone(), end_user, waiting };
    let desk = Desk { entrance, page, attempt, step, applicant };
    match desk.entered(&form) {
        Entered::Proof(proof) => desk.redeem(proof).await,
        Entered::Nothing(hitch) => desk.once_more(Some(hitch)),
        Entered::EarlierStep => desk.once_more(None),
        Entered::Resend(whose) => desk.resend(whose).await,
        Entered::Elsewhere => desk.overtaken(&form).await,
    }
}

/// What a form or a program gives.
enum Entered {
    /// What the step asks for.
    Proof(Proof),
    /// Not that.
    Nothing(Hitch),
    /// What an earlier step of this sign-in asked for: its page was gone back to. It is worth nothing any more.
    EarlierStep,
    /// The wish for another code.
    Resend(Whose),
    /// Something for another sign-in, in the place of which this one has come.
    Elsewhere,
}

/// There is no attempt. Another tab may have finished it.
async fn nothing_waits(entrance: &Entrance<'_>, page: &OwnPage, form: &Form) -> Response<Body> {
    let exchange = entrance.exchange;
    let target = &return_to(exchange, form);
    let live = &exchange.live;
    if post::sender(exchange) == Sender::Form {
        let found = credential::present(entrance.thread, live, entrance.carried).await;
        if let WhoAmI::Somebody(_) = live.gate.who_is_it(&found.presented, exchange.now) {
            return exchange.asker().see_other(&target.location(live.site.sites()));
        }
    }
    entrance.failed(Hitch::AttemptOver.as_str()).await;
    let email = form.field("email").filter(|email| is_address(email)).unwrap_or_default();
    begin_anew(exchange, page, target, (email, Remembered::Yes), Hitch::AttemptOver)
}

/// The first page once more, with what is known and why.
fn begin_anew(
    exchange: &Exchange,
    page: &OwnPage,
    return_to: &ReturnTo,
    (email, remembered): (&str, Remembered),
    hitch: Hitch,
) -> Response<Body> {
    let mut response = match post::sender(exchange) {
        Sender::Form => {
            let hints = &Hints::default();
            Door { exchange, page, return_to, hints, email, remembered }.show(Some(hitch))
        }
        Sender::Program => post::asker(exchange).hitch(hitch),
    };
    let cookies = exchange.live.sealer.cookies();
    response.headers_mut().append(SET_COOKIE, cookies.expire(OurCookie::Pending));
    response
}

/// What the form gives for the step that is waited for.
fn proof(attempt: &OwnAttempt, form: &Form) -> Result<Proof, Hitch> {
    let code = || code(form.field("code").unwrap_or_default()).ok_or(Hitch::BadCode);
    Ok(match &attempt.step {
        OwnStep::Code => Proof::MagicCode {
            email: attempt.email.clone(),
            code: code()?,
            invitation: attempt.invitation.clone(),
        },
        OwnStep::EmailVerification { token, .. } => Proof::EmailCode { token: token.clone(), code: code()? },
        OwnStep::Enrolment { token, challenge, .. } => {
            let challenge = Challenge::Begun(challenge.clone());
            Proof::Totp { token: token.clone(), challenge, code: code()? }
        }
        OwnStep::Totp { token, challenge } => {
            Proof::Totp { token: token.clone(), challenge: challenge.clone(), code: code()? }
        }
        OwnStep::Organization { token, .. } => {
            let chosen = form.field("organization_id").and_then(|id| OrganizationId::parse(id).ok());
            Proof::Organization { token: token.clone(), organization: chosen.ok_or(Hitch::NoChoice)? }
        }
    })
}

/// Six digits, however they were grouped.
fn code(text: &str) -> Option<Secret<String>> {
    if text.len() > MAX_CODE_BYTES {
        return None;
    }
    let digits: String = text.chars().filter(|one| !one.is_whitespace() && *one != '-').collect();
    let good = digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    good.then(|| Secret::new(digits))
}

/// An attempt that is being gone on with.
pub(super) struct Desk<'a> {
    pub(super) entrance: Entrance<'a>,
    pub(super) page: &'a OwnPage,
    pub(super) attempt: OwnAttempt,
    pub(super) step: StepId,
    pub(super) applicant: Applicant,
}

impl Desk<'_> {
    /// Our pages say which sign-in and which step they are of; programs may.
    fn entered(&self, form: &Form) -> Entered {
        let attempt = &self.attempt;
        if form.field("email").is_some_and(|email| !attempt.is_of(email)) {
            return Entered::Elsewhere;
        }
        if form.field("step").is_some_and(|step| step != attempt.step.as_str()) {
            return Entered::EarlierStep;
        }
        match (&attempt.step, form.field("resend")) {
            (OwnStep::EmailVerification { whose: Some(whose), .. }, Some("yes" | "true")) => {
                Entered::Resend(whose.clone())
            }
            _ => proof(attempt, form).map_or_else(Entered::Nothing, Entered::Proof),
        }
    }

    async fn redeem(self, proof: Proof) -> Response<Body> {
        // A code is redeemed once: not while what it brings could not be kept.
        if !self.entrance.exchange.live.store.answers() {
            return self.stop(Hitch::Unavailable(None)).await;
        }
        let control = &self.entrance.thread.shared.control;
        let redeemed = control.redeem(self.applicant.clone(), self.step, proof);
        let Ok(redeemed) = self.entrance.thread.timer.within(PATIENCE, redeemed).await else {
            return self.stop(Hitch::Unavailable(None)).await;
        };
        let hitch = match redeemed {
            Some(Redeemed::Tokens(tokens)) => return self.enter(*tokens).await,
            Some(Redeemed::Refused(WorkOsError::Rejected(Rejection::StepUp(step_up)))) => {
                return self.go_on(step_up).await;
            }
            Some(Redeemed::Refused(error)) => self.hitch_of(&error),
            Some(Redeemed::TooMany(wait)) => Hitch::TooMany(Some(wait)),
            Some(Redeemed::Spent) => Hitch::CodeUsed,
            Some(Redeemed::Exhausted) => Hitch::CodeTries,
            None => return post::asker(self.entrance.exchange).fault(Fault::Internal),
        };
        self.stop(hitch).await
    }

    /// Counts, records and tells what stands in the way.
    pub(super) async fn stop(&self, hitch: Hitch) -> Response<Body> {
        self.entrance.failed(hitch.as_str()).await;
        match hitch {
            Hitch::AttemptOver | Hitch::Refused => self.begin_anew(hitch),
            Hitch::BadEmail
            | Hitch::BadCode
            | Hitch::WrongCode
            | Hitch::CodeExpired
            | Hitch::CodeUsed
            | Hitch::CodeTries
            | Hitch::NoChoice
            | Hitch::TooMany(_)
            | Hitch::Overtaken
            | Hitch::Unavailable(_) => self.once_more(Some(hitch)),
        }
    }

    /// The page of the step once more.
    fn once_more(&self, hitch: Option<Hitch>) -> Response<Body> {
        let exchange = self.entrance.exchange;
        match post::sender(exchange) {
            Sender::Form => StepPage { exchange, page: self.page, attempt: &self.attempt }.show(hitch),
            Sender::Program => post::asker(exchange).hitch(hitch.unwrap_or(Hitch::CodeUsed)),
        }
    }

    /// A browser has one sign-in at a time: what was entered in a tab that began another one earlier is not tried with
    /// this one, which stays as it is.
    async fn overtaken(&self, form: &Form) -> Response<Body> {
        let (exchange, page, hitch) = (self.entrance.exchange, self.page, Hitch::Overtaken);
        self.entrance.failed(hitch.as_str()).await;
        match post::sender(exchange) {
            Sender::Form => Typed::read(exchange, page, form).again(exchange, page, hitch),
            Sender::Program => post::asker(exchange).hitch(hitch),
        }
    }

    /// Has another code mailed for the step, which stays as it is.
    async fn resend(&self, whose: Whose) -> Response<Body> {
        let Entrance { thread, exchange, .. } = self.entrance;
        let mail = Mail::Verification(whose);
        match (send::mail(thread, exchange, self.applicant.clone(), mail).await, post::sender(exchange)) {
            (Err(hitch), _) => self.once_more(Some(hitch)),
            (Ok(()), Sender::Form) => self.once_more(None),
            (Ok(()), Sender::Program) => post::asker(exchange).json(&json!({ "success": true })),
        }
    }

    /// The attempt is over; the next one begins with what is known of it.
    pub(super) fn begin_anew(&self, hitch: Hitch) -> Response<Body> {
        let known = (self.attempt.email.expose().as_str(), self.attempt.remembered);
        begin_anew(self.entrance.exchange, self.page, &self.attempt.return_to, known, hitch)
    }

    /// Opens the session.
    pub(super) async fn enter(&self, tokens: Tokens) -> Response<Body> {
        let exchange = self.entrance.exchange;
        let live = &exchange.live;
        let form = post::sender(exchange) == Sender::Form;
        let at_workos = tokens.claims.session_id.clone();
        let entered = self.entrance.open(tokens, self.attempt.remembered).await;
        if entered.is_err() {
            // No browser has it at WorkOS either, so nobody would ever end it.
            self.entrance.thread.shared.control.revoke_later(at_workos, Span::ZERO).await;
        }
        let response = match entered {
            Ok(entrance::Entered { session, cookies, circle }) => {
                let response = match (form, circle) {
                    (true, true) => callback_page::circle(exchange),
                    (true, false) => {
                        exchange.asker().see_other(&self.attempt.return_to.location(live.site.sites()))
                    }
                    (false, _) => {
                        let document = session_json::document(&session, live.gate.lifetimes());
                        post::asker(exchange).json(&document)
                    }
                };
                renewal::with_cookies(response, cookies)
            }
            Err(why) if form => callback_page::not_entered(exchange, why, &self.attempt.return_to),
            Err(NotEntered::TooLarge) => post::asker(exchange).refusal(Refusal::SessionTooLarge, None, None),
            Err(NotEntered::Store) => {
                post::asker(exchange).refusal(Refusal::Unavailable(Dependency::Store), None, None)
            }
            Err(NotEntered::Inconsistent) => post::asker(exchange).hitch(Hitch::Refused),
        };
        renewal::with_cookies(response, [live.sealer.cookies().expire(OurCookie::Pending)])
    }

    /// What a refusal comes to for the person. As long as the mailed code is what is asked for, a refusal that
    /// concerns the address is told like a wrong code: nobody learns by it whether there is such an account.
    fn hitch_of(&self, error: &WorkOsError) -> Hitch {
        tracing::info!(%error, "WorkOS gives no tokens for what somebody entered");
        let first = self.attempt.step == OwnStep::Code;
        match error {
            WorkOsError::Rejected(rejection) => match rejection.code().as_str() {
                "invalid_one_time_code" => Hitch::WrongCode,
                "invalid_grant" if first => Hitch::WrongCode,
                "one_time_code_expired" => Hitch::CodeExpired,
                "one_time_code_previously_used" => Hitch::CodeUsed,
                "one_time_code_too_many_attempts" => Hitch::CodeTries,
                "invalid_pending_authentication_token" | "expired_token" | "invalid_grant" => {
                    Hitch::AttemptOver
                }
                "sign_up_not_allowed"
                | "authentication_method_not_allowed"
                | "invalid_credentials"
                | "email_refused"
                | "user_mismatch"
                    if first =>
                {
                    Hitch::WrongCode
                }
                _ => Hitch::Refused,
            },
            WorkOsError::Misconfigured(_) => match error.concerns(Sent::TheirsAlone, Others::Unknown) {
                Concern::OneAddress if first => Hitch::WrongCode,
                Concern::OneAddress => Hitch::AttemptOver,
                Concern::Everybody => {
                    tracing::error!(%error, cure = error.cure(), "WorkOS lets nobody in");
                    Hitch::Unavailable(None)
                }
            },
            WorkOsError::Transient { cause: Outage::RateLimited, retry_after, .. } => {
                Hitch::TooMany(*retry_after)
            }
            WorkOsError::Transient { retry_after, .. } => Hitch::Unavailable(*retry_after),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_six_digits_however_they_are_grouped() {
        for good in ["123456", " 123 456 ", "123-456", "1 2 3 4 5 6", "\u{a0}123\u{a0}456"] {
            assert_eq!(code(good).map(|code| code.expose().clone()).as_deref(), Some("123456"), "{good:?}");
        }
        let long = "1".repeat(10_000);
        for bad in ["", "12345", "1234567", "abcdef", "12345a", "１２３４５６", "123.456", &*long] {
            assert!(code(bad).is_none(), "{bad:?}");
        }
    }
}
