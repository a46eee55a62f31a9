//! Times as Graph writes them: RFC 3339 in JSON, and the dates of HTTP.

/// Reads `2026-11-27T08:09:10Z`, with or without fractions of a second, into Unix seconds. Graph
/// writes times in UTC only; another offset, a leap second or a year before 1970 is none.
pub(super) fn parse(text: &str) -> Option<i64> {
    let text = text.strip_suffix('Z')?;
    let (text, fraction) = text.split_once('.').map_or((text, None), |(text, rest)| (text, Some(rest)));
    if fraction.is_some_and(|digits| digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit())) {
        return None;
    }
    let (date, time) = text.split_once('T')?;
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
    let is_time = hour < 24 && minute < 60 && second < 60;
    let is_date = year >= 1970 && (1..=12).contains(&month) && (1..=days_of(year, month)).contains(&day);
    (is_date && is_time)
        .then(|| days_since_1970(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second)
}

/// The months of a date of HTTP.
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Reads `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 section 5.6.7, IMF-fixdate) into Unix seconds.
/// The two obsolete forms of that section are none.
pub(super) fn parse_http_date(text: &str) -> Option<i64> {
    let (weekday, rest) = text.strip_suffix(" GMT")?.split_once(", ")?;
    let mut parts = rest.split(' ');
    let (day, month, year, time) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    let is_whole = weekday.len() == 3 && parts.next().is_none();
    is_whole.then(|| parse(&format!("{year}-{month:02}-{day}T{time}Z")))?
}

/// Reads three numbers of exactly so many digits.
fn numbers(text: &str, separator: char, digits: [usize; 3]) -> Option<[i64; 3]> {
    let mut parts = text.split(separator);
    let mut values = [0; 3];
    for (value, length) in values.iter_mut().zip(digits) {
        let part = parts.next().filter(|part| part.len() == length)?;
        *value = part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok())??;
    }
    parts.next().is_none().then_some(values)
}

const fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

const fn days_of(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Counts the days by leap years: 365 a year, and one for each leap year that has ended.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let leap_years = |before: i64| (before - 1) / 4 - (before - 1) / 100 + (before - 1) / 400;
    let years = (year - 1970) * 365 + leap_years(year) - leap_years(1970);
    years + (1..month).map(|month| days_of(year, month)).sum::<i64>() + day - 1
}

#[cfg(test)]
mod tests {
    use super::{parse, parse_http_date};

    #[test]
    fn dates_of_http() {
        for (text, time) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Sun, 6 Nov 1994 08:49:37 GMT", None),
            ("Sun, 06 Nov 1994 08:49:37 UTC", None),
            ("Sun, 06 Nov 1994 08:49:37", None),
            ("Sun, 06 nov 1994 08:49:37 GMT", None),
            ("Sun, 06 Nov 1994 08:49:37 x GMT", None),
            ("Sunday, 06-Nov-94 08:49:37 GMT", None),
            ("Sun, 31 Nov 1994 08:49:37 GMT", None),
            ("Sun Nov  6 08:49:37 1994", None),
            ("soon", None),
        ] {
            assert_eq!(parse_http_date(text), time, "{text}");
        }
    }

    #[test]
    fn times_are_utc() {
        for (text, time) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2024-02-29T23:59:59Z", Some(1_709_251_199)),
            ("2026-11-27T08:09:10.1234567Z", Some(1_795_766_950)),
            ("2000-03-01T00:00:00Z", Some(951_868_800)),
            ("2023-02-29T00:00:00Z", None),
            ("2026-11-27T08:09:10", None),
            ("2026-11-27T08:09:10+00:00", None),
            ("2026-11-27T08:09:10.Z", None),
            ("2026-11-27 08:09:10Z", None),
            ("2026-13-27T08:09:10Z", None),
            ("2026-11-27T24:00:00Z", None),
            ("2026-11-27T08:09:60Z", None),
            ("1969-12-31T23:59:59Z", None),
            ("2026-1-27T08:09:10Z", None),
            ("+026-11-27T08:09:10Z", None),
            ("", None),
        ] {
            assert_eq!(parse(text), time, "{text}");
        }
    }
}
