//! How lengths of time and sizes are written: `"90s"`, `"64KiB"`, `"unlimited"`.

use crate::auth::policy::route::ByteLimit;
use crate::auth::session::RefreshBefore;
use crate::auth::time::Span;
use crate::config::node::{FromText, FromValue, Node};
use crate::config::settings::CountLimit;

/// Units of time and how many milliseconds they have; `ms` before `m`, because both end a `5ms`.
const TIME_UNITS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
/// Units of size and how many bytes they have; `B` last, because all end in it.
const SIZE_UNITS: [(&str, u64); 4] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("B", 1)];
/// Ten years: longer than anything here is meant to last, and far from any overflow.
const MAX_TIME_MILLIS: u64 = 3_650 * 86_400_000;
/// A day.
const A_DAY_MILLIS: u64 = 86_400_000;
/// Least buffer that the HTTP/1.1 parser works with.
const MIN_HEADER_BYTES: u64 = 8 << 10;
/// Largest request head that is worth reading.
const MAX_HEADER_BYTES: u64 = 1 << 20;

/// A length of time that must be more than zero.
#[derive(Debug, Clone, Copy)]
pub(super) struct Positive(pub(super) Span);

/// How often something is asked for; `None` is never.
#[derive(Debug, Clone, Copy)]
pub(super) struct PollInterval(pub(super) Option<Span>);

/// A length of time of at most a day.
#[derive(Debug, Clone, Copy)]
pub(super) struct UpToADay(pub(super) Span);

/// A whole number in a range.
#[derive(Debug, Clone, Copy)]
pub(super) struct Whole<const MIN: i64, const MAX: i64>(pub(super) usize);

/// The size of a request head.
#[derive(Debug, Clone, Copy)]
pub(super) struct HeaderBytes(pub(super) usize);

impl FromText for Span {
    const KIND: &'static str = "a duration such as \"30s\", \"15m\" or \"500ms\"";

    fn from_text(text: &str) -> Result<Self, String> {
        let millis = amount(text, &TIME_UNITS).filter(|millis| *millis <= MAX_TIME_MILLIS);
        millis.map(Self::from_millis).ok_or_else(|| {
            "write a whole number and ms, s, m, h or d, at most ten years: \"500ms\", \"90s\", \"7d\""
                .to_owned()
        })
    }
}

impl FromText for Positive {
    const KIND: &'static str = Span::KIND;

    fn from_text(text: &str) -> Result<Self, String> {
        let span = Span::from_text(text)?;
        if span.is_zero() {
            Err("use a time longer than zero, such as \"30s\"".to_owned())
        } else {
            Ok(Self(span))
        }
    }
}

impl FromText for PollInterval {
    const KIND: &'static str = "a duration from \"1s\" to \"1h\", or \"0s\" for never";

    fn from_text(text: &str) -> Result<Self, String> {
        let span = Span::from_text(text)?;
        if span.is_zero() {
            Ok(Self(None))
        } else if (Span::from_secs(1)..=Span::from_minutes(60)).contains(&span) {
            Ok(Self(Some(span)))
        } else {
            Err("use a time from \"1s\" to \"1h\", or \"0s\" for never".to_owned())
        }
    }
}

impl FromText for UpToADay {
    const KIND: &'static str = Span::KIND;

    fn from_text(text: &str) -> Result<Self, String> {
        let span = Span::from_text(text)?;
        if span.as_millis() > A_DAY_MILLIS { Err("use at most \"24h\"".to_owned()) } else { Ok(Self(span)) }
    }
}

impl FromText for RefreshBefore {
    const KIND: &'static str = "\"auto\", or a duration such as \"60s\"";

    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            span => Positive::from_text(span)
                .map(|Positive(span)| Self::Exactly(span))
                .map_err(|cure| format!("{cure}; or \"auto\"")),
        }
    }
}

