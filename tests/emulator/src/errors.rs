//! The shapes in which WorkOS says no (<https://workos.com/docs/reference/errors>).

use http::StatusCode;
use serde_json::{Value, json};

use crate::wire::Reply;

/// The OAuth shape, status 400: `{"error","error_description"}`.
pub(crate) fn oauth(error: &str, description: &str) -> Reply {
    Reply::json(StatusCode::BAD_REQUEST, &json!({ "error": error, "error_description": description }))
}

/// The shape of User Management: `{"code","message"}`.
pub(crate) fn coded(status: StatusCode, code: &str, message: &str) -> Reply {
    Reply::json(status, &json!({ "code": code, "message": message }))
}

/// The bare shape: `{"message"}`.
pub(crate) fn message(status: StatusCode, message: &str) -> Reply {
    Reply::json(status, &json!({ "message": message }))
}

/// `401`: the API key is missing or wrong.
pub(crate) fn unauthorized() -> Reply {
    message(StatusCode::UNAUTHORIZED, "Unauthorized")
}

/// `404`: no such path.
pub(crate) fn not_found() -> Reply {
    message(StatusCode::NOT_FOUND, "Not Found")
}

/// `404`: no such thing.
pub(crate) fn unknown(what: &str, id: &str) -> Reply {
    let body = json!({
        "code": "entity_not_found",
        "message": format!("{what} not found: '{id}'."),
        "entity_id": id,
    });
    Reply::json(StatusCode::NOT_FOUND, &body)
}

/// `422`: a parameter that cannot be.
pub(crate) fn invalid(text: &str) -> Reply {
    refused_parameters(text, &json!({ "code": "invalid", "message": text }))
}

/// `422`: this parameter cannot be so.
pub(crate) fn invalid_field(field: &str, text: &str) -> Reply {
    refused_parameters(text, &json!({ "code": "invalid", "field": field, "message": text }))
}

fn refused_parameters(text: &str, inner: &Value) -> Reply {
    let body = json!({ "code": "invalid_request_parameters", "message": text, "errors": [inner] });
    Reply::json(StatusCode::UNPROCESSABLE_ENTITY, &body)
}
