use crate::Server;
use crate::answer::{Data, Point};
use crate::settings::SettingsError;
use crate::template::Template;
use keeper_signal::{Evidence, HealthSignal, Look, Looking, Verdict, Why};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What [`Query`] asks and allows.
///
/// ```
/// use keeper_prometheus::{NoData, QuerySettings};
/// let settings = QuerySettings {
///     query: r#"max_over_time(queue_depth{pod="{{canary}}",namespace="{{namespace}}"}[{{window}}])"#.into(),
///     max: Some(100.0),
///     unit: "orders".into(),
///     ..QuerySettings::default()
/// };
/// assert_eq!(settings.check(), Ok(()));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct QuerySettings {
    /// The PromQL expression; its value must be one number. `{{canary}}` (the canary pod's name), `{{namespace}}` and
    /// `{{workload}}` stand inside quotes, `{{baseline}}` (a pattern for the production pods) inside quotes after `=~`, `{{window}}`
    /// outside quotes. At most 4096 bytes.
    pub query: String,
    /// The least value that is healthy, itself included. This or `max` is needed.
    pub min: Option<f64>,
    /// The largest value that is healthy, itself included.
    pub max: Option<f64>,
    /// The value's unit, for people: `%`, `ms`; empty, none.
    pub unit: String,
    /// What `{{window}}` becomes; 1 min. While the canary is younger than that, its age.
    pub window: Duration,
    /// What it means that the answer has no series; [`NoData::Unknown`].
    pub no_data: NoData,
}

/// What an answer without any series means. One that is NaN, or that is partial, is unknown whatever this says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NoData {
    /// Not measured: promotion waits and the incubation's clock stands still.
    #[default]
    Unknown,
    /// The value is 0: for a counter that appears with its first event.
    Zero,
    /// As it should be: for a query of what must not be there.
    Healthy,
    /// Bad: for a query of what must be there.
    Unhealthy,
}

impl Default for QuerySettings {
    fn default() -> Self {
        let (query, unit) = (String::new(), String::new());
        Self { query, min: None, max: None, unit, window: Duration::from_secs(60), no_data: NoData::Unknown }
    }
}

impl QuerySettings {
    /// Whether they can be used at all. Whether the query is PromQL, only a server can tell.
    ///
    /// # Errors
    ///
    /// Naming the first field that can't.
    pub fn check(&self) -> Result<(), SettingsError> {
        Template::parse(&self.query).map_err(SettingsError::Query)?;
        check_window(self.window)?;
        let numbers = [self.min, self.max].into_iter().flatten().collect::<Vec<_>>();
        // Written so that NaN is refused too.
        let ordered = numbers.is_sorted() && numbers.iter().all(|number| number.is_finite());
        if numbers.is_empty() || !ordered { Err(SettingsError::Range) } else { Ok(()) }
    }

    fn judge(&self, value: f64) -> Verdict {
        let unit = if self.unit.is_empty() { String::new() } else { format!(" {}", self.unit) };
        let allowed = match (self.min, self.max) {
            (Some(min), Some(max)) => format!("{min} to {max}{unit}"),
            (Some(min), None) => format!("at least {min}{unit}"),
            (None, Some(max)) => format!("at most {max}{unit}"),
            (None, None) => String::new(),
        };
        let evidence = Evidence::new(format!("{value}{unit}, allowed {allowed}")).with("value", value);
        let inside = self.min.is_none_or(|min| value >= min) && self.max.is_none_or(|max| value <= max);
        if inside { Verdict::Healthy(evidence) } else { Verdict::Unhealthy(evidence) }
    }

    fn judge_nothing(&self) -> Verdict {
        let text = "the query's answer has no series";
        match self.no_data {
            NoData::Unknown => Verdict::Unknown(Why::NotMeasured(text.into())),
            NoData::Zero => self.judge(0.0),
            NoData::Healthy => Verdict::Healthy(Evidence::new(format!("{text}, which is healthy"))),
            NoData::Unhealthy => Verdict::Unhealthy(Evidence::new(format!("{text}, which is unhealthy"))),
        }
    }
}

/// The value of a PromQL expression, within a range or not.
///
/// Whatever is not one number at the moment of the look is not measured: an expression that the server refuses, several
/// series, a range of values, NaN and infinities, an answer with warnings, none in time.
pub struct Query {
    settings: QuerySettings,
    template: Template,
    server: Arc<Server>,
}

impl Query {
    /// The signal's name.
    pub const NAME: &'static str = "query";

