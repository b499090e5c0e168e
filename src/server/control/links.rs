//! Making links and sending them, for [the control runtime's desk](crate::server::control): bounded in number, for each
//! address and for each client. The work belongs to the desk, so a browser that hangs up cancels nothing.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;

use tokio::sync::oneshot;

use crate::auth::magic_link::{Address, LINK_LIFETIME, LinkAttempt};
use crate::auth::secret::Secret;
use crate::auth::time::Span;
use crate::clock::{Clock, Moment};
use crate::entropy;
use crate::mail::{Errand, MailError, Mailer};
use crate::pace::Share;
use crate::server::control::discretion::{Discretion, Manner};
use crate::server::control::limits::Limits;
use crate::server::language::{Language, Letter};
use crate::server::settings::LinkMail;
use crate::server::site::{Endpoint, Site};
use crate::store::Sealer;
use crate::workos::concern::{self, Concern, Others};
use crate::workos::error::Outage;
use crate::workos::{Link, LinkRequest, WorkOs, WorkOsError};

/// Links that are made and sent at one time, and those that wait; further ones are turned away.
const WORKING: usize = 16;
const WAITING: usize = 256;
/// What one address gets while a link is good: enough for whoever looks for the mail, too few to fill somebody's mailbox.
const EACH_ADDRESS: Share = Share { at_once: 5, then_each: Span::from_minutes(3) };
/// What one client may ask for; a whole office may be behind it.
const EACH_CLIENT: Share = Share { at_once: 30, then_each: Span::from_secs(30) };

/// A link to be mailed.
#[derive(Debug)]
pub(crate) struct LinkOrder {
    /// Who mails it.
    pub(crate) mail: LinkMail,
    /// Where it leads.
    pub(crate) site: Site,
    /// Seals it, where we mail it.
    pub(crate) sealer: Arc<Sealer>,
    pub(crate) address: Address,
    pub(crate) attempt: LinkAttempt,
    /// What whoever asks reads.
    pub(crate) language: &'static Language,
    /// Who asks; unknown behind a unix socket.
    pub(crate) ip: Option<IpAddr>,
}

/// Why no link was sent. Nothing of it depends on whose the address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LinkFault {
    /// Too many were asked for; wait so long.
    TooOften(Option<Span>),
    /// None could be made or sent; wait so long.
    Unavailable(Option<Span>),
    /// Nobody knows whether it has left: it may still arrive.
    Late,
    /// None can be made or sent until the operator has mended it.
    Misconfigured,
}

/// What became of an order.
pub(crate) type LinkSent = Result<(), LinkFault>;

/// What carrying out an order leaves to do.
#[derive(Debug)]
pub(crate) struct Done {
    /// How long the mail took, if one was sent.
    mailed: Option<Span>,
    told: LinkSent,
    answer: oneshot::Sender<LinkSent>,
}

/// The links that are being made, those that wait, and what is counted.
#[derive(Debug)]
pub(crate) struct Links {
    working: usize,
    waiting: VecDeque<(LinkOrder, oneshot::Sender<LinkSent>)>,
    limits: Limits,
    discretion: Discretion,
}

impl Default for Links {
    fn default() -> Self {
        Self {
            working: 0,
            waiting: VecDeque::new(),
            limits: Limits::new(EACH_ADDRESS, EACH_CLIENT),
            discretion: Discretion::default(),
        }
    }
}

impl Links {
    /// Takes an order in, or turns it away.
    pub(crate) fn take(&mut self, order: LinkOrder, answer: oneshot::Sender<LinkSent>, now: Moment) {
        match self.limits.admit(order.address.as_str(), order.ip, now) {
            Err(wait) => drop(answer.send(Err(LinkFault::TooOften(Some(wait))))),
            Ok(()) if self.waiting.len() >= WAITING => drop(answer.send(Err(LinkFault::Unavailable(None)))),
            Ok(()) => self.waiting.push_back((order, answer)),
        }
    }

    /// The next order to carry out, if there is room for it, and how a refusal of it is answered.
    pub(crate) fn next(&mut self, now: Moment) -> Option<(LinkOrder, oneshot::Sender<LinkSent>, Manner)> {
        let (order, answer) = if self.working < WORKING { self.waiting.pop_front() } else { None }?;
        self.working += 1;
        Some((order, answer, self.discretion.next(now)))
    }

    /// An order was carried out. Whoever waits for it is told once it is known that mails are sent, because programs are
    /// quick.
    pub(crate) fn finish(&mut self, done: Done, now: Moment) {
        self.broke_off();
        if let Some(took) = done.mailed {
            self.discretion.learn(took, now);
        }
        let _ = done.answer.send(done.told);
    }

    /// An order was not carried out to its end.
    pub(crate) fn broke_off(&mut self) {
        self.working = self.working.saturating_sub(1);
    }
}

impl LinkOrder {
    /// Makes the link and sends it.
    pub(crate) async fn carry_out(
        self,
        workos: &WorkOs,
        clock: &Clock,
        manner: Manner,
        answer: oneshot::Sender<LinkSent>,
    ) -> Done {
        let began = clock.monotonic();
        let (told, mailed) = match self.mailed(workos, clock, manner).await {
            Ok(()) => (Ok(()), Some(clock.monotonic().since(began))),
            Err(Unsent::Discreetly) => {
                manner.wait(clock, began).await;
                (Ok(()), None)
            }
            Err(Unsent::Openly(fault)) => (Err(fault), None),
        };
        Done { mailed, told, answer }
    }

