//! People at a terminal: `vestibule login`, `token` and `logout`, run as programs of their own against a Vestibule
//! that serves, with WorkOS beside them.

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::thread;

use serde_json::{Value, json};

use crate::support::Response;
use crate::support::installation::{Installation, Served, now};
use crate::support::patience;
use crate::support::program::{Outcome, Program};
use crate::support::wire::{Address, Reader};

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

    /// Begins to sign in; gives the code that is shown.
    fn code(program: &Program) -> String {
        let shown = || {
            let lines = program.err_lines().join("\n");
            let (_, rest) = lines.split_once("show the code ")?;
            Some(rest.split('.').next()?.to_owned())
        };
        patience::until_some("a code", shown)
    }

    fn login_as(&self, email: &str, organization: &str, more: &[&str]) -> Outcome {
        let program = self.begin(&[&["login", &self.url], more].concat());
        self.installation.workos.lets_in(&Self::code(&program), email, Some(organization));
        program.outcome()
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
    let program = terminal.begin(&["login", &format!("{}/some/page?x=1", terminal.url)]);
    let code = Terminal::code(&program);
    let page = format!("{}/user_management/device?user_code={code}", terminal.installation.workos.url());
    assert!(program.err_lines().join("\n").contains(&page), "the page to open is shown");
    terminal.installation.workos.lets_in(&code, "ada@example.com", Some("Acme"));
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
        let running: Vec<_> = (0..10).map(run).collect();
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
    let program = terminal.begin(&["login", &terminal.url]);
    let code = Terminal::code(&program);
    terminal.installation.workos.control("POST", &format!("devices/{code}"), Some(&json!({ "deny": true })));
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
    assert!(!terminal.state().exists());
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
