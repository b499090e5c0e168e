//! The fastest application that speaks HTTP/1.1: it looks for the end of a head and answers one kilobyte.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const HEAD_END: &[u8] = b"\r\n\r\n";
/// Bytes of an answer's body.
const BODY: usize = 1_024;
/// More than the largest head.
const BUFFER: usize = 64 * 1_024;

/// Starts it on a thread of its own; gives where it listens. It ends with the program.
///
/// # Errors
/// There is no free port, or no thread.
pub fn start() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("application".to_owned()).spawn(move || {
        runtime.block_on(async move {
            let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
            while let Ok((stream, _)) = listener.accept().await {
                let _ = stream.set_nodelay(true);
                tokio::spawn(serve(stream));
            }
        });
    })?;
    Ok(address)
}

async fn serve(mut stream: TcpStream) -> io::Result<()> {
    let body = "x".repeat(BODY);
    let answer =
        format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {BODY}\r\n\r\n{body}");
    let mut buffer = Vec::with_capacity(BUFFER);
    loop {
        if stream.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
        while let Some(end) = head_end(&buffer) {
            buffer.drain(..end);
            stream.write_all(answer.as_bytes()).await?;
        }
    }
}

/// Where the first whole head ends.
fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(HEAD_END.len()).position(|window| window == HEAD_END).map(|at| at + HEAD_END.len())
}
