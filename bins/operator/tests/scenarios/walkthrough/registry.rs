//! A real registry, and pushing to it.

use super::images::{Assembled, digest};
use crate::world::{PATIENCE, free};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Debian's `docker-registry`, as a process; it ends with this.
pub struct Registry {
    process: Child,
    address: SocketAddr,
}

impl Registry {
    /// Empty, and listening.
    pub async fn start(directory: &Path) -> Self {
        let address = free();
        let config = directory.join("registry.yml");
        let storage = directory.join("registry");
        let text = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: '{address}'}}\n",
            storage.display()
        );
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", "docker-registry", "serve"]).arg(config);
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let registry = Self { process, address };
        let start = Instant::now();
        while !reqwest::get(registry.url("")).await.is_ok_and(|answer| answer.status().is_success()) {
            assert!(start.elapsed() < PATIENCE, "the registry does not answer");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        registry
    }

    /// Pushes an image; answers the pull spec.
    pub async fn push(&self, name: &str, image: &Assembled) -> String {
        for blob in [&image.layer, &image.config] {
            self.push_blob(name, blob).await;
        }
        let http = reqwest::Client::new();
        let manifest = http.put(self.url(&format!("{name}/manifests/demo"))).body(image.manifest.clone());
        let answer = manifest.header("content-type", Assembled::media_type()).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 201, "{}", answer.text().await.unwrap());
        format!("{}/{name}:demo", self.address)
    }

    async fn push_blob(&self, name: &str, blob: &[u8]) {
        let http = reqwest::Client::new();
        let begun = http.post(self.url(&format!("{name}/blobs/uploads/"))).send().await.unwrap();
        let place = begun.headers()["location"].to_str().unwrap();
        // It is a whole URL, or a path.
        let place = if place.starts_with('/') { format!("http://{}{place}", self.address) } else { place.to_owned() };
        let with = if place.contains('?') { '&' } else { '?' };
        let upload = http.put(format!("{place}{with}digest={}", digest(blob))).body(blob.to_vec());
        let answer = upload.header("content-type", "application/octet-stream").send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 201, "{}", answer.text().await.unwrap());
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/v2/{path}", self.address)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
