//! The layers of images: kept once, and unpacked for each container.

use std::{
    io,
    path::{Path, PathBuf},
};

/// A directory of layers, each under its digest.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    directory: PathBuf,
}

impl Store {
    pub(crate) fn new(directory: &Path) -> Self {
        Self { directory: directory.join("layers") }
    }

    pub(crate) fn has(&self, digest: &str) -> bool {
        self.place(digest).is_file()
    }

    /// Keeps a layer. Never half of it: two pods may pull the same one at once.
    pub(crate) fn keep(&self, digest: &str, layer: &[u8]) -> io::Result<()> {
        std::fs::create_dir_all(&self.directory)?;
        let half = self.directory.join(format!("{:016x}.half", rand::random::<u64>()));
        std::fs::write(&half, layer)?;
        std::fs::rename(&half, self.place(digest))
    }

    /// Unpacks layers over one another, the lowest first, by the `tar` program. What an upper one takes away of a lower one
    /// (whiteouts) stays.
    pub(crate) async fn unpack(&self, layers: &[String], into: &Path) -> io::Result<()> {
        for layer in layers {
            let mut tar = tokio::process::Command::new("tar");
            tar.arg("--extract").arg("--file").arg(self.place(layer)).arg("--directory").arg(into).kill_on_drop(true);
            let output = tar.output().await?;
            if !output.status.success() {
                let said = String::from_utf8_lossy(&output.stderr);
                return Err(io::Error::other(format!("tar can't unpack layer {layer}: {}", said.trim())));
            }
        }
        Ok(())
    }

    /// Only digests that were checked come here: nothing but letters and digits after the colon.
    fn place(&self, digest: &str) -> PathBuf {
        self.directory.join(digest.replace(':', "-"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_layer_that_is_kept_can_be_unpacked() {
        let directory = tempfile::tempdir().unwrap();
        let (store, digest) = (Store::new(directory.path()), format!("sha256:{}", "a".repeat(64)));
        assert!(!store.has(&digest));
        // What `tar` makes of one file.
        std::fs::write(directory.path().join("hello"), "hi").unwrap();
        let packed = std::process::Command::new("tar").args(["--create", "hello"]).current_dir(&directory).output();
        store.keep(&digest, &packed.unwrap().stdout).unwrap();
        assert!(store.has(&digest));
        let root = directory.path().join("root");
        std::fs::create_dir(&root).unwrap();
        store.unpack(std::slice::from_ref(&digest), &root).await.unwrap();
        assert_eq!(std::fs::read_to_string(root.join("hello")).unwrap(), "hi");
        store.keep(&digest, b"no archive").unwrap();
        let error = store.unpack(&[digest], &root).await.unwrap_err();
        assert!(error.to_string().contains("can't unpack"), "{error}");
    }
}