    /// A signal for one rollout.
    ///
    /// # Errors
    ///
    /// When the settings can't work, naming the field.
    pub fn new(settings: QuerySettings, server: Arc<Server>) -> Result<Self, SettingsError> {
        settings.check()?;
        let template = Template::parse(&settings.query).map_err(SettingsError::Query)?;
        Ok(Self { settings, template, server })
    }

    async fn ask(&self, look: &Look) -> Result<Verdict, String> {
        let life = Duration::try_from(look.window.to.duration_since(look.window.from)).unwrap_or_default();
        let query = self.template.fill(look, self.settings.window.min(life))?;
        let answer = self.server.query(&query, look.window.to).await.map_err(|error| error.to_string())?;
        match answer.into_complete().map_err(|error| self.server.says(&error))? {
            Data::Scalar(value) => self.number(value),
            Data::Vector(points) => match points.as_slice() {
                [] => Ok(self.settings.judge_nothing()),
                [Point { value: Some(value), .. }] => self.number(*value),
                [_] => Err("query: its value is a histogram and not a number".into()),
                [..] => Err(format!("query: its answer has {} series and not one: aggregate it", points.len())),
            },
            Data::Matrix(_) => Err("query: its answer is a range of values and not one: leave out [...]".into()),
            Data::Text => Err("query: its value is a text and not a number".into()),
        }
    }

    fn number(&self, value: f64) -> Result<Verdict, String> {
        if value.is_finite() { Ok(self.settings.judge(value)) } else { Err(format!("query: its value is {value}")) }
    }
}

impl HealthSignal for Query {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn look<'a>(&'a mut self, look: &'a Look) -> Looking<'a> {
        Box::pin(async move { self.ask(look).await.unwrap_or_else(|why| Verdict::Unknown(Why::NotMeasured(why))) })
    }
}

impl fmt::Debug for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Query").field("settings", &self.settings).finish_non_exhaustive()
    }
}

pub(crate) fn check_window(window: Duration) -> Result<(), SettingsError> {
    let fits = (Duration::from_secs(1)..=Duration::from_secs(24 * 3600)).contains(&window);
    if fits { Ok(()) } else { Err(SettingsError::Window) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_work_is_refused_by_field() {
        let good = || QuerySettings { query: "up".into(), max: Some(1.0), ..QuerySettings::default() };
        assert_eq!(good().check(), Ok(()));
        assert!(matches!(QuerySettings { query: " ".into(), ..good() }.check(), Err(SettingsError::Query(_))));
        for (min, max) in [(None, None), (Some(2.0), Some(1.0)), (Some(f64::NAN), None), (None, Some(f64::INFINITY))] {
            assert_eq!(QuerySettings { min, max, ..good() }.check(), Err(SettingsError::Range), "{min:?} {max:?}");
        }
        for seconds in [0, 86_401] {
            let window = Duration::from_secs(seconds);
            assert_eq!(QuerySettings { window, ..good() }.check(), Err(SettingsError::Window));
        }
    }

    #[test]
    fn what_no_series_mean_is_said_before() {
        let says = |no_data| {
            let settings = QuerySettings { max: Some(1.0), no_data, ..QuerySettings::default() };
            settings.judge_nothing().to_string()
        };
        assert_eq!(says(NoData::Unknown), "unknown: not measured: the query's answer has no series");
        assert_eq!(says(NoData::Zero), "healthy: 0, allowed at most 1");
        assert_eq!(says(NoData::Healthy), "healthy: the query's answer has no series, which is healthy");
        assert_eq!(says(NoData::Unhealthy), "unhealthy: the query's answer has no series, which is unhealthy");
    }

    #[test]
    fn both_ends_of_the_range_are_healthy() {
        let range = QuerySettings { min: Some(1.0), max: Some(2.0), unit: "ms".into(), ..QuerySettings::default() };
        for (value, says) in [
            (1.0, "healthy: 1 ms, allowed 1 to 2 ms"),
            (2.0, "healthy: 2 ms, allowed 1 to 2 ms"),
            (0.5, "unhealthy: 0.5 ms, allowed 1 to 2 ms"),
            (2.5, "unhealthy: 2.5 ms, allowed 1 to 2 ms"),
        ] {
            assert_eq!(range.judge(value).to_string(), says);
        }
        let least = QuerySettings { min: Some(1.0), ..QuerySettings::default() };
        assert_eq!(least.judge(0.0).to_string(), "unhealthy: 0, allowed at least 1");
        let most = QuerySettings { max: Some(1.0), ..QuerySettings::default() };
        assert_eq!(most.judge(1.0).to_string(), "healthy: 1, allowed at most 1");
    }
}
