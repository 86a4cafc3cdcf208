//! So many units in so much time, as a bucket that fills with every unit and drains steadily: exact in whole numbers.
//!
//! This is GCRA, told by its level instead of its next free moment. A unit weighs so many *points*, and every *tick*
//! drains so many; both are whole, so nothing is ever rounded, and the same numbers are exact in the doubles of a
//! Redis script. In any stretch of time of one period, at most `amount + burst` units pass.

use std::time::Duration;

/// Points stay below this, so that a double holds each of them exactly.
pub const MAX_POINTS: u64 = 1 << 52;

/// The lengths of a tick that are tried, in microseconds: the finest whose points fit.
const TICKS: [u64; 7] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000];

/// `amount` units in each `period`, of which `burst` may come at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate {
    pub amount: u64,
    pub period: Duration,
    pub burst: u64,
    /// Microseconds.
    tick: u64,
    points_per_tick: u64,
    points_per_unit: u64,
    capacity: u64,
}

/// How full a bucket is, and when that was. A new one is empty.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bucket {
    pub points: u64,
    /// In ticks since 1970.
    pub tick: u64,
}

/// What a bucket has room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Units that would pass now.
    pub remaining: u64,
    /// Until the whole burst is there again.
    pub full_in: Duration,
}

/// Why units do not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// They will in so long, if nobody else takes any.
    For(Duration),
    /// They are more than the bucket ever holds.
    TooMany,
}

impl Rate {
    /// `None` where a number is zero, or so large that it cannot be counted exactly.
    pub fn new(amount: u64, period: Duration, burst: u64) -> Option<Self> {
        let micros = u64::try_from(period.as_micros()).ok().filter(|micros| *micros > 0)?;
        if amount == 0 || burst == 0 {
            return None;
        }
        TICKS.into_iter().filter(|tick| micros % tick == 0).find_map(|tick| {
            let ticks = micros / tick;
            let common = gcd(amount, ticks);
            let (points_per_tick, points_per_unit) = (amount / common, ticks / common);
            let capacity = burst.checked_mul(points_per_unit)?;
            let fits = capacity <= MAX_POINTS / 2 && points_per_tick <= MAX_POINTS / 2;
            fits.then_some(Self { amount, period, burst, tick, points_per_tick, points_per_unit, capacity })
        })
    }

    /// The numbers that a counter elsewhere needs: tick in microseconds, points per tick, points per unit, capacity.
    pub fn points(&self) -> [u64; 4] {
        [self.tick, self.points_per_tick, self.points_per_unit, self.capacity]
    }

    /// The same rate, of which `1 / parts` is one's own: at least one unit.
    #[must_use]
    pub fn share(&self, parts: u64) -> Self {
        let parts = parts.max(1);
        let burst = (self.burst / parts).max(1);
        // The period grows where the amount does not divide: no share is rounded up.
        let own = u32::try_from(parts).ok().and_then(|parts| {
            let period = self.period.checked_mul(parts)?;
            Self::new(self.amount, period, burst)
        });
        own.unwrap_or(*self)
    }

    fn weight(&self, units: u64) -> u64 {
        units.saturating_mul(self.points_per_unit).min(MAX_POINTS)
    }
}

impl Bucket {
    /// Lets what has passed since the last look drain. A clock that goes back drains nothing.
    pub fn drain(&mut self, rate: &Rate, now: u64) {
        let tick = now / rate.tick;
        let drained = tick.saturating_sub(self.tick).saturating_mul(rate.points_per_tick);
        self.points = self.points.saturating_sub(drained);
        self.tick = self.tick.max(tick);
    }

    /// Whether `units` would pass at `now` (microseconds since 1970), once drained.
    pub fn check(&self, rate: &Rate, now: u64, units: u64) -> Result<(), Full> {
        let weight = rate.weight(units);
        let over = (self.points + weight).saturating_sub(rate.capacity);
        if over == 0 {
            return Ok(());
        }
        if weight > rate.capacity {
            return Err(Full::TooMany);
        }
        let free = (self.tick + over.div_ceil(rate.points_per_tick)) * rate.tick;
        Err(Full::For(Duration::from_micros(free.saturating_sub(now))))
    }

    /// Takes `units` whether or not there is room.
    pub fn add(&mut self, rate: &Rate, units: u64) {
        self.points = (self.points + rate.weight(units)).min(MAX_POINTS);
    }

    /// Gives `units` back. What has drained meanwhile cannot be given back twice.
    pub fn give_back(&mut self, rate: &Rate, units: u64) {
        self.points = self.points.saturating_sub(rate.weight(units));
    }

    pub fn room(&self, rate: &Rate, now: u64) -> Room {
        let full = (self.tick + self.points.div_ceil(rate.points_per_tick)) * rate.tick;
        Room {
            remaining: rate.capacity.saturating_sub(self.points) / rate.points_per_unit,
            full_in: Duration::from_micros(if self.points == 0 { 0 } else { full.saturating_sub(now) }),
        }
    }
}

fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn at(bucket: &mut Bucket, rate: &Rate, now: u64, units: u64) -> Result<(), Full> {
        bucket.drain(rate, now);
        bucket.check(rate, now, units)?;
        bucket.add(rate, units);
        Ok(())
    }

    #[test]
    fn a_burst_passes_and_then_one_for_each_share_of_the_period() {
        let rate = Rate::new(100, MINUTE, 3).unwrap();
        let mut bucket = Bucket::default();
        for _ in 0..3 {
            at(&mut bucket, &rate, 1_000_000, 1).unwrap();
        }
        assert_eq!(at(&mut bucket, &rate, 1_000_000, 1), Err(Full::For(Duration::from_millis(600))));
        assert!(at(&mut bucket, &rate, 1_599_999, 1).is_err());
        at(&mut bucket, &rate, 1_600_000, 1).unwrap();
        assert_eq!(at(&mut bucket, &rate, 1_600_000, 4), Err(Full::TooMany));
    }

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let rate = Rate::new(1000, MINUTE, 1000).unwrap();
        let mut bucket = Bucket::default();
        at(&mut bucket, &rate, 0, 900).unwrap();
        bucket.give_back(&rate, 850);
        assert_eq!(bucket.room(&rate, 0).remaining, 950);
        bucket.add(&rate, 2000);
        assert_eq!(bucket.room(&rate, 0).remaining, 0, "a debt has to drain first");
        assert_eq!(bucket.room(&rate, 0).full_in, Duration::from_secs(123));
    }

    #[test]
    fn odd_numbers_are_counted_as_exactly_as_round_ones() {
        for (amount, period) in
            [(7, 1), (999_983, 60), (999_999_937, 86_400), (1, 86_400), (5_000_000_000, 86_400)]
        {
            let rate = Rate::new(amount, Duration::from_secs(period), amount).unwrap();
            let [tick, per_tick, per_unit, capacity] = rate.points();
            assert_eq!(
                u128::from(per_tick) * u128::from(period * 1_000_000 / tick),
                u128::from(amount) * u128::from(per_unit)
            );
            assert_eq!(capacity, amount * per_unit);
        }
        assert_eq!(Rate::new(u64::MAX, MINUTE, u64::MAX), None);
        assert_eq!(Rate::new(0, MINUTE, 1), None);
    }

    #[test]
    fn shares_together_are_never_more_than_the_whole() {
        let rate = Rate::new(100, MINUTE, 100).unwrap();
        let third = rate.share(3);
        assert_eq!((third.amount, third.period, third.burst), (100, MINUTE * 3, 33));
    }
}
