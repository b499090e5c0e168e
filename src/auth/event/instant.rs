//! The instants in WorkOS' events: RFC 3339 as a rule, and the older form with a space and without a zone, which
//! is UTC.

use crate::auth::time::Timestamp;

/// Longest text that is looked at: nine digits of a fraction and a zone need 35 bytes.
const MAX_BYTES: usize = 40;
const MINUTE_MILLIS: i64 = 60_000;
const DAY_MILLIS: i64 = 86_400_000;
/// Days from 1 January of the year 1 to the epoch.
const EPOCH: i64 = 719_162;

/// The instant that a text names, to the millisecond; `None` when it names none.
pub(super) fn parse(text: &str) -> Option<Timestamp> {
    if text.len() > MAX_BYTES || !text.is_ascii() {
        return None;
    }
    let (date, rest) = (text.get(..10)?, text.get(10..)?);
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let (clock, rest) = (rest.get(..8)?, rest.get(8..)?);
    let (fraction, zone) = match rest.strip_prefix('.') {
        Some(rest) => {
            let end = rest.find(|byte: char| !byte.is_ascii_digit()).unwrap_or(rest.len());
            rest.split_at_checked(end).filter(|(digits, _)| !digits.is_empty())?
        }
        None => ("", rest),
    };
    let (year, month, day) = three(date, '-', [4, 2, 2])?;
    let (hour, minute, second) = three(clock, ':', [2, 2, 2])?;
    // A leap second (60) counts as the first of the next minute.
    let sound = (1..=12).contains(&month)
        && (1..=days_in(year, month)).contains(&day)
        && hour <= 23
        && minute <= 59
        && second <= 60;
    if !sound {
        return None;
    }
    let time = ((hour * 60 + minute) * 60 + second) * 1_000 + millis(fraction);
    Some(Timestamp::from_unix_millis(days(year, month, day) * DAY_MILLIS + time - offset(zone)?))
}

/// Three numbers of these lengths with this between them.
fn three(text: &str, between: char, lengths: [usize; 3]) -> Option<(i64, i64, i64)> {
    let mut parts = text.split(between).zip(lengths).map(|(part, length)| {
        (part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit())).then(|| part.parse().ok())?
    });
    Some((parts.next()??, parts.next()??, parts.next()??))
}

/// The first three digits of a fraction of a second.
fn millis(fraction: &str) -> i64 {
    let digits = fraction.bytes().map(|digit| i64::from(digit - b'0')).chain(std::iter::repeat(0));
    digits.take(3).fold(0, |sum, digit| sum * 10 + digit)
}

/// How far a zone is ahead of UTC, in milliseconds.
fn offset(zone: &str) -> Option<i64> {
    let (sign, rest) = match zone.split_at_checked(1) {
        None | Some(("Z" | "z", "")) => return Some(0),
        Some(("+", rest)) => (1, rest),
        Some(("-", rest)) => (-1, rest),
        Some(_) => return None,
    };
    let (hours, minutes) = rest.split_once(':')?;
    let (hours, minutes, _) = three(&format!("{hours}:{minutes}:00"), ':', [2, 2, 2])?;
    (hours <= 23 && minutes <= 59).then_some(sign * (hours * 60 + minutes) * MINUTE_MILLIS)
}

const fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

const fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1 January 1970 to a date of the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let before = year - 1;
    let to_year = before * 365 + before / 4 - before / 100 + before / 400;
    let in_year: i64 = (1..month).map(|month| days_in(year, month)).sum();
    to_year + in_year + day - 1 - EPOCH
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(text: &str) -> Option<i64> {
        parse(text).map(Timestamp::unix_seconds)
    }

    #[test]
    fn instants_are_read_as_workos_has_written_them() {
        let read = |text| parse(text).map(Timestamp::unix_millis);
        assert_eq!(read("2026-11-21T10:00:00.000Z"), Some(1_795_255_200_000));
        assert_eq!(read("2026-11-21T10:00:00.123456Z"), Some(1_795_255_200_123));
        assert_eq!(read("2026-11-21T10:00:00.5Z"), Some(1_795_255_200_500));
        assert_eq!(read("2026-11-21T12:00:00+02:00"), Some(1_795_255_200_000));
        assert_eq!(read("2026-11-21T05:30:00-04:30"), Some(1_795_255_200_000));
        assert_eq!(read("2023-04-28 20:05:31.093"), Some(1_682_712_331_093));
        assert_eq!(seconds("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(seconds("2000-02-29T23:59:60Z"), Some(951_868_800));
        assert_eq!(seconds("2024-03-01T00:00:00Z"), Some(1_709_251_200));
    }

    #[test]
    fn what_names_no_instant_is_none() {
        for text in [
            "",
            "yesterday",
            "2026-11-21",
            "2026-11-21T10:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-11-21T24:00:00Z",
            "2026-11-21T10:60:00Z",
            "2026-11-21T10:00:00.Z",
            "2026-11-21T10:00:00ZZ",
            "2026-11-21T10:00:00+0200",
            "2026-11-21T10:00:00+25:00",
            "+026-11-21T10:00:00Z",
            "2026-11-21T10:00:00\u{e9}",
            "1795255200000",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse(&format!("2026-11-21T10:00:00.{}Z", "0".repeat(30))), None);
    }
}
