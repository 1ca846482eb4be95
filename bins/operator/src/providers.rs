//! The servers that checks may name. Only the operator's owner says where they are and what they are told.

use crate::args::Args;
use keeper_prometheus::{Provider, Servers};
use miette::{Context, IntoDiagnostic, Result};
use serde::Deserialize;

/// The file of `--providers`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// Prometheus servers.
    #[serde(default)]
    prometheus: Vec<Provider>,
}

/// The Prometheus servers of the file and of the flags together.
pub(crate) fn prometheus(args: &Args) -> Result<Servers> {
    let file = match &args.providers {
        None => File::default(),
        Some(path) => {
            let text = std::fs::read_to_string(path).into_diagnostic().wrap_err_with(|| path.display().to_string())?;
            read(&text).wrap_err_with(|| path.display().to_string())?
        }
    };
    let flags = args.prometheus.iter().map(|(name, url)| Provider::new(name, url));
    Servers::new(file.prometheus.into_iter().chain(flags)).into_diagnostic()
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
        let servers = prometheus(&args).map_err(|error| format!("{error:?}"))?;
        Ok(servers.names().collect::<Vec<_>>().join(" "))
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
";
        assert_eq!(names(file, &["--prometheus", "other=http://thanos:9090/query"]), Ok("main other".into()));
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
        let twice = says("prometheus: [{name: a, url: 'http://a'}]", &["--prometheus", "a=http://b"]);
        assert!(twice.contains("two Prometheus providers"), "{twice}");
    }
}
