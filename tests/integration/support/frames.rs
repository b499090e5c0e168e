//! HTTP/2 by hand (RFC 9113), with prior knowledge on plain TCP: for what no library would send.

use std::io::{ErrorKind, Read, Write};

use crate::support::wire::{Address, Stream};

/// Kinds of frames (§6).
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

/// Flags (§6).
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const ACK: u8 = 1;

/// Error codes (§7).
pub(crate) const NO_ERROR: u32 = 0;
pub(crate) const CANCEL: u32 = 8;

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It was answered with this status and body.
    Answered(u16, Vec<u8>),
    /// Its stream was reset with this error code.
    Reset(u32),
    /// The connection was ended with this error code.
    GoneAway(u32),
    /// The connection was closed without a word.
    Closed,
}

impl Fate {
    /// The status, if it was answered.
    pub(crate) fn status(&self) -> Option<u16> {
        match self {
            Self::Answered(status, _) => Some(*status),
            Self::Reset(_) | Self::GoneAway(_) | Self::Closed => None,
        }
    }
}

/// Is a request complete with its head?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    None,
    Follows,
}

/// A frame (§4.1).
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

/// One connection.
pub(crate) struct Frames {
    stream: Stream,
    /// What the other end announced: identifiers and values (§6.5).
    pub(crate) settings: Vec<(u16, u32)>,
}

impl Frames {
    /// Connects and exchanges settings: no dynamic table, so that every answer says its status in full.
    pub(crate) fn connect(address: &Address) -> Self {
        let stream = address.connect().unwrap_or_else(|error| panic!("cannot connect: {error}"));
        let mut frames = Self { stream, settings: Vec::new() };
        frames.stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
        frames.send(SETTINGS, 0, 0, &[0, 1, 0, 0, 0, 0]);
        let settings = frames.read().expect("settings");
        assert_eq!(settings.kind, SETTINGS);
        let setting = |six: &[u8]| {
            let value = six[2..].try_into().map(u32::from_be_bytes).unwrap();
            (u16::from_be_bytes([six[0], six[1]]), value)
        };
        frames.settings = settings.payload.chunks(6).map(setting).collect();
        frames.send(SETTINGS, ACK, 0, &[]);
        frames
    }

    /// Writes a frame; the other end may have closed.
    pub(crate) fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let [_, length @ ..] = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let head = [&length[..], &[kind, flags], &stream.to_be_bytes()].concat();
        let _ = self.stream.write_all(&[&head[..], payload].concat());
    }

    /// Sends the head of a request.
    pub(crate) fn head(&mut self, stream: u32, fields: &[(&str, &str)], body: Body) {
        let end = if body == Body::None { END_STREAM } else { 0 };
        self.send(HEADERS, END_HEADERS | end, stream, &block(fields));
    }

    /// Sends a `GET` of this path with these further fields, and says what became of it.
    pub(crate) fn get(&mut self, stream: u32, path: &str, more: &[(&str, &str)]) -> Fate {
        let host = (":authority", "app.localhost");
        let fields = [&[(":method", "GET"), (":scheme", "http"), (":path", path), host], more].concat();
        self.head(stream, &fields, Body::None);
        self.fate(stream)
    }

    /// Sends a piece of a body.
    pub(crate) fn data(&mut self, stream: u32, bytes: &[u8], flags: u8) {
        self.send(DATA, flags, stream, bytes);
    }

    /// Gives a request up.
    pub(crate) fn cancel(&mut self, stream: u32) {
        self.send(RST_STREAM, 0, stream, &CANCEL.to_be_bytes());
    }

    /// Is the other end alive, and has it worked off everything before?
    pub(crate) fn answers_ping(&mut self) -> bool {
        self.send(PING, 0, 0, b"are you?");
        while let Some(frame) = self.read() {
            if frame.kind == PING && frame.flags & ACK != 0 {
                return true;
            }
        }
        false
    }

    /// Reads until this request is over.
    pub(crate) fn fate(&mut self, stream: u32) -> Fate {
        let (mut status, mut body) = (None, Vec::new());
        while let Some(frame) = self.read() {
            if frame.kind == GOAWAY && code(&frame, 4) != NO_ERROR {
                return Fate::GoneAway(code(&frame, 4));
            }
            if frame.stream != stream {
                continue;
            }
            match frame.kind {
                RST_STREAM => return Fate::Reset(code(&frame, 0)),
                HEADERS => status = status.or_else(|| Some(status_of(&frame.payload))),
                DATA => body.extend(&frame.payload),
                _ => continue,
            }
            if frame.flags & END_STREAM != 0 {
                return Fate::Answered(status.expect("a head"), body);
            }
        }
        Fate::Closed
    }

    /// Reads until the connection ends; gives the error code of its last word, if there was one.
    pub(crate) fn read_to_end(&mut self) -> Option<u32> {
        let mut last = None;
        while let Some(frame) = self.read() {
            if frame.kind == GOAWAY {
                last = Some(code(&frame, 4));
            }
        }
        last
    }

    /// The next frame; `None` at the end of the connection. What it takes of the window is given back.
    pub(crate) fn read(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.read_exact(&mut head)?;
        let [a, b, c, kind, flags, stream @ ..] = head;
        let length = u32::from_be_bytes([0, a, b, c]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        self.read_exact(&mut payload)?;
        if kind == DATA && length > 0 {
            self.send(WINDOW_UPDATE, 0, 0, &length.to_be_bytes());
        }
        Some(Frame { kind, flags, stream: u32::from_be_bytes(stream) & 0x7fff_ffff, payload })
    }

    fn read_exact(&mut self, space: &mut [u8]) -> Option<()> {
        match self.stream.read_exact(space) {
            Ok(()) => Some(()),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("nothing came")
            }
            Err(_) => None,
        }
    }
}

