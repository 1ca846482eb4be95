//! How this release behaves, from flags or, as in an image, from the environment.

use std::time::Duration;

use clap::{Parser, ValueEnum, builder::FalseyValueParser};

/// The good and the bad application of the demo.
#[derive(Clone, Debug, Parser)]
#[command(version)]
pub(crate) struct Settings {
    /// Address and port to listen on [default: port 8080 of $POD_IP, or of every address]
    #[arg(long, env = "LISTEN")]
    listen: Option<String>,
    /// The pod's own address
    #[arg(long, env = "POD_IP", hide = true)]
    pod_ip: Option<String>,
    /// The share of requests that fail with 500, from 0 to 1 [default: 0, or 1 with --fail-after]
    #[arg(long, env = "FAIL_SHARE", value_parser = share)]
    fail_share: Option<f64>,
    /// Fail only from so many seconds after the start
    #[arg(long, env = "FAIL_AFTER", value_parser = seconds)]
    fail_after: Option<Duration>,
    /// Never be ready
    #[arg(long, env = "NEVER_READY", value_parser = FalseyValueParser::new())]
    pub(crate) never_ready: bool,
    /// Exit with code 1 so many seconds after the start
    #[arg(long, env = "EXIT_AFTER", value_parser = seconds)]
    pub(crate) exit_after: Option<Duration>,
    /// What the metrics endpoint does
    #[arg(long, env = "METRICS", value_enum, default_value_t = Metrics::Alive)]
    pub(crate) metrics: Metrics,
    /// Never answer a counted request
    #[arg(long, env = "HANG", value_parser = FalseyValueParser::new())]
    pub(crate) hang: bool,
    /// The version to tell
    #[arg(long = "app-version", env = "VERSION", default_value = "dev")]
    pub(crate) app_version: String,
    /// The digest of the image, told by the node
    #[arg(long, env = "IMAGE_DIGEST", default_value = "", hide = true)]
    pub(crate) image_digest: String,
    /// The pod's name, told by the node
    #[arg(long, env = "HOSTNAME", default_value = "", hide = true)]
    pub(crate) pod: String,
    /// Seconds to keep serving after SIGTERM
    #[arg(long, env = "DRAIN", value_parser = seconds, default_value = "1.5")]
    pub(crate) drain: Duration,
    /// Exit when standard input is closed
    #[arg(long)]
    pub(crate) exit_with_stdin: bool,
}

/// What the metrics endpoint does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Metrics {
    /// Answers with metrics.
    Alive,
    /// Answers with 503.
    Dead,
    /// Takes the request and never answers.
    Hang,
}

impl Settings {
    pub(crate) fn address(&self) -> String {
        match (&self.listen, &self.pod_ip) {
            (Some(listen), _) => listen.clone(),
            (None, Some(ip)) => format!("{ip}:8080"),
            (None, None) => "0.0.0.0:8080".to_owned(),
        }
    }

    /// The share of requests that fail so long after the start.
    pub(crate) fn fail_share(&self, uptime: Duration) -> f64 {
        match self.fail_after {
            Some(good_for) if uptime < good_for => 0.0,
            Some(_) => self.fail_share.unwrap_or(1.0),
            None => self.fail_share.unwrap_or(0.0),
        }
    }
}

fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err("a share is from 0 to 1".to_owned()) }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.trim_end_matches('s').parse().map_err(|_| "not a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(arguments: &[&str]) -> Settings {
        Settings::parse_from([&["demo-app"], arguments].concat())
    }

    #[test]
    fn it_fails_when_it_was_told_to() {
        let late = Duration::from_secs(30);
        assert_eq!(settings(&[]).fail_share(late), 0.0);
        assert_eq!(settings(&["--fail-share", "0.03"]).fail_share(Duration::ZERO), 0.03);
        let turns = settings(&["--fail-after", "20"]);
        assert_eq!((turns.fail_share(Duration::from_secs(19)), turns.fail_share(late)), (0.0, 1.0));
    }

    #[test]
    fn the_address_is_the_pods_own() {
        assert_eq!(settings(&["--pod-ip", "127.2.1.1"]).address(), "127.2.1.1:8080");
        assert_eq!(settings(&["--pod-ip", "127.2.1.1", "--listen", "127.0.0.1:1"]).address(), "127.0.0.1:1");
    }

    #[test]
    fn nonsense_is_refused() {
        for arguments in [["--fail-share", "2"], ["--exit-after", "-1"], ["--metrics", "odd"]] {
            assert!(Settings::try_parse_from([&["demo-app"], &arguments[..]].concat()).is_err(), "{arguments:?}");
        }
    }
}
