//! What the HTTP API answers, with all that a verdict must know of it: warnings and partial answers too. Pure.

use jiff::Timestamp;
use keeper_http::shortened;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::BTreeMap;

/// An answer to an instant query.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    data: Data,
    warnings: Vec<String>,
    is_partial: bool,
}

/// What an expression came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// One value for each of some series.
    Vector(Vec<Point>),
    /// Several samples for each of some series.
    Matrix(Vec<Row>),
    /// A number.
    Scalar(f64),
    /// A text.
    Text,
}

/// One series' value.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// The series' labels, `__name__` among them.
    pub labels: BTreeMap<String, String>,
    /// Its value, which may be NaN; `None` when it is a native histogram.
    pub value: Option<f64>,
}

/// One series' samples.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The series' labels, `__name__` among them.
    pub labels: BTreeMap<String, String>,
    /// Its samples in the order of time. Those that are native histograms are left out.
    pub samples: Vec<(Timestamp, f64)>,
    /// Whether it has native histograms.
    pub has_histograms: bool,
}

/// Why an answer is none to judge by.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// The server refused the query, or could not answer it: `bad_data`, `execution`, `timeout`.
    #[error("refused the query ({kind}): {message}")]
    Refused {
        /// The kind of error, as the server calls it.
        kind: String,
        /// Its words, shortened.
        message: String,
    },
    /// Another status than 200, without Prometheus' own words.
    #[error("answered {0}")]
    Status(u16),
    /// Not the HTTP API's JSON.
    #[error("did not answer as a Prometheus does: {0}")]
    Garbage(String),
    /// Some of the data could not be read: what is missing may be what matters.
    #[error("answered in part: {0}")]
    Partial(String),
}

impl Answer {
    /// Reads an answer, whatever its status.
    ///
    /// # Errors
    ///
    /// When it is none, or an error.
    pub fn read(status: u16, body: &[u8]) -> Result<Self, AnswerError> {
        let envelope: Envelope = match serde_json::from_slice(body) {
            Ok(envelope) => envelope,
            Err(_) if status != 200 => return Err(AnswerError::Status(status)),
            Err(error) => return Err(AnswerError::Garbage(shortened(&error.to_string()))),
        };
        match (envelope.status, envelope.data) {
            (Status::Success, Some(data)) if status == 200 => {
                let data = data.read().map_err(|problem| AnswerError::Garbage(problem.to_owned()))?;
                Ok(Self { data, warnings: envelope.warnings, is_partial: envelope.is_partial })
            }
            (Status::Error, _) => {
                let kind = shortened(&envelope.error_type.unwrap_or_else(|| status.to_string()));
                Err(AnswerError::Refused { kind, message: shortened(&envelope.error.unwrap_or_default()) })
            }
            (Status::Success, _) if status != 200 => Err(AnswerError::Status(status)),
            (Status::Success, _) => Err(AnswerError::Garbage("no data".into())),
        }
    }

    /// The data, if it is known to be all of it. Prometheus' `infos` are about the query's style and don't count.
    ///
    /// # Errors
    ///
    /// With the first of the warnings, when there are any.
    pub fn into_complete(self) -> Result<Data, AnswerError> {
        match self.warnings.as_slice() {
            [] if !self.is_partial => Ok(self.data),
            [] => Err(AnswerError::Partial("it says that its answer is partial".into())),
            [one] => Err(AnswerError::Partial(shortened(one))),
            [first, rest @ ..] => {
                Err(AnswerError::Partial(format!("{} (and {} more warnings)", shortened(first), rest.len())))
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    status: Status,
    data: Option<RawData>,
    error_type: Option<String>,
    error: Option<String>,
    #[serde(default)]
    warnings: Vec<String>,
    /// VictoriaMetrics' way to say it.
    #[serde(default)]
    is_partial: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Success,
    Error,
}

#[derive(Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum RawData {
    Vector(Vec<RawPoint>),
    Matrix(Vec<RawRow>),
    Scalar(RawSample),
    String(IgnoredAny),
}

#[derive(Deserialize)]
struct RawPoint {
    metric: BTreeMap<String, String>,
    value: Option<RawSample>,
}

#[derive(Deserialize)]
struct RawRow {
    metric: BTreeMap<String, String>,
    #[serde(default)]
    values: Vec<RawSample>,
    #[serde(default)]
    histograms: Vec<IgnoredAny>,
}

/// Seconds since 1970, and a number as text.
#[derive(Deserialize)]
struct RawSample(f64, String);

impl RawData {
    fn read(self) -> Result<Data, &'static str> {
        Ok(match self {
            Self::Vector(points) => Data::Vector(points.into_iter().map(RawPoint::read).collect::<Result<_, _>>()?),
            Self::Matrix(rows) => Data::Matrix(rows.into_iter().map(RawRow::read).collect::<Result<_, _>>()?),
            Self::Scalar(sample) => Data::Scalar(sample.value()?),
            Self::String(_) => Data::Text,
        })
    }
}

impl RawPoint {
    fn read(self) -> Result<Point, &'static str> {
        Ok(Point { labels: self.metric, value: self.value.map(|sample| sample.value()).transpose()? })
    }
}

