//! The measurements themselves: CPU per request, latency at a fixed rate, memory under held streams.

use std::time::Duration;

use crate::Result;
use crate::child::Process;
use crate::cli::Options;
use crate::load::Pool;
use crate::procfs::{Cpu, Memory};
use crate::report::Pair;
use crate::shape::{Kind, Script};

/// Each round is cut into this many turns, so that a busy neighbour disturbs both proxies alike.
const TURNS: u32 = 50;
/// What a proxy does behind the answers, such as writing a ledger, belongs to the round.
const SETTLE: Duration = Duration::from_millis(300);
/// How long closed streams may take to be let go.
const RELEASE: Duration = Duration::from_secs(2);

/// The two proxies of one run: the floor, and what is compared with it.
#[derive(Debug)]
pub struct Proxies {
    pub floor: Process,
    pub other: Process,
}

impl Proxies {
    pub async fn ready(&mut self) -> Result<()> {
        self.floor.ready().await?;
        self.other.ready().await
    }

    pub fn memory(&self) -> Result<Pair<Memory>> {
        Ok(Pair { floor: Memory::of(self.floor.pid())?, other: Memory::of(self.other.pid())? })
    }

    /// One round: CPU microseconds per request of one kind, the proxies taking turns.
    pub async fn cpu(&self, kind: Kind, count: u32, connections: u32) -> Result<Pair<f64>> {
        let script = Script::of(kind);
        self.cpu_of(&script, &script, count, connections).await
    }

    /// The same, where the other proxy is asked something else than the floor.
    pub async fn cpu_of(
        &self,
        floor_script: &Script,
        other_script: &Script,
        count: u32,
        connections: u32,
    ) -> Result<Pair<f64>> {
        let mut floor = Pool::new(self.floor.address, floor_script, connections).await?;
        let mut other = Pool::new(self.other.address, other_script, connections).await?;
        let before = [Cpu::of(self.floor.pid())?, Cpu::of(self.other.pid())?];
        for turn in 0..TURNS {
            let share = count * (turn + 1) / TURNS - count * turn / TURNS;
            for is_floor in order(turn) {
                let (process, pool) =
                    if is_floor { (&self.floor, &mut floor) } else { (&self.other, &mut other) };
                let done = pool.closed_loop(share).await;
                done.map_err(|error| format!("{} failed in a round: {error}", process.name))?;
            }
        }
        tokio::time::sleep(SETTLE).await;
        let each = |process: &Process, before: &Cpu| -> Result<f64> {
            let spent = Cpu::of(process.pid())?.since(before);
            Ok(spent.as_secs_f64() * 1e6 / f64::from(count))
        };
        Ok(Pair { floor: each(&self.floor, &before[0])?, other: each(&self.other, &before[1])? })
    }

    /// Latencies of exchanges at a fixed rate, the proxies taking turns.
    pub async fn latency(&self, options: &Options) -> Result<Pair<Vec<Duration>>> {
        let script = Script::of(Kind::Exchange);
        let mut floor = Pool::new(self.floor.address, &script, options.connections).await?;
        let mut other = Pool::new(self.other.address, &script, options.connections).await?;
        let (rate, turn) = (options.rate, options.latency / TURNS);
        let mut latencies = Pair::<Vec<_>>::default();
        for number in 0..TURNS {
            for is_floor in order(number) {
                let (process, pool, all) = if is_floor {
                    (&self.floor, &mut floor, &mut latencies.floor)
                } else {
                    (&self.other, &mut other, &mut latencies.other)
                };
                let done = pool.open_loop(rate, turn).await;
                all.extend(
                    done.map_err(|error| format!("{} failed at {rate} requests/s: {error}", process.name))?,
                );
            }
        }
        Ok(latencies)
    }

    /// Memory before, with and after held streams, the floor first.
    pub async fn held(&self, count: u32) -> Result<Pair<Held>> {
        Ok(Pair { floor: held(&self.floor, count).await?, other: held(&self.other, count).await? })
    }
}

/// Whether the floor is measured, then not, or the other way round: who goes first changes with every turn.
fn order(turn: u32) -> [bool; 2] {
    let floor_first = turn.is_multiple_of(2);
    [floor_first, !floor_first]
}

/// The memory of one proxy around held streams.
#[derive(Debug, Clone, Copy)]
pub struct Held {
    pub before: Memory,
    pub open: Memory,
    pub after: Memory,
}

async fn held(process: &Process, count: u32) -> Result<Held> {
    let before = Memory::of(process.pid())?;
    let mut streams = Pool::new(process.address, &Script::of(Kind::Hold), count).await?;
    let opened = streams.open_all().await;
    opened.map_err(|error| format!("{} with {count} held streams: {error}", process.name))?;
    tokio::time::sleep(SETTLE).await;
    let open = Memory::of(process.pid())?;
    drop(streams);
    tokio::time::sleep(RELEASE).await;
    Ok(Held { before, open, after: Memory::of(process.pid())? })
}
