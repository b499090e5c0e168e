//! The operator's picture for our own sign-in page: read with a bound, and of a kind that browsers show. The bytes
//! say which kind it is, not the name.

use std::path::Path;

use crate::config::node::{FromValue, Node};
use crate::config::places::OptionalFile;
use crate::config::secret_file::read_bounded;

/// Largest picture: a logo has some ten kilobytes, and every visitor loads it.
const MAX_PICTURE_BYTES: u64 = 256 << 10;
/// How far into an SVG its element is looked for: behind an XML declaration and comments.
const SVG_HEAD: usize = 1_024;

/// A picture.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    /// Its media type.
    pub media_type: &'static str,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// A file that holds a picture, or none.
#[derive(Debug, Clone)]
pub(super) struct OptionalPicture(pub(super) Option<Picture>);

impl std::fmt::Debug for Picture {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Picture({}, {} bytes)", self.media_type, self.bytes.len())
    }
}

impl FromValue for OptionalPicture {
    fn kind() -> String {
        OptionalFile::kind()
    }

    fn from_value(node: &Node<'_>) -> Option<Self> {
        let OptionalFile(path) = OptionalFile::from_value(node)?;
        let Some(path) = path else { return Some(Self(None)) };
        match read(&path) {
            Ok(picture) => Some(Self(Some(picture))),
            Err(cure) => {
                node.refuse(cure);
                None
            }
        }
    }
}

fn read(path: &Path) -> Result<Picture, String> {
    let bytes = read_bounded(path, MAX_PICTURE_BYTES)
        .map_err(|error| format!("name a picture that can be read, of at most 256 KiB ({error})"))?;
    let media_type = media_type(&bytes).ok_or("name a PNG, JPEG, WebP or SVG picture")?;
    Ok(Picture { media_type, bytes })
}

fn media_type(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        text if is_svg(text) => Some("image/svg+xml"),
        _ => None,
    }
}

fn is_svg(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let head: String = text.chars().take(SVG_HEAD).collect();
    let begins = ["<svg", "<?xml", "<!--", "<!DOCTYPE svg"].iter().any(|start| text.starts_with(start));
    begins && head.contains("<svg")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_say_what_kind_of_picture_it_is() {
        assert_eq!(media_type(b"\x89PNG\r\n\x1a\nrest"), Some("image/png"));
        assert_eq!(media_type(b"\xff\xd8\xff\xe0rest"), Some("image/jpeg"));
        assert_eq!(media_type(b"RIFF....WEBPVP8 "), Some("image/webp"));
        for svg in [
            "<svg xmlns='http://www.w3.org/2000/svg'/>",
            "\u{feff}<?xml version='1.0'?>\n<svg/>",
            "<!-- made by hand --><svg></svg>",
        ] {
            assert_eq!(media_type(svg.as_bytes()), Some("image/svg+xml"), "{svg}");
        }
        for other in ["", "<html><svg></svg></html>", "GIF89a", "svg", "<?xml version='1.0'?><html/>"] {
            assert_eq!(media_type(other.as_bytes()), None, "{other}");
        }
        assert_eq!(media_type(b"<svg \xff>"), None);
    }

    #[test]
    fn a_picture_that_is_too_large_or_not_there_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("logo.png");
        assert!(read(&path).unwrap_err().contains("No such file"));
        std::fs::write(&path, [b"\x89PNG\r\n\x1a\n".as_slice(), &vec![0; 256 << 10]].concat()).unwrap();
        assert!(read(&path).unwrap_err().contains("256 KiB"));
        std::fs::write(&path, b"\x89PNG\r\n\x1a\n").unwrap();
        assert_eq!(read(&path).unwrap().media_type, "image/png");
    }
}
