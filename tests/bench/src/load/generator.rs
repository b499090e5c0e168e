//! The load generator: the same request on many connections, as fast as it goes or at a fixed rate. Every answer is
//! read to its end and must be `200`.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// More than any answer here.
const BUFFER: usize = 16 * 1_024;

/// What one turn gave.
#[derive(Debug, Default)]
pub struct Turn {
    /// Microseconds that each answer took, sorted.
    pub latencies: Vec<u32>,
    /// How long the turn was.
    pub span: Duration,
}

impl Turn {
    /// Answers.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.latencies.len()
    }

    /// The latency that this part (in thousandths) of the answers did not exceed, in microseconds.
    #[must_use]
    pub fn quantile(&self, thousandths: usize) -> f64 {
        let last = self.latencies.len().saturating_sub(1);
        self.latencies.get(last * thousandths / 1_000).copied().map_or(0.0, f64::from)
    }
}

/// How fast requests follow each other.
#[derive(Debug, Clone, Copy)]
pub enum Pace {
    /// As soon as the answer before is there.
    Free,
    /// So many a second, on all connections together.
    Rate(u32),
}

/// Sends `request` on so many connections for so long.
///
/// # Errors
/// A connection ends or an answer is not `200`; the message has its head.
pub async fn run(
    address: SocketAddr,
    request: &str,
    connections: usize,
    pace: Pace,
    span: Duration,
) -> io::Result<Turn> {
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for index in 0..connections {
        let request = request.to_owned();
        let timetable = Timetable::new(pace, index, connections, started);
        tasks.spawn(async move { drive(address, &request, timetable, started + span).await });
    }
    let mut turn = Turn::default();
    while let Some(latencies) = tasks.join_next().await {
        turn.latencies.extend(latencies.map_err(io::Error::other)??);
    }
    turn.span = started.elapsed();
    turn.latencies.sort_unstable();
    Ok(turn)
}

/// When a connection's requests are due.
struct Timetable {
    next: Instant,
    step: Option<Duration>,
}

impl Timetable {
    fn new(pace: Pace, index: usize, connections: usize, started: Instant) -> Self {
        match pace {
            Pace::Free => Self { next: started, step: None },
            Pace::Rate(rate) => {
                let gap = Duration::from_secs(1) / rate.max(1);
                let index = u32::try_from(index).unwrap_or_default();
                let step = gap * u32::try_from(connections).unwrap_or(1);
                Self { next: started + gap * index, step: Some(step) }
            }
        }
    }

    /// Waits until the next request is due. Its latency counts from here; when the answer before came too late for it,
    /// from the moment it was due, so that a stall is felt by all that it kept waiting.
    async fn wait(&mut self) -> Instant {
        let now = Instant::now();
        let Some(step) = self.step else { return now };
        let due = self.next;
        self.next += step;
        if due <= now {
            return due;
        }
        tokio::time::sleep_until(due.into()).await;
        Instant::now()
    }
}

async fn drive(
    address: SocketAddr,
    request: &str,
    mut timetable: Timetable,
    until: Instant,
) -> io::Result<Vec<u32>> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut latencies = Vec::new();
    let mut buffer = Vec::with_capacity(BUFFER);
    loop {
        let from = timetable.wait().await;
        if Instant::now() >= until {
            return Ok(latencies);
        }
        stream.write_all(request.as_bytes()).await?;
        read(&mut stream, &mut buffer).await?;
        latencies.push(u32::try_from(from.elapsed().as_micros()).unwrap_or(u32::MAX));
    }
}

/// Reads one answer to its end.
async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<()> {
    buffer.clear();
    let length = loop {
        if stream.read_buf(buffer).await? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the connection ended"));
        }
        if let Some(length) = whole(buffer)? {
            break length;
        }
    };
    while buffer.len() < length {
        if stream.read_buf(buffer).await? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the answer was cut"));
        }
    }
    Ok(())
}

/// How long the whole answer is, once its head is there.
fn whole(buffer: &[u8]) -> io::Result<Option<usize>> {
    let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let head = String::from_utf8_lossy(buffer.get(..end).unwrap_or_default()).into_owned();
    if !head.starts_with("HTTP/1.1 200") {
        return Err(io::Error::other(head));
    }
    let length = head.lines().filter_map(|line| line.split_once(':'));
    let length = length.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length: Option<usize> = length.filter_map(|(_, value)| value.trim().parse().ok()).next();
    length.map(|length| Some(end + 4 + length)).ok_or_else(|| io::Error::other(head.clone()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_where_its_length_says_and_must_be_200() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-LENGTH: 3\r\n\r\nabc";
        assert_eq!(whole(answer).unwrap(), Some(answer.len()));
        assert_eq!(whole(b"HTTP/1.1 200 OK\r\nContent-Len").unwrap(), None);
        whole(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n").unwrap_err();
    }

    #[test]
    fn a_quantile_is_one_of_the_latencies() {
        let turn = Turn { latencies: (1..=1_000).collect(), span: Duration::ZERO };
        assert!((turn.quantile(500) - 500.0).abs() < 1.0);
        assert!((turn.quantile(990) - 990.0).abs() < 1.0);
    }
}
