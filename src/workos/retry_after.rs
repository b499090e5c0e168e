//! `Retry-After` (RFC 9110 §10.2.3): seconds, or a date.

use crate::auth::time::{Span, Timestamp};

/// Longest wait that is believed; a larger wish is cut to this, so that no header can park us for a day.
const LONGEST: Span = Span::from_minutes(60);

/// How long to wait from `now`; `None` when the value is neither of the two forms. A date that has passed is
/// no wait at all.
pub(super) fn parse(value: &str, now: Timestamp) -> Option<Span> {
    let value = value.trim();
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let wait = if digits { value.parse().map_or(LONGEST, Span::from_secs) } else { date(value)?.since(now) };
    Some(wait.min(LONGEST))
}

/// A date in one of the three forms that RFC 9110 §5.6.7 has recipients accept.
fn date(value: &str) -> Option<Timestamp> {
    let preferred = || jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(value).ok();
    let obsolete = |form| {
        let civil = jiff::civil::DateTime::strptime(form, value).ok()?;
        Some(civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
    };
    let time = preferred()
        .or_else(|| obsolete("%A, %d-%b-%y %H:%M:%S GMT"))
        .or_else(|| obsolete("%a %b %e %H:%M:%S %Y"))?;
    Some(Timestamp::from_unix_millis(time.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_seconds(784_111_770);

    #[test]
    fn seconds_are_taken_as_they_are() {
        assert_eq!(parse("7", NOW), Some(Span::from_secs(7)));
        assert_eq!(parse(" 0 ", NOW), Some(Span::ZERO));
    }

    #[test]
    fn a_date_is_counted_from_now() {
        assert_eq!(parse("Sun, 06 Nov 1994 08:49:37 GMT", NOW), Some(Span::from_secs(7)));
        assert_eq!(parse("Sunday, 06-Nov-94 08:49:37 GMT", NOW), Some(Span::from_secs(7)));
        assert_eq!(parse("Sun Nov  6 08:49:37 1994", NOW), Some(Span::from_secs(7)));
        assert_eq!(parse("Sun, 06 Nov 1994 08:49:20 GMT", NOW), Some(Span::ZERO));
    }

    #[test]
    fn no_header_parks_us_for_longer_than_an_hour() {
        assert_eq!(parse("86400", NOW), Some(LONGEST));
        assert_eq!(parse("99999999999999999999999999", NOW), Some(LONGEST));
        assert_eq!(parse("Fri, 06 Nov 2054 08:49:37 GMT", NOW), Some(LONGEST));
    }

    #[test]
    fn anything_else_is_no_wish() {
        for value in ["", "soon", "-1", "1.5", "Sun, 99 Nov 1994 08:49:37 GMT"] {
            assert_eq!(parse(value, NOW), None, "{value}");
        }
    }
}
