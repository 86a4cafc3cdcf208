//! Every recorded answer, through every other dialect and back; and every recorded error.

use serde_json::Value;
use tollgate::dialect::translate::{parse_error, parse_response, render_error, render_response};
use tollgate_filters::chat::{Losses, Response};
use tollgate_filters::exchange::Dialect;

use super::corpus::{Answer, Recording};
use super::targets::{DIALECTS, client};
use super::verdict::{Outcome, Trip, guarded};
use super::{identity, lay, table};

type Failed = (String, String);

pub fn check(recording: &Recording) -> Vec<Outcome> {
    let Answer::Whole(body) = &recording.answer else { return Vec::new() };
    if recording.status != 200 {
        return Vec::new();
    }
    let outcome = |to| {
        let mut outcome = Outcome::new(recording, to, to.as_str());
        let done = guarded(|| {
            let response = read(recording.dialect, body.clone())?;
            if to == recording.dialect {
                stay(body, &response, &mut outcome);
                Ok(())
            } else {
                travel(&response, to, &mut outcome)?;
                outcome.check_pointers(body);
                Ok(())
            }
        });
        outcome.failures.extend(done.err());
        outcome
    };
    DIALECTS.into_iter().map(outcome).collect()
}

fn read(dialect: Dialect, body: Value) -> Result<Response, Failed> {
    parse_response(dialect, body).map_err(|e| ("not read".to_owned(), e.message.to_string()))
}

fn stay(body: &Value, response: &Response, outcome: &mut Outcome) {
    let mut losses = Losses::default();
    let again = render_response(outcome.to, response, &client(), &mut losses);
    outcome.losses = losses.iter().cloned().collect();
    for loss in losses.iter() {
        outcome.failures.push(("a loss in its own dialect".to_owned(), format!("{loss:?}")));
    }
    for difference in identity::differences(body, &again) {
        outcome.failures.push((format!("not the same at {}", table::starred(&difference.0)), difference.1));
    }
}

fn travel(response: &Response, to: Dialect, outcome: &mut Outcome) -> Result<(), Failed> {
    let from = outcome.from;
    let (mut losses, mut losses_back) = (Losses::default(), Losses::default());
    let body = render_response(to, response, &client(), &mut losses);
    outcome.losses = losses.iter().cloned().collect();
    outcome.rendered = vec![body.to_string()];
    let there = read(to, body).map_err(|(_, e)| ("the rendering is not read".to_owned(), e))?;
    let back = render_response(from, &there, &client(), &mut losses_back);
    let home = read(from, back).map_err(|(_, e)| ("the way back is not read".to_owned(), e))?;
    let forms = [lay::response(response), lay::response(&there), lay::response(&home)];
    let [source, there, home] = &forms;
    let trip = Trip { from, to, source, there, home, losses: &losses, losses_back: &losses_back };
    let (failures, idle) = trip.judge();
    outcome.failures.extend(failures);
    outcome.idle = idle;
    Ok(())
}

/// An error keeps its words.
pub fn check_error(recording: &Recording) -> Vec<Outcome> {
    if recording.status < 400 {
        return Vec::new();
    }
    let body = recording.answer.bytes();
    let outcome = |to| {
        let mut outcome = Outcome::new(recording, to, to.as_str());
        let done = guarded(|| {
            let failure = parse_error(recording.dialect, recording.status, &body);
            let rendered = render_error(to, &failure, &client().request_id);
            outcome.rendered = vec![rendered.to_string()];
            let said = words(&serde_json::from_slice(&body).unwrap_or_default());
            if let Some(said) = said.filter(|said| *said != failure.message) {
                return Err((
                    "the message is not understood".to_owned(),
                    format!("{said} -> {}", failure.message),
                ));
            }
            if words(&rendered).as_ref() != Some(&failure.message) || failure.message.is_empty() {
                return Err(("the message is not carried".to_owned(), rendered.to_string()));
            }
            well_formed(to, recording.status, &rendered)
        });
        outcome.failures.extend(done.err());
        outcome
    };
    DIALECTS.into_iter().map(outcome).collect()
}

/// The message of an error in any dialect.
fn words(body: &Value) -> Option<String> {
    let body = body.get(0).unwrap_or(body);
    let message = [body.pointer("/error/message"), body.pointer("/message"), body.get("error")];
    message.into_iter().flatten().find_map(Value::as_str).map(str::to_owned)
}

fn well_formed(dialect: Dialect, status: u16, body: &Value) -> Result<(), Failed> {
    let error = &body["error"];
    let right = match dialect {
        Dialect::OpenaiChat | Dialect::OpenaiResponses => {
            ["type", "code", "param"].iter().all(|key| error.get(key).is_some()) && error["type"].is_string()
        }
        Dialect::Anthropic => {
            body["type"] == "error" && error["type"].is_string() && body["request_id"].is_string()
        }
        Dialect::Gemini => error["code"] == status && error["status"].is_string(),
    };
    let wrong = || ("the error is not of the client's dialect".to_owned(), body.to_string());
    if right { Ok(()) } else { Err(wrong()) }
}
