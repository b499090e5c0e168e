//! The sample application: shows the headers that it receives, and knows nothing of sign-ins.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;

/// The most of a form that is read.
const MAX_FORM: usize = 64 * 1024;

/// Starts it on a free port, on a thread of its own.
pub(crate) fn start() -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    std::thread::Builder::new().name("sample-app".to_owned()).spawn(move || {
        runtime.block_on(async move {
            let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
            while let Ok((stream, _)) = listener.accept().await {
                let service =
                    http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer));
                tokio::task::spawn(service);
            }
        });
    })?;
    Ok(address)
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = http_body_util::Limited::new(body, MAX_FORM).collect().await;
    let body = body.map(|whole| whole.to_bytes()).unwrap_or_default();
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    if head.uri.path().ends_with(".json") {
        return Ok(reply("application/json", headers_as_json(&head.headers, target)));
    }
    Ok(reply("text/html; charset=utf-8", page(head.method.as_str(), target, &head.headers, &body)))
}

fn reply(kind: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn headers_as_json(headers: &HeaderMap, target: &str) -> String {
    let pairs = headers.iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        serde_json::json!([name.as_str(), value])
    });
    serde_json::json!({ "target": target, "headers": pairs.collect::<Vec<_>>() }).to_string()
}

fn page(method: &str, target: &str, headers: &HeaderMap, body: &Bytes) -> String {
    let mut rows = String::new();
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        let (name, value) = (escape(name.as_str()), escape(&value));
        let _ = write!(rows, "<tr><th scope=\"row\">{name}</th><td>{value}</td></tr>");
    }
    let who = headers.get("x-forwarded-email").and_then(|value| value.to_str().ok());
    let hello =
        who.map_or_else(|| "Hello, whoever you are".to_owned(), |who| format!("Hello, {}", escape(who)));
    let sent = String::from_utf8_lossy(body);
    let sent = if sent.is_empty() {
        String::new()
    } else {
        format!("<p id=\"sent\">You sent: {}</p>", escape(&sent))
    };
    let request = format!("{} {}", escape(method), escape(target));
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Sample application</title>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <style>:root{{color-scheme:light dark}}body{{font:1rem/1.5 system-ui,sans-serif;max-width:56rem;\
         margin:2rem auto;padding:0 1rem}}th{{text-align:left;padding-right:1rem;vertical-align:top}}\
         td{{overflow-wrap:anywhere}}nav a{{margin-right:1rem}}</style>\
         <h1>{hello}</h1><p>This is the sample application behind Vestibule. It received \
         <code id=\"request\">{request}</code> with these headers:</p>{sent}\
         <table id=\"headers\">{rows}</table>\
         <nav><p><a href=\"/\">Home</a> <a href=\"/public/\">A public page</a> \
         <a href=\"/admin/\">A page for admins</a> <a href=\"/auth/me\">Your session</a> \
         <a href=\"/auth/sign-out\">Sign out</a></p></nav>\
         <form method=\"post\" action=\"/notes\"><label>A note <input name=\"note\"></label> \
         <button>Send</button></form></html>"
    )
}

fn escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut escaped, character| {
        match character {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            other => escaped.push(other),
        }
        escaped
    })
}
