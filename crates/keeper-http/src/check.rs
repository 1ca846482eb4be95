use crate::endpoint::{Endpoint, EndpointError, shortened};
use http::header::CONTENT_TYPE;
use keeper_signal::{Evidence, HealthSignal, Look, Looking, Verdict, Why};
use serde_json::Value;
use std::fmt;
use std::sync::Arc;
use url::Url;

/// The most bytes of an answer: 1 MiB.
const ANSWER_LIMIT: usize = 1 << 20;
/// The longest path and the longest body, in bytes.
const LENGTH: usize = 4096;

/// What [`HttpCheck`] asks and expects.
///
/// In `path` and `body`, `{{canary}}` (or `{{pod}}`, the canary pod's name), `{{namespace}}` and `{{workload}}` are
/// replaced. Such names hold nothing but lower-case letters, digits, dashes and dots.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpCheckSettings {
    /// How it is asked; [`Method::Get`].
    pub method: Method,
    /// What is added to the endpoint's address: begins with a slash, may have a query, and can't leave that address; `/`.
    pub path: String,
    /// JSON as text, sent with a POST; none.
    pub body: Option<String>,
    /// Where the value is in the answer's JSON (RFC 6901); empty, the whole answer.
    pub pointer: String,
    /// What the value must be.
    pub expected: Expected,
    /// The number's unit, for people; empty, none.
    pub unit: String,
}

/// How an endpoint is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Method {
    /// `GET`.
    #[default]
    Get,
    /// `POST`.
    Post,
}

/// What a value must be to be healthy.
#[derive(Clone, Debug, PartialEq)]
pub enum Expected {
    /// A number not below `min` and not above `max`; at least one of the two is there.
    Range {
        /// The least healthy number.
        min: Option<f64>,
        /// The largest healthy number.
        max: Option<f64>,
    },
    /// This text; a number or a boolean is compared in its JSON form.
    Equals(String),
}

/// Why settings can't be used. The texts name the field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// Not a path below the endpoint's address.
    #[error("path must begin with one slash, stay below the endpoint's address and be at most {LENGTH} bytes")]
    Path,
    /// Not a body.
    #[error("body must be at most {LENGTH} bytes, and goes with POST only")]
    Body,
    /// Not a pointer.
    #[error("pointer must be empty or begin with a slash")]
    Pointer,
    /// Nothing to compare with.
    #[error("min or max must be given, as numbers, and min not above max")]
    Range,
}

/// A value in the JSON that an endpoint answers, as it should be or not.
///
/// Another status than 2xx, an answer of more than 1 MiB or without JSON, no value at that place or one of another kind,
/// and no answer in time are not measured.
pub struct HttpCheck {
    settings: HttpCheckSettings,
    endpoint: Arc<Endpoint>,
}

impl Default for HttpCheckSettings {
    fn default() -> Self {
        let expected = Expected::Range { min: None, max: None };
        let (path, pointer, unit) = ("/".into(), String::new(), String::new());
        Self { method: Method::Get, path, body: None, pointer, expected, unit }
    }
}

impl HttpCheckSettings {
    /// Whether they can be used at all.
    ///
    /// # Errors
    ///
    /// Naming the first field that can't.
    pub fn check(&self) -> Result<(), CheckError> {
        if self.path.len() > LENGTH || !self.path.starts_with('/') || self.path.starts_with("//") {
            return Err(CheckError::Path);
        }
        if self.body.as_ref().is_some_and(|body| body.len() > LENGTH || self.method == Method::Get) {
            return Err(CheckError::Body);
        }
        if !self.pointer.is_empty() && !self.pointer.starts_with('/') {
            return Err(CheckError::Pointer);
        }
        let Expected::Range { min, max } = &self.expected else { return Ok(()) };
        let numbers = [min, max].into_iter().flatten().collect::<Vec<_>>();
        // Written so that NaN is refused too.
        let ordered = numbers.is_sorted() && numbers.iter().all(|number| number.is_finite());
        if numbers.is_empty() || !ordered { Err(CheckError::Range) } else { Ok(()) }
    }

    fn judge(&self, answer: &Value) -> Result<Verdict, String> {
        let place = if self.pointer.is_empty() { "the answer" } else { &self.pointer };
        let value = answer.pointer(&self.pointer).ok_or_else(|| format!("the answer has nothing at {place}"))?;
        let other = |wanted: &str| format!("{place} is {} and not {wanted}", kind_of(value));
        match &self.expected {
            Expected::Range { min, max } => {
                let number = value.as_f64().filter(|number| number.is_finite()).ok_or_else(|| other("a number"))?;
                Ok(self.judge_number(number, *min, *max))
            }
            Expected::Equals(wanted) => {
                let text = match value {
                    Value::String(text) => text.clone(),
                    Value::Number(_) | Value::Bool(_) => value.to_string(),
                    Value::Null | Value::Array(_) | Value::Object(_) => return Err(other("a text, number or boolean")),
                };
                let evidence = Evidence::new(format!("{}, allowed {}", shortened(&text), shortened(wanted)));
                Ok(if text == *wanted { Verdict::Healthy(evidence) } else { Verdict::Unhealthy(evidence) })
            }
        }
    }

