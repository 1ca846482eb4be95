//! The load client of the demo against the Service of a scenario.

use crate::world::{World, demo_app, services};
use serde_json::Value;
use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running client; it ends with this.
pub struct Load {
    child: Child,
    output: PathBuf,
    _directory: tempfile::TempDir,
}

/// What the client counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    pub seconds: u64,
    pub requests: u64,
    /// Answers of 500 and above, and requests without an answer.
    pub errors: u64,
}

impl Load {
    /// So many requests a second, over connections of 20 requests each.
    pub async fn start(world: &World, rate: u32) -> Self {
        let address = world.api(&services()).get("shop").await.unwrap().data["spec"]["clusterIP"].clone();
        let url = format!("http://{}:80/", address.as_str().unwrap());
        let reached = async || reqwest::get(&url).await.is_ok_and(|answer| answer.status().is_success());
        world.until("the Service answers", reached).await;
        Self::on(&url, rate).await
    }

    /// The same on a URL that answers.
    pub async fn on(url: &str, rate: u32) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let output = directory.path().join("client.log");
        let child = Command::new(demo_app().with_file_name("demo-client"))
            .args([url, "--json", "--connections", "8", "--requests-per-connection", "20"])
            .args(["--rate", &rate.to_string()])
            .stdout(File::create(&output).unwrap())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, output, _directory: directory }
    }

    /// The client's lines, one a second.
    pub fn lines(&self) -> String {
        std::fs::read_to_string(&self.output).unwrap_or_default()
    }

    pub fn so_far(&self) -> Counted {
        // The last line may not be whole yet.
        let lines: Vec<Value> = self.lines().lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let sum = |key: &str| lines.iter().filter_map(|line| line[key].as_u64()).sum();
        Counted { seconds: lines.len() as u64, requests: sum("requests"), errors: sum("errors") }
    }

    /// Waits until a whole second went by without an error.
    pub async fn until_calm(&self, world: &World) {
        let before = self.so_far();
        world.until("the client counts no errors any more", async || self.is_calm_since(before)).await;
    }

    /// The same, for so long at most.
    pub async fn until_calm_for(&self, patience: Duration) {
        let (before, start) = (self.so_far(), Instant::now());
        while !self.is_calm_since(before) {
            assert!(start.elapsed() < patience, "the client still counts errors\n{}", self.lines());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn is_calm_since(&self, before: Counted) -> bool {
        let lines = self.lines();
        let new = lines.lines().skip(usize::try_from(before.seconds).unwrap() + 1);
        new.filter_map(|line| serde_json::from_str::<Value>(line).ok()).any(|line| line["errors"] == 0)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
