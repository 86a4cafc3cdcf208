//! One answer on its way from the provider's dialect into what the client asked for.

use bytes::Bytes;
use serde_json::Value;
use tollgate_filters::chat::{Client, Collector, Event, Failure, Loss, Losses, Response};
use tollgate_filters::error::{Error, Kind};
use tollgate_filters::exchange::Dialect;
use tollgate_filters::guardrail::{BLOCKED, Findings, Guard};
use tollgate_filters::recall::{Asked, Listener};

use super::{Decoder, Encoder, parse_error, parse_response, render_error, render_response};
use crate::dialect::frames::{Frames, TooLong};
use crate::dialect::renames::Renames;
use crate::dialect::{completions, count, embeddings};

/// The longest answer that is no stream.
const MAX_ANSWER: usize = 64 * 1024 * 1024;
/// The longest error answer; what is behind it is not read.
const MAX_FAILURE: usize = 256 * 1024;

/// What an answer becomes.
#[derive(Debug, Clone)]
pub enum Output {
    Dialect(Dialect),
    /// OpenAI's older completions.
    Completions(completions::Wanted),
    /// A count of tokens, for a client of this dialect.
    Count(Dialect),
    Embeddings {
        from: embeddings::Api,
        to: embeddings::Api,
        wanted: embeddings::Wanted,
    },
}

impl From<Dialect> for Output {
    fn from(dialect: Dialect) -> Self {
        Self::Dialect(dialect)
    }
}

impl Output {
    /// The dialect that errors are told in.
    pub fn dialect(&self) -> Dialect {
        match self {
            Self::Dialect(dialect) | Self::Count(dialect) => *dialect,
            Self::Embeddings { to: embeddings::Api::Gemini, .. } => Dialect::Gemini,
            Self::Completions(_) | Self::Embeddings { .. } => Dialect::OpenaiChat,
        }
    }

    fn encoder(&self, from: Dialect, client: &Client) -> Encoder {
        match self {
            Self::Completions(wanted) => Encoder::Completions(Box::new(completions::encode::Encoder::new(
                from,
                client.clone(),
                wanted.clone(),
            ))),
            other => Encoder::new(other.dialect(), client.clone()),
        }
    }
}

/// How a provider's answer comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One JSON document.
    Whole,
    Sse,
    /// Gemini's array of documents.
    Array,
    /// An error answer with this status.
    Failure(u16),
}

/// What is known of an answer when it has ended as it should.
#[derive(Debug, Default)]
pub struct Understood {
    /// The whole of it: of a document always, of a stream where it was asked for.
    pub response: Option<Response>,
    /// What a stream thought, where that was asked for.
    pub listener: Option<Listener>,
}

/// Turns one provider's answer into the client's dialect as it comes.
#[derive(Debug)]
pub struct Translator {
    from: Dialect,
    to: Output,
    client: Client,
    work: Work,
    losses: Losses,
    renames: Renames,
    guard: Option<Box<Guard>>,
}

#[derive(Debug)]
enum Work {
    Whole(Vec<u8>),
    Failure(u16, Vec<u8>),
    Stream(Box<Stream>),
    Done,
}

#[derive(Debug)]
struct Stream {
    frames: Frames,
    decoder: Decoder,
    encoder: Encoder,
    /// Only where somebody wants the whole answer at its end.
    collector: Option<Collector>,
    /// Hears what was thought, where that is to be noted.
    listener: Option<Listener>,
    events: Vec<Event>,
    /// `End` or `Error` has been written.
    ended: bool,
    /// It was `End`.
    well: bool,
    renames: Renames,
    comments: bool,
}

impl Translator {
    pub fn new(from: Dialect, to: impl Into<Output>, form: Form, client: Client) -> Self {
        let to = to.into();
        let work = match form {
            Form::Whole => Work::Whole(Vec::new()),
            Form::Failure(status) => Work::Failure(status, Vec::new()),
            Form::Sse | Form::Array => Work::Stream(Box::new(Stream {
                frames: if form == Form::Array { Frames::array() } else { Frames::sse() },
                decoder: Decoder::new(from),
                // Google's SDKs take a comment for a part of the document and fail.
                comments: to.dialect() != Dialect::Gemini,
                encoder: to.encoder(from, &client),
                collector: None,
                listener: None,
                events: Vec::new(),
                ended: false,
                well: false,
                renames: Renames::default(),
            })),
        };
        Self { from, to, client, work, losses: Losses::default(), renames: Renames::default(), guard: None }
    }

