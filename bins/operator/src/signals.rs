//! The signal for each check. Here, and only here, signals have names.

use keeper_api::checks::{self, HttpErrorRate, SeriesMatcher, Source};
use keeper_api::{Check, Rule};
use keeper_controller::{JobCheck, MakeSignals};
use keeper_http::{Endpoint, Expected, HttpCheck, HttpCheckSettings, Method};
use keeper_prometheus::{
    DirectScrape, ErrorRate, ErrorRateSettings, LatencyShare, LatencyShareSettings, Matchers, MatchersError, NoData,
    Query, QuerySettings, Servers,
};
use keeper_signal::{HealthSignal, Look, Verdict, Why, from_fn};
use kube::Client;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How long one read of a pod's metrics may take.
const SCRAPE_TIMEOUT: Duration = Duration::from_secs(2);

/// Makes signals of checks, with the servers that the operator's owner named.
pub(crate) struct Signals {
    pub(crate) prometheus: Servers,
    pub(crate) http: BTreeMap<String, Arc<Endpoint>>,
    /// Where Jobs are started; without it there are none.
    pub(crate) cluster: Option<Client>,
}

impl MakeSignals for Signals {
    fn make(&self, check: &Check) -> Result<Box<dyn HealthSignal>, String> {
        let mut policy = check.policy.clone();
        if matches!(check.rule, Rule::Job(_)) {
            // A Job is looked at at every look: it paces itself.
            policy.interval = Duration::ZERO;
        }
        match self.asked(check) {
            Ok(signal) => Ok(Box::new(policy.on(check.name.as_str(), signal))),
            // What judges nothing must not hold up what does.
            Err(why) if policy.observe_only => {
                let unknown = move |_: &Look| Verdict::Unknown(Why::NotMeasured(why.clone()));
                Ok(Box::new(policy.on(check.name.as_str(), Box::new(from_fn(check.kind(), unknown)))))
            }
            Err(why) => Err(why),
        }
    }
}

impl Signals {
    /// What asks what a check asks.
    fn asked(&self, check: &Check) -> Result<Box<dyn HealthSignal>, String> {
        match &check.rule {
            Rule::HttpErrorRate(check) => self.error_rate(check),
            Rule::LatencyShare(check) => self.latency_share(check),
            Rule::Query(check) => self.query(check),
            Rule::Http(check) => self.http(check),
            Rule::Job(job) => {
                let client = self.cluster.clone().ok_or("this operator has no cluster to start Jobs in")?;
                Ok(Box::new(JobCheck::new(client, &check.name, (**job).clone(), check.policy.interval)))
            }
        }
    }

    fn error_rate(&self, check: &HttpErrorRate) -> Result<Box<dyn HealthSignal>, String> {
        let mut settings = ErrorRateSettings {
            metric: check.metric.clone(),
            error_codes: check.error_codes.clone(),
            threshold_percent: check.threshold,
            min_request_count: check.min_request_count,
            ..ErrorRateSettings::default()
        };
        if let Some(label) = &check.code_label {
            settings.code_labels = vec![label.clone()];
        }
        match &check.source {
            Source::Pods { port, path } => {
                let pods = DirectScrape::new(*port, path, SCRAPE_TIMEOUT).map_err(|error| error.to_string())?;
                Ok(Box::new(ErrorRate::new(settings, Arc::new(pods)).map_err(|error| error.to_string())?))
            }
            Source::Prometheus { provider, selector, error_selector } => {
                settings.selector = matchers("selector", selector)?;
                settings.error_selector =
                    error_selector.as_deref().map(|errors| matchers("errorSelector", errors)).transpose()?;
                let server = self.prometheus.get(provider.as_deref())?;
                Ok(Box::new(
                    keeper_prometheus::HttpErrorRate::new(settings, server).map_err(|error| error.to_string())?,
                ))
            }
        }
    }

    fn latency_share(&self, check: &checks::LatencyShare) -> Result<Box<dyn HealthSignal>, String> {
        let settings = LatencyShareSettings {
            metric: check.metric.clone(),
            selector: matchers("selector", &check.selector)?,
            bound_seconds: check.bound.as_secs_f64(),
            threshold_percent: check.threshold,
            min_request_count: check.min_request_count,
            ..LatencyShareSettings::default()
        };
        let server = self.prometheus.get(check.provider.as_deref())?;
        Ok(Box::new(LatencyShare::new(settings, server).map_err(|error| error.to_string())?))
    }

    fn query(&self, check: &checks::Query) -> Result<Box<dyn HealthSignal>, String> {
        let settings = QuerySettings {
            query: check.query.clone(),
            min: check.min,
            max: check.max,
            unit: check.unit.clone().unwrap_or_default(),
            window: check.window,
            no_data: match check.no_data {
                checks::NoData::Unknown => NoData::Unknown,
                checks::NoData::Zero => NoData::Zero,
                checks::NoData::Healthy => NoData::Healthy,
                checks::NoData::Unhealthy => NoData::Unhealthy,
            },
        };
        let server = self.prometheus.get(check.provider.as_deref())?;
        Ok(Box::new(Query::new(settings, server).map_err(|error| error.to_string())?))
    }
}

