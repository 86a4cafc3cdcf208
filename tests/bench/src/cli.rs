//! The driver's flags and what they default to.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::Result;

pub const USAGE: &str = "\
usage: bench [flags]

  --quick            small numbers, to see that everything works (about 15 s)
  --rounds N         rounds, in each of which both proxies take turns (5)
  --exchanges N      exchanges to each proxy in a round (20000)
  --streams N        streams to each proxy in a round (2000)
  --connections N    keep-alive connections (32)
  --threads N        worker threads of floor and Tollgate (2)
  --rate N           requests per second when latency is measured (500)
  --latency-s N      seconds of that for each proxy (10)
  --held N           streams held open when memory is measured (1000)
  --gap-us N         pause of the mock between the events of a stream (0)
  --only floor       a second floor in Tollgate's place: shows the noise of the measurement
  --tollgate PATH    the binary to measure (the one beside this)
  --server LINE      a further line for Tollgate's [server] table, such as work_stealing=false
  --conf FILE        further tables for Tollgate's configuration, such as tests/bench/policy.toml
  --log FILE         keep Tollgate's access log (goes to /dev/null)
  --json FILE        write the figures as JSON too";

#[derive(Debug, Clone)]
pub struct Options {
    pub rounds: u32,
    pub exchanges: u32,
    pub streams: u32,
    pub connections: u32,
    pub threads: usize,
    pub rate: u32,
    pub latency: Duration,
    pub held: u32,
    pub gap: Duration,
    pub only_floor: bool,
    pub tollgate: Option<PathBuf>,
    pub server: String,
    /// Further tables of the configuration.
    pub conf: String,
    pub log: Option<PathBuf>,
    pub json: Option<PathBuf>,
}

impl Options {
    fn new(quick: bool) -> Self {
        let pick = |full, small| if quick { small } else { full };
        Self {
            rounds: pick(5, 2),
            exchanges: pick(20_000, 3_000),
            streams: pick(2_000, 300),
            connections: 32,
            threads: 2,
            rate: 500,
            latency: Duration::from_secs(pick(10, 2).into()),
            held: pick(1_000, 200),
            gap: Duration::ZERO,
            only_floor: false,
            tollgate: None,
            server: String::new(),
            conf: String::new(),
            log: None,
            json: None,
        }
    }

    /// Reads the flags; `None` when help was asked for.
    pub fn parse(args: &[String]) -> Result<Option<Self>> {
        let mut options = Self::new(args.iter().any(|arg| arg == "--quick"));
        let mut args = args.iter();
        while let Some(flag) = args.next() {
            if flag == "--help" || flag == "-h" {
                return Ok(None);
            }
            if flag == "--quick" {
                continue;
            }
            let value =
                args.next().ok_or_else(|| format!("{flag} needs a value, or is no flag\n\n{USAGE}"))?;
            match flag.as_str() {
                "--rounds" => options.rounds = count(flag, value)?,
                "--exchanges" => options.exchanges = count(flag, value)?,
                "--streams" => options.streams = count(flag, value)?,
                "--connections" => options.connections = count(flag, value)?,
                "--threads" => options.threads = number(flag, value)?,
                "--rate" => options.rate = count(flag, value)?,
                "--latency-s" => options.latency = Duration::from_secs(count(flag, value)?.into()),
                "--held" => options.held = count(flag, value)?,
                "--gap-us" => options.gap = Duration::from_micros(number(flag, value)?),
                "--only" if value == "floor" => options.only_floor = true,
                "--tollgate" => options.tollgate = Some(value.into()),
                "--server" => options.server = format!("{}{value}\n", options.server),
                "--conf" => options.conf = std::fs::read_to_string(value)?,
                "--log" => options.log = Some(value.into()),
                "--json" => options.json = Some(value.into()),
                _ => return Err(format!("{flag} {value} is not understood\n\n{USAGE}").into()),
            }
        }
        Ok(Some(options))
    }
}

fn number<T: FromStr>(flag: &str, value: &str) -> Result<T> {
    value.parse().map_err(|_| format!("{flag} needs a number, not {value:?}").into())
}

fn count(flag: &str, value: &str) -> Result<u32> {
    match number(flag, value)? {
        0 => Err(format!("{flag} must be at least 1").into()),
        count => Ok(count),
    }
}
