//! Stands in for WorkOS in this folder's tests: a tiny server that answers as it is told, and a signer of
//! access tokens with the key set to match.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use url::Url;

use crate::auth::secret::Secret;
use crate::auth::session::Tokens;
use crate::auth::time::{Span, Timestamp};
use crate::clock::Clock;
use crate::workos::{Refreshed, Settings, WorkOs};

/// The time in these tests.
pub(crate) const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_253_400);
/// How long a test waits, in real time, for something that happens at once unless it is broken.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the peer does with a request.
pub(crate) enum Answer {
    /// Status, further header lines, body.
    Reply(u16, &'static str, Vec<u8>),
    /// These bytes and no more, then the end of the connection.
    Bytes(Vec<u8>),
    /// The end of the connection.
    HangUp,
    /// Nothing, for as long as the peer lives.
    Silence,
}

impl Answer {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::Reply(status, "content-type: application/json\r\n", body.to_string().into_bytes())
    }
}

/// A request as it was heard.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) line: String,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Heard {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn is_for_keys(&self) -> bool {
        self.line.starts_with("GET /sso/jwks/client_1 ")
    }
}

/// The server.
pub(crate) struct Peer {
    address: SocketAddr,
    heard: mpsc::Receiver<Heard>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Peer {
    /// A peer that asks `answer` what to do with each request.
    pub(crate) fn start(mut answer: impl FnMut(&Heard) -> Answer + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, heard) = mpsc::channel();
        let ended = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&ended);
        let thread = std::thread::spawn(move || {
            let mut silent = Vec::new();
            for stream in listener.incoming() {
                if end.load(Ordering::SeqCst) {
                    return;
                }
                let mut stream = stream.unwrap();
                let Some(request) = hear(&stream) else { continue };
                let answer = answer(&request);
                let _received = sender.send(request);
                if !give(&mut stream, answer) {
                    silent.push(stream);
                }
            }
        });
        Self { address, heard, ended, thread: Some(thread) }
    }

    /// A peer that has the key set and answers everything else with these, one after the other.
    pub(crate) fn scripted(answers: Vec<Answer>) -> Self {
        let mut answers = answers.into_iter();
        Self::start(move |heard| {
            if heard.is_for_keys() {
                return Answer::json(200, &jwks(&["key_1"]));
            }
            answers.next().unwrap_or_else(|| Answer::json(500, &json!({"message": "not in the script"})))
        })
    }

    pub(crate) fn base(&self) -> Url {
        Url::parse(&format!("http://{}", self.address)).unwrap()
    }

    /// The next request, waited for.
    pub(crate) fn next(&self) -> Heard {
        self.heard.recv_timeout(PATIENCE).unwrap()
    }

    /// The next request that is not for the key set, waited for.
    pub(crate) fn next_call(&self) -> Heard {
        std::iter::repeat_with(|| self.next()).find(|heard| !heard.is_for_keys()).unwrap()
    }

    /// What was heard and not asked for yet.
    pub(crate) fn rest(&self) -> Vec<Heard> {
        self.heard.try_iter().collect()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
        let _joined = self.thread.take().unwrap().join();
    }
}

fn hear(stream: &TcpStream) -> Option<Heard> {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut head = String::new();
    loop {
        let begin = head.len();
        reader.read_line(&mut head).ok()?;
        if head[begin..].trim().is_empty() {
            break;
        }
    }
    let head = head.to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    reader.read_exact(&mut body).ok()?;
    (!line.is_empty()).then_some(Heard { line, head, body })
}

/// Answers; tells whether the connection may be closed.
fn give(stream: &mut TcpStream, answer: Answer) -> bool {
    let bytes = match answer {
        Answer::Reply(status, headers, body) => {
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status} X\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n"
            );
            [head.into_bytes(), body].concat()
        }
        Answer::Bytes(bytes) => bytes,
        Answer::HangUp => Vec::new(),
        Answer::Silence => return false,
    };
    // The other side may have gone, having seen enough.
    let _written = stream.write_all(&bytes);
    true
}

/// The client for a peer.
pub(crate) fn client(peer: &Peer, clock: &Clock) -> WorkOs {
    WorkOs::new(settings(peer.base()), clock.clone()).unwrap()
}

pub(crate) fn settings(api_url: Url) -> Settings {
    Settings {
        api_url,
        client_id: "client_1".into(),
        api_key: Secret::new("sk_canary_key".into()),
        issuers: vec!["https://api.workos.com".into()],
        request_timeout: Span::from_secs(5),
        allow_http: false,
    }
}

/// Runs `work` on a runtime of its own, with the client's key-set task beside it.
pub(crate) fn drive<F: Future>(client: &WorkOs, work: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let keys = client.keys().clone();
    runtime.block_on(async move {
        let task = tokio::spawn(async move { keys.run(std::future::pending()).await });
        let output = work.await;
        task.abort();
        output
    })
}

static KEY: LazyLock<KeyPair> = LazyLock::new(|| KeyPair::generate(KeySize::Rsa2048).unwrap());

/// A key set in which the one key stands under each of these ids.
pub(crate) fn jwks(kids: &[&str]) -> Value {
    // RFC 8017 A.1.1: 30 82 .. .. | 02 82 01 01 00 n | 02 03 e, for 2048 bits and e = 65537.
    let der = KEY.public_key().as_ref();
    let (n, e) = (URL_SAFE_NO_PAD.encode(&der[9..265]), URL_SAFE_NO_PAD.encode(&der[267..270]));
    let key = |kid: &&str| json!({"kty": "RSA", "use": "sig", "alg": "RS256", "kid": kid, "n": n, "e": e});
    json!({"keys": kids.iter().map(key).collect::<Vec<_>>()})
}

/// An access token of user_1, signed under this key id, good for five minutes.
pub(crate) fn access_token(kid: &str) -> String {
    let issued = NOW.unix_seconds();
    let payload = json!({
        "iss": "https://api.workos.com", "sub": "user_1", "sid": "session_1", "jti": "01J9",
        "org_id": "org_1", "auth_time": issued, "iat": issued, "exp": issued + 300,
    });
    signed(kid, &payload)
}

pub(crate) fn signed(kid: &str, payload: &Value) -> String {
    let header = json!({"alg": "RS256", "typ": "JWT", "kid": kid});
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", part(&header), part(payload));
    let mut signature = vec![0; KEY.public_modulus_len()];
    let random = aws_lc_rs::rand::SystemRandom::new();
    KEY.sign(&RSA_PKCS1_SHA256, &random, text.as_bytes(), &mut signature).unwrap();
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// A good answer to a code or a refresh token.
pub(crate) fn authenticated(kid: &str) -> Value {
    json!({
        "user": {
            "object": "user", "id": "user_1", "email": "ada@example.com", "email_verified": true,
            "first_name": "Ada", "last_name": "Byron", "profile_picture_url": null,
        },
        "organization_id": "org_1",
        "access_token": access_token(kid),
        "refresh_token": "canary_refresh_2",
        "authentication_method": "GoogleOAuth",
        "impersonator": {"email": "support@vendor.example", "reason": "Ticket 4411"},
    })
}

/// The tokens of a renewal that verified.
pub(crate) fn verified(refreshed: Refreshed) -> Tokens {
    match refreshed {
        Refreshed::Tokens(tokens) => *tokens,
        Refreshed::Unverified(_, error) => panic!("not verified: {error}"),
    }
}
