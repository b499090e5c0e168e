//! What WorkOS knows of a person beside their tokens: their sessions, and the organizations they belong to. One page
//! of each, the newest first; longer lists are cut there.

use serde::de::DeserializeOwned;
use url::Url;

use crate::auth::identity::{OrganizationId, UserId, WorkOsSessionId};
use crate::auth::time::{Span, Timestamp};
use crate::workos::error::Outage;
use crate::workos::http::{Call, Connection, MAX_ANSWER_BYTES, Reply};
use crate::workos::wire::{List, ListedMembership, ListedSession};
use crate::workos::{WorkOs, WorkOsError, classify};

/// Entries of one page, the most that WorkOS gives (<https://workos.com/docs/reference/pagination>).
const PAGE: usize = 100;
/// Longest text of an entry that is kept.
const MAX_TEXT_CHARS: usize = 512;

/// One of a person's sessions, as WorkOS lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserSession {
    /// Its id.
    pub id: WorkOsSessionId,
    /// Can it still be used?
    pub status: SessionStatus,
    /// From which address the person signed in.
    pub ip_address: Option<Box<str>>,
    /// With what.
    pub user_agent: Option<Box<str>>,
    /// When they signed in.
    pub created_at: Option<Timestamp>,
    /// When it ends at the latest.
    pub expires_at: Option<Timestamp>,
}

/// Can a session still be used?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionStatus {
    /// Yes.
    Active,
    /// No: it was revoked, has expired, or is in a state that we do not know.
    Over,
}

/// An organization that a person belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// Which.
    pub organization_id: OrganizationId,
    /// What it is called, where WorkOS says so.
    pub name: Option<Box<str>>,
}

impl WorkOs {
    /// A person's sessions, active or not, the newest first; the newest hundred of them
    /// (<https://workos.com/docs/reference/authkit/session/list>). Those in which somebody of the operator's staff acts
    /// for them are not theirs, and left out.
    ///
    /// # Errors
    /// [`WorkOsError`] when the list cannot be had within `timeout`.
    pub async fn list_sessions(&self, user: &UserId, timeout: Span) -> Result<Vec<UserSession>, WorkOsError> {
        let mut url = self.0.users.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.extend([user.as_str(), "sessions"]);
        }
        let rows: Vec<ListedSession> = self.list(url, &[], timeout).await?;
        Ok(rows.into_iter().filter_map(session).collect())
    }

    /// The organizations in which a person is an active member, at most a hundred
    /// (<https://workos.com/docs/reference/authkit/organization-membership/list>).
    ///
    /// # Errors
    /// [`WorkOsError`] when the list cannot be had within `timeout`.
    pub async fn list_memberships(
        &self,
        user: &UserId,
        timeout: Span,
    ) -> Result<Vec<Membership>, WorkOsError> {
        let url = self.0.memberships.clone();
        let query = [("user_id", user.as_str()), ("statuses", "active")];
        let rows: Vec<ListedMembership> = self.list(url, &query, timeout).await?;
        Ok(rows.into_iter().filter_map(membership).collect())
    }

    async fn list<T: DeserializeOwned>(
        &self,
        mut url: Url,
        query: &[(&str, &str)],
        timeout: Span,
    ) -> Result<Vec<T>, WorkOsError> {
        let limit = PAGE.to_string();
        let paging = [("limit", limit.as_str()), ("order", "desc")];
        url.query_pairs_mut().extend_pairs(query).extend_pairs(paging);
        let call = Call::GetAs { url: &url, api_key: &self.0.api_key };
        let sent = self.0.http.send(call, Connection::Any, timeout, MAX_ANSWER_BYTES).await;
        let reply = sent.map_err(WorkOsError::transient)?;
        if !reply.is_success() {
            return Err(classify::refusal(&reply));
        }
        rows(&reply)
    }
}

fn rows<T: DeserializeOwned>(reply: &Reply) -> Result<Vec<T>, WorkOsError> {
    let unreadable = |_| WorkOsError::transient(Outage::Unreadable(reply.status));
    let list: List = serde_json::from_slice(&reply.body).map_err(unreadable)?;
    let rows = list.data.into_iter().take(PAGE);
    Ok(rows.filter_map(|row| serde_json::from_value(row).ok()).collect())
}

fn session(row: ListedSession) -> Option<UserSession> {
    if row.impersonator.is_some() {
        return None;
    }
    Some(UserSession {
        id: WorkOsSessionId::parse(&row.id).ok()?,
        status: if row.status == "active" { SessionStatus::Active } else { SessionStatus::Over },
        ip_address: row.ip_address.and_then(text),
        user_agent: row.user_agent.and_then(text),
        created_at: row.created_at.and_then(instant),
        expires_at: row.expires_at.and_then(instant),
    })
}

fn membership(row: ListedMembership) -> Option<Membership> {
    if row.status.is_some_and(|status| status != "active") {
        return None;
    }
    let organization_id = OrganizationId::parse(&row.organization_id).ok()?;
    Some(Membership { organization_id, name: row.organization_name.and_then(text) })
}

#[expect(clippy::needless_pass_by_value, reason = "rows are taken apart")]
fn text(text: String) -> Option<Box<str>> {
    let kept: String = text.trim().chars().filter(|one| !one.is_control()).take(MAX_TEXT_CHARS).collect();
    (!kept.is_empty()).then(|| kept.into())
}

