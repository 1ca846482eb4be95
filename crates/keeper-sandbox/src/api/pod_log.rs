//! The log subresource: files that the node writes, `<namespace>_<pod>_<container>.log` in one directory, and
//! `.previous.log` for the run before the present one.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncSeekExt, SeekFrom};
use tokio::sync::mpsc;

use super::object;
use super::pod_streams::{container, node};
use super::request::Query;
use super::status::Status;

/// The file name of a container's log in the log directory.
#[must_use]
pub fn log_file_name(namespace: &str, pod: &str, container: &str) -> String {
    format!("{namespace}_{pod}_{container}.log")
}

/// The file name of the log of a container's run before the present one.
pub(crate) fn previous_log_file_name(namespace: &str, pod: &str, container: &str) -> String {
    format!("{namespace}_{pod}_{container}.previous.log")
}

/// What of a log is wanted.
#[derive(Debug)]
pub(crate) struct LogRequest {
    file: PathBuf,
    pub(crate) follow: bool,
    tail_lines: Option<u64>,
}

/// More than this of the end of a log is not sent.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

impl LogRequest {
    /// Nothing where the pod has no node yet, and so no log.
    pub(crate) fn read(pod: &Value, query: &Query, directory: Option<&Path>) -> Result<Option<Self>, Status> {
        let container = container(pod, query)?;
        if node(pod).is_empty() {
            return Ok(None);
        }
        let Some(directory) = directory else {
            return Err(Status::new(
                501,
                "NotImplemented",
                "this sandbox keeps no pod logs: it was started without a log directory",
            ));
        };
        let previous = query.flag("previous");
        if previous && !has_ended_before(pod, container) {
            let name = object::name(pod);
            let why = format!("previous terminated container {container:?} in pod {name:?} not found");
            return Err(Status::bad_request(why));
        }
        let named = if previous { previous_log_file_name } else { log_file_name };
        Ok(Some(Self {
            file: directory.join(named(object::namespace(pod), object::name(pod), container)),
            follow: query.flag("follow"),
            tail_lines: query.integer("tailLines")?.and_then(|lines| u64::try_from(lines).ok()),
        }))
    }

    /// Sends the log, and what is added to it for as long as `alive` says so.
    pub(crate) async fn run(self, to: mpsc::Sender<Bytes>, alive: impl Fn() -> bool + Send) {
        let mut at = 0;
        let mut tail = self.tail_lines;
        loop {
            // Asked before reading, so that what was written last is still sent.
            let goes_on = self.follow && alive();
            if let Ok(bytes) = read_from(&self.file, &mut at).await {
                let bytes = match tail.take() {
                    Some(lines) => last_lines(bytes, lines),
                    None => bytes,
                };
                if !bytes.is_empty() && to.send(Bytes::from(bytes)).await.is_err() {
                    return;
                }
            }
            if !goes_on {
                return;
            }
            tokio::select! {
                () = to.closed() => return,
                () = tokio::time::sleep(Duration::from_millis(100)) => {}
            }
        }
    }
}

/// Whether the container that runs now, or waits, is not the first one.
fn has_ended_before(pod: &Value, container: &str) -> bool {
    let lists = ["/status/initContainerStatuses", "/status/containerStatuses"];
    let mut statuses = lists.into_iter().flat_map(|list| object::list(pod, list));
    statuses.any(|of| object::text(of, "/name") == Some(container) && of.pointer("/lastState/terminated").is_some())
}

async fn read_from(file: &Path, at: &mut u64) -> std::io::Result<Vec<u8>> {
    let mut file = tokio::fs::File::open(file).await?;
    let length = file.metadata().await?.len();
    *at = (*at).max(length.saturating_sub(MAX_BYTES)).min(length);
    file.seek(SeekFrom::Start(*at)).await?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut bytes).await?;
    *at += bytes.len() as u64;
    Ok(bytes)
}

fn last_lines(bytes: Vec<u8>, lines: u64) -> Vec<u8> {
    let lines = usize::try_from(lines).unwrap_or(usize::MAX);
    let body = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    if lines == 0 {
        return Vec::new();
    }
    let starts: Vec<usize> = body.iter().enumerate().rev().filter(|(_, b)| **b == b'\n').map(|(i, _)| i + 1).collect();
    match starts.get(lines - 1) {
        Some(start) => bytes.get(*start..).unwrap_or_default().to_vec(),
        None => bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_the_last_lines() {
        let log = || b"a\nb\nc\n".to_vec();
        assert_eq!(last_lines(log(), 0), b"");
        assert_eq!(last_lines(log(), 1), b"c\n");
        assert_eq!(last_lines(log(), 2), b"b\nc\n");
        assert_eq!(last_lines(log(), 9), b"a\nb\nc\n");
    }
}
