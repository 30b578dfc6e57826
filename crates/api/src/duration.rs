//! Lengths of time as people write them: `300ms`, `3s`, `45m`, `1h30m`.

use std::{borrow::Cow, fmt, str::FromStr, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::id::excerpt;

/// A length of time, written like `300ms`, `3s`, `45m` or `1h30m`; whole milliseconds, at most [`Period::MAX`].
///
/// What it accepts is a part of what Go's `time.ParseDuration` and CEL's `duration()` accept: whole numbers with
/// the units `h`, `m`, `s`, `ms`, in that order, each at most once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Period(Duration);

/// Why a text is not a [`Period`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found} is not a length of time such as {PERIOD_WORDS}")]
pub struct InvalidPeriod {
    found: String,
}

/// The units in the order they are written, with their milliseconds and the most digits before each.
const UNITS: [(&str, u64, usize); 4] = [("h", 3_600_000, 5), ("m", 60_000, 7), ("s", 1000, 9), ("ms", 1, 12)];

/// The same as a pattern; the digits are few enough that no evaluator's sum overflows.
pub(crate) const PERIOD: &str = "^([0-9]{1,5}h)?([0-9]{1,7}m)?([0-9]{1,9}s)?([0-9]{1,12}ms)?$";

/// The same in words.
pub(crate) const PERIOD_WORDS: &str = "`300ms`, `3s`, `45m` or `1h30m`";

impl Period {
    /// The longest: 99,999 hours. Longer ones are cut to it.
    pub const MAX: Self = Self(Duration::from_hours(99_999));

    /// `n` milliseconds.
    #[must_use]
    pub const fn millis(n: u64) -> Self {
        if n > 99_999 * 3_600_000 { Self::MAX } else { Self(Duration::from_millis(n)) }
    }

    /// `n` seconds.
    #[must_use]
    pub const fn secs(n: u64) -> Self {
        Self::millis(n.saturating_mul(1000))
    }

    /// `n` minutes.
    #[must_use]
    pub const fn minutes(n: u64) -> Self {
        Self::millis(n.saturating_mul(60_000))
    }

    /// The same length as the standard library's type.
    #[must_use]
    pub const fn get(self) -> Duration {
        self.0
    }
}

/// The sum in milliseconds; none where `text` is not of the form of [`PERIOD`].
fn parse(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut sum = 0_u64;
    for (unit, millis, digits) in UNITS {
        let end = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at(end);
        // `5ms` must not be read as five minutes and a stray `s`.
        let Some(after) =
            after.strip_prefix(unit).filter(|a| a.is_empty() || a.as_bytes()[0].is_ascii_digit())
        else {
            continue;
        };
        if number.len() > digits {
            return None;
        }
        sum = number.parse::<u64>().ok()?.checked_mul(millis)?.checked_add(sum)?;
        rest = after;
    }
    (rest.is_empty() && !text.is_empty()).then_some(sum)
}

impl FromStr for Period {
    type Err = InvalidPeriod;
    fn from_str(text: &str) -> Result<Self, InvalidPeriod> {
        parse(text).map(Self::millis).ok_or_else(|| InvalidPeriod { found: excerpt(text) })
    }
}

impl TryFrom<String> for Period {
    type Error = InvalidPeriod;
    fn try_from(text: String) -> Result<Self, InvalidPeriod> {
        text.parse()
    }
}

impl From<Period> for Duration {
    fn from(period: Period) -> Self {
        period.0
    }
}

impl From<Period> for String {
    fn from(period: Period) -> String {
        period.to_string()
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = u64::try_from(self.0.as_millis()).map_err(|_| fmt::Error)?;
        if rest == 0 {
            return f.write_str("0s");
        }
        for (unit, millis, _) in UNITS {
            if rest >= millis {
                write!(f, "{}{unit}", rest / millis)?;
                rest %= millis;
            }
        }
        Ok(())
    }
}

impl JsonSchema for Period {
    fn schema_name() -> Cow<'static, str> {
        "Period".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        // `duration` lets rules compare periods as what they are.
        json_schema!({ "type": "string", "format": "duration", "minLength": 2, "maxLength": 32, "pattern": PERIOD })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (text, millis) in [
            ("300ms", 300),
            ("3s", 3000),
            ("45m", 2_700_000),
            ("1h30m", 5_400_000),
            ("1h2m3s4ms", 3_723_004),
            ("0s", 0),
            ("90m", 5_400_000),
            ("1500ms", 1500),
            ("1s5ms", 1005),
            ("01s", 1000),
        ] {
            assert_eq!(text.parse(), Ok(Period::millis(millis)), "{text}");
        }
    }

    #[test]
    fn refuses_the_rest() {
        let texts = "|0|5|s|ms|-3s|+3s|1.5s|3 s| 3s|3s |3S|3us|3d|1m1h|1s1s|5mss|PT3S|1e3s|\u{663}s|3s\n|1h30|\
                     99999999999999999999h|100000h|9999999999999ms";
        let pattern = regex::Regex::new(PERIOD).unwrap();
        for text in texts.split('|') {
            assert!(text.parse::<Period>().is_err(), "{text:?}");
            // The schema's `minLength` refuses the empty text.
            assert!(text.is_empty() || !pattern.is_match(text), "{text:?}");
        }
    }

    #[test]
    fn what_is_shown_is_read_back() {
        let mut random = fastrand::Rng::with_seed(7);
        let max = u64::try_from(Period::MAX.get().as_millis()).unwrap();
        let pattern = regex::Regex::new(PERIOD).unwrap();
        for bits in 0..64 {
            for _ in 0..50 {
                let period = Period::millis(random.u64(..) >> bits);
                let shown = period.to_string();
                assert!(pattern.is_match(&shown), "{shown}");
                assert_eq!(shown.parse(), Ok(period), "{shown}");
            }
        }
        assert_eq!(Period::millis(max + 1), Period::MAX);
        assert_eq!(Period::minutes(u64::MAX), Period::MAX);
        assert_eq!(Period::secs(u64::MAX), Period::MAX);
        assert_eq!(Period::MAX.to_string().parse(), Ok(Period::MAX));
    }

    #[test]
    fn the_parser_and_the_pattern_agree() {
        let pattern = regex::Regex::new(PERIOD).unwrap();
        let mut random = fastrand::Rng::with_seed(11);
        for _ in 0..20_000 {
            let text: String = (0..random.usize(2..10))
                .map(|_| char::from(random.choice("019hms".bytes()).unwrap()))
                .collect();
            assert_eq!(text.parse::<Period>().is_ok(), pattern.is_match(&text), "{text}");
        }
    }

    #[test]
    fn cel_reads_the_same_length() {
        use kube::core::cel::Validator;
        let schema = serde_json::json!({
            "type": "object",
            "properties": { "p": { "type": "string", "format": "duration" }, "ms": { "type": "integer" } },
            "x-kubernetes-validations": [{
                "rule": "self.p - duration(string(self.ms) + 'ms') < duration('1us') && \
                         duration(string(self.ms) + 'ms') - self.p < duration('1us')",
            }],
        });
        let mut random = fastrand::Rng::with_seed(13);
        for bits in 24..64 {
            let period = Period::millis(random.u64(..) >> bits);
            let object =
                serde_json::json!({ "p": period, "ms": u64::try_from(period.get().as_millis()).unwrap() });
            Validator::new().validate(&schema, &object, None).unwrap_or_else(|e| panic!("{object}: {e}"));
        }
    }
}
