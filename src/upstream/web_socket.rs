//! Where WebSocket frames begin and end (RFC 6455 §5.2), so that a Close frame can be put between two of
//! them. Only headers are looked at; payloads pass unread.

/// A Close frame's opcode (§5.5.1).
const CLOSE: u8 = 0x8;
/// A Pong frame's (§5.5.3): browsers send it by themselves, whether or not anybody is there.
const PONG: u8 = 0xa;

/// The position within one direction of a WebSocket connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frames {
    position: Position,
    /// A Close frame has begun; nothing may follow it.
    closing: bool,
    /// The frame under way, or the last one, is something else than a Pong.
    speaking: bool,
    /// Bytes of such a frame have passed since somebody asked.
    spoken: bool,
}

#[derive(Debug, Clone, Copy)]
enum Position {
    /// Between frames.
    Boundary,
    /// After the first byte.
    Length,
    /// Within the extended length: bytes still to come, value so far, length of the masking key.
    Extended { missing: u8, value: u64, key: u64 },
    /// Within masking key and payload: bytes still to come.
    Payload(u64),
}

impl Frames {
    /// Before the first frame.
    pub(super) const fn new() -> Self {
        Self { position: Position::Boundary, closing: false, speaking: false, spoken: false }
    }

    pub(super) const fn at_boundary(&self) -> bool {
        matches!(self.position, Position::Boundary)
    }

    /// Has this direction said goodbye already?
    pub(super) const fn is_closing(&self) -> bool {
        self.closing
    }

    /// Has anything but Pong frames passed since this was asked last?
    pub(super) const fn take_spoken(&mut self) -> bool {
        std::mem::replace(&mut self.spoken, false)
    }

    /// Goes past `bytes`.
    pub(super) fn pass(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let passed = self.pass_frame(rest);
            rest = rest.get(passed..).unwrap_or_default();
        }
    }

    /// How many of `bytes` belong to the frame under way; none between frames.
    pub(super) fn rest_of_frame(&self, bytes: &[u8]) -> usize {
        let mut ahead = *self;
        if ahead.at_boundary() { 0 } else { ahead.pass_frame(bytes) }
    }

    /// Goes past `bytes`, but not past the end of a frame; returns how far.
    fn pass_frame(&mut self, bytes: &[u8]) -> usize {
        let mut passed = 0;
        while let Some(&byte) = bytes.get(passed) {
            if let Position::Payload(missing) = self.position {
                let here = (bytes.len() - passed) as u64;
                let taken = missing.min(here);
                passed += usize::try_from(taken).unwrap_or(bytes.len());
                self.position = payload(missing - taken);
            } else {
                passed += 1;
                self.position = self.after(byte);
            }
            self.spoken |= self.speaking;
            if self.at_boundary() {
                break;
            }
        }
        passed
    }

    /// The position after one more byte of a header.
    fn after(&mut self, byte: u8) -> Position {
        match self.position {
            Position::Boundary => {
                self.closing |= byte & 0x0f == CLOSE;
                self.speaking = byte & 0x0f != PONG;
                Position::Length
            }
            Position::Length => {
                let key = if byte & 0x80 == 0 { 0 } else { 4 };
                match byte & 0x7f {
                    126 => Position::Extended { missing: 2, value: 0, key },
                    127 => Position::Extended { missing: 8, value: 0, key },
                    length => payload(u64::from(length) + key),
                }
            }
            Position::Extended { missing, value, key } => {
                let value = (value << 8) | u64::from(byte);
                match missing - 1 {
                    0 => payload(value.saturating_add(key)),
                    missing => Position::Extended { missing, value, key },
                }
            }
            Position::Payload(missing) => payload(missing.saturating_sub(1)),
        }
    }
}

const fn payload(missing: u64) -> Position {
    if missing == 0 { Position::Boundary } else { Position::Payload(missing) }
}

/// A Close frame (§5.5.1) with this status code and reason, as a server sends it. The reason is at most 123
/// bytes; what is over is cut.
pub(super) fn close_frame(code: u16, reason: &str) -> Vec<u8> {
    let mut payload = code.to_be_bytes().to_vec();
    payload.extend(reason.bytes().take(123));
    let mut frame = vec![0x80 | CLOSE, u8::try_from(payload.len()).unwrap_or(125)];
    frame.append(&mut payload);
    frame
}

