//! The driver: starts the mock, the floor and Tollgate, measures them in turn and prints what Tollgate adds.

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};
use tollgate_bench::child::{Folder, Process};
use tollgate_bench::cli::{Options, USAGE};
use tollgate_bench::dialect::{DIALECTS, Dialect, LAST_WORD};
use tollgate_bench::phase::Proxies;
use tollgate_bench::report::{Direction, Report};
use tollgate_bench::shape::{Expected, Kind, MODEL, Script};
use tollgate_bench::{Result, procfs};

fn start(options: &Options, folder: &Folder, upstream: SocketAddr) -> Result<Proxies> {
    let floor = Process::floor("floor", upstream, options.threads)?;
    let other = if options.only_floor {
        Process::floor("floor 2", upstream, options.threads)?
    } else {
        let (binary, log) = (options.tollgate.as_deref(), options.log.as_deref());
        Process::tollgate(
            binary,
            &folder.0,
            log,
            upstream,
            options.threads,
            (&options.server, &options.conf),
        )?
    };
    Ok(Proxies { floor, other })
}

async fn measure(options: &Options) -> Result<Report> {
    let folder = Folder::new()?;
    let mut mock = Process::mock(options.gap)?;
    mock.ready().await?;

    // Memory first, in processes that have served nothing but their first requests.
    let mut fresh = start(options, &folder, mock.address)?;
    fresh.ready().await?;
    let held = fresh.held(options.held).await?;
    drop(fresh);

    let mut proxies = start(options, &folder, mock.address)?;
    proxies.ready().await?;
    let connections = options.connections;
    proxies.cpu(Kind::Exchange, options.exchanges / 10, connections).await?;
    proxies.cpu(Kind::Stream, options.streams / 10, connections).await?;

    let (mut exchanges, mut streams) = (Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        exchanges.push(proxies.cpu(Kind::Exchange, options.exchanges, connections).await?);
        streams.push(proxies.cpu(Kind::Stream, options.streams, connections).await?);
    }
    let translated =
        if options.only_floor { Vec::new() } else { translated(options, &folder, mock.address).await? };
    let latencies = proxies.latency(options).await?;
    let loaded = proxies.memory()?;
    Ok(Report { other: proxies.other.name, exchanges, streams, translated, latencies, loaded, held })
}

/// What translating adds, for each direction: the provider's answer passed through to a client that speaks the same,
/// beside the same answer translated for one that does not, in two processes of the same gateway.
async fn translated(options: &Options, folder: &Folder, upstream: SocketAddr) -> Result<Vec<Direction>> {
    let gateway = || {
        let (binary, log) = (options.tollgate.as_deref(), options.log.as_deref());
        Process::tollgate(binary, &folder.0, log, upstream, options.threads, (&options.server, &options.conf))
    };
    let mut proxies = Proxies { floor: gateway()?, other: gateway()? };
    proxies.ready().await?;
    let script = |from: Dialect, to: Dialect, stream| Script {
        request: from.request(to, stream),
        // A whole answer names its model, whatever it became.
        expected: Expected::Word(if stream { LAST_WORD } else { MODEL }),
    };
    let mut directions = Vec::new();
    for from in DIALECTS {
        for to in DIALECTS.into_iter().filter(|to| *to != from) {
            let mut direction = Direction { from, to, exchanges: Vec::new(), streams: Vec::new() };
            for _ in 0..options.rounds.div_ceil(2) {
                for (stream, count) in [(false, options.exchanges / 10), (true, options.streams / 5)] {
                    let (same, other) = (script(to, to, stream), script(from, to, stream));
                    let pair = proxies.cpu_of(&same, &other, count, options.connections).await?;
                    if stream { &mut direction.streams } else { &mut direction.exchanges }.push(pair);
                }
            }
            directions.push(direction);
        }
    }
    Ok(directions)
}

async fn run() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some(options) = Options::parse(&args)? else {
        println!("{USAGE}");
        return Ok(());
    };
    // A proxy holds two sockets for each stream; the rest is for everything else.
    let needed = options.held * 2 + options.connections * 2 + 200;
    if procfs::open_files_limit()? < needed {
        return Err(format!("{needed} open files are needed: raise `ulimit -n`, or lower --held").into());
    }
    if cfg!(debug_assertions) {
        println!("This is not a release build: its figures only show that everything works.\n");
    }
    let report = measure(&options).await?;
    report.print(&options);
    if let Some(path) = &options.json {
        std::fs::write(path, format!("{:#}\n", report.json(&options)))?;
    }
    Ok(())
}

/// Runs to the end or to a signal; either way every started process is ended on the way out.
async fn run_or_stop() -> Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        done = run() => done,
        _ = interrupt.recv() => Err("interrupted".into()),
        _ = terminate.recv() => Err("terminated".into()),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run_or_stop().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "bench: {error}");
            ExitCode::FAILURE
        }
    }
}
