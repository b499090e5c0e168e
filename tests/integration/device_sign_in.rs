//! People at a terminal: `vestibule login`, `token` and `logout`, run as programs of their own against a Vestibule
//! that serves, with WorkOS beside them.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use vestibule::auth::time::Span;

use crate::support::Response;
use crate::support::in_process::InProcess;
use crate::support::installation::{Installation, Served, now};
use crate::support::patience;
use crate::support::program::{Outcome, Program};
use crate::support::upstream::{Answer, Nobody, Upstream};
use crate::support::wire::{Address, Reader};

/// How long WorkOS wants terminals to wait between two questions.
const INTERVAL: Span = Span::from_secs(5);
const BEARER: &str = "[[bearer]]\nkind = \"workos_session\"\n";

/// A Vestibule that serves at an address of this machine, and somebody's terminal.
struct Terminal {
    installation: Installation,
    served: Served,
    url: String,
}

impl Terminal {
    fn with(overlay: &str) -> Self {
        // Free a moment ago; the address is to be known before the program has it.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let url = format!("http://127.0.0.1:{port}");
        let server = format!("[server]\nlisten = \"127.0.0.1:{port}\"\npublic_url = \"{url}\"\n");
        let installation = Installation::with(&server);
        let mut table = installation.table().clone();
        crate::support::config::lay_over(&mut table, overlay);
        installation.write("vestibule.toml", &toml::to_string(&table).unwrap());
        let served = installation.serve();
        Self { installation, served, url }
    }

    fn start() -> Self {
        Self::with(BEARER)
    }

    fn state(&self) -> PathBuf {
        self.installation.folder().join("state")
    }

    fn begin(&self, arguments: &[&str]) -> Program {
        let state = self.state();
        let variables = [("XDG_STATE_HOME", state.to_str().unwrap())];
        Program::start(self.installation.folder(), arguments, &variables)
    }

    fn run(&self, arguments: &[&str]) -> Outcome {
        self.begin(arguments).outcome()
    }

    /// Begins to sign in; the pauses between two questions are the story's.
    fn begin_login(&self, more: &[&str]) -> InProcess {
        let state = self.state();
        InProcess::start(&[&["login"], more].concat(), &[("XDG_STATE_HOME", state.to_str().unwrap())])
    }

    /// The code that is shown.
    fn code(login: &InProcess) -> String {
        let shown = || {
            let lines = login.err_lines().join("\n");
            let (_, rest) = lines.split_once("show the code ")?;
            Some(rest.split('.').next()?.to_owned())
        };
        patience::until_some("a code", shown)
    }

    fn login_as(&self, email: &str, organization: &str, more: &[&str]) -> Outcome {
        let login = self.begin_login(&[&[self.url.as_str()], more].concat());
        self.installation.workos.lets_in(&Self::code(&login), email, Some(organization));
        login.passes(INTERVAL);
        login.outcome()
    }

    fn login(&self) {
        let outcome = self.login_as("ada@example.com", "Acme", &[]);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
    }

    fn token(&self) -> Outcome {
        self.run(&["token", &self.url])
    }

    fn file(&self) -> PathBuf {
        let files = fs::read_dir(self.state().join("vestibule")).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<PathBuf> =
            files.filter(|path| path.extension().is_some_and(|kind| kind == "json")).collect();
        assert_eq!(files.len(), 1, "{files:?}");
        files.remove(0)
    }

    fn kept(&self) -> Value {
        serde_json::from_str(&fs::read_to_string(self.file()).unwrap()).unwrap()
    }

    /// The kept token ends so many seconds from now.
    fn ends_in(&self, seconds: i64) {
        let mut kept = self.kept();
        kept["issued_at"] = json!(now().unix_seconds() + seconds - 300);
        kept["expires_at"] = json!(now().unix_seconds() + seconds);
        fs::write(self.file(), kept.to_string()).unwrap();
    }

    /// What `curl -H "Authorization: Bearer $(vestibule token URL)" URL/path` gets.
    fn curl(&self, path: &str) -> Response {
        let token = self.token();
        assert_eq!((token.code, token.err.as_str()), (Some(0), ""), "{token:?}");
        get(&self.served.address, path, &token.out)
    }

    fn refreshes(&self) -> usize {
        self.installation.workos.refreshes().len()
    }
}

