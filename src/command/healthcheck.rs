//! `vestibule healthcheck`: asks the admin listener of a running process whether it is ready, for images
//! without a shell. Needs no more of the configuration than where that listener is.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use crate::command::{Console, Exit};
use crate::config;
use crate::config::listen::Listen;
use crate::config::source::Environment;

/// How long connecting, and each piece of the answer, may take: less than the usual ten seconds of a probe.
const PATIENCE: Duration = Duration::from_secs(3);
/// A status line is much shorter; what does not end by then is no answer of ours.
const MAX_STATUS_LINE_BYTES: u64 = 1_024;

/// Asks.
pub(super) fn run(file: Option<&Path>, environment: &Environment, console: &mut Console<'_>) -> Exit {
    let listen = match config::admin_listen(file, environment) {
        Ok(listen) => listen.from_here(),
        Err(problems) => return console.report(&problems),
    };
    match ask(&listen, PATIENCE) {
        Ok(200) => {
            console.print("ready\n");
            Exit::Good
        }
        Ok(status) => {
            console.note(&format!("not ready: the admin listener at {listen} answers {status}\n"));
            Exit::Unavailable
        }
        Err(error) => {
            console.note(&format!("not ready: no answer from the admin listener at {listen}: {error}\n"));
            Exit::Unavailable
        }
    }
}

/// The status of `GET /readyz`.
fn ask(listen: &Listen, patience: Duration) -> io::Result<u16> {
    match listen {
        Listen::Tcp(address) => {
            let stream = TcpStream::connect_timeout(address, patience)?;
            stream.set_read_timeout(Some(patience))?;
            stream.set_write_timeout(Some(patience))?;
            exchange(stream, &address.to_string())
        }
        Listen::Unix(path) => {
            let stream = UnixStream::connect(path)?;
            stream.set_read_timeout(Some(patience))?;
            stream.set_write_timeout(Some(patience))?;
            exchange(stream, "localhost")
        }
    }
}

fn exchange(mut stream: impl Read + Write, host: &str) -> io::Result<u16> {
    write!(stream, "GET /readyz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
    let mut line = Vec::new();
    BufReader::new(stream.take(MAX_STATUS_LINE_BYTES)).read_until(b'\n', &mut line)?;
    status(&line).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it does not speak HTTP"))
}

/// The code of a status line (RFC 9112 §4).
fn status(line: &[u8]) -> Option<u16> {
    let line = std::str::from_utf8(line).ok()?;
    let (version, rest) = line.split_once(' ')?;
    version.strip_prefix("HTTP/1.")?;
    rest.get(..3)?.parse().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::net::TcpListener;
    use std::os::unix::net::UnixListener;
    use std::thread;

    use super::*;
    use crate::command::tests::vestibule;

    /// Answers one request with `answer` and gives the request line.
    fn serve_once(mut stream: impl Read + Write, answer: &str) -> String {
        let mut reader = BufReader::new(&mut stream);
        let mut request = String::new();
        reader.read_line(&mut request).unwrap();
        let mut line = String::new();
        while reader.read_line(&mut line).unwrap() > 2 {
            line.clear();
        }
        drop(reader);
        stream.write_all(answer.as_bytes()).unwrap();
        request
    }

    fn asking(listen: &str) -> (Exit, String, String) {
        let environment: Environment = [("VESTIBULE__ADMIN__LISTEN", listen)].into_iter().collect();
        vestibule(&["healthcheck"], &environment)
    }

    #[test]
    fn ready_is_0_and_not_ready_is_69() {
        for (answer, exit) in [
            ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", Exit::Good),
            ("HTTP/1.1 503 Service Unavailable\r\n\r\n", Exit::Unavailable),
            ("SSH-2.0-OpenSSH\r\n", Exit::Unavailable),
            ("", Exit::Unavailable),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            let server = thread::spawn(move || serve_once(listener.accept().unwrap().0, answer));
            assert_eq!(asking(&format!("0.0.0.0:{port}")).0, exit, "{answer}");
            assert_eq!(server.join().unwrap(), "GET /readyz HTTP/1.1\r\n");
        }
    }

    #[test]
    fn a_unix_socket_is_asked_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let server =
            thread::spawn(move || serve_once(listener.accept().unwrap().0, "HTTP/1.1 200 OK\r\n\r\n"));
        assert_eq!(asking(&format!("unix:{}", path.display())).0, Exit::Good);
        server.join().unwrap();
    }

    #[test]
    fn nobody_there_is_69() {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (exit, out, err) = asking(&format!("127.0.0.1:{port}"));
        assert_eq!((exit, &*out), (Exit::Unavailable, ""));
        assert!(err.contains("no answer"), "{err}");
    }

    #[test]
    fn a_listener_that_never_answers_is_not_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let listen = Listen::Tcp(listener.local_addr().unwrap());
        assert!(ask(&listen, Duration::from_millis(20)).is_err());
    }

    #[test]
    fn only_the_admin_listener_has_to_be_right() {
        let environment: Environment =
            [("VESTIBULE__ADMIN__LISTEN", "localhost:1"), ("VESTIBULE__SERVER__PUBLIC_URL", "nonsense")]
                .into_iter()
                .collect();
        let (exit, _, err) = vestibule(&["healthcheck"], &environment);
        assert_eq!(exit, Exit::Configuration);
        assert!(err.contains("admin.listen") && !err.contains("public_url"), "{err}");
    }
}
