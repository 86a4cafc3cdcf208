//! What an exchange is charged to, and what the counters say to it: the words between policy and the stores that count.
//!
//! An exchange *reserves* a list of charges, all or none, under a lease, and *settles* that lease when it is known what
//! was used. Everything is counted within one organisation.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rust_decimal::Decimal;
use smallvec::SmallVec;

use crate::rate_limit::Rate;

/// Money is counted in steps of a trillionth of a dollar: a price per million tokens with six decimals is exact.
pub const MONEY_DECIMALS: u32 = 12;

/// What a rule's counter is for: the rule, and the values of its scope in the scope's order (the organisation is not
/// among them).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    /// The same for the same rule in every replica and after every restart.
    pub rule: RuleId,
    pub values: SmallVec<[Arc<str>; 3]>,
}

impl From<&Key> for Key {
    fn from(key: &Key) -> Self {
        key.clone()
    }
}

/// A rule by a hash of what makes it itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleId(pub u64);

/// One thing that an exchange is charged to.
#[derive(Debug, Clone, PartialEq)]
pub struct Charge {
    pub key: Key,
    pub take: Take,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Take {
    /// Units of a rate. They stay taken unless the settlement says otherwise.
    Units { rate: Rate, units: u64 },
    /// One of so many places, for as long as the lease lives.
    Place { places: u32 },
    /// Dollars of a budget; what has been spent and what is reserved together stay within `budget`.
    Money { budget: Decimal, window: Window, amount: Decimal },
}

/// The stretch of time that a budget is for, in milliseconds since 1970; without an end, `end` is [`u64::MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Window {
    pub start: u64,
    pub end: u64,
}

/// What an exchange holds: its own id and a number for each part of it that is reserved apart.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct LeaseId {
    pub exchange: u128,
    pub part: u32,
}

impl fmt::Debug for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}.{}", self.exchange, self.part)
    }
}

/// Charges under one lease.
#[derive(Debug, Clone, PartialEq)]
pub struct Lease {
    pub id: LeaseId,
    pub org: Arc<str>,
    pub charges: Vec<Charge>,
}

/// The answer to a reservation.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The charge that stands in the way: of several the one that does so longest. Then nothing was taken.
    pub denied: Option<usize>,
    /// For each charge, after the reservation.
    pub states: SmallVec<[State; 6]>,
    /// The shared counters were not there: this replica's own share counted.
    pub degraded: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum State {
    Units {
        /// Units that would still pass now.
        remaining: u64,
        /// Until all of the burst is there again.
        full_in: Duration,
        /// Until this charge would pass, where it does not now; [`Duration::MAX`] where it never will.
        wait: Duration,
    },
    Place {
        taken: u32,
        denied: bool,
    },
    Money {
        spent: Decimal,
        /// By exchanges under way, this one included.
        reserved: Decimal,
        denied: bool,
    },
}

impl State {
    /// How long a denied charge stands in the way: a place may come free at any moment, a budget is used up until its
    /// window ends.
    pub fn stands(&self) -> Duration {
        match self {
            Self::Units { wait, .. } => *wait,
            Self::Place { denied, .. } => Duration::from_millis(u64::from(*denied)),
            Self::Money { denied: true, .. } => Duration::MAX,
            Self::Money { denied: false, .. } => Duration::ZERO,
        }
    }

    pub fn is_denied(&self) -> bool {
        match self {
            Self::Units { wait, .. } => !wait.is_zero(),
            Self::Place { denied, .. } | Self::Money { denied, .. } => *denied,
        }
    }
}

/// What of a charge was used in the end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Used {
    /// All that was reserved, and no more.
    AsReserved,
    Units(u64),
    Money(Decimal),
}

/// The end of a lease: what was used of each of its charges.
#[derive(Debug, Clone, PartialEq)]
pub struct Settlement {
    pub lease: Lease,
    pub used: Vec<Used>,
}

/// What a counter is brought up to when a gateway starts, from its ledger.
#[derive(Debug, Clone, PartialEq)]
pub struct Restored {
    pub org: Arc<str>,
    pub key: Key,
    pub what: Past,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Past {
    /// All that this gateway's ledger says was spent in the window.
    Spent { window: Window, amount: Decimal },
    /// A bucket as the rows of the ledger left it.
    Bucket { rate: Rate, bucket: crate::rate_limit::Bucket },
}
