//! A program and a browser that talk to the emulator in plain HTTP/1.1.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use url::Url;

use crate::ids;
use crate::{DEMO_API_KEY, DEMO_CLIENT_ID, Emulator, Settings};

pub(super) const CALLBACK: &str = "http://localhost:8080/auth/callback";
pub(super) const VERIFIER: &str = "a-verifier-of-at-least-forty-three-characters~";
/// The frozen instant at which every story begins.
pub(super) const BEGINNING_MS: u64 = 1_800_000_000_000;

/// An emulator whose time stands still, and someone to talk to it.
pub(super) struct World {
    emulator: Emulator,
}

/// What came back over the connection.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    head: String,
    pub(super) body: String,
}

impl World {
    pub(super) fn new() -> Self {
        Self::with(Settings { virtual_time_ms: Some(BEGINNING_MS), ..Settings::default() })
    }

    pub(super) fn with(settings: Settings) -> Self {
        Self { emulator: Emulator::start(settings).unwrap() }
    }

    pub(super) fn url(&self) -> String {
        self.emulator.url()
    }

    /// Sends a request; `None` when the connection closes before a whole head has come.
    pub(super) fn try_send(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Option<Answer> {
        let mut stream = TcpStream::connect(self.emulator.addr()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut request = format!("{method} {target} HTTP/1.1\r\nhost: emulator\r\nconnection: close\r\n");
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        request += &format!("content-length: {}\r\n\r\n{body}", body.len());
        stream.write_all(request.as_bytes()).unwrap();
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some(Answer { status, head: head.to_owned(), body: body.to_owned() })
    }

    pub(super) fn send(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        self.try_send(method, target, headers, body).expect("an answer")
    }

    pub(super) fn get(&self, target: &str) -> Answer {
        self.send("GET", target, &[], "")
    }

    /// A management call with the API key.
    pub(super) fn managed(&self, method: &str, target: &str, body: &Value) -> Answer {
        let key = format!("Bearer {DEMO_API_KEY}");
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.send(method, target, &[("authorization", &key), ("content-type", "application/json")], &body)
    }

    pub(super) fn control(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = self.send(method, &format!("/_control/v1/{path}"), &[], &body);
        assert!(answer.status < 300, "{answer:?}");
        answer.json()
    }

    /// A management call that succeeds: its body.
    pub(super) fn manage(&self, method: &str, target: &str, body: &Value) -> Value {
        let answer = self.managed(method, target, body);
        assert!((200..300).contains(&answer.status), "{method} {target}: {answer:?}");
        if answer.body.is_empty() { Value::Null } else { answer.json() }
    }

    /// The newest mail to an address.
    pub(super) fn mail_to(&self, address: &str) -> Value {
        let mails = self.control("GET", &format!("inbox?to={address}"), &Value::Null);
        mails["mails"].as_array().unwrap().last().expect("a mail").clone()
    }

    pub(super) fn advance(&self, seconds: u64) {
        self.control("POST", "clock", &json!({ "advance_ms": seconds * 1000 }));
    }

    /// Goes to the authorization endpoint with the usual parameters and these.
    pub(super) fn authorize(&self, more: &[(&str, &str)], cookie: &str) -> Answer {
        self.get_with_cookie(&authorize_target(more), cookie)
    }

    pub(super) fn get_with_cookie(&self, target: &str, cookie: &str) -> Answer {
        self.send("GET", target, &[("cookie", cookie)], "")
    }

    /// Presses a button of the hosted page.
    pub(super) fn submit(&self, page: &str, fields: &[(&str, &str)]) -> Answer {
        let target = &page[page.find("/user_management").unwrap()..];
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.send("POST", target, &[("content-type", "application/x-www-form-urlencoded")], &body)
    }

    /// The code at the end of a sign-in by hint.
    pub(super) fn code_for(&self, email: &str) -> String {
        self.authorize(&[("login_hint", email)], "").callback("code").unwrap()
    }

    pub(super) fn exchange(&self, code: &str, verifier: &str) -> Answer {
        self.authenticate(
            &json!({ "grant_type": "authorization_code", "code": code, "code_verifier": verifier }),
        )
    }

    pub(super) fn refresh(&self, token: &str) -> Answer {
        self.authenticate(&json!({ "grant_type": "refresh_token", "refresh_token": token }))
    }

    /// Calls the token endpoint as the demo's client; `fields` may override that.
    pub(super) fn authenticate(&self, fields: &Value) -> Answer {
        let mut body = json!({ "client_id": DEMO_CLIENT_ID, "client_secret": DEMO_API_KEY });
        for (name, value) in fields.as_object().unwrap() {
            body[name] = value.clone();
        }
        let headers = [("content-type", "application/json")];
        self.send("POST", "/user_management/authenticate", &headers, &body.to_string())
    }

    /// Signs someone in: the answer of the token endpoint.
    pub(super) fn sign_in(&self, email: &str) -> Value {
        self.exchange(&self.code_for(email), VERIFIER).ok()
    }

    /// Checks the signature against the published keys; returns the claims.
    pub(super) fn verified_claims(&self, tokens: &Value) -> Value {
        let token = tokens["access_token"].as_str().unwrap();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let (header, claims) = signed.split_once('.').unwrap();
        let header: Value = serde_json::from_slice(&decode(header)).unwrap();
        assert_eq!(header["alg"], "RS256");
        let keys = self.get(&format!("/sso/jwks/{DEMO_CLIENT_ID}")).ok();
        let keys = keys["keys"].as_array().unwrap();
        let key = keys.iter().find(|key| key["kid"] == header["kid"]).expect("the key is published");
        let n = decode(key["n"].as_str().unwrap());
        let e = decode(key["e"].as_str().unwrap());
        assert_eq!(n.len(), 256);
        let key = RsaPublicKeyComponents { n, e };
        key.verify(&RSA_PKCS1_2048_8192_SHA256, signed.as_bytes(), &decode(signature)).unwrap();
        serde_json::from_slice(&decode(claims)).unwrap()
    }

    /// Waits, in real time, until the journal says so: other threads are at work.
    pub(super) fn wait_for(&self, what: &str, seen: impl Fn(&Value) -> bool) {
        let patience = Instant::now() + Duration::from_secs(20);
        while !seen(&self.control("GET", "requests", &Value::Null)) {
            assert!(Instant::now() < patience, "{what}");
            std::thread::yield_now();
        }
    }
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The body of a `200`.
    pub(super) fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{self:?}");
        self.json()
    }

    /// Status, and `error` or `code`.
    pub(super) fn error(&self) -> (u16, String) {
        let body = self.json();
        let name = body.get("error").or_else(|| body.get("code")).unwrap_or(&body["message"]);
        (self.status, name.as_str().unwrap().to_owned())
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub(super) fn location(&self) -> &str {
        self.header("location").unwrap_or_else(|| panic!("no location: {self:?}"))
    }

    /// A query parameter of the callback this answer redirects to.
    pub(super) fn callback(&self, name: &str) -> Option<String> {
        assert!(self.location().starts_with(CALLBACK), "{self:?}");
        let url = Url::parse(self.location()).unwrap();
        url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }

    /// The cookie this answer sets, as the browser sends it back.
    pub(super) fn cookie(&self) -> String {
        self.header("set-cookie").unwrap().split(';').next().unwrap().to_owned()
    }
}

pub(super) fn authorize_target(more: &[(&str, &str)]) -> String {
    let challenge = ids::s256(VERIFIER);
    let mut parameters = vec![
        ("client_id", DEMO_CLIENT_ID),
        ("redirect_uri", CALLBACK),
        ("response_type", "code"),
        ("provider", "authkit"),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ];
    parameters.retain(|(name, _)| !more.iter().any(|(other, _)| name == other));
    parameters.extend(more.iter().filter(|(_, value)| !value.is_empty()));
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    format!("/user_management/authorize?{query}")
}

pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn decode(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}