impl FromText for ByteLimit {
    const KIND: &'static str = "a size such as \"10MiB\", or \"unlimited\"";

    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "unlimited" => Ok(Self::Unlimited),
            size => bytes(size).map(Self::Bytes).map_err(|cure| format!("{cure}; or \"unlimited\"")),
        }
    }
}

impl FromText for HeaderBytes {
    const KIND: &'static str = "a size from \"8KiB\" to \"1MiB\"";

    fn from_text(text: &str) -> Result<Self, String> {
        let size = bytes(text)?;
        let fitting = Some(size).filter(|size| (MIN_HEADER_BYTES..=MAX_HEADER_BYTES).contains(size));
        let fitting = fitting.and_then(|size| usize::try_from(size).ok());
        fitting.map(Self).ok_or_else(|| "use a size from \"8KiB\" to \"1MiB\"".to_owned())
    }
}

impl FromValue for CountLimit {
    fn kind() -> String {
        "a whole number, or \"unlimited\"".to_owned()
    }

    fn from_value(node: &Node<'_>) -> Option<Self> {
        if node.value().as_str() == Some("unlimited") {
            return Some(Self::Unlimited);
        }
        node.number_or(1..=i64::from(u32::MAX), "\"unlimited\"").map(Self::Max)
    }
}

impl<const MIN: i64, const MAX: i64> FromValue for Whole<MIN, MAX> {
    fn kind() -> String {
        format!("a whole number from {MIN} to {MAX}")
    }

    fn from_value(node: &Node<'_>) -> Option<Self> {
        node.number(MIN..=MAX).map(Self)
    }
}

fn bytes(text: &str) -> Result<u64, String> {
    amount(text, &SIZE_UNITS)
        .ok_or_else(|| "write a whole number and B, KiB, MiB or GiB: \"64KiB\", \"10MiB\"".to_owned())
}

/// A whole number and a unit, without anything between or around them.
fn amount(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (number, factor) =
        units.iter().find_map(|(unit, factor)| text.strip_suffix(unit).map(|number| (number, factor)))?;
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_a_number_and_a_unit() {
        for (text, millis) in [
            ("0s", 0),
            ("500ms", 500),
            ("90s", 90_000),
            ("15m", 900_000),
            ("12h", 43_200_000),
            ("7d", 604_800_000),
        ] {
            assert_eq!(Span::from_text(text), Ok(Span::from_millis(millis)), "{text}");
        }
        for text in [
            "",
            "s",
            "5",
            "5 s",
            " 5s",
            "-5s",
            "+5s",
            "1.5h",
            "5min",
            "5S",
            "1h30m",
            "99999999999999999999s",
            "3651d",
        ] {
            assert!(Span::from_text(text).is_err(), "{text}");
        }
        assert!(Positive::from_text("0s").is_err());
        let interval = |text| PollInterval::from_text(text).ok().map(|PollInterval(span)| span);
        assert_eq!((interval("0s"), interval("1s")), (Some(None), Some(Some(Span::from_secs(1)))));
        assert_eq!((interval("999ms"), interval("61m"), interval("often")), (None, None, None));
    }

    #[test]
    fn sizes_are_a_number_and_a_binary_unit() {
        for (text, bytes) in
            [("0B", 0), ("512B", 512), ("64KiB", 65_536), ("10MiB", 10_485_760), ("1GiB", 1 << 30)]
        {
            assert_eq!(ByteLimit::from_text(text), Ok(ByteLimit::Bytes(bytes)), "{text}");
        }
        assert_eq!(ByteLimit::from_text("unlimited"), Ok(ByteLimit::Unlimited));
        for text in ["", "64", "64KB", "64kib", "KiB", "1.5MiB", "99999999999GiB"] {
            assert!(ByteLimit::from_text(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_request_head_has_a_sensible_size() {
        assert!(HeaderBytes::from_text("64KiB").is_ok());
        assert!(HeaderBytes::from_text("4KiB").is_err() && HeaderBytes::from_text("2MiB").is_err());
    }
}