/// The same as a client sends it: masked (§5.3).
pub(super) fn masked_close_frame(code: u16, reason: &str, key: [u8; 4]) -> Vec<u8> {
    let plain = close_frame(code, reason);
    let (header, payload) = plain.split_at(2);
    let mut frame = Vec::with_capacity(plain.len() + key.len());
    frame.extend(header.iter().enumerate().map(|(at, byte)| if at == 1 { byte | 0x80 } else { *byte }));
    frame.extend(key);
    frame.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A frame as §5.2 draws it.
    fn frame(opcode: u8, length: usize, masked: bool) -> Vec<u8> {
        let mut frame = vec![0x80 | opcode];
        let mask_bit = if masked { 0x80 } else { 0 };
        match length {
            0..=125 => frame.push(mask_bit | length as u8),
            126..=0xffff => {
                frame.push(mask_bit | 126);
                frame.extend((length as u16).to_be_bytes());
            }
            _ => {
                frame.push(mask_bit | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        if masked {
            frame.extend([0x88, 0x88, 0x88, 0x88]);
        }
        frame.extend(std::iter::repeat_n(0x88, length));
        frame
    }

    proptest! {
        #[test]
        fn boundaries_are_found_whatever_the_frames_and_the_cuts(
            frames in prop::collection::vec((0u8..8, prop_oneof![0usize..300, 65_530usize..65_540], any::<bool>()), 1..6),
            cuts in prop::collection::vec(1usize..70_000, 1..20),
        ) {
            let mut bytes = Vec::new();
            let mut boundaries = vec![0];
            for (opcode, length, masked) in frames {
                bytes.extend(frame(opcode, length, masked));
                boundaries.push(bytes.len());
            }
            let mut tracked = Frames::new();
            let mut at = 0;
            for cut in cuts.iter().cycle() {
                let next = boundaries.iter().find(|boundary| **boundary >= at).copied().unwrap();
                prop_assert_eq!(tracked.at_boundary(), boundaries.contains(&at));
                prop_assert_eq!(tracked.rest_of_frame(&bytes[at..]), next - at);
                if at == bytes.len() {
                    break;
                }
                let end = (at + cut).min(bytes.len());
                tracked.pass(&bytes[at..end]);
                at = end;
            }
            prop_assert!(!tracked.is_closing());
        }
    }

    #[test]
    fn whatever_is_not_a_pong_is_speech_as_long_as_it_lasts() {
        let mut frames = Frames::new();
        frames.pass(&[frame(0xa, 5, true), frame(0xa, 300, true)].concat());
        assert!(!frames.take_spoken());
        let text = frame(1, 300, true);
        frames.pass(&[frame(0xa, 5, true), text[..1].to_vec()].concat());
        assert!(frames.take_spoken());
        assert!(!frames.take_spoken());
        frames.pass(&text[1..100]);
        assert!(frames.take_spoken());
        frames.pass(&[&text[100..], &frame(0xa, 5, true)].concat());
        assert!(frames.take_spoken());
        frames.pass(&frame(0xa, 0, true));
        assert!(!frames.take_spoken());
    }

    #[test]
    fn a_close_frame_is_noticed_at_its_first_byte() {
        let mut frames = Frames::new();
        frames.pass(&frame(1, 5, true));
        assert!(!frames.is_closing());
        frames.pass(&[0x88]);
        assert!(frames.is_closing());
        assert!(!frames.at_boundary());
    }

    #[test]
    fn close_frames_have_the_bytes_of_the_standard() {
        assert_eq!(close_frame(1000, "bye"), [0x88, 5, 0x03, 0xe8, b'b', b'y', b'e']);
        let key = [1, 2, 3, 4];
        let masked = masked_close_frame(1000, "bye", key);
        assert_eq!(masked, [0x88, 0x85, 1, 2, 3, 4, 0x03 ^ 1, 0xe8 ^ 2, b'b' ^ 3, b'y' ^ 4, b'e' ^ 1]);
        assert_eq!(close_frame(1008, &"x".repeat(200)).len(), 127);
    }
}
