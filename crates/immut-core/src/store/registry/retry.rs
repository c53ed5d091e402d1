//! When and how long to wait before a request is sent again.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use super::Error;

/// How often a request is sent, the first time included.
pub(super) const TRIES: u32 = 6;

/// A registry that asks for a longer wait than this is not asked again.
const LONGEST_PAUSE: Duration = Duration::from_mins(2);

/// How long to wait after the failure number `tried` (from 0); none if it is the last word.
pub(super) fn pause(error: &Error, first: Duration, tried: u32) -> Option<Duration> {
    if !error.may_pass() || tried + 1 >= TRIES {
        return None;
    }
    let own = jittered(first.saturating_mul(1 << tried));
    let pause = error.retry_after().map_or(own, |asked| asked.max(own));
    (pause <= LONGEST_PAUSE).then_some(pause)
}

/// Between a half and the whole of `pause`, so that many clients do not come back at once.
pub(super) fn jittered(pause: Duration) -> Duration {
    let random = RandomState::new().hash_one(0) % 1000;
    pause / 2 + pause / 2000 * u32::try_from(random).unwrap_or(0)
}

/// What a `Retry-After` header asks for: seconds or a date.
pub(super) fn retry_after(headers: &HeaderMap, now: OffsetDateTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = OffsetDateTime::parse(text, &Rfc2822).ok()?;
    Some((date - now).try_into().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::super::error::Account;
    use super::*;
    use reqwest::header::HeaderValue;

    fn refused(status: u16, retry_after: Option<Duration>) -> Error {
        let (registry, step, said) = (String::new(), String::new(), String::new());
        let account = Account::Unasked;
        Error::Refused { registry, step, status, said, retry_after, account, tries: 1 }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = OffsetDateTime::parse("Sun, 06 Nov 1994 08:49:30 GMT", &Rfc2822).expect("a date");
        for (written, seconds) in [
            ("7", Some(7)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(7)),
            ("Sun, 06 Nov 1994 08:49:00 GMT", Some(0)),
            ("-1", None),
            ("soon", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_static(written));
            assert_eq!(retry_after(&headers, now), seconds.map(Duration::from_secs), "{written}");
        }
    }

    #[test]
    fn pauses_grow_and_end() {
        let first = Duration::from_millis(100);
        let own = pause(&refused(503, None), first, 2).expect("a pause");
        assert!(
            (Duration::from_millis(200)..=Duration::from_millis(400)).contains(&own),
            "{own:?}"
        );
        let asked = Duration::from_secs(9);
        assert_eq!(pause(&refused(429, Some(asked)), first, 0), Some(asked));
        let ever = Duration::from_secs(u64::MAX);
        for (error, tried) in [
            (refused(429, Some(ever)), 0),
            (refused(501, None), 0),
            (refused(503, None), TRIES - 1),
        ] {
            assert_eq!(pause(&error, first, tried), None, "{error}");
        }
    }
}
