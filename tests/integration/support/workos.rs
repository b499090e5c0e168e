//! WorkOS as the tests know it: the emulator, what was asked of it, and what shall go wrong with it.

use std::io::Write as _;

use serde_json::{Value, json};
use vestibule::auth::time::{Span, Timestamp};
use workos_emulator::{DEMO_API_KEY, DEMO_CLIENT_ID, Emulator, Seed, Settings};

use crate::support::patience;
use crate::support::wire::{Address, Reader, Response};

/// `POST /user_management/authenticate`.
pub(crate) const AUTHENTICATE: &str = "/user_management/authenticate";
/// `POST /user_management/sessions/revoke`.
pub(crate) const REVOKE: &str = "/user_management/sessions/revoke";

/// The emulator, with its clock standing still until the world moves it.
pub(crate) struct WorkOs {
    _emulator: Emulator,
    address: Address,
    url: String,
}

/// A call that was made, as the emulator's journal has it.
#[derive(Debug, Clone)]
pub(crate) struct Call(pub(crate) Value);

impl Call {
    pub(crate) fn path(&self) -> &str {
        self.0["path"].as_str().unwrap_or_default()
    }

    pub(crate) fn grant_type(&self) -> Option<&str> {
        self.0["grant_type"].as_str()
    }

    /// A field of the body; secrets are not there.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.0["fields"][name].as_str()
    }

    /// A parameter of the query; secrets are not there.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.0["query"][name].as_str()
    }

    /// When it came.
    pub(crate) fn at(&self) -> Timestamp {
        Timestamp::from_unix_millis(self.0["at_ms"].as_i64().unwrap())
    }

    /// Was it answered, or dropped on purpose?
    pub(crate) fn is_over(&self) -> bool {
        self.0["outcome"] != "unanswered"
    }
}

impl WorkOs {
    pub(crate) fn start(seed: Seed, now: Timestamp) -> Self {
        let virtual_time_ms = Some(u64::try_from(now.unix_millis()).unwrap());
        Self::start_with(Settings { seed, virtual_time_ms, ..Settings::default() })
    }

    /// With the system's time, for programs that run by it.
    pub(crate) fn in_real_time(seed: Seed) -> Self {
        Self::start_with(Settings { seed, ..Settings::default() })
    }

    fn start_with(settings: Settings) -> Self {
        let emulator = Emulator::start(settings).unwrap();
        let (address, url) = (Address::Tcp(emulator.addr()), emulator.url());
        Self { _emulator: emulator, address, url }
    }

    /// Where it listens.
    pub(crate) const fn address(&self) -> &Address {
        &self.address
    }

    /// Its address as an origin: what `workos.api_url` says.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// A call of its control interface; see the emulator's manual.
    pub(crate) fn control(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let response = self.call(method, &format!("/_control/v1/{path}"), body);
        assert!(response.status < 300, "{method} {path}: {response:?}");
        response.json()
    }

    /// A call of its API under the key of the default client, as an operator's script makes it. An answer without
    /// content is `null`.
    pub(crate) fn management(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let response = self.call(method, path, body);
        assert!(response.status < 300, "{method} {path}: {response:?}");
        if response.body.is_empty() { Value::Null } else { response.json() }
    }

    /// The same, whatever the answer is.
    pub(crate) fn answer(&self, method: &str, path: &str, body: Option<&Value>) -> Response {
        self.call(method, path, body)
    }

    /// The mails to this address, the oldest first.
    pub(crate) fn mails_to(&self, email: &str) -> Vec<Value> {
        match self.control("GET", &format!("inbox?to={email}"), None)["mails"].take() {
            Value::Array(mails) => mails,
            other => panic!("no mails: {other}"),
        }
    }

    fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Response {
        let body = body.map(Value::to_string).unwrap_or_default();
        let message = format!(
            "{method} {path} HTTP/1.1\r\nHost: control\r\nContent-Type: application/json\r\n\
             Authorization: Bearer {DEMO_API_KEY}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = self.address.connect().unwrap();
        stream.write_all(message.as_bytes()).unwrap();
        Reader::new(stream).response(method).unwrap()
    }

    /// Its public keys for a client.
    pub(crate) fn published_keys(&self, client_id: &str) -> Value {
        self.call("GET", &format!("/sso/jwks/{client_id}"), None).json()
    }

    /// What a program gets when this person lets it in: the answer with its tokens.
    pub(crate) fn program_of(&self, email: &str, organization: Option<&str>) -> Value {
        let client = json!({ "client_id": DEMO_CLIENT_ID });
        let device = self.call("POST", "/user_management/authorize/device", Some(&client)).json();
        let code = device["user_code"].as_str().unwrap();
        self.lets_in(code, email, organization);
        let grant = json!({
            "client_id": DEMO_CLIENT_ID, "device_code": device["device_code"],
            "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
        });
        let answer = self.call("POST", AUTHENTICATE, Some(&grant));
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// Somebody confirms the code that a terminal shows.
    pub(crate) fn lets_in(&self, code: &str, email: &str, organization: Option<&str>) {
        let mut wanted = json!({ "user": email });
        if let Some(organization) = organization {
            wanted["organization"] = json!(organization);
        }
        self.control("POST", &format!("devices/{code}"), Some(&wanted));
    }

    pub(crate) fn advance(&self, span: Span) {
        self.control("POST", "clock", Some(&json!({ "advance_ms": span.as_millis() })));
    }

    /// Every call so far.
    pub(crate) fn calls(&self) -> Vec<Call> {
        let Value::Array(calls) = self.control("GET", "requests", None)["requests"].take() else {
            panic!("no journal")
        };
        calls.into_iter().map(Call).collect()
    }

    /// The calls of this path.
    pub(crate) fn calls_of(&self, path: &str) -> Vec<Call> {
        let mut calls = self.calls();
        calls.retain(|call| call.path() == path);
        calls
    }

    /// The refreshes so far.
    pub(crate) fn refreshes(&self) -> Vec<Call> {
        self.grants("refresh_token")
    }

    /// The codes that were redeemed, or tried to be.
    pub(crate) fn exchanges(&self) -> Vec<Call> {
        self.grants("authorization_code")
    }

    fn grants(&self, grant_type: &str) -> Vec<Call> {
        let mut calls = self.calls_of(AUTHENTICATE);
        calls.retain(|call| call.grant_type() == Some(grant_type));
        calls
    }

    /// The sessions that were revoked by API.
    pub(crate) fn revocations(&self) -> Vec<Call> {
        self.calls_of(REVOKE)
    }

    /// Waits until so many refreshes have come, answered or not.
    pub(crate) fn wait_for_refreshes(&self, count: usize) {
        patience::until(&format!("{count} refreshes"), || self.refreshes().len() >= count);
    }

    /// Waits until so many codes have come, answered or not.
    pub(crate) fn wait_for_exchanges(&self, count: usize) {
        patience::until(&format!("{count} exchanges"), || self.exchanges().len() >= count);
    }

    /// Forgets the calls so far.
    pub(crate) fn forget(&self) {
        self.control("DELETE", "requests", None);
    }

    /// Queues a fault, in the words of the emulator's manual.
    pub(crate) fn fault(&self, rule: &Value) {
        self.control("POST", "faults", Some(rule));
    }

    /// The next call of this path and grant has this fault.
    pub(crate) fn strikes(&self, grant_type: &str, fault: &Value) {
        self.fault(&json!({ "path": AUTHENTICATE, "grant_type": grant_type, "fault": fault }));
    }

    /// The next refresh has this fault.
    pub(crate) fn next_refresh(&self, fault: &Value) {
        self.strikes("refresh_token", fault);
    }

    /// The next code exchange has this fault.
    pub(crate) fn next_exchange(&self, fault: &Value) {
        self.strikes("authorization_code", fault);
    }

    /// Every refresh from now on has this fault.
    pub(crate) fn every_refresh(&self, fault: &Value) {
        let rule =
            json!({ "path": AUTHENTICATE, "grant_type": "refresh_token", "times": null, "fault": fault });
        self.fault(&rule);
    }

    /// Closes every connection without an answer from now on.
    pub(crate) fn goes_down(&self) {
        self.fault(&json!({ "path": "/*", "times": null, "fault": { "drop_before": true } }));
    }

    /// Drops every fault and lets go on what hangs.
    pub(crate) fn recovers(&self) {
        self.control("DELETE", "faults", None);
    }

    /// The next callback brings this error instead of a code.
    pub(crate) fn next_callback_fails(&self, error: &str, description: &str) {
        let body = json!({ "error": error, "error_description": description });
        self.control("POST", "callback_error", Some(&body));
    }

    /// The next callback has no `state`.
    pub(crate) fn next_callback_has_no_state(&self) {
        self.control("POST", "callback_without_state", None);
    }

    /// Changes fields of a person.
    pub(crate) fn change_user(&self, email: &str, fields: &Value) {
        self.control("POST", &format!("users/{email}"), Some(fields));
    }

    /// Changes what a person has in an organization: `roles`, `permissions`, …
    pub(crate) fn set_membership(&self, email: &str, fields: &Value) {
        self.control("POST", &format!("users/{email}/memberships"), Some(fields));
    }

    /// Ends a session at WorkOS.
    pub(crate) fn revoke(&self, session_id: &str) {
        self.control("POST", &format!("sessions/{session_id}/revoke"), None);
    }

    /// Everything the emulator knows.
    pub(crate) fn state(&self) -> Value {
        self.control("GET", "state", None)
    }

    /// Every session, newest last.
    pub(crate) fn sessions(&self) -> Vec<Value> {
        let Value::Array(sessions) = self.state()["sessions"].take() else { panic!("no sessions") };
        sessions
    }
}