fn get(address: &Address, path: &str, token: &str) -> Response {
    let mut stream = address.connect().unwrap();
    let message = format!(
        "GET {path} HTTP/1.1\r\nHost: app\r\nAuthorization: Bearer {token}\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(message.as_bytes()).unwrap();
    Reader::new(stream).response("GET").unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn somebody_signs_in_at_a_terminal_uses_a_token_and_signs_out() {
    let terminal = Terminal::start();
    let program = terminal.begin_login(&[&format!("{}/some/page?x=1", terminal.url)]);
    let code = Terminal::code(&program);
    let page = format!("{}/user_management/device?user_code={code}", terminal.installation.workos.url());
    assert!(program.err_lines().join("\n").contains(&page), "the page to open is shown");
    terminal.installation.workos.lets_in(&code, "ada@example.com", Some("Acme"));
    program.passes(INTERVAL);
    let login = program.outcome();
    assert_eq!((login.code, login.out.as_str()), (Some(0), ""), "{login:?}");
    assert!(login.err.contains("signed in to") && login.err.contains("ada@example.com"), "{}", login.err);

    let file = terminal.file();
    assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
    let kept = terminal.kept();
    for secret in ["access_token", "refresh_token"] {
        assert!(!login.err.contains(kept[secret].as_str().unwrap()), "{secret} is not said");
    }

    let response = terminal.curl("/admin/x");
    assert_eq!(response.status, 200, "{response:?}");
    let seen = terminal.installation.upstream.last();
    assert_eq!(seen.header("x-forwarded-email"), Some("ada@example.com"));
    assert!(!seen.headers.has("authorization"));
    assert_eq!(terminal.refreshes(), 0, "it was fresh");

    let logout = terminal.run(&["logout", &terminal.url]);
    assert_eq!((logout.code, logout.out.as_str()), (Some(0), ""), "{logout:?}");
    assert!(!file.exists());
    let session = terminal.installation.workos.sessions().pop().unwrap();
    assert_eq!(session["status"], "revoked", "{session}");
    assert_eq!(terminal.run(&["logout", &terminal.url]).code, Some(0));
    let gone = terminal.token();
    assert_eq!((gone.code, gone.out.as_str()), (Some(1), ""));
    assert!(gone.err.contains("vestibule login"), "{}", gone.err);
}

#[test]
fn scripts_that_run_side_by_side_renew_once() {
    let terminal = Terminal::start();
    terminal.login();
    let before = terminal.kept();
    terminal.ends_in(30);
    let outcomes: Vec<Outcome> = thread::scope(|scope| {
        let run = |_| scope.spawn(|| terminal.token());
        let running: Vec<_> = (0..20).map(run).collect();
        running.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(terminal.refreshes(), 1);
    let after = terminal.kept();
    assert_ne!(before["refresh_token"], after["refresh_token"]);
    for outcome in &outcomes {
        assert_eq!((outcome.code, outcome.err.as_str()), (Some(0), ""), "{outcome:?}");
        assert_eq!(outcome.out, after["access_token"].as_str().unwrap());
    }
    assert_eq!(mode(&terminal.file()), 0o600);
    let renewed = terminal.run(&["token", &terminal.url, "--renew"]);
    assert_eq!((renewed.code, terminal.refreshes()), (Some(0), 2), "{renewed:?}");
    let refresh = terminal.installation.workos.refreshes().pop().unwrap();
    assert_eq!(refresh.field("client_secret"), None);
    assert_eq!(refresh.field("organization_id"), after["organization_id"].as_str());
}

#[test]
fn trouble_at_workos_costs_nobody_a_token_that_is_good() {
    let terminal = Terminal::start();
    terminal.login();
    let kept = terminal.kept();
    terminal.ends_in(30);
    terminal.installation.workos.next_refresh(&json!({ "drop_reply": true }));
    let replayed = terminal.token();
    assert_eq!((replayed.code, replayed.err.as_str()), (Some(0), ""), "a lost reply is asked for again");
    assert_ne!(terminal.kept()["refresh_token"], kept["refresh_token"]);

    terminal.ends_in(30);
    let known = terminal.kept();
    terminal.installation.workos.every_refresh(&json!({ "status": 503 }));
    let old = terminal.token();
    assert_eq!((old.code, old.out.as_str()), (Some(0), known["access_token"].as_str().unwrap()), "{old:?}");
    assert!(old.err.contains("could not be renewed"), "{}", old.err);
    terminal.ends_in(-1);
    let over = terminal.token();
    assert_eq!((over.code, over.out.as_str()), (Some(69), ""), "{over:?}");
    assert_eq!(terminal.kept()["refresh_token"], known["refresh_token"], "nothing is forgotten");

    terminal.installation.workos.recovers();
    let session = terminal.installation.workos.sessions().pop().unwrap();
    terminal.installation.workos.revoke(session["id"].as_str().unwrap());
    let file = terminal.file();
    let ended = terminal.token();
    assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""), "{ended:?}");
    assert!(ended.err.contains("vestibule login") && !file.exists(), "{}", ended.err);
}

#[test]
fn a_sign_in_that_comes_to_nothing_says_why_and_keeps_nothing() {
    let terminal = Terminal::start();
    let program = terminal.begin_login(&[&terminal.url]);
    let code = Terminal::code(&program);
    terminal.installation.workos.control("POST", &format!("devices/{code}"), Some(&json!({ "deny": true })));
    program.passes(INTERVAL);
    let denied = program.outcome();
    assert_eq!((denied.code, denied.out.as_str()), (Some(1), ""), "{denied:?}");
    assert!(denied.err.contains("denied"), "{}", denied.err);

    let authorize = "/user_management/authorize/device";
    let not_enabled =
        json!({ "status": 403, "body": { "error": "access_denied", "error_description": "x" } });
    terminal.installation.workos.fault(&json!({ "path": authorize, "fault": not_enabled }));
    let disabled = terminal.run(&["login", &terminal.url]);
    assert_eq!(disabled.code, Some(1), "{disabled:?}");
    assert!(disabled.err.contains("access_denied") && disabled.err.contains("CLI Auth"), "{}", disabled.err);

    terminal.installation.workos.fault(&json!({ "path": authorize, "fault": { "drop_before": true } }));
    assert_eq!(terminal.run(&["login", &terminal.url]).code, Some(69));
    let left = fs::read_dir(terminal.state().join("vestibule")).unwrap().map(|entry| entry.unwrap().path());
    assert!(left.into_iter().all(|path| path.extension().is_some_and(|kind| kind == "lock")));
}

#[test]
fn one_organization_of_several_is_chosen() {
    let terminal = Terminal::start();
    let globex = "org_01DEMOGLOBEX00000000000000";
    let login = terminal.login_as("ben@example.com", "Acme", &["--organization-id", globex]);
    assert_eq!(login.code, Some(0), "{login:?}");
    assert!(login.err.contains(globex), "{}", login.err);
    assert_eq!(terminal.curl("/work").status, 200);
    let seen = terminal.installation.upstream.last();
    assert_eq!(seen.header("x-workos-organization-id"), Some(globex));
    let kept = terminal.kept();
    let stranger = terminal.login_as("ada@example.com", "Acme", &["--organization-id", globex]);
    assert_eq!(stranger.code, Some(1), "{stranger:?}");
    assert_eq!(terminal.kept(), kept, "what was kept before is still there");
}

#[test]
fn our_endpoints_are_found_wherever_they_are() {
    let terminal = Terminal::with(&format!("{BEARER}[server]\nauth_path = \"/our/door\""));
    terminal.login();
    assert_eq!(terminal.curl("/work").status, 200);
    let login = terminal.login_as("ada@example.com", "Acme", &["--auth-path", "/our/door"]);
    assert_eq!(login.code, Some(0), "{login:?}");
    let elsewhere = terminal.run(&["login", &terminal.url, "--auth-path", "/auth"]);
    assert_eq!(elsewhere.code, Some(69), "{elsewhere:?}");
}

#[test]
fn what_is_no_application_of_ours_is_told_apart() {
    let closed = Terminal::with("");
    let useless = closed.run(&["login", &closed.url]);
    assert_eq!(useless.code, Some(69), "{useless:?}");
    assert!(useless.err.contains("[[bearer]]"), "{}", useless.err);
    let bare = closed.run(&["login", &closed.installation.upstream.url()]);
    assert_eq!(bare.code, Some(69), "{bare:?}");
    assert!(bare.err.contains("--auth-path"), "{}", bare.err);
    for odd in ["app.example.com", "ftp://app.example.com", "http://app.example.com"] {
        assert_eq!(closed.run(&["login", odd]).code, Some(64), "{odd}");
    }
    let nobody = Program::run(closed.installation.folder(), &["token", &closed.url], &[]);
    assert_eq!(nobody.code, Some(78), "{nobody:?}");
}

#[test]
fn the_document_for_terminals_is_public_and_holds_no_secret() {
    let terminal = Terminal::start();
    let response = terminal.served.call("GET", "/auth/.well-known/vestibule");
    assert_eq!(response.status, 200);
    assert_eq!(response.header("cache-control"), Some("public, max-age=300"));
    let document = response.json();
    assert_eq!(document["auth_path"], "/auth");
    assert_eq!(document["public_url"], terminal.url);
    assert_eq!(document["workos_api_url"], terminal.installation.workos.url());
    assert_eq!(document["bearers"], json!(["workos_session"]));
    assert!(document["client_id"].as_str().unwrap().starts_with("client_"));
    assert!(!response.text().contains("sk_"));
    assert_eq!(terminal.served.call("POST", "/auth/.well-known/vestibule").status, 405);
}

#[test]
fn what_could_not_be_kept_is_not_asked_for() {
    let terminal = Terminal::start();
    let state = terminal.installation.write("state", "no directory");
    let nowhere = terminal.run(&["login", &terminal.url]);
    assert_eq!((nowhere.code, nowhere.out.as_str()), (Some(70), ""), "{nowhere:?}");
    assert!(
        nowhere.err.contains("/state/vestibule") && !nowhere.err.contains("Open this page"),
        "{nowhere:?}"
    );
    fs::remove_file(state).unwrap();

    terminal.login();
    let known = terminal.kept();
    terminal.ends_in(30);
    let beside = terminal.file().with_extension("new");
    fs::create_dir(&beside).unwrap();
    let good = terminal.token();
    assert_eq!(
        (good.code, good.out.as_str()),
        (Some(0), known["access_token"].as_str().unwrap()),
        "{good:?}"
    );
    assert!(good.err.contains("not renewed and ends soon"), "{good:?}");
    terminal.ends_in(-1);
    let over = terminal.token();
    assert_eq!((over.code, over.out.as_str()), (Some(70), ""), "{over:?}");
    assert_eq!(terminal.refreshes(), 0, "a renewal would have spent the token for nothing");
    fs::remove_dir(&beside).unwrap();
    assert_eq!((terminal.token().code, terminal.refreshes()), (Some(0), 1));
}

#[test]
fn a_session_whose_tokens_find_no_place_is_ended() {
    let terminal = Terminal::start();
    let login = terminal.begin_login(&[&terminal.url]);
    terminal.installation.workos.lets_in(&Terminal::code(&login), "ada@example.com", Some("Acme"));
    fs::remove_dir_all(terminal.state()).unwrap();
    terminal.installation.write("state", "no directory");
    login.passes(INTERVAL);
    let outcome = login.outcome();
    assert_eq!(outcome.code, Some(70), "{outcome:?}");
    assert!(outcome.err.contains("not signed in: "), "{outcome:?}");
    let session = terminal.installation.workos.sessions().pop().unwrap();
    assert_eq!(session["status"], "revoked", "{session}");
}

#[test]
fn damaged_tokens_and_locks_of_the_dead_stop_nobody_from_signing_in_again() {
    let terminal = Terminal::start();
    terminal.login();
    let file = terminal.file();
    let whole = fs::read_to_string(&file).unwrap();
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    let damaged = terminal.token();
    assert_eq!((damaged.code, damaged.out.as_str()), (Some(70), ""), "{damaged:?}");
    assert!(damaged.err.contains("sign in again"), "{damaged:?}");
    terminal.login();
    assert_eq!(terminal.token().code, Some(0));

    // Whoever is killed while they hold the lock holds nothing any more.
    terminal.ends_in(30);
    let lock = file.with_extension("lock");
    let line = format!("exec 9>'{}'; flock 9; echo held; exec sleep 600", lock.display());
    let mut holder = Command::new("sh").args(["-c", &line]).stdout(Stdio::piped()).spawn().unwrap();
    let mut told = [0; 4];
    holder.stdout.take().unwrap().read_exact(&mut told).unwrap();
    let waiting = terminal.begin(&["token", &terminal.url]);
    holder.kill().unwrap();
    holder.wait().unwrap();
    let outcome = waiting.outcome();
    assert_eq!((outcome.code, terminal.refreshes()), (Some(0), 1), "{outcome:?}");
    assert_eq!(mode(&lock), 0o600);
}

#[test]
fn who_signs_in_again_leaves_no_session_behind() {
    let terminal = Terminal::start();
    terminal.login();
    let first = terminal.kept()["session_id"].clone();
    terminal.login();
    let second = terminal.kept()["session_id"].clone();
    let sessions = terminal.installation.workos.sessions();
    let status = |id: &Value| &sessions.iter().find(|session| session["id"] == *id).unwrap()["status"];
    assert_eq!((status(&first), status(&second)), (&json!("revoked"), &json!("active")));
    assert_eq!(terminal.curl("/work").status, 200);
}

#[test]
fn each_address_has_tokens_of_its_own() {
    let (one, other) = (Terminal::start(), Terminal::start());
    let state = one.state();
    let variables = [("XDG_STATE_HOME", state.to_str().unwrap())];
    one.login();
    let outcome = Program::run(one.installation.folder(), &["token", &other.url], &variables);
    assert_eq!((outcome.code, outcome.out.as_str()), (Some(1), ""), "{outcome:?}");
    let by_name = one.url.replace("127.0.0.1", "localhost");
    let outcome = Program::run(one.installation.folder(), &["token", &by_name], &variables);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    let slashes = format!("{}//", one.url);
    let outcome = Program::run(one.installation.folder(), &["token", &slashes], &variables);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
}

#[test]
fn nothing_that_others_say_drives_the_terminal() {
    const HOSTILE: &str = "\u{1b}]0;x\u{7}\u{202e}\u{9b}2J\u{200b}";
    let (workos, application) = (Upstream::start(), Upstream::start());
    let json = |status, body: &Value| {
        Answer::status(status).header("Content-Type", "application/json").body(body.to_string())
    };
    let document = json!({
        "version": 1, "client_id": "client_1", "workos_api_url": workos.url(), "bearers": ["workos_session"],
    });
    application.on("/auth/.well-known/vestibule", json(200, &document));
    let device = json!({
        "device_code": "d", "user_code": format!("BCDF{HOSTILE}"), "expires_in": 300, "interval": 5,
        "verification_uri": format!("https://x.authkit.app/{HOSTILE}"),
    });
    workos.on("/user_management/authorize/device", json(200, &device));
    let claims = json!({ "iat": 1, "exp": 301, "sid": "session_1" }).to_string();
    let token = format!("e30.{}.x", URL_SAFE_NO_PAD.encode(claims));
    let tokens = json!({
        "user": { "id": "user_1", "email": format!("ada{HOSTILE}@example.com") },
        "access_token": token, "refresh_token": "r",
    });
    workos.on("/user_management/authenticate", json(200, &tokens));
    let folder = tempfile::tempdir().unwrap();
    let variables = [("XDG_STATE_HOME", folder.path().to_str().unwrap())];
    let login = InProcess::start(&["login", &application.url()], &variables);
    patience::until("the code", || login.err_lines().iter().any(|line| line.contains("minutes")));
    login.passes(INTERVAL);
    let outcome = login.outcome();
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(
        !outcome.err.contains(['\u{1b}', '\u{7}', '\u{202e}', '\u{9b}', '\u{200b}']),
        "{:?}",
        outcome.err
    );
    assert!(outcome.err.contains("as ada\\u{1b}]0;x"), "{}", outcome.err);
}

#[test]
fn who_does_not_answer_or_leads_elsewhere_is_said_to() {
    let folder = tempfile::tempdir().unwrap();
    let variables = [("XDG_STATE_HOME", folder.path().to_str().unwrap())];
    let login = |url: &str| Program::run(folder.path(), &["login", url], &variables);
    let nobody = login(&Nobody::home().url());
    assert_eq!(nobody.code, Some(69), "{nobody:?}");
    assert!(nobody.err.contains("cannot be reached: no connection could be made"), "{nobody:?}");
    let application = Upstream::start();
    application.on("/", Answer::status(301).header("Location", "https://www.example.com/"));
    let moved = login(&application.url());
    assert_eq!(moved.code, Some(69), "{moved:?}");
    assert!(moved.err.contains("(status 301)"), "{moved:?}");
    let elsewhere = json!({ "sign_in_url": "https://evil.example/auth/sign-in" }).to_string();
    application.on("/", Answer::status(401).header("Content-Type", "application/json").body(elsewhere));
    let led = login(&application.url());
    assert_eq!(led.code, Some(64), "{led:?}");
    assert!(led.err.contains("calls itself https://evil.example"), "{led:?}");
}
