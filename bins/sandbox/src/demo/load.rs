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
    /// Response codes and how often they came.
    #[serde(default)]
    codes: BTreeMap<String, u64>,
    /// Requests that got no response.
    #[serde(default)]
    failures: u64,
}

impl Second {
    fn client(&self) -> Client {
        let bad = self.codes.iter().filter(|(code, _)| code.starts_with('5')).map(|(_, count)| count).sum::<u64>();
        let answered = self.codes.values().sum::<u64>();
        Client { requests: answered + self.failures, errors: bad + self.failures }
    }

    fn words(&self) -> String {
        let mut words: Vec<_> = self.codes.iter().map(|(code, count)| format!("{code}: {count}")).collect();
        if self.failures > 0 {
            words.push(format!("no answer: {}", self.failures));
        }
        words.join("   ")
    }
}

/// What was counted from the start.
#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    all: Client,
    seconds: u64,
    /// Seconds in a row without an error.
    clean: u64,
}

/// The running client.
pub(super) struct Load {
    process: Process,
    totals: watch::Receiver<Totals>,
}

impl Load {
    /// Starts the client and waits for its first line.
    pub(super) async fn start(program: &Path, url: &str, rate: u32, log: &Path, voice: Voice) -> miette::Result<Self> {
        let rate = rate.to_string();
        let (process, lines) = Process::start("demo-client", program, [url, "--rate", &rate, "--json"], log).await?;
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
        voice.say(&format!("client    {}", second.words()));
        let seen = second.client();
        totals.send_modify(|totals| {
            totals.all.requests += seen.requests;
            totals.all.errors += seen.errors;
            totals.seconds += 1;
            totals.clean = if seen.errors == 0 { totals.clean + 1 } else { 0 };
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

    #[test]
    fn what_counts_as_an_error() {
        let second: Second =
            serde_json::from_str(r#"{"codes": {"200": 900, "404": 1, "500": 90, "503": 2}, "failures": 7}"#).unwrap();
        assert_eq!(second.client(), Client { requests: 1000, errors: 99 });
        assert_eq!(second.words(), "200: 900   404: 1   500: 90   503: 2   no answer: 7");
    }
}
