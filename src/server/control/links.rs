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
use crate::server::control::limits::Limits;
use crate::server::language::{Language, Letter};
use crate::server::live::Live;
use crate::server::settings::LinkMail;
use crate::server::site::Endpoint;
use crate::workos::{Link, LinkRequest, WorkOs, WorkOsError};

/// Links that are made and sent at one time, and those that wait; further ones are turned away.
const WORKING: usize = 16;
const WAITING: usize = 256;
/// What one address gets while a link is good: enough for whoever looks for the mail, too few to fill somebody's mailbox.
const EACH_ADDRESS: u32 = 5;
/// What one client may ask for; a whole office may be behind it.
const EACH_CLIENT: u32 = 30;

/// A link to be mailed.
#[derive(Debug)]
pub(crate) struct LinkOrder {
    /// The configuration of the moment.
    pub(crate) live: Arc<Live>,
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
    TooOften(Span),
    /// None could be made or sent; wait so long.
    Unavailable(Option<Span>),
}

/// What became of an order.
pub(crate) type LinkSent = Result<(), LinkFault>;

/// The links that are being made, those that wait, and what is counted.
#[derive(Debug)]
pub(crate) struct Links {
    working: usize,
    waiting: VecDeque<(LinkOrder, oneshot::Sender<LinkSent>)>,
    limits: Limits,
}

impl Default for Links {
    fn default() -> Self {
        Self {
            working: 0,
            waiting: VecDeque::new(),
            limits: Limits::new(EACH_ADDRESS, EACH_CLIENT, LINK_LIFETIME),
        }
    }
}

impl Links {
    /// Takes an order in, or turns it away.
    pub(crate) fn take(&mut self, order: LinkOrder, answer: oneshot::Sender<LinkSent>, now: Moment) {
        match self.limits.admit(order.address.as_str(), order.ip, now) {
            Err(wait) => drop(answer.send(Err(LinkFault::TooOften(wait)))),
            Ok(()) if self.waiting.len() >= WAITING => drop(answer.send(Err(LinkFault::Unavailable(None)))),
            Ok(()) => self.waiting.push_back((order, answer)),
        }
    }

    /// The next order to carry out, if there is room for it.
    pub(crate) fn next(&mut self) -> Option<(LinkOrder, oneshot::Sender<LinkSent>)> {
        let next = if self.working < WORKING { self.waiting.pop_front() } else { None }?;
        self.working += 1;
        Some(next)
    }

    /// An order was carried out.
    pub(crate) const fn finish(&mut self) {
        self.working = self.working.saturating_sub(1);
    }
}

impl LinkOrder {
    /// Makes the link and sends it.
    pub(crate) async fn carry_out(self, workos: &WorkOs, clock: &Clock) -> LinkSent {
        let site = &self.live.site;
        let redirect_uri = site.url(Endpoint::MagicLinkCallback);
        let request = LinkRequest {
            email: self.address.as_str(),
            redirect_uri: &redirect_uri,
            state: self.attempt.state.as_str(),
            expires_in: LINK_LIFETIME,
        };
        let link = match workos.create_link(&request).await {
            Ok(link) => link,
            Err(error) => return not_made(&error, &redirect_uri),
        };
        match &self.live.magic_link {
            Some(LinkMail::Own(mailer, letters)) => {
                self.mail(&link, mailer, letters.in_language(self.language), clock).await
            }
            Some(LinkMail::WorkOs) | None => {
                workos.send_link(&link).await.or_else(|error| not_made(&error, &redirect_uri))
            }
        }
    }

    async fn mail(&self, link: &Link, mailer: &Mailer, letter: &Letter, clock: &Clock) -> LinkSent {
        let context = self.live.sealer.context();
        let sealed = match self.attempt.seal_link(&context, &link.url, entropy::draw()) {
            Ok(sealed) => sealed,
            Err(error) => {
                tracing::error!(%error, "WorkOS gave a link that cannot be mailed");
                return Err(LinkFault::Unavailable(None));
            }
        };
        let page = self.live.site.url(Endpoint::MagicLinkOpen);
        let ours = Secret::new(format!("{page}?link={}", sealed.as_str()));
        let errand = Errand {
            template: &letter.template,
            language: letter.language,
            to: self.address.as_str(),
            link: &ours,
            good_for: LINK_LIFETIME,
            id: entropy::draw().into_bytes(),
        };
        match mailer.send(&errand, clock).await {
            Ok(()) => Ok(()),
            // Whoever asked must not learn from us which addresses there are.
            Err(error @ MailError::Recipient(_)) => {
                tracing::info!(%error, "a magic link was not taken for its address");
                Ok(())
            }
            Err(
                error @ (MailError::Refused(_)
                | MailError::Unprotected
                | MailError::Unreachable
                | MailError::Timeout),
            ) => {
                tracing::error!(%error, "the mail relay does not take magic links: check [sign_in.mail]");
                Err(LinkFault::Unavailable(None))
            }
        }
    }
}

fn not_made(error: &WorkOsError, redirect_uri: &str) -> LinkSent {
    match error {
        // Whatever it is about this one address, whoever asked must not learn it.
        WorkOsError::Rejected(_) => {
            tracing::info!(%error, "WorkOS made no magic link");
            Ok(())
        }
        WorkOsError::Misconfigured(_) => {
            tracing::error!(
                %error,
                redirect_uri,
                "WorkOS makes no magic links: is this redirect URI registered, and is Magic Link switched on?"
            );
            Err(LinkFault::Unavailable(None))
        }
        WorkOsError::Transient { retry_after, .. } => {
            tracing::warn!(%error, "WorkOS did not make or send a magic link");
            Err(LinkFault::Unavailable(*retry_after))
        }
    }
}
