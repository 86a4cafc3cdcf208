//! What the kernel says a process has spent and holds: CPU time, resident and proportional memory.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

use crate::Result;

/// Linux reports `/proc/PID/stat` times in hundredths of a second on every architecture.
const TICK: Duration = Duration::from_millis(10);

/// The CPU time of a process so far, by two clocks that each lack something.
#[derive(Debug)]
pub struct Cpu {
    /// Nanoseconds per thread: exact, but a thread that ended takes its time away with it.
    threads: HashMap<String, u64>,
    /// User and system ticks of the whole process: coarse, but nothing is ever lost.
    ticks: u32,
}

impl Cpu {
    pub fn of(pid: u32) -> Result<Self> {
        let mut threads = HashMap::new();
        for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
            let entry = entry?;
            // A thread may end between the listing and the reading.
            let Ok(text) = fs::read_to_string(entry.path().join("schedstat")) else {
                continue;
            };
            let spent = text.split_whitespace().next().ok_or("schedstat is empty")?.parse()?;
            threads.insert(entry.file_name().to_string_lossy().into_owned(), spent);
        }
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let (_, fields) = stat.rsplit_once(')').ok_or("stat has no command name")?;
        let mut times = fields.split_whitespace().skip(11);
        let mut next = || -> Result<u32> { Ok(times.next().ok_or("stat is too short")?.parse()?) };
        Ok(Self { threads, ticks: next()? + next()? })
    }

    /// What was spent since an earlier reading: the exact sum, unless the coarse clock proves it too low.
    pub fn since(&self, earlier: &Self) -> Duration {
        let exact = self
            .threads
            .iter()
            .map(|(thread, spent)| spent.saturating_sub(earlier.threads.get(thread).copied().unwrap_or(0)));
        let exact = Duration::from_nanos(exact.sum());
        // Each of the two tick counts may be short by almost one tick.
        let at_least = (TICK * self.ticks.saturating_sub(earlier.ticks)).saturating_sub(TICK * 2);
        exact.max(at_least)
    }
}

/// The memory of a process in KiB.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    pub rss: u32,
    pub pss: u32,
}

impl Memory {
    pub fn of(pid: u32) -> Result<Self> {
        Ok(Self {
            rss: field(&format!("/proc/{pid}/status"), "VmRSS:")?,
            pss: field(&format!("/proc/{pid}/smaps_rollup"), "Pss:")?,
        })
    }
}

fn field(path: &str, name: &str) -> Result<u32> {
    let text = fs::read_to_string(path)?;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next());
    Ok(value.ok_or_else(|| format!("{path} has no {name}"))?.parse()?)
}

/// How many files this process, and so every process it starts, may open.
pub fn open_files_limit() -> Result<u32> {
    let text = fs::read_to_string("/proc/self/limits")?;
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files"));
    let limit = line.and_then(|rest| rest.split_whitespace().next()).unwrap_or("unlimited");
    Ok(limit.parse().unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::{Cpu, Memory};

    #[test]
    fn reads_its_own_process() -> crate::Result<()> {
        let pid = std::process::id();
        let before = Cpu::of(pid)?;
        let mut number = 1_u64;
        for step in 0..50_000_000_u64 {
            number = std::hint::black_box(number.wrapping_mul(31).wrapping_add(step));
        }
        assert!(Cpu::of(pid)?.since(&before).as_micros() > 1000);
        assert!(Memory::of(pid)?.rss > 0);
        Ok(())
    }
}
