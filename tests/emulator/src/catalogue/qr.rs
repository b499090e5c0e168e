//! A text as a QR code in a PNG in a `data:` URI, which is how WorkOS hands out authenticator secrets.
//!
//! The PNG (W3C, third edition) has one bit a pixel and is not compressed: a code is a few kilobytes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use qrcodegen::{QrCode, QrCodeEcc};

/// Pixels of a module, and modules of the quiet zone (ISO/IEC 18004 asks for four).
const SCALE: usize = 4;
const QUIET: usize = 4;

/// The largest block of RFC 1951 that is stored and not compressed.
const STORED_BLOCK: usize = 0xffff;

/// The code; `None` when the text is too long for one.
pub(crate) fn data_uri(text: &str) -> Option<String> {
    let code = QrCode::encode_text(text, QrCodeEcc::Medium).ok()?;
    let modules = usize::try_from(code.size()).ok()?;
    let side = (modules + 2 * QUIET) * SCALE;
    let dark = |x: usize, y: usize| {
        let module = |pixel: usize| i32::try_from(pixel / SCALE).map_or(-1, |at| at - 4);
        code.get_module(module(x), module(y))
    };
    let mut pixels = Vec::new();
    for y in 0..side {
        pixels.push(0);
        for first in (0..side).step_by(8) {
            let bits = (first..first + 8).map(|x| u8::from(x >= side || !dark(x, y)));
            pixels.push(bits.fold(0, |byte, bit| (byte << 1) | bit));
        }
    }
    let png = png(u32::try_from(side).ok()?, &pixels);
    Some(format!("data:image/png;base64,{}", STANDARD.encode(png)))
}

fn png(side: u32, pixels: &[u8]) -> Vec<u8> {
    let mut header = [side.to_be_bytes(), side.to_be_bytes()].concat();
    // One bit of grey, and the only methods there are.
    header.extend([1, 0, 0, 0, 0]);
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    for (kind, data) in [(b"IHDR", header), (b"IDAT", stored(pixels)), (b"IEND", Vec::new())] {
        file.extend(u32::try_from(data.len()).unwrap_or(0).to_be_bytes());
        let checked = [kind.as_slice(), &data].concat();
        file.extend(&checked);
        file.extend(crc32(&checked).to_be_bytes());
    }
    file
}

/// RFC 1950 around blocks that are stored as they are.
fn stored(bytes: &[u8]) -> Vec<u8> {
    let mut stream = vec![0x78, 0x01];
    let mut blocks = bytes.chunks(STORED_BLOCK).peekable();
    while let Some(block) = blocks.next() {
        let length = u16::try_from(block.len()).unwrap_or(0);
        stream.push(u8::from(blocks.peek().is_none()));
        stream.extend(length.to_le_bytes());
        stream.extend((!length).to_le_bytes());
        stream.extend(block);
    }
    stream.extend(adler32(bytes).to_be_bytes());
    stream
}

fn adler32(bytes: &[u8]) -> u32 {
    let step = |(a, b): (u32, u32), byte: &u8| {
        let a = (a + u32::from(*byte)) % 65_521;
        (a, (b + a) % 65_521)
    };
    let (a, b) = bytes.iter().fold((1, 0), step);
    (b << 16) | a
}

fn crc32(bytes: &[u8]) -> u32 {
    let shift = |crc: u32, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), shift))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn the_checksums_are_the_known_ones() {
        assert_eq!(crc32(b"IEND"), 0xae42_6082);
        assert_eq!(adler32(b"Wikipedia"), 0x11e6_0398);
    }

    #[test]
    fn a_code_is_a_png_and_too_much_text_is_none() {
        let uri = data_uri("otpauth://totp/Demo:ada@example.com?secret=MZXW6YTBOI").unwrap();
        let png = STANDARD.decode(uri.strip_prefix("data:image/png;base64,").unwrap()).unwrap();
        assert!(png.starts_with(b"\x89PNG"));
        assert_eq!(data_uri(&"x".repeat(5_000)), None);
    }
}