#[expect(clippy::needless_pass_by_value, reason = "rows are taken apart")]
fn instant(text: String) -> Option<Timestamp> {
    let instant: jiff::Timestamp = text.parse().ok()?;
    Some(Timestamp::from_unix_millis(instant.as_millisecond()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::clock::Clock;
    use crate::workos::error::Misconfiguration;
    use crate::workos::test_peer::{Answer, NOW, Peer, client, drive};

    const SOON: Span = Span::from_secs(2);

    fn ada() -> UserId {
        UserId::parse("user_1").unwrap()
    }

    fn sessions(peer: &Peer) -> Result<Vec<UserSession>, WorkOsError> {
        let client = client(peer, &Clock::manual(NOW));
        drive(&client, client.list_sessions(&ada(), SOON))
    }

    fn memberships(peer: &Peer) -> Result<Vec<Membership>, WorkOsError> {
        let client = client(peer, &Clock::manual(NOW));
        drive(&client, client.list_memberships(&ada(), SOON))
    }

    fn list(data: &Value) -> Answer {
        Answer::json(200, &json!({"object": "list", "data": data, "list_metadata": {}}))
    }

    #[test]
    fn sessions_are_asked_for_by_person_under_the_api_key() {
        let row = json!({
            "object": "session", "id": "session_1", "user_id": "user_1", "status": "active",
            "ip_address": "203.0.113.7", "user_agent": " Fire\u{7}fox ", "auth_method": "sso",
            "created_at": "2026-11-21T09:30:00.000Z", "expires_at": "2026-12-21T09:30:00.000Z",
            "ended_at": null
        });
        let bare = json!({"id": "session_2", "status": "revoked", "ip_address": null, "impersonator": null});
        let staff =
            json!({"id": "session_3", "status": "active", "impersonator": {"email": "ops@example.com"}});
        let peer = Peer::scripted(vec![list(&json!([row, {"status": "active"}, bare, staff]))]);
        let sessions = sessions(&peer).unwrap();
        assert_eq!(sessions.len(), 2, "a row without an id is passed over, and one of somebody else");
        assert_eq!(sessions[0].id.as_str(), "session_1");
        assert_eq!((sessions[0].status, sessions[1].status), (SessionStatus::Active, SessionStatus::Over));
        assert_eq!(sessions[0].user_agent.as_deref(), Some("Firefox"));
        assert_eq!(sessions[0].created_at, Some(NOW));
        assert_eq!(sessions[1].created_at, None);
        let heard = peer.next_call();
        assert_eq!(
            heard.line,
            "GET /user_management/users/user_1/sessions?limit=100&order=desc HTTP/1.1\r\n"
        );
        assert!(heard.head.contains("authorization: bearer sk_canary_key\r\n"), "{}", heard.head);
    }

    #[test]
    fn memberships_are_the_active_ones() {
        let rows = json!([
            {"id": "om_1", "organization_id": "org_1", "organization_name": "Acme", "status": "active"},
            {"id": "om_2", "organization_id": "org_2", "status": "inactive"},
            {"id": "om_3", "organization_id": "org_3"},
        ]);
        let peer = Peer::scripted(vec![list(&rows)]);
        let memberships = memberships(&peer).unwrap();
        let named: Vec<_> =
            memberships.iter().map(|one| (one.organization_id.as_str(), one.name.as_deref())).collect();
        assert_eq!(named, [("org_1", Some("Acme")), ("org_3", None)]);
        let line = peer.next_call().line;
        assert!(line.contains("/user_management/organization_memberships?user_id=user_1&statuses=active&"));
    }

    #[test]
    fn no_more_than_a_page_is_kept_and_no_more_than_a_megabyte_read() {
        let row = json!({"organization_id": "org_1", "organization_name": "x".repeat(600)});
        let peer = Peer::scripted(vec![
            list(&Value::from(vec![row.clone(); 101])),
            list(&Value::from(vec![row; 2_000])),
        ]);
        let client = client(&peer, &Clock::manual(NOW));
        drive(&client, async {
            let kept = client.list_memberships(&ada(), SOON).await.unwrap();
            assert_eq!((kept.len(), kept[0].name.as_ref().unwrap().len()), (PAGE, MAX_TEXT_CHARS));
            let error = client.list_memberships(&ada(), SOON).await.unwrap_err();
            assert_eq!(error, WorkOsError::transient(Outage::TooLarge));
        });
    }

    #[test]
    fn what_is_no_list_is_an_outage_and_a_wrong_key_the_operators_matter() {
        for body in [json!({"data": {}}), json!([]), json!({"object": "list"})] {
            let error = sessions(&Peer::scripted(vec![Answer::json(200, &body)])).unwrap_err();
            assert_eq!(error, WorkOsError::transient(Outage::Unreadable(200)));
        }
        let refused = Answer::json(401, &json!({"message": "Unauthorized"}));
        let error = memberships(&Peer::scripted(vec![refused])).unwrap_err();
        assert!(matches!(error, WorkOsError::Misconfigured(Misconfiguration::Credentials { .. })));
    }
}
