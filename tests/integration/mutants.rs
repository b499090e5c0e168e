//! Requests with a few bytes changed, thousands of them: whatever the proxy makes of each, what the application
//! gets are whole requests, for what is public, without a word of ours that we did not say.

use crate::framing::{SMUGGLED, world_before};
use crate::support::by_hand::Recorder;
use crate::support::raw::RawClient;

/// Requests from which others are made by changing a few bytes.
const SEEDS: [&str; 8] = [
    "GET /public/a?b=c HTTP/1.1\r\nHost: app.localhost\r\nX-Forwarded-User: eve\r\n\r\n",
    "POST /public/in HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 3\r\n\r\nabc",
    "POST /public/in HTTP/1.1\r\nHost: app.localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "POST /public/in HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 40\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "GET http://app.localhost/public/a HTTP/1.1\r\nHost: app.localhost\r\nConnection: x-a, close\r\nX-A: b\r\n\r\n",
    "GET /public/a HTTP/1.1\r\nHost: app.localhost\r\nConnection: upgrade\r\nUpgrade: websocket\r\nTE: trailers\r\n\r\n",
    "OPTIONS /public/a HTTP/1.1\r\nHost: app.localhost\r\nCookie: a=b; vestibule=c; d\r\nExpect: 100-continue\r\n\r\n",
    "POST /public/in HTTP/1.1\r\nHost: app.localhost\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n1\r\na\r\n0\r\nX-T: 1\r\n\r\n",
];

/// What is put in the place of bytes, or between them.
const PIECES: [&str; 28] = [
    "\r\n",
    "\n",
    "\r",
    " ",
    "\t",
    ":",
    ",",
    ";",
    "\0",
    "\u{b}",
    "0",
    "1",
    "+",
    "-",
    "_",
    ".",
    "chunked",
    "Transfer-Encoding: chunked\r\n",
    "Content-Length: 0\r\n",
    "Content-Length: 5\r\n",
    "\r\n\r\n",
    "/",
    "%2f",
    "../",
    "#",
    "?",
    "\u{e9}",
    "GET /admin/x HTTP/1.1\r\nHost: app.localhost\r\n\r\n",
];

/// Always the same numbers, so that what fails once fails again (Knuth's MMIX generator).
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % most
    }

    fn mutant(&mut self) -> Vec<u8> {
        let mut bytes = SEEDS[self.below(SEEDS.len())].as_bytes().to_vec();
        for _ in 0..=self.below(2) {
            let at = self.below(bytes.len());
            let end = (at + self.below(3)).min(bytes.len());
            let piece = PIECES[self.below(PIECES.len())];
            bytes.splice(at..end, piece.bytes());
        }
        bytes
    }
}

#[test]
fn whatever_bytes_come_the_application_sees_whole_requests_for_what_is_public() {
    let recorder = Recorder::start();
    let world = world_before(&recorder.url());
    let mut dice = Dice(2027);
    for _ in 0..20 {
        let clients: Vec<RawClient> = (0..100)
            .map(|_| {
                let mut raw = world.raw();
                let mutant = dice.mutant();
                let _ = raw.try_send([&mutant, SMUGGLED.as_bytes()].concat());
                raw
            })
            .collect();
        // While these are answered, so are those.
        for _ in 0..30 {
            let ask = "GET /public/beside HTTP/1.1\r\nHost: app.localhost\r\n\r\n";
            assert_eq!(world.raw().send(ask).response().status, 200);
        }
        drop(clients);
    }
    let requests = recorder.take();
    let mutants = requests.iter().filter(|seen| !seen.target.contains("beside")).count();
    assert!(mutants > 200, "only {mutants} mutants were requests");
    for seen in requests {
        let path = seen.target.split('?').next().unwrap();
        assert!(path == "/public" || path.starts_with("/public/"), "{}", seen.head_text());
        assert!(!path.contains("..") && !path.contains('#'), "{}", seen.head_text());
        for name in ["x-forwarded-user", "upgrade-insecure", "expect", "http2-settings"] {
            assert!(!seen.headers.has(name), "{}", seen.head_text());
        }
        assert_eq!(seen.headers.all("host").len(), 1, "{}", seen.head_text());
        let cookies = seen.headers.all("cookie").join(";");
        let ours = cookies.split(';').any(|pair| pair.trim().starts_with("vestibule="));
        assert!(!ours, "{}", seen.head_text());
    }
    drop(world);
    recorder.bytes();
}