    async fn mailed(&self, workos: &WorkOs, clock: &Clock, manner: Manner) -> Result<(), Unsent> {
        let redirect_uri = self.site.url(Endpoint::MagicLinkCallback);
        let request = LinkRequest {
            email: self.address.as_str(),
            redirect_uri: &redirect_uri,
            state: self.attempt.state.as_str(),
            expires_in: LINK_LIFETIME,
        };
        let link = match workos.create_link(&request).await {
            Ok(link) => link,
            Err(error) => {
                let unsent = not_made(&error, &redirect_uri, manner);
                if let (Unsent::Discreetly, LinkMail::Own(mailer, _)) = (&unsent, &self.mail) {
                    // As long as nobody gets a letter, nobody is promised one.
                    mailer.knock(clock).await.map_err(|error| not_mailed(error, manner))?;
                }
                return Err(unsent);
            }
        };
        match &self.mail {
            LinkMail::Own(mailer, letters) => {
                let letter = letters.in_language(self.language);
                self.mail(&link, mailer, letter, clock, manner).await
            }
            LinkMail::WorkOs => match workos.send_link(&link).await {
                Err(WorkOsError::Transient { cause: cause @ (Outage::Timeout | Outage::Broken), .. }) => {
                    tracing::warn!(%cause, "WorkOS did not say whether it mailed a magic link");
                    Err(Unsent::Openly(LinkFault::Late))
                }
                sent => sent.map_err(|error| not_made(&error, &redirect_uri, manner)),
            },
        }
    }

    async fn mail(
        &self,
        link: &Link,
        mailer: &Mailer,
        letter: &Letter,
        clock: &Clock,
        manner: Manner,
    ) -> Result<(), Unsent> {
        let context = self.sealer.context();
        let sealed = match self.attempt.seal_link(&context, &link.url, entropy::draw()) {
            Ok(sealed) => sealed,
            Err(error) => {
                tracing::error!(%error, "WorkOS gave a link that cannot be mailed");
                return Err(Unsent::Openly(LinkFault::Unavailable(None)));
            }
        };
        let page = self.site.url(Endpoint::MagicLinkOpen);
        let ours = Secret::new(format!("{page}?link={}", sealed.as_str()));
        let errand = Errand {
            template: &letter.template,
            language: letter.language,
            to: self.address.as_str(),
            link: &ours,
            good_for: LINK_LIFETIME,
            id: entropy::draw().into_bytes(),
        };
        mailer.send(&errand, clock).await.map_err(|error| not_mailed(error, manner))
    }
}

/// Why no mail was sent.
enum Unsent {
    /// It is about this one address, so whoever asked must not learn it.
    Discreetly,
    /// It is not, so they are told.
    Openly(LinkFault),
}

fn not_mailed(error: MailError, manner: Manner) -> Unsent {
    match (error, manner.others) {
        // Whoever asked must not learn from us which addresses there are.
        (MailError::Recipient(_), _) | (MailError::Ruled(_), Others::Served) => {
            tracing::info!(%error, "a magic link was not taken for its address");
            Unsent::Discreetly
        }
        (MailError::Timeout, _) => {
            tracing::error!(%error, "the mail relay may not have taken a magic link: check [sign_in.mail]");
            Unsent::Openly(LinkFault::Late)
        }
        (MailError::Ruled(_), Others::Unknown)
        | (MailError::Refused(_) | MailError::Unprotected | MailError::Unreachable, _) => {
            tracing::error!(%error, "the mail relay does not take magic links: check [sign_in.mail]");
            Unsent::Openly(LinkFault::Unavailable(None))
        }
    }
}

fn not_made(error: &WorkOsError, redirect_uri: &str, manner: Manner) -> Unsent {
    match error {
        WorkOsError::Rejected(_) | WorkOsError::Misconfigured(_) => {
            match error.concerns(concern::Sent::OursToo, manner.others) {
                Concern::OneAddress => {
                    tracing::warn!(%error, "WorkOS makes no magic link for an address, which its owner is not told");
                    Unsent::Discreetly
                }
                Concern::Everybody => {
                    tracing::error!(%error, redirect_uri, cure = error.cure(), "WorkOS makes no magic links");
                    Unsent::Openly(LinkFault::Misconfigured)
                }
            }
        }
        WorkOsError::Transient { cause: Outage::Quota, .. } => {
            tracing::error!(%error, cure = error.cure(), "WorkOS makes no magic links");
            Unsent::Openly(LinkFault::Misconfigured)
        }
        WorkOsError::Transient { cause: Outage::RateLimited, retry_after, .. } => {
            Unsent::Openly(LinkFault::TooOften(*retry_after))
        }
        WorkOsError::Transient { retry_after, .. } => {
            tracing::warn!(%error, "WorkOS did not make or send a magic link");
            Unsent::Openly(LinkFault::Unavailable(*retry_after))
        }
    }
}