    /// Has what is said seen to before the client gets it.
    pub fn guard(&mut self, guard: Guard) {
        self.guard = Some(Box::new(guard));
    }

    /// What the guard has found so far.
    pub fn findings(&self) -> Option<&Findings> {
        self.guard.as_ref().map(|guard| guard.findings())
    }

    /// Calls of functions that went up under other names come back under the client's own.
    pub fn rename(&mut self, renames: Renames) {
        match &mut self.work {
            Work::Stream(stream) => stream.renames = renames,
            _ => self.renames = renames,
        }
    }

    /// The whole of a stream is wanted at its end.
    pub fn collect(&mut self) {
        if let Work::Stream(stream) = &mut self.work {
            stream.collector = Some(Collector::new(self.from));
        }
    }

    /// What a stream thinks is to be noted at its end, as what answers `asked`.
    pub fn listen(&mut self, asked: Asked) {
        if let Work::Stream(stream) = &mut self.work {
            stream.listener = Some(Listener::new(asked));
        }
    }

    /// Takes a piece of the provider's answer and gives what the client is to see of it now.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Bytes, Error> {
        Ok(match &mut self.work {
            Work::Whole(body) => {
                if body.len() + bytes.len() > MAX_ANSWER {
                    self.work = Work::Done;
                    return Err(unreadable("it is too long"));
                }
                body.extend_from_slice(bytes);
                Bytes::new()
            }
            Work::Failure(_, body) => {
                let room = MAX_FAILURE.saturating_sub(body.len());
                body.extend_from_slice(&bytes[..bytes.len().min(room)]);
                Bytes::new()
            }
            Work::Stream(stream) => {
                let mut out = Vec::with_capacity(bytes.len() * 2);
                let mut around = Around { guard: self.guard.as_deref_mut(), losses: &mut self.losses };
                if stream.push(bytes, &mut out, &mut around) == Err(TooLong) {
                    stream.fail("An event of the provider's stream is too long.", &mut out, &mut around);
                }
                Bytes::from(out)
            }
            Work::Done => Bytes::new(),
        })
    }

    /// The provider's answer has ended. Gives the rest, and how the answer was understood.
    pub fn finish(&mut self) -> Result<(Bytes, Understood), Error> {
        Ok(match std::mem::replace(&mut self.work, Work::Done) {
            Work::Whole(body) => {
                let body = serde_json::from_slice(&body).map_err(|e| unreadable(&e.to_string()))?;
                let (answer, response) = self.whole(body).map_err(|e| match e.code {
                    Some(BLOCKED) => e,
                    _ => unreadable(&e.message),
                })?;
                (Bytes::from(answer.to_string()), Understood { response, listener: None })
            }
            Work::Failure(status, body) => {
                let mut failure = parse_error(self.from, status, &body);
                if let Some(guard) = &mut self.guard {
                    guard.failure(&mut failure)?;
                }
                let error = render_error(self.to.dialect(), &failure, &self.client.request_id);
                (Bytes::from(error.to_string()), Understood::default())
            }
            Work::Stream(mut stream) => {
                let mut out = Vec::new();
                let mut around = Around { guard: self.guard.as_deref_mut(), losses: &mut self.losses };
                stream.finish(&mut out, &mut around);
                // What broke off is nothing to go on from.
                let Stream { collector, listener, well, .. } = *stream;
                let response = collector.and_then(|collector| collector.finish().ok());
                let understood = Understood { response, listener };
                (Bytes::from(out), if well { understood } else { Understood::default() })
            }
            Work::Done => (Bytes::new(), Understood::default()),
        })
    }

    /// A whole answer in the client's form, and, where a model generated it, as it was understood.
    fn whole(&mut self, body: Value) -> Result<(Value, Option<Response>), Error> {
        let losses = &mut self.losses;
        match &self.to {
            Output::Dialect(to) => {
                let mut response = parse_response(self.from, body)?;
                self.renames.undo_response(&mut response);
                if let Some(guard) = &mut self.guard {
                    guard.response(&mut response, losses)?;
                }
                let answer = render_response(*to, &response, &self.client, losses);
                Ok((answer, Some(response)))
            }
            Output::Completions(wanted) => {
                let mut response = parse_response(self.from, body)?;
                if let Some(guard) = &mut self.guard {
                    guard.response(&mut response, losses)?;
                }
                let answer = completions::render(&response, &self.client, wanted, losses);
                Ok((answer, Some(response)))
            }
            Output::Count(to) => {
                let count = count::parse_count_answer(self.from, &body)
                    .ok_or_else(|| Error::invalid("there is no count in it"))?;
                Ok((count::render_count_answer(*to, self.from, &count, losses), None))
            }
            Output::Embeddings { from, to, wanted } => {
                let answer = embeddings::parse_answer(*from, body)?;
                Ok((embeddings::render_answer(*to, &answer, wanted, losses), None))
            }
        }
    }

    /// Ends a stream that broke off with an error event of the client's dialect; `None` where no stream is under way.
    pub fn break_off(&mut self, failure: &Failure) -> Option<Bytes> {
        let Work::Stream(stream) = &mut self.work else { return None };
        let mut out = Vec::new();
        if !stream.ended {
            stream.ended = true;
            stream.encoder.event(&Event::Error(failure.clone()), &mut out, &mut self.losses);
        }
        Some(Bytes::from(out))
    }

    /// What of the answer could not be carried, so far.
    pub fn losses(&self) -> &Losses {
        &self.losses
    }
}

