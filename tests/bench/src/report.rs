//! The figures of a run, as a plain table and as JSON.

use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::Options;
use crate::dialect::Dialect;
use crate::phase::Held;
use crate::procfs::Memory;

/// One figure of both proxies.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pair<T> {
    pub floor: T,
    pub other: T,
}

impl Pair<f64> {
    pub fn ratio(self) -> f64 {
        self.other / self.floor
    }
}

/// What one direction of translation costs beside passing the same answer through.
#[derive(Debug)]
pub struct Direction {
    /// What the client speaks.
    pub from: Dialect,
    /// What the provider speaks.
    pub to: Dialect,
    pub exchanges: Vec<Pair<f64>>,
    pub streams: Vec<Pair<f64>>,
}

/// Everything one run measured.
#[derive(Debug)]
pub struct Report {
    pub other: &'static str,
    pub exchanges: Vec<Pair<f64>>,
    pub streams: Vec<Pair<f64>>,
    pub translated: Vec<Direction>,
    pub latencies: Pair<Vec<Duration>>,
    pub loaded: Pair<Memory>,
    pub held: Pair<Held>,
}

impl Report {
    pub fn print(&self, options: &Options) {
        let other = self.other;
        let Options { rounds, exchanges, streams, connections, threads, .. } = options;
        println!("{rounds} rounds of {exchanges} exchanges and {streams} streams to each, in turns");
        println!("{connections} connections, {threads} threads in each proxy");
        print_cpu("CPU us per exchange", other, &self.exchanges);
        print_cpu("CPU us per stream of 50 events", other, &self.streams);

        if !self.translated.is_empty() {
            println!(
                "\n{:<40}{:>12}{:>12}{:>8}",
                "translated, CPU us (medians)", "passed on", "translated", "ratio"
            );
        }
        for Direction { from, to, exchanges, streams } in &self.translated {
            for (what, rounds) in [("exchange", exchanges), ("stream", streams)] {
                let (same, other) = (median(rounds, |pair| pair.floor), median(rounds, |pair| pair.other));
                let ratio = median(rounds, |pair| pair.ratio());
                let name = format!("{what}, {} -> {}", from.name(), to.name());
                println!("  {name:<38}{same:>12.1}{other:>12.1}{ratio:>8.2}");
            }
        }

        heading(&format!("latency us at {} exchanges/s", options.rate), other, "added");
        for (name, permille) in [("p50", 500), ("p99", 990)] {
            let Pair { floor, other } = self.percentile(permille);
            println!("  {name:<38}{floor:>10.0}{other:>10.0}{:>10.0}", other - floor);
        }

        heading("memory KiB", other, "ratio");
        for (name, memory) in self.memories(options.held) {
            let rss = memory.map(|memory| f64::from(memory.rss));
            let pss = memory.map(|memory| f64::from(memory.pss));
            row(&format!("{name}, RSS"), rss, 0);
            row(&format!("{name}, PSS"), pss, 0);
        }
        row("per held stream, RSS", self.per_stream(options.held), 1);
    }

    pub fn json(&self, options: &Options) -> Value {
        let latency = |permille| {
            let Pair { floor, other } = self.percentile(permille);
            json!({ "floor": floor, "other": other, "added": other - floor })
        };
        let memory: serde_json::Map<String, Value> = self
            .memories(options.held)
            .into_iter()
            .map(|(name, memory)| {
                let rss = figures(memory.map(|memory| f64::from(memory.rss)));
                let pss = figures(memory.map(|memory| f64::from(memory.pss)));
                (name, json!({ "rss": rss, "pss": pss }))
            })
            .collect();
        json!({
            "compared": self.other,
            "options": {
                "rounds": options.rounds, "exchanges": options.exchanges, "streams": options.streams,
                "connections": options.connections, "threads": options.threads, "rate": options.rate,
                "latency_s": options.latency.as_secs(), "held": options.held, "gap_s": options.gap.as_secs_f64(),
            },
            "cpu_us_per_exchange": cpu_json(&self.exchanges),
            "cpu_us_per_stream": cpu_json(&self.streams),
            "translated": self.translated.iter().map(|direction| json!({
                "client": direction.from.name(),
                "provider": direction.to.name(),
                "cpu_us_per_exchange": cpu_json(&direction.exchanges),
                "cpu_us_per_stream": cpu_json(&direction.streams),
            })).collect::<Vec<_>>(),
            "latency_us": { "p50": latency(500), "p99": latency(990) },
            "memory_kib": memory,
            "memory_kib_per_held_stream": figures(self.per_stream(options.held)),
        })
    }

