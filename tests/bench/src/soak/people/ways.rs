//! In and out: the sign-in with its redirects, the sign-out, and copies of cookies that come back afterwards.

use tokio::task::JoinSet;
use url::Url;

use crate::browser::{Visit, address_of, origin, sign_in_url};
use crate::http_client::Answer;
use crate::peers::emulator::email;
use crate::soak::dice::Dice;
use crate::soak::history::{Incarnation, SessionNumber, SignIn, SignOut};
use crate::soak::people::browser::{Browser, Manners, Ticket, Trial, brings_session};
use crate::stopwatch::{Millis, pass};

/// Redirects that are followed.
const MAX_HOPS: usize = 8;
/// How often a sign-in is begun anew.
const TRIES: usize = 40;

impl Browser {
    /// Signs in, however often that takes. Returns whether it succeeded.
    pub async fn sign_in(&self, dice: &mut Dice) -> bool {
        for _ in 0..TRIES {
            if self.try_sign_in(dice).await.is_some() {
                return true;
            }
            pass(dice.between(300, 2_000)).await;
        }
        false
    }

    async fn try_sign_in(&self, dice: &mut Dice) -> Option<()> {
        let mut url = sign_in_url(&self.world().site, &email(self.person()))?;
        for _ in 0..MAX_HOPS {
            let visit = Visit::new(url.clone(), &self.state().jar);
            let (answer, by) = if origin(&url) == self.world().site.origin {
                let trial = Trial::default();
                let answer = self.ask(&visit, self.replica(dice), &trial).await?.ok()?;
                (answer, trial.asked().map(|(by, _)| by))
            } else {
                let answer = visit.send(address_of(&url)?).await.ok()?;
                self.state().jar.take(&origin(&url), &answer.headers);
                (answer, None)
            };
            if let Some(by) = by {
                if brings_session(&answer) {
                    self.begin_session(&answer, by);
                    return Some(());
                }
                self.take(&answer, None);
            }
            if !answer.status.is_redirection() {
                return None;
            }
            url = url.join(answer.field("location")).ok()?;
        }
        None
    }

    fn begin_session(&self, answer: &Answer, by: Incarnation) {
        let recorder = &self.world().recorder;
        let at = recorder.now();
        let session = recorder.signed_in(SignIn { person: self.person(), at, by });
        self.take(answer, Some(session));
    }

    /// Signs out, and lets copies of the cookies come back: at once, and in `later`.
    pub(crate) async fn leave(&self, dice: &mut Dice, later: &mut JoinSet<()>) -> Option<()> {
        let (session, lines, cookies) = {
            let state = self.state();
            let line = state.jar.line(&self.world().site.origin)?;
            (state.held?, state.lines.clone(), line)
        };
        let url = self.url("/auth/sign-out")?;
        let visit = Visit { cookies: Some(cookies), ..Visit::new(url, &self.state().jar).form() };
        let index = self.ask_to_leave(session);
        let replica = self.replica(dice);
        let trial = Trial::default();
        let asking = self.ask(&visit, replica, &trial);
        let answer = if dice.happens(15) {
            tokio::time::timeout(dice.between(0, 5), asking).await.ok()??
        } else {
            asking.await?
        };
        let answer = answer.ok().filter(|answer| answer.status.is_redirection())?;
        let (by, _) = trial.asked()?;
        self.take(&answer, None);
        let at = self.world().recorder.now();
        self.amend(index, |sign_out| sign_out.answered = Some((at, by)));
        self.come_back(session, &lines, by, dice, later).await;
        if dice.happens(80) {
            self.go_through_workos(index, answer.field("location")).await;
        }
        Some(())
    }

    /// WorkOS' own sign-out, and back.
    async fn go_through_workos(&self, index: usize, location: &str) -> Option<()> {
        let url = Url::parse(location).ok()?;
        let visit = Visit::new(url.clone(), &self.state().jar);
        let answer = visit.send(address_of(&url)?).await.ok()?;
        self.state().jar.take(&origin(&url), &answer.headers);
        let at = self.world().recorder.now();
        if answer.status.is_redirection() {
            self.amend(index, |sign_out| sign_out.workos_knew = Some(at));
        }
        let back = url.join(answer.field("location")).ok()?;
        let visit = Visit::new(back, &self.state().jar);
        let answer = self.ask(&visit, self.person(), &Trial::default()).await?;
        self.take(&answer.ok()?, None);
        Some(())
    }

    /// Copies of the session's cookies, old and new, at every replica: some at once, some after a while.
    async fn come_back(
        &self,
        session: SessionNumber,
        lines: &[String],
        by: Incarnation,
        dice: &mut Dice,
        later: &mut JoinSet<()>,
    ) {
        let Some(newest) = lines.last() else { return };
        let older = lines.get(dice.below(lines.len())).unwrap_or(newest);
        for line in [newest, older] {
            let ticket = Ticket { session, line: line.clone(), is_copy: true };
            self.page_with(ticket.clone(), by.replica, Manners::Patient, dice).await;
            let (thief, mut dice, home) = (self.clone(), dice.fork(u64::from(by.start) ^ 0x51), by.replica);
            later.spawn(async move {
                for _ in 0..6 {
                    pass(dice.between(100, 20_000)).await;
                    if thief.world().recorder.now() > thief.world().until {
                        return;
                    }
                    let any = dice.below(thief.world().replicas.len());
                    let replica = if dice.happens(50) { home } else { any };
                    thief.page_with(ticket.clone(), replica, Manners::Patient, &mut dice).await;
                }
            });
        }
    }

    fn ask_to_leave(&self, session: SessionNumber) -> usize {
        let began: Millis = self.world().recorder.now();
        let mut history = self.world().recorder.history();
        history.sign_outs.push(SignOut { session, began, answered: None, workos_knew: None });
        history.sign_outs.len() - 1
    }

    fn amend(&self, index: usize, change: impl FnOnce(&mut SignOut)) {
        if let Some(sign_out) = self.world().recorder.history().sign_outs.get_mut(index) {
            change(sign_out);
        }
    }
}
