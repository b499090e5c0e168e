"""What the stories share: WorkOS' Python client, a browser that follows redirects, and the control interface."""

import json
import os
import unittest
import urllib.error
import urllib.parse
import urllib.request
import uuid

from workos import WorkOSClient
from workos._errors import APIError

URL = os.environ["EMULATOR_URL"].rstrip("/")
CLIENT_ID = "client_01DEMO00000000000000000000"
CALLBACK = "http://localhost:8080/auth/callback"
ACME = "org_01DEMOACME0000000000000000"
GLOBEX = "org_01DEMOGLOBEX00000000000000"

workos = WorkOSClient(api_key="sk_test_demo", client_id=CLIENT_ID, base_url=URL, max_retries=0)
people, memberships = workos.user_management, workos.organization_membership


class Story(unittest.TestCase):
    """A test with what these tests often say."""

    def refused(self, error: str | type[APIError], attempt, *arguments, **fields) -> APIError:
        """The call is refused, with this code or as this kind of error."""
        with self.assertRaises(APIError if isinstance(error, str) else error) as caught:
            attempt(*arguments, **fields)
        if isinstance(error, str):
            self.assertIn(error, (caught.exception.error, caught.exception.code))
        return caught.exception


class Arrived(Exception):
    """The browser has come to the application."""


class Browser(urllib.request.HTTPRedirectHandler):
    """Follows redirects and stops where the emulator sends the browser to the application."""

    def redirect_request(self, request, file, code, message, headers, url):
        if url.startswith(CALLBACK):
            raise Arrived(url)
        return super().redirect_request(request, file, code, message, headers, url)


def visit(url: str) -> dict:
    """Opens a URL; gives the parameters of the callback it leads to."""
    try:
        urllib.request.build_opener(Browser).open(url)
    except Arrived as arrived:
        return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(str(arrived)).query))
    raise AssertionError(f"the browser stayed at {url}")


def sign_in(email: str, organization_id: str | None = None):
    """Signs a person in by hint; gives what the client makes of the code."""
    started = people.get_authorization_url_with_pkce(
        redirect_uri=CALLBACK, provider="authkit", login_hint=email, organization_id=organization_id
    )
    answer = visit(started["url"])
    assert answer["state"] == started["state"]
    return people.authenticate_with_code(code=answer["code"], code_verifier=started["code_verifier"])


def control(method: str, path: str, body: object = None) -> dict:
    """A call of the control interface."""
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{URL}/_control/v1/{path}", data, method=method)) as answer:
        return json.load(answer)


def mail_to(address: str) -> dict:
    """The newest mail to an address."""
    return control("GET", f"inbox?to={urllib.parse.quote(address)}")["mails"][-1]


def totp(secret: str) -> str:
    """What an authenticator application shows at this moment."""
    return control("GET", f"totp?secret={secret}")["code"]


def fresh() -> str:
    """An address nobody has."""
    return f"{uuid.uuid4()}@example.com"