    fn percentile(&self, permille: usize) -> Pair<f64> {
        let of = |latencies: &[Duration]| {
            let mut sorted = latencies.to_vec();
            sorted.sort_unstable();
            let at = sorted.len().saturating_sub(1) * permille / 1000;
            sorted.get(at).map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e6)
        };
        Pair { floor: of(&self.latencies.floor), other: of(&self.latencies.other) }
    }

    fn memories(&self, held: u32) -> [(String, Pair<Memory>); 4] {
        [
            ("idle".to_owned(), self.held.map(|held| held.before)),
            (format!("{held} held streams"), self.held.map(|held| held.open)),
            ("after they closed".to_owned(), self.held.map(|held| held.after)),
            ("after the load rounds".to_owned(), self.loaded),
        ]
    }

    fn per_stream(&self, held: u32) -> Pair<f64> {
        self.held.map(|memory| (f64::from(memory.open.rss) - f64::from(memory.before.rss)) / f64::from(held))
    }
}

impl<T: Copy> Pair<T> {
    fn map<U>(self, change: impl Fn(T) -> U) -> Pair<U> {
        Pair { floor: change(self.floor), other: change(self.other) }
    }
}

fn heading(title: &str, other: &str, third: &str) {
    println!("\n{title:<40}{:>10}{other:>10}{third:>10}", "floor");
}

fn row(name: &str, pair: Pair<f64>, digits: usize) {
    let Pair { floor, other } = pair;
    println!("  {name:<38}{floor:>10.digits$}{other:>10.digits$}{:>10.2}", pair.ratio());
}

fn print_cpu(title: &str, other: &str, rounds: &[Pair<f64>]) {
    heading(title, other, "ratio");
    for (number, pair) in rounds.iter().enumerate() {
        row(&format!("round {}", number + 1), *pair, 1);
    }
    let median = Pair { floor: median(rounds, |pair| pair.floor), other: median(rounds, |pair| pair.other) };
    let ratio = Summary::of(rounds.iter().map(|pair| pair.ratio()));
    println!("  {:<38}{:>10.1}{:>10.1}{:>10.2}", "median", median.floor, median.other, ratio.median);
    println!("  {:<58}{:>10}", "least and greatest ratio", format!("{:.2}-{:.2}", ratio.min, ratio.max));
}

fn figures(pair: Pair<f64>) -> Value {
    json!({ "floor": pair.floor, "other": pair.other, "ratio": pair.ratio() })
}

fn cpu_json(rounds: &[Pair<f64>]) -> Value {
    let ratio = Summary::of(rounds.iter().map(|pair| pair.ratio()));
    json!({
        "floor": median(rounds, |pair| pair.floor),
        "other": median(rounds, |pair| pair.other),
        "ratio": { "median": ratio.median, "min": ratio.min, "max": ratio.max },
        "rounds": rounds.iter().map(|pair| figures(*pair)).collect::<Vec<_>>(),
    })
}

fn median(rounds: &[Pair<f64>], figure: impl Fn(&Pair<f64>) -> f64) -> f64 {
    Summary::of(rounds.iter().map(figure)).median
}

/// The middle and the ends of a set of figures.
#[derive(Debug, PartialEq)]
struct Summary {
    median: f64,
    min: f64,
    max: f64,
}

impl Summary {
    fn of(figures: impl Iterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = figures.collect();
        sorted.sort_unstable_by(f64::total_cmp);
        let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
        let last = sorted.len().saturating_sub(1);
        Self { median: f64::midpoint(at(last / 2), at(last.div_ceil(2))), min: at(0), max: at(last) }
    }
}

#[cfg(test)]
mod tests {
    use super::Summary;

    #[test]
    fn the_median_of_an_even_count_lies_between_the_middle_two() {
        let summary = Summary::of([4.0, 1.0, 3.0, 2.0].into_iter());
        assert_eq!(summary, Summary { median: 2.5, min: 1.0, max: 4.0 });
    }
}
