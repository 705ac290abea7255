//! Calls of the reporting API: one, or several in one request.

use super::Inner;
use super::answer::Answer;
use super::error::{self, SERVICE};
use super::segment::Segment;
use crate::source::SiteFacts;
use chrono::NaiveDate;
use mkt_connect::http::{Replay, Request};
use mkt_connect::{Error, ErrorKind, Result};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::sync::atomic::Ordering;
use url::form_urlencoded;

/// Reports in one bulk request: newer versions refuse more than an instance's `API_bulk_request_limit`, and a request
/// that takes long meets the web server's time-out.
const BULK: usize = 10;

/// A call that is to be made.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub(super) method: String,
    parameters: Vec<(String, String)>,
}

impl Ask {
    pub(super) fn new(method: impl Into<String>) -> Self {
        Self { method: method.into(), parameters: Vec::new() }
    }

    /// A report of one day, asked as `day,day`: the only form whose answer always has the same shape.
    pub(super) fn day(method: &str, site: &SiteFacts, day: NaiveDate, segment: Option<&Segment>) -> Self {
        Self::new(method)
            .with("idSite", site.native_id.as_str())
            .with("period", "day")
            .with("date", format!("{day},{day}"))
            .of(segment)
    }

    /// A table of one day, asked as one date: the answer is the table itself. Referrers.getAll refuses lists of dates.
    pub(super) fn date(method: &str, site: &SiteFacts, day: NaiveDate, segment: Option<&Segment>) -> Self {
        Self::day(method, site, day, segment).with("date", day.to_string())
    }

    /// Adds a parameter, or replaces it.
    pub(super) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.parameters.retain(|(held, _)| held != name);
        self.parameters.push((name.to_owned(), value.into()));
        self
    }

    /// Whether it asks for one date, so that the answer is not a list by date.
    pub(super) fn is_of_one_date(&self) -> bool {
        self.parameters.iter().any(|(name, value)| name == "date" && !value.contains(','))
    }

    /// Only the visits of a segment.
    pub(super) fn of(self, segment: Option<&Segment>) -> Self {
        match segment {
            Some(segment) => self.with("segment", segment.definition()),
            None => self,
        }
    }

    /// The form fields. `language=en`: labels and messages are localised otherwise; `format_metrics=0`: numbers are
    /// texts with signs otherwise.
    fn fields(&self) -> Vec<(String, String)> {
        let given = |name: &str| self.parameters.iter().any(|(held, _)| held == name);
        let mut fields = vec![("module".to_owned(), "API".to_owned())];
        for (name, value) in [("format", "JSON"), ("format_metrics", "0"), ("language", "en")] {
            if !given(name) {
                fields.push((name.to_owned(), value.to_owned()));
            }
        }
        fields.push(("method".to_owned(), self.method.clone()));
        fields.extend(self.parameters.iter().cloned());
        fields
    }

    /// As an element of `urls`: a query, encoded as a whole once more, because the API decodes it before it splits it.
    fn element(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("method", &self.method);
        query.append_pair("format_metrics", "0");
        query.append_pair("language", "en");
        query.extend_pairs(&self.parameters);
        form_urlencoded::byte_serialize(query.finish().as_bytes()).collect()
    }
}

impl Inner {
    /// One call. All of them only read, so that repeating one is harmless.
    pub(super) async fn call(&self, operation: &'static str, ask: &Ask) -> Result<Value> {
        self.post(operation, ask.fields()).await
    }

    /// One call, its answer in one of the documented forms.
    pub(super) async fn ask(&self, operation: &'static str, ask: &Ask) -> Result<Answer> {
        Answer::read(self.call(operation, ask).await?)
            .ok_or_else(|| Self::protocol(operation, "the answer has another form than documented"))
    }

