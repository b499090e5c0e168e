//! The picture that an authenticator app scans, as SVG within the page: no other request, nothing that runs.

use std::fmt::Write as _;

use qrcodegen::{QrCode, QrCodeEcc};

/// Light modules around the picture (ISO/IEC 18004).
const QUIET_ZONE: i32 = 4;

/// The picture of a text, and what it is called for those who do not see it; `None` when the text is too long for
/// one. Dark on light whatever the page's colours are, because that is what apps can read.
pub(super) fn svg(text: &str, label: &str) -> Option<String> {
    let code = QrCode::encode_text(text, QrCodeEcc::Medium).ok()?;
    let size = code.size() + 2 * QUIET_ZONE;
    let mut path = String::new();
    for y in 0..code.size() {
        for x in (0..code.size()).filter(|x| code.get_module(*x, y)) {
            let _ = write!(path, "M{},{}h1v1h-1z", x + QUIET_ZONE, y + QUIET_ZONE);
        }
    }
    let label = label.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
    Some(format!(
        "<svg class=\"qr\" role=\"img\" aria-label=\"{label}\" viewBox=\"0 0 {size} {size}\" \
         shape-rendering=\"crispEdges\"><path fill=\"#fff\" d=\"M0,0h{size}v{size}h-{size}z\"/>\
         <path fill=\"#000\" d=\"{path}\"/></svg>"
    ))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn the_picture_holds_no_text_of_the_secret_and_its_label_no_markup() {
        let picture = svg("otpauth://totp/App:ada?secret=CANARY", "a \"<b>\" & c").unwrap();
        assert!(!picture.contains("CANARY") && !picture.contains("<b>"));
        assert!(picture.contains("aria-label=\"a &quot;&lt;b>&quot; &amp; c\""));
        assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>"));
    }

    #[test]
    fn a_text_that_is_too_long_has_no_picture() {
        assert!(svg(&"x".repeat(1_024), "").is_some());
        assert_eq!(svg(&"x".repeat(5_000), ""), None);
    }
}
