//! Refusals that are written down: each has an id, which the person's page or the problem document shows and the
//! audit line has too.

use std::fmt::Write as _;

use crate::auth::identity::Identity;
use crate::auth::policy::Destination;
use crate::entropy;
use crate::server::data_thread::DataThread;
use crate::server::request::exchange::Exchange;
use crate::telemetry::{Action, AuditLine, AuditOutcome};

/// Writes a refusal down; gives its id.
pub(crate) async fn refused(
    thread: &DataThread,
    exchange: &Exchange,
    destination: Destination,
    reason: &'static str,
    identity: Option<&Identity>,
) -> String {
    let id = new_id();
    let line = AuditLine {
        decision_id: Some(id.as_str().into()),
        route: Some(exchange.live.route_metrics(Some(destination)).route().clone()),
        ..line(exchange, Action::Refusal, AuditOutcome::Denied, reason, identity)
    };
    thread.shared.audit.record(line).await;
    id
}

/// The line about something that was asked for, for whom it was asked.
pub(crate) fn line(
    exchange: &Exchange,
    action: Action,
    outcome: AuditOutcome,
    reason: &'static str,
    identity: Option<&Identity>,
) -> AuditLine {
    AuditLine {
        request_id: Some(exchange.id.as_str().into()),
        user_id: identity.map(|identity| identity.user.id.clone()),
        organization_id: identity.and_then(|identity| identity.organization_id.clone()),
        impersonator: identity
            .and_then(|identity| identity.impersonator.as_ref())
            .map(|impersonator| impersonator.email.clone()),
        ..AuditLine::new(exchange.now, action, outcome, reason.into())
    }
}

fn new_id() -> String {
    let random: [u8; 8] = entropy::draw().into_bytes();
    random.iter().fold("d_".to_owned(), |mut id, byte| {
        let _ = write!(id, "{byte:02x}");
        id
    })
}
