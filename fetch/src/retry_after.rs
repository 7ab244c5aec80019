//! The `Retry-After` header (RFC 9110, 10.2.3): seconds, or a date.

use std::time::Duration;

use chrono::DateTime;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

/// Longest delay. A larger value is cut to this.
const LONGEST: Duration = Duration::from_secs(3600);

/// Shortest delay. A failing server that says "now", or names a past time, would otherwise be asked without end.
const SHORTEST: Duration = Duration::from_secs(5);

/// The delay that the server asks for, between 5 seconds and an hour. A date is compared with the response's own `Date`, so our
/// clocks do not matter; without `Date` it is ignored.
pub fn delay(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let seconds = match value.parse::<u64>() {
        Ok(seconds) => seconds,
        Err(_) => {
            let until = DateTime::parse_from_rfc2822(value).ok()?;
            let now = DateTime::parse_from_rfc2822(headers.get(DATE)?.to_str().ok()?.trim()).ok()?;
            u64::try_from((until - now).num_seconds()).unwrap_or(0)
        }
    };
    Some(Duration::from_secs(seconds).clamp(SHORTEST, LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates() {
        let now = "Sun, 06 Nov 1994 08:49:37 GMT";
        let table = [
            ("120", None, Some(120)),
            (" 0 ", None, Some(5)),
            ("999999999", None, Some(3600)),
            ("-5", None, None),
            ("soon", Some(now), None),
            ("Sun, 06 Nov 1994 08:51:37 GMT", Some(now), Some(120)),
            ("4", None, Some(5)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(now), Some(5)),
            ("Sun, 06 Nov 1994 08:51:37 GMT", None, None),
        ];
        for (value, date, seconds) in table {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, value.parse().expect("a header"));
            if let Some(date) = date {
                headers.insert(DATE, date.parse().expect("a header"));
            }
            assert_eq!(delay(&headers), seconds.map(Duration::from_secs), "{value} at {date:?}");
        }
        assert_eq!(delay(&HeaderMap::new()), None);
    }
}
