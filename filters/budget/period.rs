//! Calendar days, weeks and months in a time zone, as stretches of milliseconds.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _, ZonedDateTime};
use serde::Deserialize;

use crate::counters::Window;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Name {
    Day,
    /// From Monday.
    Week,
    Month,
    /// Once and for all.
    Total,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Total => "total",
        })
    }
}

/// A period of the calendar, with the window that was found last: a calendar is not asked for each exchange.
#[derive(Debug, Clone)]
pub struct Period {
    name: Name,
    zone: TimeZone,
    last: Arc<ArcSwap<Window>>,
}

const ALWAYS: Window = Window { start: 0, end: u64::MAX };

impl Period {
    pub(super) fn new(name: Name, zone: Option<&str>) -> Result<Self, String> {
        let zone = match zone {
            None => TimeZone::UTC,
            Some(zone) => TimeZone::get(zone).map_err(|_| {
                format!(
                    "there is no time zone {zone:?}; write one as \"Europe/Berlin\" or leave it out for UTC"
                )
            })?,
        };
        Ok(Self { name, zone, last: Arc::new(ArcSwap::from_pointee(Window { start: 0, end: 0 })) })
    }

    /// The same for the same period, whatever process asks.
    pub fn id(&self) -> String {
        format!("{} {}", self.name, self.zone.iana_name().unwrap_or("UTC"))
    }

    /// The window that holds `now`, in milliseconds since 1970.
    pub fn window(&self, now: u64) -> Window {
        let last = **self.last.load();
        if (last.start..last.end).contains(&now) {
            return last;
        }
        // A time that the calendar does not reach is in a window of its own.
        let window = self.find(now).unwrap_or(ALWAYS);
        self.last.store(Arc::new(window));
        window
    }

    fn find(&self, now: u64) -> Option<Window> {
        let now =
            Timestamp::from_millisecond(i64::try_from(now).ok()?).ok()?.to_zoned_datetime(self.zone.clone());
        let today = now.start_of_day().ok()?;
        let (start, end) = match self.name {
            Name::Total => return Some(ALWAYS),
            Name::Day => (today.clone(), today.checked_add(1.day()).ok()?),
            Name::Week => {
                let days = i64::from(today.weekday().since(Weekday::Monday));
                let monday = today.checked_sub(days.days()).ok()?;
                (monday.clone(), monday.checked_add(1.week()).ok()?)
            }
            Name::Month => {
                let first = today.first_of_month().ok()?;
                (first.clone(), first.checked_add(1.month()).ok()?)
            }
        };
        // A day may begin at one o'clock where clocks are put forward at midnight.
        Some(Window { start: millis(&start.start_of_day().ok()?)?, end: millis(&end.start_of_day().ok()?)? })
    }
}

fn millis(time: &ZonedDateTime) -> Option<u64> {
    u64::try_from(time.timestamp().as_millisecond()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(name: Name, zone: &str, now: &str) -> (String, String) {
        let now: Timestamp = now.parse().unwrap();
        let period = Period::new(name, Some(zone)).unwrap();
        let window = period.window(u64::try_from(now.as_millisecond()).unwrap());
        let text = |ms: u64| Timestamp::from_millisecond(i64::try_from(ms).unwrap()).unwrap().to_string();
        (text(window.start), text(window.end))
    }

    fn is(name: Name, zone: &str, now: &str, start: &str, end: &str) {
        assert_eq!(window(name, zone, now), (start.to_owned(), end.to_owned()), "{name} {zone} {now}");
    }

    #[test]
    fn windows_are_the_calendars_of_their_zone() {
        is(Name::Day, "UTC", "2026-11-24T12:00:00Z", "2026-11-24T00:00:00Z", "2026-11-25T00:00:00Z");
        is(Name::Day, "Asia/Tokyo", "2026-11-24T15:00:00Z", "2026-11-24T15:00:00Z", "2026-11-25T15:00:00Z");
        is(Name::Week, "UTC", "2026-11-29T23:59:59Z", "2026-11-23T00:00:00Z", "2026-11-30T00:00:00Z");
        is(Name::Month, "UTC", "2026-02-28T12:00:00Z", "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z");
    }

    #[test]
    fn days_with_23_and_25_hours_are_whole_days() {
        is(
            Name::Day,
            "Europe/Berlin",
            "2026-03-29T12:00:00Z",
            "2026-03-28T23:00:00Z",
            "2026-03-29T22:00:00Z",
        );
        is(
            Name::Day,
            "Europe/Berlin",
            "2026-10-25T12:00:00Z",
            "2026-10-24T22:00:00Z",
            "2026-10-25T23:00:00Z",
        );
    }

    #[test]
    fn a_total_has_no_end() {
        let period = Period::new(Name::Total, None).unwrap();
        assert_eq!(period.window(1), ALWAYS);
        assert_eq!(period.window(1 << 60), ALWAYS);
    }
}