    /// Several calls in one request, each with an answer or an error of its own, in order. Where the instance offers no
    /// bulk requests they are made one by one.
    ///
    /// # Errors
    /// What ends all of them: `Auth`, `Unavailable`, ….
    pub(super) async fn ask_all(&self, operation: &'static str, asks: &[Ask]) -> Result<Vec<Result<Answer>>> {
        let mut answers = Vec::with_capacity(asks.len());
        for some in asks.chunks(BULK) {
            // One call needs no wrapping.
            if some.len() > 1 && !self.without_bulk.load(Ordering::Relaxed) {
                match self.bulk(operation, some).await {
                    Err(error) if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::NotFound) => {
                        // Of a method that does not exist it is known that it does not exist next time either.
                        let unknown = error.kind() == ErrorKind::Unsupported;
                        self.without_bulk.fetch_or(unknown, Ordering::Relaxed);
                    }
                    done => {
                        for (ask, answer) in some.iter().zip(done?) {
                            // A call on its own is tried again by the client; an element of a list is not.
                            answers.push(match answer {
                                Err(error) if error.kind() == ErrorKind::Unavailable => {
                                    self.ask(operation, ask).await
                                }
                                answer => answer,
                            });
                        }
                        continue;
                    }
                }
            }
            for ask in some {
                match self.ask(operation, ask).await {
                    Err(error) if error.kind() == ErrorKind::Auth => return Err(error),
                    answer => answers.push(answer),
                }
            }
        }
        Ok(answers)
    }

    async fn bulk(&self, operation: &'static str, asks: &[Ask]) -> Result<Vec<Result<Answer>>> {
        let mut request = Ask::new("API.getBulkRequest");
        for (index, ask) in asks.iter().enumerate() {
            request = request.with(&format!("urls[{index}]"), ask.element());
        }
        let Value::Array(elements) = self.call(operation, &request).await? else {
            return Err(Self::protocol(operation, "the answer of a bulk request is no list"));
        };
        if elements.len() != asks.len() {
            return Err(Self::protocol(operation, "a bulk request has another number of answers than calls"));
        }
        elements
            .into_iter()
            .map(|element| match error::refusal(operation, &element, &self.token) {
                Some(error) if error.kind() == ErrorKind::Auth => {
                    self.refuse(&error);
                    Err(error)
                }
                Some(error) => Ok(Err(error)),
                None => Ok(Answer::read(element)
                    .ok_or_else(|| Self::protocol(operation, "the answer has another form than documented"))),
            })
            .collect()
    }

    async fn post(&self, operation: &'static str, fields: Vec<(String, String)>) -> Result<Value> {
        if let Some(error) = self.refused_error(operation) {
            return Err(error);
        }
        let request = Request::post("index.php")
            .operation(operation)
            .replay(Replay::Idempotent)
            .form(fields)
            .secret_form_field("token_auth", &self.token);
        let read = |response| error::classify(operation, &response, &self.token);
        self.client.send_with(&request, &self.retry, read).await.inspect_err(|error| {
            if error.kind() == ErrorKind::Auth {
                self.refuse(error);
            }
        })
    }

    /// From now on no request is made.
    fn refuse(&self, error: &Error) {
        let _ = self.refused.set(error.detail().unwrap_or("refused").to_owned());
    }

    fn refused_error(&self, operation: &'static str) -> Option<Error> {
        let why = self.refused.get()?;
        Some(
            Error::new(ErrorKind::Auth, SERVICE, operation)
                .with_detail(format!("no request is made since the credentials were refused ({why})")),
        )
    }

    pub(super) fn protocol(operation: &'static str, detail: impl Into<String>) -> Error {
        Error::new(ErrorKind::Protocol, SERVICE, operation)
            .delivered(mkt_connect::Delivery::Answered)
            .with_detail(detail)
    }

    /// Reads an object; serde's message would quote values, so that only its place is kept.
    pub(super) fn object<T: DeserializeOwned>(operation: &'static str, value: Value) -> Result<T> {
        serde_json::from_value(value)
            .map_err(|_| Self::protocol(operation, "the answer has another form than documented"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_of_a_bulk_request_survives_being_decoded_twice() {
        let ask =
            Ask::new("Goals.get").with("segment", "pageUrl==https%3A%2F%2Fa.example%2F%3Fx%3D1%262;b!=é");
        // What PHP does: once for the form (undone by the client's own encoding), then `urldecode`, then `parse_str`.
        let decoded = percent(&ask.element());
        let pairs: Vec<(String, String)> = form_urlencoded::parse(decoded.as_bytes())
            .map(|(a, b)| (a.into_owned(), b.into_owned()))
            .collect();
        assert!(pairs.contains(&("method".to_owned(), "Goals.get".to_owned())));
        assert!(pairs.contains(&(
            "segment".to_owned(),
            "pageUrl==https%3A%2F%2Fa.example%2F%3Fx%3D1%262;b!=é".to_owned()
        )));
    }

    /// `urldecode`: of a text without `=` and `&`, which the element is.
    fn percent(text: &str) -> String {
        let (name, value) = form_urlencoded::parse(text.as_bytes()).next().unwrap();
        assert!(value.is_empty());
        name.into_owned()
    }

    #[test]
    fn parameters_replace_the_defaults() {
        let fields =
            Ask::new("VisitsSummary.get").with("format_metrics", "1").with("date", "a").with("date", "b");
        let fields = fields.fields();
        let values = |name: &str| -> Vec<&str> {
            fields.iter().filter(|(held, _)| held == name).map(|(_, value)| value.as_str()).collect()
        };
        assert_eq!(
            (values("format_metrics"), values("date"), values("language")),
            (vec!["1"], vec!["b"], vec!["en"])
        );
    }
}