impl Signals {
    fn http(&self, check: &checks::Http) -> Result<Box<dyn HealthSignal>, String> {
        let settings = HttpCheckSettings {
            method: match check.method {
                checks::Method::Get => Method::Get,
                checks::Method::Post => Method::Post,
            },
            path: check.path.clone(),
            body: check.body.clone(),
            pointer: check.pointer.clone(),
            expected: match &check.expected {
                checks::Expected::Range { min, max } => Expected::Range { min: *min, max: *max },
                checks::Expected::Equals(text) => Expected::Equals(text.clone()),
            },
            unit: check.unit.clone().unwrap_or_default(),
        };
        let unknown = || format!("provider: this operator has no http endpoint {}", check.provider);
        let endpoint = self.http.get(&check.provider).cloned().ok_or_else(unknown)?;
        Ok(Box::new(HttpCheck::new(settings, endpoint).map_err(|error| error.to_string())?))
    }
}

fn matchers(field: &str, list: &[SeriesMatcher]) -> Result<Matchers, String> {
    let list = list.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    list.parse().map_err(|error: MatchersError| format!("{field}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use keeper_api::Defaults;
    use keeper_http::EndpointSettings;
    use keeper_prometheus::Provider;
    use serde_json::json;

    /// What each check of this YAML becomes: its name, or why it can't be asked.
    fn made(providers: &[&str], yaml: &str) -> Vec<String> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let providers = providers.iter().map(|name| Provider::new(*name, "http://127.0.0.1:1"));
        let tests = Endpoint::new(EndpointSettings::new("tests", "http://127.0.0.1:1/api")).unwrap();
        let http = BTreeMap::from([("tests".to_owned(), Arc::new(tests))]);
        // A client wants a runtime, although nothing is asked here.
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let _runtime = runtime.enter();
        let config = kube::Config::new("http://127.0.0.1:1".parse().unwrap());
        let cluster = Some(Client::try_from(config).unwrap());
        let signals = Signals { prometheus: Servers::new(providers).unwrap(), http, cluster };
        let annotations = json!({"canary-image": "registry.test/web:v1", "canary-keeper.dev/checks": yaml});
        let container = json!({"name": "web", "image": "registry.test/web:v0"});
        let workload = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "shop", "labels": {"canary": "true"}, "annotations": annotations},
            "spec": {"template": {"spec": {"containers": [container]}}},
        });
        let wish = keeper_api::read(&workload, &Defaults::default()).unwrap();
        let make = |check| signals.make(check).map_or_else(|why| why, |signal| signal.name().to_owned());
        wish.checks.iter().map(make).collect()
    }

    const ALL: &str = r#"
- kind: httpErrorRate
  selector: '{handler=~"/buy.*"}'
  errorSelector: '{code=~"5..|429"}'
- kind: latencyShare
  bound: 250ms
- kind: query
  query: sum(queue_depth{pod="{{canary}}",namespace='{{namespace}}'}[{{window}}])
  max: 10
  noData: zero
"#;

    #[test]
    fn every_check_on_prometheus_becomes_a_signal() {
        assert_eq!(made(&["main"], ALL), ["httpErrorRate", "latencyShare", "query"]);
        assert_eq!(made(&["other", "default"], ALL), ["httpErrorRate", "latencyShare", "query"]);
    }

    #[test]
    fn a_check_of_http_asks_an_endpoint_by_its_name() {
        let with = |provider: &str| {
            made(
                &[],
                &format!("- {{kind: http, provider: {provider}, path: '/x?pod={{{{canary}}}}', pointer: /a, max: 0}}"),
            )
        };
        assert_eq!(with("tests"), ["http"]);
        assert_eq!(with("other"), ["provider: this operator has no http endpoint other"]);
    }

    #[test]
    fn a_check_of_kind_job_becomes_a_signal() {
        let yaml = "- {kind: job, name: smoke, jobTemplate: {spec: {template: {spec: {containers: [{name: a}]}}}}}";
        assert_eq!(made(&[], yaml), ["smoke"]);
    }

    #[test]
    fn what_cannot_be_asked_here_says_why() {
        let none = "provider: this operator was given no Prometheus to ask";
        assert_eq!(made(&[], ALL), [none; 3]);
        assert_eq!(made(&[], "- kind: httpErrorRate\n  port: 8080\n"), ["httpErrorRate"]);
        let several = "provider: there are several: write one of a, b";
        assert_eq!(made(&["a", "b"], "- kind: httpErrorRate\n"), [several]);
        let unknown = "- kind: query\n  provider: c\n  query: up\n  max: 1\n";
        assert_eq!(made(&["a", "b"], unknown), ["provider: there is no Prometheus c: write one of a, b"]);
        let unquoted = "- kind: query\n  query: up * {{canary}}\n  max: 1\n";
        assert!(made(&["a"], unquoted)[0].contains("must stand inside quotes"));
        let observed = "- kind: query\n  query: up\n  max: 1\n  observeOnly: true\n";
        assert_eq!(made(&[], observed), ["query"], "it holds nothing up");
    }
}
