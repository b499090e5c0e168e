"""Conformance of sessions, events, organizations and webhooks with WorkOS' Python client."""

import http.server
import queue
import threading
import unittest

from peer import ACME, GLOBEX, Story, control, memberships, people, sign_in, workos


class Mailbox:
    """An endpoint for webhooks."""

    def __enter__(self):
        letters = self.letters = queue.Queue()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                letters.put((body, self.headers["workos-signature"]))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/webhook"
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def next(self):
        return self.letters.get(timeout=20)


class Sessions(Story):
    def session_of(self, answer):
        """The newest session of the person; its id stands in the token as well."""
        return people.list_sessions(answer.user.id, limit=1).data[0]

    def test_sessions_are_listed_and_revoked(self):
        first, last = sign_in("ada@example.com"), sign_in("ada@example.com")
        session = self.session_of(last)
        self.assertEqual((session.status.value, session.auth_method.value), ("active", "magic_code"))
        self.assertIsNone(session.ended_at)
        everything = list(people.list_sessions(first.user.id, limit=1).auto_paging_iter())
        self.assertGreaterEqual(len(everything), 2)
        people.revoke_session(session_id=session.id)
        ended = self.session_of(last)
        self.assertEqual((ended.id, ended.status.value), (session.id, "revoked"))
        self.refused("invalid_grant", people.authenticate_with_refresh_token, refresh_token=last.refresh_token)
        newest = workos.events.list_events(events=["session.revoked", "user.deleted"], order="desc").data[0]
        self.assertEqual((newest.event, newest.data.id), ("session.revoked", session.id))

    def test_every_event_of_a_sign_in_is_understood(self):
        ada = sign_in("ada@example.com").user
        names = ["session.created", "authentication.magic_auth_succeeded"]
        events = workos.events.list_events(events=names, order="desc", limit=2).data
        self.assertEqual([event.event for event in events], names)
        self.assertEqual([event.data.user_id for event in events], [ada.id, ada.id])

    def test_a_person_changes_the_organization(self):
        ben = sign_in("ben@example.com", ACME)
        rows = memberships.list_organization_memberships(
            user_id=ben.user.id, statuses=["active", "inactive"]
        )
        self.assertEqual({row.organization_name for row in rows.data}, {"Acme", "Globex"})

        def into(tokens, organization):
            return people.authenticate_with_refresh_token(
                refresh_token=tokens.refresh_token, organization_id=organization
            )

        self.assertEqual(into(ben, GLOBEX).organization_id, GLOBEX)
        cleo = sign_in("cleo@example.com")
        refused = self.refused("organization_membership_not_found", into, tokens=cleo, organization=ACME)
        self.assertEqual(refused.status_code, 400)

    def test_a_step_up_is_known_by_its_name(self):
        control("POST", "organizations/Globex/sign_in", {"mfa_required": True})
        control("POST", "switches", {"step_ups": "forbidden"})
        try:
            ben = sign_in("ben@example.com", ACME)
            fields = {"refresh_token": ben.refresh_token, "organization_id": GLOBEX}
            refused = self.refused("mfa_enrollment", people.authenticate_with_refresh_token, **fields)
            self.assertEqual(type(refused).__name__, "MfaEnrollmentError")
            self.assertTrue(refused.pending_authentication_token)
            again = sign_in("ben@example.com", GLOBEX)
            self.assertEqual(again.organization_id, GLOBEX)
        finally:
            control("POST", "organizations/Globex/sign_in", {"mfa_required": False})
            control("POST", "users/ben@example.com", {"mfa_enrolled": False})
            control("POST", "switches", {"step_ups": "bad_request"})

    def test_a_webhook_is_believed_by_its_signature(self):
        with Mailbox() as mailbox:
            names = ["user.updated", "organization_membership.updated"]
            endpoint = workos.webhooks.create_webhook_endpoint(endpoint_url=mailbox.url, events=names)
            [ada] = people.list_users(email="ada@example.com").data
            people.update_user(ada.id, first_name="Ada")
            body, signature = mailbox.next()

            def verify(body, signature):
                return workos.webhooks.verify_event(
                    event_body=body, event_signature=signature, secret=endpoint.secret
                )

            event = verify(body, signature)
            self.assertEqual((event.event, event.data.id), ("user.updated", ada.id))
            for spoiled in ({"signature": "wrong"}, {"signature": "tampered"}, {"timestamp_ms": 1}):
                [told] = control("POST", "webhooks/deliver", {"event_id": event.id, **spoiled})["delivered"]
                self.assertEqual(told["status"], 200)
                with self.assertRaises(ValueError):
                    verify(*mailbox.next())
            [membership] = memberships.list_organization_memberships(user_id=ada.id).data
            memberships.deactivate_organization_membership(membership.id)
            self.assertEqual(verify(*mailbox.next()).data.status.value, "inactive")
            memberships.reactivate_organization_membership(membership.id)
            self.assertEqual(verify(*mailbox.next()).data.status.value, "active")
            workos.webhooks.update_webhook_endpoint(endpoint.id, status="disabled")
            workos.webhooks.delete_webhook_endpoint(endpoint.id)


if __name__ == "__main__":
    unittest.main()