fn code(frame: &Frame, at: usize) -> u32 {
    frame.payload.get(at..at + 4).map_or(NO_ERROR, |code| u32::from_be_bytes(code.try_into().unwrap()))
}

/// A field block of literals that are neither indexed nor Huffman coded (RFC 7541 §6.2.2).
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            put_length(&mut block, text.len());
            block.extend(text.as_bytes());
        }
    }
    block
}

/// An integer with a prefix of seven bits (RFC 7541 §5.1).
fn put_length(block: &mut Vec<u8>, length: usize) {
    if length < 127 {
        return block.push(u8::try_from(length).unwrap());
    }
    block.push(127);
    let mut rest = length - 127;
    while rest >= 128 {
        block.push(0x80 | u8::try_from(rest % 128).unwrap());
        rest /= 128;
    }
    block.push(u8::try_from(rest).unwrap());
}

/// The status that a field block begins with: an entry of the static table (RFC 7541 appendix A), or three
/// digits.
fn status_of(block: &[u8]) -> u16 {
    // The size of the dynamic table may be told first (§6.3).
    let block = if block[0] & 0xe0 == 0x20 { &block[1..] } else { block };
    match block[0] {
        0x88 => 200,
        0x89 => 204,
        0x8a => 206,
        0x8b => 304,
        0x8c => 400,
        0x8d => 404,
        0x8e => 500,
        _ if block[1] & 0x80 == 0 => String::from_utf8_lossy(&block[2..5]).parse().unwrap(),
        _ => digits(&block[2..2 + usize::from(block[1] & 0x7f)]),
    }
}

/// Three digits in Huffman code (RFC 7541 appendix B): `0` to `2` have five bits, the others six.
fn digits(coded: &[u8]) -> u16 {
    let bits = coded.iter().flat_map(|byte| (0..8).rev().map(move |bit| u16::from(byte >> bit & 1)));
    let bits: Vec<u16> = bits.collect();
    let value = |bits: &[u16]| bits.iter().fold(0, |sum, bit| sum << 1 | bit);
    let (mut number, mut at) = (0, 0);
    for _ in 0..3 {
        let short = value(&bits[at..at + 5]);
        let (digit, length) =
            if short < 3 { (short, 5) } else { (value(&bits[at..at + 6]) - 0b01_1001 + 3, 6) };
        number = number * 10 + digit;
        at += length;
    }
    number
}
