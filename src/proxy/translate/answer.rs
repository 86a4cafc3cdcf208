//! The answer of a target that was asked in another way than the client asked, on its way back.

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use http::{HeaderName, HeaderValue};
use pingora::http::ResponseHeader;
use tollgate_filters::chat::{Client, Failure, Losses, Response};
use tollgate_filters::error::{Error, Kind};
use tollgate_filters::exchange::Dialect;
use tollgate_filters::guardrail::{Findings, Guard};
use tollgate_filters::recall::{Asked, Key, Remembered, note};

use crate::dialect::renames::Renames;
use crate::dialect::translate::{Form, Output, Translator, Understood, render_response};

/// Names what of the request could not be carried.
const LOSSY: HeaderName = HeaderName::from_static("x-tollgate-lossy");

/// What is known of a translation while its answer comes.
#[derive(Debug)]
pub(in crate::proxy) struct Translation {
    pub(super) client: Client,
    output: Output,
    stream: bool,
    pub(in crate::proxy) request_losses: Losses,
    /// What reasoning of the answer is noted under.
    pub(super) asked: Option<Asked>,
    /// Functions that went up under other names.
    pub(super) renames: Renames,
    /// Sees to what is in the answer.
    pub(super) guard: Option<Guard>,
    /// From when the answer's header is there.
    answer: Option<Translator>,
}

impl Translation {
    pub(super) fn new(client: Client, output: Output, stream: bool, request_losses: Losses) -> Self {
        Self {
            client,
            output,
            stream,
            request_losses,
            asked: None,
            renames: Renames::default(),
            guard: None,
            answer: None,
        }
    }

    /// The answer has an id of the gateway's.
    pub(in crate::proxy) fn names_the_answer(&self) -> bool {
        self.client.own_id
    }

    /// The provider's header is there: chooses how its body is read, and makes the header the client's.
    /// `keep` says that the whole of it is wanted at its end.
    pub(in crate::proxy) fn header(
        &mut self,
        response: &mut ResponseHeader,
        wire: Dialect,
        chunks: bool,
        keep: bool,
    ) -> Result<(), Error> {
        let form = form(response, self.stream)?;
        let client = self.output.dialect();
        let kind = match (form, client) {
            (Form::Sse, Dialect::Gemini) if !self.client.sse => "application/json; charset=UTF-8",
            (Form::Sse, Dialect::Gemini) => "text/event-stream",
            (Form::Sse, _) => "text/event-stream; charset=utf-8",
            _ => "application/json",
        };
        let mut insert = |name: HeaderName, value: HeaderValue| {
            let _ = response.insert_header(name, value);
        };
        insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        if let Some(list) =
            HeaderValue::from_str(&self.request_losses.list()).ok().filter(|list| !list.is_empty())
        {
            insert(LOSSY, list);
        }
        if response.remove_header(&CONTENT_LENGTH).is_some() && chunks {
            let _ = response.insert_header(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        let mut answer = Translator::new(wire, self.output.clone(), form, self.client.clone());
        answer.rename(std::mem::take(&mut self.renames));
        if let Some(guard) = self.guard.take() {
            answer.guard(guard);
        }
        if keep {
            answer.collect();
        }
        if let Some(asked) = &self.asked {
            answer.listen(*asked);
        }
        self.answer = Some(answer);
        Ok(())
    }

    pub(in crate::proxy) fn push(&mut self, chunk: &[u8]) -> Result<Bytes, Error> {
        self.answer.as_mut().map_or_else(|| Ok(Bytes::new()), |answer| answer.push(chunk))
    }

    /// The provider's answer has ended. Gives the rest, and how the answer was understood.
    pub(in crate::proxy) fn finish(&mut self) -> Result<(Bytes, Understood), Error> {
        let nothing = || Ok((Bytes::new(), Understood::default()));
        self.answer.as_mut().map_or_else(nothing, Translator::finish)
    }

    /// Hands what the answer thought to `remember`, so that it can be put back where the client cannot.
    pub(in crate::proxy) fn note(
        &self,
        understood: &mut Understood,
        remember: impl FnMut(Key, Vec<Remembered>),
    ) {
        match (understood.listener.take(), &understood.response, &self.asked) {
            (Some(listener), ..) => listener.note(&self.client.id, remember),
            (None, Some(response), Some(asked)) => note(response, asked, &self.client.id, remember),
            _ => {}
        }
    }

    /// A Responses answer as the client got it.
    pub(in crate::proxy) fn as_response(&self, response: &Response) -> serde_json::Value {
        render_response(Dialect::OpenaiResponses, response, &self.client, &mut Losses::default())
    }

    /// Ends a stream that broke off with an error event; `None` where no stream is under way.
    pub(in crate::proxy) fn break_off(&mut self, error: &Error) -> Option<Bytes> {
        let failure = Failure {
            status: error.kind.status(),
            message: error.message.to_string(),
            code: error.code.map(str::to_owned),
            ..Failure::default()
        };
        self.answer.as_mut()?.break_off(&failure)
    }

    /// What a guardrail found in the answer.
    pub(in crate::proxy) fn findings(&self) -> Option<&Findings> {
        self.answer.as_ref().and_then(Translator::findings)
    }

    pub(in crate::proxy) fn answer_losses(&self) -> Option<&Losses> {
        self.answer.as_ref().map(Translator::losses)
    }
}

/// How the answer's body is to be read.
fn form(response: &ResponseHeader, stream: bool) -> Result<Form, Error> {
    let unreadable = |what: &str| {
        let why = format!("The provider's answer {what}, so it cannot be translated.");
        Err(Error::new(Kind::BadGateway, why).code("provider_unreadable"))
    };
    let is_compressed = |encoding: &HeaderValue| !matches!(encoding.as_bytes(), b"identity" | b"");
    if response.headers.get(CONTENT_ENCODING).is_some_and(is_compressed) {
        return unreadable("is compressed although it was asked not to be");
    }
    let kind = response.headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let sse = kind.starts_with(b"text/event-stream");
    match (response.status.is_success(), sse) {
        (false, _) => Ok(Form::Failure(response.status.as_u16())),
        (true, true) if stream => Ok(Form::Sse),
        (true, false) if !stream => Ok(Form::Whole),
        (true, true) => unreadable("is a stream that was not asked for"),
        (true, false) => unreadable("is no stream"),
    }
}
