//! A good answer, kept word for word: the order of its fields, its numbers and its spelling are WorkOS'.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::workos::error::RequestId;
use crate::workos::http::Reply;

/// What WorkOS answered.
#[derive(Debug)]
pub struct Answer {
    json: Option<Box<RawValue>>,
    request_id: RequestId,
}

/// A page of a list.
pub(super) struct Page {
    pub(super) items: Vec<Box<RawValue>>,
    /// Where the next page begins.
    pub(super) after: Option<String>,
}

impl Answer {
    /// `None` when the body is neither JSON nor empty.
    pub(super) fn read(reply: Reply) -> Option<Self> {
        let request_id = reply.request_id;
        if reply.body.iter().all(u8::is_ascii_whitespace) {
            return Some(Self::nothing(request_id));
        }
        serde_json::from_slice(&reply.body).ok().map(|json| Self { json: Some(json), request_id })
    }

    pub(super) const fn nothing(request_id: RequestId) -> Self {
        Self { json: None, request_id }
    }

    /// The JSON as it came, if any came.
    #[must_use]
    pub fn json(&self) -> Option<&RawValue> {
        self.json.as_deref()
    }

    pub(super) const fn request_id(&self) -> &RequestId {
        &self.request_id
    }

    /// The answer as a page of a list (<https://workos.com/docs/reference/pagination>).
    pub(super) fn page(&self) -> Option<Page> {
        let wire: Wire = serde_json::from_str(self.json()?.get()).ok()?;
        let after = wire.list_metadata.and_then(|metadata| metadata.after).filter(|after| !after.is_empty());
        Some(Page { items: wire.data, after })
    }
}

#[derive(Deserialize)]
struct Wire {
    data: Vec<Box<RawValue>>,
    list_metadata: Option<Metadata>,
}

#[derive(Deserialize)]
struct Metadata {
    after: Option<String>,
}