impl RawRow {
    fn read(self) -> Result<Row, &'static str> {
        let sample = |sample: &RawSample| Ok((sample.at()?, sample.value()?));
        let samples = self.values.iter().map(sample).collect::<Result<_, &'static str>>()?;
        Ok(Row { labels: self.metric, samples, has_histograms: !self.histograms.is_empty() })
    }
}

impl RawSample {
    fn value(&self) -> Result<f64, &'static str> {
        self.1.parse().map_err(|_| "a value that is no number")
    }

    /// Prometheus counts in milliseconds.
    fn at(&self) -> Result<Timestamp, &'static str> {
        let millis = (self.0 * 1000.0).round();
        let fits = millis.is_finite() && millis.abs() < 1e15;
        #[expect(clippy::cast_possible_truncation, reason = "a whole number within bounds")]
        let at = if fits { Timestamp::from_millisecond(millis as i64).ok() } else { None };
        at.ok_or("a time that is none")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<Answer, AnswerError> {
        Answer::read(200, body.as_bytes())
    }

    fn data(body: &str) -> Data {
        read(body).unwrap().into_complete().unwrap()
    }

    #[test]
    fn each_kind_of_data_is_read() {
        let vector = r#"{"status":"success","infos":["style"],"data":{"resultType":"vector","result":[
            {"metric":{"a":"b"},"value":[1700000000.123,"NaN"]},{"metric":{},"histogram":[1,{}]}]}}"#;
        let Data::Vector(points) = data(vector) else { panic!("no vector") };
        assert!(points[0].value.unwrap().is_nan() && points[0].labels["a"] == "b" && points[1].value.is_none());
        let matrix = r#"{"status":"success","data":{"resultType":"matrix","result":[
            {"metric":{},"values":[[1700000000.123,"1"],[1700000015,"+Inf"]]},{"metric":{},"histograms":[[1,{}]]}]}}"#;
        let Data::Matrix(rows) = data(matrix) else { panic!("no matrix") };
        let at = |millis| Timestamp::from_millisecond(millis).unwrap();
        assert_eq!(rows[0].samples, [(at(1_700_000_000_123), 1.0), (at(1_700_000_015_000), f64::INFINITY)]);
        assert!(rows[1].has_histograms && rows[1].samples.is_empty());
        let scalar = r#"{"data":{"result":[1,"3.5"],"resultType":"scalar"},"status":"success"}"#;
        assert_eq!(data(scalar), Data::Scalar(3.5));
        assert_eq!(data(r#"{"status":"success","data":{"resultType":"string","result":[1,"x"]}}"#), Data::Text);
    }

    #[test]
    fn an_answer_with_warnings_is_none_to_judge_by() {
        let with = |extra: &str| {
            let body = format!(r#"{{"status":"success",{extra},"data":{{"resultType":"vector","result":[]}}}}"#);
            read(&body).unwrap().into_complete().map(drop).map_err(|error| error.to_string())
        };
        assert_eq!(with(r#""infos":["x"]"#), Ok(()));
        assert_eq!(with(r#""warnings":["store\n1 is gone"]"#), Err("answered in part: store 1 is gone".into()));
        let two = with(r#""warnings":["a","b"]"#);
        assert_eq!(two, Err("answered in part: a (and 1 more warnings)".into()));
        assert_eq!(with(r#""isPartial":true"#), Err("answered in part: it says that its answer is partial".into()));
        let long = with(&format!(r#""warnings":["{}"]"#, "é".repeat(10_000)));
        assert!(long.unwrap_err().chars().count() < 300);
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        let refused = r#"{"status":"error","errorType":"bad_data","error":"parse error"}"#;
        let said = Answer::read(400, refused.as_bytes()).unwrap_err().to_string();
        assert_eq!(said, "refused the query (bad_data): parse error");
        assert_eq!(Answer::read(502, b"<html>"), Err(AnswerError::Status(502)));
        let success = r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#;
        assert_eq!(Answer::read(503, success.as_bytes()), Err(AnswerError::Status(503)));
        for garbage in [
            "",
            "null",
            "[]",
            "{}",
            r#"{"status":"success"}"#,
            r#"{"status":"success","data":{"resultType":"cube","result":[]}}"#,
            r#"{"status":"success","data":{"resultType":"scalar","result":[1,"x"]}}"#,
            r#"{"status":"success","data":{"resultType":"scalar","result":["1","2"]}}"#,
            r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1e300,"2"]]}]}}"#,
            r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":1},"value":[1,"2"]}]}}"#,
        ] {
            assert!(matches!(read(garbage), Err(AnswerError::Garbage(_))), "{garbage}: {:?}", read(garbage));
        }
    }
}