fn unreadable(why: &str) -> Error {
    Error::new(Kind::BadGateway, format!("The provider's answer cannot be translated: {why}."))
        .code("provider_unreadable")
}

/// What of the translator a stream works with.
struct Around<'a> {
    guard: Option<&'a mut Guard>,
    losses: &'a mut Losses,
}

impl Stream {
    fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>, around: &mut Around<'_>) -> Result<(), TooLong> {
        let Self { frames, decoder, events, .. } = self;
        let read = frames.push(bytes, |document| decoder.document(document, events));
        self.write(out, around);
        read
    }

    fn write(&mut self, out: &mut Vec<u8>, around: &mut Around<'_>) {
        let mut events = std::mem::take(&mut self.events);
        for mut event in events.drain(..) {
            if self.ended {
                break;
            }
            if !self.renames.is_empty() {
                self.renames.undo_event(&mut event);
            }
            let Some(guard) = around.guard.as_deref_mut() else {
                self.tell(&event, out, around.losses);
                continue;
            };
            let mut seen = Vec::new();
            let passes = guard.push(event, &mut seen);
            seen.extend(passes.err().map(|refusal| Event::Error(blocked(&refusal.error))));
            for event in seen {
                if !self.ended {
                    self.tell(&event, out, around.losses);
                }
            }
        }
        self.events = events;
    }

    fn tell(&mut self, event: &Event, out: &mut Vec<u8>, losses: &mut Losses) {
        if let Some(collector) = &mut self.collector {
            collector.push(event);
        }
        if let Some(listener) = &mut self.listener {
            listener.hear(event);
        }
        match event {
            Event::Lost(Loss { at, why }) => losses.push(at, *why),
            Event::End => {
                self.ended = true;
                self.well = true;
                let mut last = Vec::new();
                self.encoder.event(event, &mut last, losses);
                if self.comments && !losses.is_empty() {
                    out.extend_from_slice(format!(": tollgate-lossy {}\n\n", losses.list()).as_bytes());
                }
                out.extend_from_slice(&last);
            }
            event => {
                self.ended = matches!(event, Event::Error(_));
                self.encoder.event(event, out, losses);
            }
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>, around: &mut Around<'_>) {
        self.decoder.finish(&mut self.events);
        self.write(out, around);
        if !self.ended {
            self.fail("The provider broke off its answer.", out, around);
        }
    }

    fn fail(&mut self, why: &str, out: &mut Vec<u8>, around: &mut Around<'_>) {
        if !self.ended {
            let failure = Failure { status: 502, message: why.to_owned(), ..Failure::default() };
            self.events.push(Event::Error(failure));
            self.write(out, around);
        }
    }
}

/// What a guardrail does not let through, as the end of a stream.
fn blocked(error: &Error) -> Failure {
    Failure {
        status: error.kind.status(),
        message: error.message.to_string(),
        code: error.code.map(str::to_owned),
        ..Failure::default()
    }
}
