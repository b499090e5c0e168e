"""Conformance with WorkOS' Python client, which reads answers more strictly than the one for Node: every operation once.

`./run` beside this file does everything. By hand: see run.mjs; then install requirements.txt into an environment and
start `python -m unittest operations sessions` with EMULATOR_URL set.
"""

import unittest

from workos._errors import (
    EmailVerificationRequiredError,
    MfaChallengeError,
    MfaEnrollmentError,
    OrganizationSelectionRequiredError,
)
from workos.organization_membership import RoleMultiple, RoleSingle
from workos.public_client import create_public_client
from workos.user_management import PasswordPlaintext

from peer import CALLBACK, CLIENT_ID, URL, Story, control, fresh, mail_to, memberships, people, totp, visit, workos

PASSWORD = "correct horse"

mfa, keys = workos.multi_factor_auth, workos.api_keys


class Operations(Story):
    def test_people_are_managed(self) -> None:
        email = fresh()
        made = people.create_user(email=email, first_name="Eve", external_id=email, password=PasswordPlaintext(password=PASSWORD))
        assert people.get_user_by_external_id(email).id == people.get_user(made.id).id == made.id
        assert people.update_user(made.id, last_name="Stone", metadata={"tier": "gold"}).metadata == {"tier": "gold"}
        assert [user.id for user in people.list_users(email=email).data] == [made.id]
        assert list(people.get_user_identities(made.id)) == []
        people.send_verification_email(made.id)
        assert people.verify_email(made.id, code=mail_to(email)["code"]).user.email_verified
        other = fresh()
        assert people.send_email_change(made.id, new_email=other).new_email == other
        self.refused("email_change_code_incorrect", people.confirm_email_change, made.id, code="x")
        assert people.confirm_email_change(made.id, code=mail_to(other)["code"]).user.email == other
        self.refused("email_not_available", people.send_email_change, made.id, new_email="ada@example.com")
        self.refused("email_change_not_needed", people.send_email_change, made.id, new_email=other)
        reset = people.reset_password(email=other)
        assert people.get_password_reset(reset.id).password_reset_url == reset.password_reset_url
        assert people.confirm_password_reset(token=reset.password_reset_token, new_password="a long enough one").user.id == made.id
        people.delete_user(made.id)

    def test_memberships_and_invitations_are_managed(self) -> None:
        acme = workos.organizations.list_organizations().data[-1]
        user = people.create_user(email=fresh())
        made = memberships.create_organization_membership(user_id=user.id, organization_id=acme.id, role=RoleMultiple(role_slugs=["admin", "viewer"]))
        assert memberships.get_organization_membership(made.id).role.slug == "admin"
        assert memberships.update_organization_membership(made.id, role=RoleSingle(role_slug="viewer")).role.slug == "viewer"
        assert memberships.deactivate_organization_membership(made.id).status == "inactive"
        assert memberships.reactivate_organization_membership(made.id).status == "active"
        assert len(memberships.list_organization_memberships(user_id=user.id, statuses=["active"]).data) == 1
        memberships.delete_organization_membership(made.id)
        invited = people.send_invitation(email=user.email, organization_id=acme.id, role_slug="member")
        assert people.get_invitation(invited.id).state == "pending"
        assert people.find_invitation_by_token(invited.token).id == people.resend_invitation(invited.id).id
        assert people.accept_invitation(invited.id).accepted_user_id == user.id
        other = people.send_invitation(email=fresh())
        assert people.revoke_invitation(other.id).state == "revoked"
        assert len(people.list_invitations(email=user.email).data) == 1

    def test_people_sign_in_step_by_step(self) -> None:
        user = people.create_user(email=fresh(), password=PasswordPlaintext(password=PASSWORD))

        def by_password():
            return people.authenticate_with_password(email=user.email, password=PASSWORD)

        asked = self.refused(EmailVerificationRequiredError, by_password)
        code = people.get_email_verification(asked.email_verification_id).code
        people.authenticate_with_email_verification(code=code, pending_authentication_token=asked.pending_authentication_token)
        control("POST", f"users/{user.id}/sign_in", {"mfa_required": True})
        asked = self.refused(MfaEnrollmentError, by_password)
        enrolled = mfa.create_user_auth_factor(user.id, type="totp")
        secret = enrolled.authentication_factor.totp.secret
        assert [factor.id for factor in mfa.list_user_auth_factors(user.id).data] == [enrolled.authentication_factor.id]
        people.authenticate_with_totp(
            code=totp(secret),
            pending_authentication_token=asked.pending_authentication_token,
            authentication_challenge_id=enrolled.authentication_challenge.id,
        )
        asked = self.refused(MfaChallengeError, by_password)
        challenge = mfa.challenge_factor(asked.authentication_factors[0]["id"])
        answer = people.authenticate_with_totp(
            code=totp(secret),
            pending_authentication_token=asked.pending_authentication_token,
            authentication_challenge_id=challenge.id,
        )
        assert answer.user.id == user.id and len(people.list_sessions(user.id).data) == 3

        other = people.create_user(email=fresh())
        made = people.create_magic_auth(email=other.email)
        assert people.authenticate_with_magic_auth(code=made.code, email=other.email).user.id == other.id
        made = people.create_magic_auth(email="ben@example.com")
        assert people.get_magic_auth(made.id).code == made.code
        by_code = lambda: people.authenticate_with_magic_auth(code=made.code, email="ben@example.com")
        asked = self.refused(OrganizationSelectionRequiredError, by_code)
        chosen = people.authenticate_with_organization_selection(
            pending_authentication_token=asked.pending_authentication_token,
            organization_id=asked.organizations[0]["id"],
        )
        assert chosen.organization_id == asked.organizations[0]["id"]

    def test_redirects_are_listed(self) -> None:
        assert any(row.uri.endswith("/auth/callback") for row in people.list_redirect_uris().data)

    def test_factors_are_managed(self) -> None:
        factor = mfa.enroll_factor(type="totp", totp_issuer="Demo", totp_user="eve")
        challenge = mfa.challenge_factor(factor.id)
        assert challenge.expires_at is None
        assert mfa.verify_challenge(challenge.id, code=totp(factor.totp.secret)).valid
        assert mfa.get_factor(factor.id).totp.issuer == "Demo"
        mfa.delete_factor(factor.id)

    def test_keys_are_managed(self) -> None:
        acme = workos.organizations.list_organizations().data[-1]
        made = keys.create_organization_api_key(acme.id, name="Import", permissions=["reports:read"])
        assert keys.create_validation(value=made.value).api_key.owner.id == acme.id
        assert keys.create_validation(value="sk_none").api_key is None
        assert any(key.id == made.id for key in keys.list_organization_api_keys(acme.id).data)
        keys.create_api_key_expire(made.id)
        assert keys.create_validation(value=made.value).api_key is None
        keys.delete_api_key(made.id)

    def test_a_device_is_let_in(self) -> None:
        begun = people.create_device(client_id=CLIENT_ID)
        self.refused("authorization_pending", people.authenticate_with_device_code, device_code=begun.device_code)
        control("POST", f"devices/{begun.user_code}", {"user": "ada@example.com"})
        control("POST", "clock", {"advance_ms": 5000})
        first = people.authenticate_with_device_code(device_code=begun.device_code)
        assert first.user.email == "ada@example.com"
        with create_public_client(client_id=CLIENT_ID, base_url=URL) as terminal:
            second = terminal.user_management.authenticate_with_refresh_token(refresh_token=first.refresh_token)
        assert second.refresh_token != first.refresh_token and second.organization_id == first.organization_id

    def test_profiles_come_from_connections_and_links(self) -> None:
        url = workos.sso.get_authorization_url(redirect_uri=CALLBACK, connection="conn_01DEMOACME0000000000000000", login_hint="ada@example.com")
        answer = workos.sso.get_profile_and_token(code=visit(url)["code"])
        assert answer.profile.email == "ada@example.com"
        begun = workos.sso.get_authorization_url_with_pkce(redirect_uri=CALLBACK, provider="GoogleOAuth", login_hint="ada@example.com")
        code = visit(begun["url"])["code"]
        answer = workos.sso.get_profile_and_token_pkce(code=code, code_verifier=begun["code_verifier"])
        assert answer.profile.connection_type == "GoogleOAuth"
        link = workos.passwordless.create_session(email="ada@example.com", type="MagicLink", redirect_uri=CALLBACK)
        assert workos.passwordless.send_session(link.id)
        assert workos.sso.get_profile_and_token(code=visit(link.link)["code"]).profile.connection_type == "MagicLink"


if __name__ == "__main__":
    unittest.main()
