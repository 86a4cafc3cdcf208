//! Every recorded request, through every other dialect and back.

use serde_json::Value;
use tollgate::dialect::translate::{parse_request, render_request};
use tollgate_filters::chat::{Losses, Request};
use tollgate_filters::exchange::Dialect;

use super::corpus::{Answer, Recording};
use super::targets::{TARGETS, home, target};
use super::verdict::{Outcome, Trip, guarded};
use super::{identity, lay, table};

type Failed = (String, String);

pub fn check(recording: &Recording) -> Vec<Outcome> {
    let read = guarded(|| read(recording.dialect, &recording.request, recording.stream));
    // What the provider refused need not be understood.
    if recording.status >= 400 && matches!(&read, Err((what, _)) if what == "not read") {
        return Vec::new();
    }
    // Within one dialect, bytes pass from one provider to another as they came.
    let wanted = |to: &Dialect, name: &str| *to != recording.dialect || name == to.as_str();
    let targets = TARGETS.into_iter().filter(|(to, _, name)| wanted(to, name));
    targets.map(|target| outcome(recording, target, read.as_ref())).collect()
}

/// What goes wrong with a request that nobody recorded.
pub fn failures_of(
    from: Dialect,
    body: &Value,
    target: (Dialect, &'static str, &'static str),
) -> Vec<(String, String)> {
    let recording = Recording {
        id: "made up".to_owned(),
        provider: home(from).to_owned(),
        dialect: from,
        stream: false,
        request: body.clone(),
        status: 200,
        answer: Answer::Other(Vec::new()),
    };
    let read = read(from, body, false);
    outcome(&recording, target, read.as_ref()).failures
}

fn outcome(
    recording: &Recording,
    (to, provider, name): (Dialect, &str, &'static str),
    read: Result<&Request, &Failed>,
) -> Outcome {
    let mut outcome = Outcome::new(recording, to, name);
    let done = read.map_err(Clone::clone).and_then(|request| {
        guarded(|| {
            if to == recording.dialect {
                stay(recording, request, &mut outcome);
                Ok(())
            } else {
                travel(recording, request, provider, &mut outcome)
            }
        })
    });
    if let Err(failure) = done {
        outcome.failures.push(failure);
    }
    outcome
}

fn read(dialect: Dialect, body: &Value, stream: bool) -> Result<Request, Failed> {
    let mut request = parse_request(dialect, body.to_string().as_bytes())
        .map_err(|e| ("not read".to_owned(), e.message.to_string()))?;
    // Gemini says in the path whether it is to be a stream.
    if dialect == Dialect::Gemini {
        request.stream = stream;
    }
    Ok(request)
}

fn stay(recording: &Recording, request: &Request, outcome: &mut Outcome) {
    let mut losses = Losses::default();
    let body = render_request(recording.dialect, request, &target(request, &recording.provider), &mut losses);
    outcome.losses = losses.iter().cloned().collect();
    for loss in losses.iter() {
        outcome.failures.push(("a loss in its own dialect".to_owned(), format!("{loss:?}")));
    }
    for difference in identity::differences(&recording.request, &body) {
        outcome.failures.push((format!("not the same at {}", table::starred(&difference.0)), difference.1));
    }
}

fn travel(
    recording: &Recording,
    request: &Request,
    provider: &str,
    outcome: &mut Outcome,
) -> Result<(), Failed> {
    let (from, to) = (outcome.from, outcome.to);
    let (mut losses, mut losses_back) = (Losses::default(), Losses::default());
    let body = render_request(to, request, &target(request, provider), &mut losses);
    outcome.losses = losses.iter().cloned().collect();
    outcome.rendered = vec![body.to_string()];
    let there =
        read(to, &body, request.stream).map_err(|(_, e)| ("the rendering is not read".to_owned(), e))?;
    let mut target = target(request, &recording.provider);
    if there.stream != request.stream {
        outcome.failures.push(("stream or not".to_owned(), there.stream.to_string()));
    }
    if to != Dialect::Gemini && there.model.as_ref() != Some(&target.model) {
        outcome.failures.push(("another model".to_owned(), format!("{:?}", there.model)));
    }
    target.stream = request.stream;
    let back = render_request(from, &there, &target, &mut losses_back);
    let home =
        read(from, &back, request.stream).map_err(|(_, e)| ("the way back is not read".to_owned(), e))?;
    let forms = [lay::request(request), lay::request(&there), lay::request(&home)];
    let [source, there, home] = &forms;
    let trip = Trip { from, to, source, there, home, losses: &losses, losses_back: &losses_back };
    let (failures, idle) = trip.judge();
    outcome.failures.extend(failures);
    outcome.check_pointers(&recording.request);
    outcome.idle = idle;
    Ok(())
}
