//! Where the demo reads what the API server was asked: the sandbox's own log, or the audit log of another cluster.

use super::audit;
use keeper_sandbox::Sandbox;
use keeper_sandbox::api::RequestRecord;
use miette::{IntoDiagnostic, WrapErr, miette};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// The log of the API server.
pub(super) enum Log {
    /// The sandbox's, in memory.
    Own,
    /// A file with a line of JSON for each request.
    Audit(PathBuf),
    /// There is none.
    Absent,
}

/// A place in a log: what comes behind it is new.
#[derive(Clone, Copy)]
pub(super) struct Mark(u64);

impl Log {
    /// Whether there is one to read.
    pub(super) fn is_there(&self) -> bool {
        !matches!(self, Self::Absent)
    }

    /// The place where it ends now.
    pub(super) fn mark(&self, sandbox: &Sandbox) -> miette::Result<Mark> {
        Ok(Mark(match self {
            Self::Own => api(sandbox)?.requests().total(),
            Self::Audit(path) => opened(path)?.metadata().into_diagnostic()?.len(),
            Self::Absent => 0,
        }))
    }

    /// The records since, oldest first; empty where there is no log.
    pub(super) fn since(&self, mark: Mark, sandbox: &Sandbox) -> miette::Result<Vec<RequestRecord>> {
        match self {
            Self::Own => Ok(api(sandbox)?.requests().after(mark.0)),
            Self::Audit(path) => {
                let mut file = opened(path)?;
                file.seek(SeekFrom::Start(mark.0)).into_diagnostic()?;
                let mut lines = Vec::new();
                file.read_to_end(&mut lines).into_diagnostic().wrap_err("reading the audit log")?;
                Ok(audit::records(&String::from_utf8_lossy(&lines)))
            }
            Self::Absent => Ok(Vec::new()),
        }
    }
}

fn api(sandbox: &Sandbox) -> miette::Result<&keeper_sandbox::api::ApiServer> {
    sandbox.api().ok_or_else(|| miette!("the sandbox has no API server of its own"))
}

fn opened(path: &Path) -> miette::Result<File> {
    File::open(path).into_diagnostic().wrap_err_with(|| format!("opening the audit log {}", path.display()))
}
