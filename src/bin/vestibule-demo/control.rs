//! Moves the clocks of the demo together, for tests in a browser: `POST /advance` with a number of
//! milliseconds as its body. Vestibule itself has no such switch.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use vestibule::auth::time::Span;
use vestibule::clock::Clock;

/// Starts the control listener on a thread of its own.
pub(crate) fn start(listen: SocketAddr, clock: Clock, emulator_url: &str) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(listen)?;
    let address = listener.local_addr()?;
    let emulator = emulator_url.trim_start_matches("http://").to_owned();
    std::thread::Builder::new().name("control-desk".to_owned()).spawn(move || {
        for stream in listener.incoming().flatten() {
            // A client that breaks off is a test that failed; it will say so itself.
            let _ = serve(stream, &clock, &emulator);
        }
    })?;
    Ok(address)
}

fn serve(mut stream: TcpStream, clock: &Clock, emulator: &str) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let request = read_request(&mut stream)?;
    let millis = request.rsplit("\r\n\r\n").next().and_then(|body| body.trim().parse::<u64>().ok());
    let answer = match millis {
        Some(millis) if request.starts_with("POST /advance ") => {
            advance_emulator(emulator, millis)?;
            clock.advance(Span::from_millis(millis));
            "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n"
        }
        _ => "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
    };
    stream.write_all(answer.as_bytes())
}

/// The whole of a small request whose body is a number.
fn read_request(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut text = String::new();
    let mut buffer = [0; 2048];
    loop {
        let read = stream.read(&mut buffer)?;
        text.push_str(&String::from_utf8_lossy(buffer.get(..read).unwrap_or_default()));
        let complete = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
            });
            body.len() >= length.unwrap_or(0)
        });
        if read == 0 || complete || text.len() > 16 * 1024 {
            return Ok(text);
        }
    }
}

fn advance_emulator(emulator: &str, millis: u64) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(emulator)?;
    let body = format!("{{\"advance_ms\":{millis}}}");
    let length = body.len();
    write!(
        stream,
        "POST /_control/v1/clock HTTP/1.1\r\nhost: {emulator}\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    if answer.starts_with("HTTP/1.1 2") { Ok(()) } else { Err(std::io::Error::other("the emulator refused")) }
}
