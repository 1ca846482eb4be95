//! The client's side: what `demo-client` counted so far, and when it was last without an error.

use super::process::Process;
use super::report::Client;
use crate::voice::Voice;
use miette::{IntoDiagnostic, WrapErr, miette};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

/// How long a line of the client may be late.
const LATE: Duration = Duration::from_secs(10);

/// What the client says each second, as JSON.
#[derive(Clone, Debug, Deserialize)]
struct Second {
    /// Set on the last line, which sums up the others.
    #[serde(default)]
    summary: bool,
    /// Requests that were answered or failed.
    requests: u64,
    /// Answers of 500 and above, and requests without an answer.
    errors: u64,
    /// Answers by status code.
    #[serde(default)]
    codes: BTreeMap<String, u64>,
    /// Requests without an answer, by what went wrong.
    #[serde(default)]
    failures: BTreeMap<String, u64>,
}

impl Second {
    fn words(&self) -> String {
        let counts = self.codes.iter().chain(&self.failures).map(|(what, count)| format!("{what}: {count}"));
        counts.collect::<Vec<_>>().join("   ")
    }
}

/// What was counted from the start.
#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    all: Client,
    /// Seconds in a row without an error.
    clean: u64,
}

/// The running client.
pub(super) struct Load {
    process: Process,
    totals: watch::Receiver<Totals>,
}

impl Load {
    /// Starts the client, with `more` flags, and waits for its first line.
    pub(super) async fn start(
        program: &Path,
        url: &str,
        rate: u32,
        more: &[&str],
        log: &Path,
        voice: Voice,
    ) -> miette::Result<Self> {
        let rate = rate.to_string();
        let arguments = [url, "--rate", &rate, "--json"].into_iter().chain(more.iter().copied());
        let (process, lines) = Process::start("demo-client", program, arguments, log).await?;
        let (sender, totals) = watch::channel(Totals::default());
        tokio::spawn(count(lines, sender, voice));
        let mut load = Self { process, totals };
        load.next_second().await?;
        Ok(load)
    }

    /// What was counted so far.
    pub(super) fn so_far(&self) -> Client {
        self.totals.borrow().all
    }

    /// Waits until the client has seen no error for so many seconds; false when that takes longer than `within`.
    pub(super) async fn clean_for(&mut self, seconds: u64, within: Duration) -> bool {
        timeout(within, self.totals.wait_for(|totals| totals.clean >= seconds)).await.is_ok_and(|found| found.is_ok())
    }

    /// Waits for so many more seconds to be counted.
    pub(super) async fn seconds(&mut self, count: u64) -> miette::Result<()> {
        for _ in 0..count {
            self.next_second().await?;
        }
        Ok(())
    }

    async fn next_second(&mut self) -> miette::Result<()> {
        self.totals.mark_unchanged();
        timeout(LATE, self.totals.changed())
            .await
            .map_err(|_| miette!("the client said nothing for {LATE:?}"))?
            .into_diagnostic()
            .wrap_err("the client ended")
    }

    /// Stops the client.
    pub(super) async fn stop(self) -> miette::Result<()> {
        self.process.stop().await
    }
}

async fn count(mut lines: mpsc::UnboundedReceiver<String>, totals: watch::Sender<Totals>, voice: Voice) {
    while let Some(line) = lines.recv().await {
        let Ok(second) = serde_json::from_str::<Second>(&line) else {
            voice.say(&format!("client    {line}"));
            continue;
        };
        if second.summary {
            continue;
        }
        voice.say(&format!("client    {}", second.words()));
        totals.send_modify(|totals| {
            totals.all.requests += second.requests;
            totals.all.errors += second.errors;
            totals.clean = if second.errors == 0 { totals.clean + 1 } else { 0 };
        });
    }
}

impl Client {
    /// What was added since.
    pub(super) fn since(self, before: Self) -> Self {
        Self { requests: self.requests - before.requests, errors: self.errors - before.errors }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(line: &str) -> Second {
        serde_json::from_str(line).unwrap()
    }

    #[test]
    fn a_line_of_the_client() {
        let line = r#"{"second":3,"requests":6,"errors":3,"codes":{"200":2,"404":1,"500":2},"failures":{"refused":1},"reconnects":1}"#;
        assert_eq!(second(line).words(), "200: 2   404: 1   500: 2   refused: 1");
        assert!(
            second(r#"{"summary":true,"requests":6,"errors":3,"codes":{"200":3},"failures":{},"reconnects":0}"#)
                .summary
        );
    }

    #[tokio::test]
    async fn seconds_are_added_and_clean_ones_counted() {
        let (to_counter, lines) = mpsc::unbounded_channel();
        let (sender, mut totals) = watch::channel(Totals::default());
        tokio::spawn(count(lines, sender, Voice::Stderr));
        for errors in [0, 2, 0, 0] {
            to_counter.send(format!(r#"{{"second":1,"requests":10,"errors":{errors}}}"#)).unwrap();
        }
        to_counter.send(r#"{"summary":true,"requests":40,"errors":2}"#.into()).unwrap();
        let totals = *totals.wait_for(|totals| totals.all.requests == 40).await.unwrap();
        assert_eq!((totals.all, totals.clean), (Client { requests: 40, errors: 2 }, 2));
    }
}
