//! Columns as the program reads them. SQL may write any value that PostgreSQL accepts; none of them fails the
//! read of its row, because one row would fail the whole claim or list.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgHasArrayType, PgTypeInfo, PgValueFormat, PgValueRef};
use sqlx::{Decode, Encode, Postgres, Type};

/// PostgreSQL's epoch, 2000-01-01, in microseconds since 1970.
const EPOCH: i64 = 946_684_800_000_000;

/// The years 1 to 9999 in microseconds since 1970: the times that every reader of RFC 3339 understands.
const FIRST: i64 = -62_135_596_800_000_000;
const LAST: i64 = 253_402_300_799_000_000;

/// A `timestamptz`, exactly: `infinity`, `-infinity` and the years that chrono does not have included.
/// Microseconds since 2000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Timestamp(i64);

impl Timestamp {
    /// The nearest time in the years 1 to 9999.
    pub(crate) fn time(self) -> DateTime<Utc> {
        let micros = self.0.saturating_add(EPOCH).clamp(FIRST, LAST);
        DateTime::from_timestamp_micros(micros).unwrap_or(DateTime::UNIX_EPOCH)
    }
}

impl From<DateTime<Utc>> for Timestamp {
    fn from(time: DateTime<Utc>) -> Self {
        Self(time.timestamp_micros().saturating_sub(EPOCH))
    }
}

impl From<Timestamp> for DateTime<Utc> {
    fn from(timestamp: Timestamp) -> Self {
        timestamp.time()
    }
}

impl Type<Postgres> for Timestamp {
    fn type_info() -> PgTypeInfo {
        <DateTime<Utc> as Type<Postgres>>::type_info()
    }
}

impl PgHasArrayType for Timestamp {
    fn array_type_info() -> PgTypeInfo {
        <DateTime<Utc> as PgHasArrayType>::array_type_info()
    }
}

impl Decode<'_, Postgres> for Timestamp {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        match value.format() {
            PgValueFormat::Binary => <i64 as Decode<Postgres>>::decode(value).map(Self),
            PgValueFormat::Text => <DateTime<Utc> as Decode<Postgres>>::decode(value).map(Self::from),
        }
    }
}

impl Encode<'_, Postgres> for Timestamp {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        <i64 as Encode<Postgres>>::encode_by_ref(&self.0, buffer)
    }
}

/// A `timestamptz` that may be missing.
pub(crate) struct OptionalTime(Option<DateTime<Utc>>);

impl From<OptionalTime> for Option<DateTime<Utc>> {
    fn from(time: OptionalTime) -> Self {
        time.0
    }
}

impl Type<Postgres> for OptionalTime {
    fn type_info() -> PgTypeInfo {
        Timestamp::type_info()
    }
}

impl Decode<'_, Postgres> for OptionalTime {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        let timestamp = <Option<Timestamp> as Decode<Postgres>>::decode(value)?;
        Ok(Self(timestamp.map(Timestamp::time)))
    }
}

/// A time in `jsonb`, as PostgreSQL writes it: years beyond 9999, `BC` and `infinity` included.
pub(crate) fn time_in_json<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DateTime<Utc>, D::Error> {
    let text = String::deserialize(deserializer)?;
    Ok(text.parse().unwrap_or_else(|_| {
        let is_before = text.starts_with('-') || text.ends_with("BC");
        Timestamp(if is_before { i64::MIN } else { i64::MAX }).time()
    }))
}

/// The text of a `jsonb` value, to be parsed where it is needed.
#[derive(Debug, Clone)]
pub(crate) struct JsonText(pub(crate) String);

impl Type<Postgres> for JsonText {
    fn type_info() -> PgTypeInfo {
        <Value as Type<Postgres>>::type_info()
    }
}

impl Decode<'_, Postgres> for JsonText {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        let text = value.as_str()?;
        // In binary form a version number precedes the text.
        Ok(Self(text.strip_prefix('\u{1}').unwrap_or(text).to_owned()))
    }
}

impl JsonText {
    /// The value. A text if it holds a number beyond f64 or more than 128 levels, which serde_json does not read.
    fn value(self) -> Value {
        serde_json::from_str(&self.0).unwrap_or(Value::String(self.0))
    }
}

impl From<JsonText> for Value {
    fn from(text: JsonText) -> Self {
        text.value()
    }
}

/// A `jsonb` value that may be missing.
pub(crate) struct OptionalJson(Option<JsonText>);

impl From<OptionalJson> for Option<Value> {
    fn from(text: OptionalJson) -> Self {
        text.0.map(JsonText::value)
    }
}

impl Type<Postgres> for OptionalJson {
    fn type_info() -> PgTypeInfo {
        JsonText::type_info()
    }
}

impl Decode<'_, Postgres> for OptionalJson {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        <Option<JsonText> as Decode<Postgres>>::decode(value).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_timestamp_is_a_time_of_four_digit_years() {
        let shown = |micros| Timestamp(micros).time().to_rfc3339();
        assert_eq!(shown(0), "2000-01-01T00:00:00+00:00");
        assert_eq!(shown(i64::MAX), "9999-12-31T23:59:59+00:00");
        assert_eq!(shown(i64::MIN), "0001-01-01T00:00:00+00:00");
        let now = DateTime::UNIX_EPOCH;
        assert_eq!(Timestamp::from(now).time().timestamp_micros(), now.timestamp_micros());
    }

    #[test]
    fn times_in_json_are_read_as_postgresql_writes_them() {
        let read = |text: &str| time_in_json(Value::String(text.to_owned())).unwrap().to_rfc3339();
        assert_eq!(read("2026-01-02T03:04:05.5+01:00"), "2026-01-02T02:04:05.500+00:00");
        assert_eq!(read("infinity"), "9999-12-31T23:59:59+00:00");
        assert_eq!(read("12026-01-02T03:04:05+00:00"), "9999-12-31T23:59:59+00:00");
        assert_eq!(read("-infinity"), "0001-01-01T00:00:00+00:00");
        assert_eq!(read("0044-03-15T00:00:00+00:00 BC"), "0001-01-01T00:00:00+00:00");
    }
}