    fn judge_number(&self, number: f64, min: Option<f64>, max: Option<f64>) -> Verdict {
        let unit = if self.unit.is_empty() { String::new() } else { format!(" {}", self.unit) };
        let allowed = match (min, max) {
            (Some(min), Some(max)) => format!("{min} to {max}"),
            (Some(min), None) => format!("at least {min}"),
            (None, max) => format!("at most {}", max.unwrap_or(f64::INFINITY)),
        };
        let evidence = Evidence::new(format!("{number}{unit}, allowed {allowed}{unit}")).with("value", number);
        let inside = min.is_none_or(|min| number >= min) && max.is_none_or(|max| number <= max);
        if inside { Verdict::Healthy(evidence) } else { Verdict::Unhealthy(evidence) }
    }
}

impl HttpCheck {
    /// The signal's name.
    pub const NAME: &'static str = "http";

    /// A signal for one rollout.
    ///
    /// # Errors
    ///
    /// When the settings can't work, naming the field.
    pub fn new(settings: HttpCheckSettings, endpoint: Arc<Endpoint>) -> Result<Self, CheckError> {
        settings.check()?;
        let check = Self { settings, endpoint };
        check.address(&check.settings.path)?;
        Ok(check)
    }

    /// The address below the endpoint's own: nothing that a check's author writes leads elsewhere.
    fn address(&self, path: &str) -> Result<Url, CheckError> {
        let wrong = |_| CheckError::Path;
        let base = Url::parse(&self.endpoint.settings().url).map_err(wrong)?;
        let below = base.path().trim_end_matches('/');
        let address = Url::parse(&format!("{}{path}", base.as_str().trim_end_matches('/'))).map_err(wrong)?;
        let stays = address.origin() == base.origin()
            && address.path().strip_prefix(below).is_some_and(|rest| rest.starts_with('/'))
            && address.username().is_empty();
        if stays { Ok(address) } else { Err(CheckError::Path) }
    }

    async fn ask(&self, look: &Look) -> Result<Verdict, String> {
        let path = filled(&self.settings.path, look)?;
        let address = self.address(&path).map_err(|error| error.to_string())?;
        let body = self.settings.body.as_deref().map(|body| filled(body, look)).transpose()?;
        let name = &self.endpoint.settings().name;
        let says = |error: EndpointError| format!("{name} {error}");
        let (status, body) = self.endpoint.in_time(self.fetch(address, body)).await.map_err(says)?;
        if !(200..300).contains(&status) {
            return Err(format!("{name} answered {status}"));
        }
        let json = serde_json::from_slice(&body).map_err(|error| format!("{name} did not answer JSON: {error}"))?;
        self.settings.judge(&json).map_err(|why| format!("{name}: pointer: {}", shortened(&why)))
    }

    async fn fetch(&self, address: Url, body: Option<String>) -> Result<(u16, Vec<u8>), EndpointError> {
        let client = self.endpoint.client()?;
        let request = match self.settings.method {
            Method::Get => client.get(address),
            Method::Post => {
                client.post(address).header(CONTENT_TYPE, "application/json").body(body.unwrap_or_default())
            }
        };
        let sent = request.headers(self.endpoint.headers()?).send().await;
        // The address holds nothing secret, and says nothing that the endpoint's name doesn't.
        let response = sent.map_err(|error| Endpoint::not_sent(&error.without_url()))?;
        let status = response.status().as_u16();
        Ok((status, Endpoint::body(response, ANSWER_LIMIT).await?))
    }
}

impl HealthSignal for HttpCheck {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn look<'a>(&'a mut self, look: &'a Look) -> Looking<'a> {
        Box::pin(async move { self.ask(look).await.unwrap_or_else(|why| Verdict::Unknown(Why::NotMeasured(why))) })
    }
}

impl fmt::Debug for HttpCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpCheck").field("settings", &self.settings).field("endpoint", &self.endpoint).finish()
    }
}

/// The text with this look's names in it.
fn filled(text: &str, look: &Look) -> Result<String, String> {
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once("{{") {
        let (word, after) = after.split_once("}}").ok_or("two braces have no end")?;
        let name = match word.trim() {
            "canary" | "pod" => &look.canary.name,
            "namespace" => &look.canary.namespace,
            "workload" => &look.workload,
            other => return Err(format!("{{{{{}}}}} is no variable", shortened(other))),
        };
        out.push_str(before);
        out.push_str(checked(name)?);
        rest = after;
    }
    Ok(out + rest)
}

/// Names come from the API server, which lets nothing else through; this makes sure of it.
fn checked(name: &str) -> Result<&str, String> {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
    let is_name = (1..=253).contains(&name.len()) && name.bytes().all(fits) && !name.contains("..");
    if is_name { Ok(name) } else { Err("a name that no object of Kubernetes has can't be asked for".into()) }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
