//! The application behind Vestibule: writes down whom it is told about, and says so on its page.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::soak::dice::Dice;
use crate::soak::recorder::Recorder;
use crate::stopwatch::pass;

/// The header that names the user.
const USER: &str = "x-forwarded-user";
/// So often in a hundred times the application takes its time.
const SLOW_PERCENT: u64 = 5;

/// Starts it on the runtime of the caller; gives where it listens.
///
/// # Errors
/// There is no free port.
pub async fn start(recorder: Recorder, dice: Dice) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (recorder, dice) = (recorder.clone(), dice.clone());
            let service = service_fn(move |request| {
                let (recorder, dice) = (recorder.clone(), dice.clone());
                async move { Ok::<_, Infallible>(answer(&recorder, &dice, &request).await) }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    Ok(address)
}

async fn answer(recorder: &Recorder, dice: &Dice, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let number = number(request.uri().query().unwrap_or_default());
    let user = request.headers().get(USER).and_then(|value| value.to_str().ok()).map(str::to_owned);
    if let Some(number) = number {
        recorder.seen(number, user.clone());
        let mut dice = dice.fork(number);
        if dice.roll() % 100 < SLOW_PERCENT {
            pass(dice.between(50, 1_500)).await;
        }
    }
    let text = format!("{} {}", number.unwrap_or(u64::MAX), user.unwrap_or_default());
    Response::new(Full::new(Bytes::from(text)))
}

/// The request's number in a query.
fn number(query: &str) -> Option<u64> {
    form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == "n")?.1.parse().ok()
}

/// What stands on a page: the number of its request, and the user.
#[must_use]
pub fn read(page: &[u8]) -> Option<(u64, String)> {
    let (number, user) = std::str::from_utf8(page).ok()?.split_once(' ')?;
    Some((number.parse().ok()?, user.to_owned()))
}
