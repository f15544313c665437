//! Days and instants of the calendar, in UTC.

/// Day number of a date `YYYY-MM-DD` since 1970-01-01 (H. Hinnant, "chrono-compatible low-level date algorithms").
pub fn day_of_date(date: &str) -> Option<i64> {
    let mut parts = date.splitn(3, '-').map(str::parse::<i64>);
    let (year, month, day) = (
        parts.next()?.ok()?,
        parts.next()?.ok()?,
        parts.next()?.ok()?,
    );
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || !(0..=9999).contains(&year) {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year - era * 400;
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

/// Date `YYYY-MM-DD` of a day number since 1970-01-01.
pub fn date_of_day(day: i64) -> String {
    let day = day + 719_468;
    let era = day.div_euclid(146_097);
    let of_era = day - era * 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{:02}",
        of_year - (153 * shifted + 2) / 5 + 1
    )
}

/// An instant as RFC 3339 writes it, in UTC to the microsecond.
///
/// ```
/// assert_eq!(outlay_units::timestamp(1_000_000_000_000_001), "2001-09-09T01:46:40.000001Z");
/// ```
pub fn timestamp(microseconds_since_1970: i64) -> String {
    const DAY: i64 = 86_400_000_000;
    let day = microseconds_since_1970.div_euclid(DAY);
    let of_day = microseconds_since_1970.rem_euclid(DAY);
    let (seconds, microseconds) = (of_day / 1_000_000, of_day % 1_000_000);
    format!(
        "{}T{:02}:{:02}:{:02}.{microseconds:06}Z",
        date_of_day(day),
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
}

/// Microseconds since 1970 of an instant that [`timestamp`] wrote.
///
/// ```
/// let instant = outlay_units::parse_timestamp("2001-09-09T01:46:40.000001Z");
/// assert_eq!(instant, Some(1_000_000_000_000_001));
/// ```
pub fn parse_timestamp(text: &str) -> Option<i64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let (clock, fraction) = time.split_once('.')?;
    let mut parts = clock.splitn(3, ':').map(str::parse::<i64>);
    let (hours, minutes, seconds) = (
        parts.next()?.ok()?,
        parts.next()?.ok()?,
        parts.next()?.ok()?,
    );
    let microseconds: i64 = fraction.parse().ok()?;
    let read = day_of_date(date)? * 86_400_000_000
        + (hours * 3600 + minutes * 60 + seconds) * 1_000_000
        + microseconds;
    (timestamp(read) == text).then_some(read)
}
