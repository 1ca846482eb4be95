//! The servers that checks may name. Only the operator's owner says where they are and what they are told.

use crate::args::Args;
use crate::signals::Signals;
use keeper_http::{Endpoint, EndpointSettings};
use keeper_prometheus::{Provider, Servers};
use miette::{Context, IntoDiagnostic, Result, miette};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The file of `--providers`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// Prometheus servers.
    #[serde(default)]
    prometheus: Vec<Provider>,
    /// Endpoints for checks of `kind: http`.
    #[serde(default)]
    http: Vec<EndpointSettings>,
}

/// Everything that the file and the flags name.
pub(crate) fn signals(args: &Args) -> Result<Signals> {
    let file = match &args.providers {
        None => File::default(),
        Some(path) => {
            let text = std::fs::read_to_string(path).into_diagnostic().wrap_err_with(|| path.display().to_string())?;
            read(&text).wrap_err_with(|| path.display().to_string())?
        }
    };
    let flags = args.prometheus.iter().map(|(name, url)| Provider::new(name, url));
    let prometheus = Servers::new(file.prometheus.into_iter().chain(flags)).into_diagnostic()?;
    Ok(Signals { prometheus, http: endpoints(file.http)?, cluster: None })
}

fn endpoints(all: Vec<EndpointSettings>) -> Result<BTreeMap<String, Arc<Endpoint>>> {
    let mut endpoints = BTreeMap::new();
    for settings in all {
        let name = settings.name.clone();
        let wrong = || format!("http endpoint {name}");
        let endpoint = Endpoint::new(settings).into_diagnostic().wrap_err_with(wrong)?;
        endpoint.check_files().into_diagnostic().wrap_err_with(wrong)?;
        if endpoints.insert(name.clone(), Arc::new(endpoint)).is_some() {
            return Err(miette!("there are two http endpoints with the name {name}"));
        }
    }
    Ok(endpoints)
}

fn read(text: &str) -> Result<File> {
    serde_saphyr::from_str(text).into_diagnostic()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn names(yaml: &str, flags: &[&str]) -> std::result::Result<String, String> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("providers.yaml");
        std::fs::write(directory.path().join("token"), "secret\n").unwrap();
        std::fs::write(&file, yaml.replace("DIRECTORY", directory.path().to_str().unwrap())).unwrap();
        let file = file.to_str().unwrap();
        let args = Args::parse_from(["operator", "--providers", file].iter().chain(flags));
        let signals = signals(&args).map_err(|error| format!("{error:?}"))?;
        let http = signals.http.keys().map(String::as_str);
        Ok(signals.prometheus.names().chain(http).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn file_and_flags_name_servers_together() {
        let file = "
prometheus:
- name: main
  url: http://prometheus.monitoring:9090
  bearerTokenFile: DIRECTORY/token
  timeout: 3s
  podLabels:
  - pod: pod_name
    namespace: ns
http:
- name: tests
  url: http://tests.monitoring/api
  bearerTokenFile: DIRECTORY/token
";
        assert_eq!(names(file, &["--prometheus", "other=http://thanos:9090/query"]), Ok("main other tests".into()));
        assert_eq!(names("{}", &[]), Ok(String::new()));
    }

    #[test]
    fn what_cannot_work_ends_the_start_and_says_where() {
        let says = |yaml: &str, flags: &[&str]| names(yaml, flags).unwrap_err();
        let missing = says("prometheus: [{name: a, url: 'http://a', bearerTokenFile: DIRECTORY/none}]", &[]);
        assert!(missing.contains("Prometheus a") && missing.contains("No such file"), "{missing}");
        assert!(says("prometheus: [{name: a, url: 'http://me:secret@a'}]", &[]).contains("without user"));
        assert!(says("prometheus: [{name: a, url: 'http://a', token: x}]", &[]).contains("token"));
        assert!(says("grafana: []", &[]).contains("grafana"));
        let missing = says("http: [{name: a, url: 'http://a', bearerTokenFile: DIRECTORY/none}]", &[]);
        assert!(missing.contains("http endpoint a") && missing.contains("No such file"), "{missing}");
        let twice = says("http: [{name: a, url: 'http://a'}, {name: a, url: 'http://b'}]", &[]);
        assert!(twice.contains("two http endpoints"), "{twice}");
        let twice = says("prometheus: [{name: a, url: 'http://a'}]", &["--prometheus", "a=http://b"]);
        assert!(twice.contains("two Prometheus providers"), "{twice}");
    }
}
