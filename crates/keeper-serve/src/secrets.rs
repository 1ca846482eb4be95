use crate::auth::AuthError;
use base64::prelude::{BASE64_STANDARD, Engine};
use sha2::{Digest, Sha256};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use subtle::{Choice, ConstantTimeEq};

/// The largest file of secrets that is read.
const FILE_BYTES: u64 = 64 << 10;
/// The most secrets one file holds: rotation needs two.
const FILE_SECRETS: usize = 64;

/// How a secret is presented in the `Authorization` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Bearer,
    Basic,
}

/// The hash of a secret. Hashes are kept and compared instead of the secrets, so that neither memory nor the time of a
/// comparison says how long a secret is or how much of it was right.
pub(crate) struct Hashed([u8; 32]);

/// Secrets in a file, read again when they may have changed.
pub(crate) struct SecretFile {
    path: PathBuf,
    scheme: Scheme,
    recheck: Duration,
    loaded: Mutex<Loaded>,
}

struct Loaded {
    secrets: Vec<Hashed>,
    checked: Instant,
    readable: bool,
}

impl SecretFile {
    /// Reads the file for the first time: it must hold at least one secret.
    pub(crate) fn open(path: PathBuf, scheme: Scheme, recheck: Duration) -> Result<Self, AuthError> {
        let secrets = read(&path, scheme)?;
        if secrets.is_empty() {
            return Err(AuthError::NoSecret { path });
        }
        let loaded = Mutex::new(Loaded { secrets, checked: Instant::now(), readable: true });
        Ok(Self { path, scheme, recheck, loaded })
    }

    /// Whether the presented secret is one of the file's. Always compares with all of them.
    pub(crate) fn holds(&self, presented: &Hashed) -> Choice {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if loaded.checked.elapsed() >= self.recheck {
            self.reload(&mut loaded);
        }
        loaded.secrets.iter().fold(Choice::from(0), |found, secret| found | secret.0.ct_eq(&presented.0))
    }

    /// A file that is read and holds nothing lets nobody in. A file that can't be read changes nothing: a secret's mount
    /// is replaced in steps, and a door that shuts on a hiccup would lose alerts.
    fn reload(&self, loaded: &mut Loaded) {
        loaded.checked = Instant::now();
        match read(&self.path, self.scheme) {
            Ok(secrets) => {
                loaded.secrets = secrets;
                loaded.readable = true;
            }
            Err(error) if loaded.readable => {
                loaded.readable = false;
                tracing::warn!(%error, "keeping the credentials read before");
            }
            Err(_) => {}
        }
    }
}

impl fmt::Debug for SecretFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretFile").field("path", &self.path).field("scheme", &self.scheme).finish_non_exhaustive()
    }
}

impl Hashed {
    fn new(secret: &[u8]) -> Self {
        Self(Sha256::digest(secret).into())
    }

    /// What an `Authorization` header presents, with its scheme. `None` for another scheme or what can't be read.
    pub(crate) fn presented(header: &[u8]) -> Option<(Scheme, Self)> {
        let space = header.iter().position(|byte| *byte == b' ')?;
        let (scheme, rest) = header.split_at_checked(space)?;
        let secret = rest.trim_ascii();
        if scheme.eq_ignore_ascii_case(b"bearer") {
            Some((Scheme::Bearer, Self::new(secret)))
        } else if scheme.eq_ignore_ascii_case(b"basic") {
            let pair = BASE64_STANDARD.decode(secret).ok()?;
            Some((Scheme::Basic, Self::new(&pair)))
        } else {
            None
        }
    }
}

fn read(path: &Path, scheme: Scheme) -> Result<Vec<Hashed>, AuthError> {
    let unreadable = |source| AuthError::Unreadable { path: path.to_owned(), source };
    let mut text = String::new();
    File::open(path).and_then(|file| file.take(FILE_BYTES + 1).read_to_string(&mut text)).map_err(unreadable)?;
    if text.len() as u64 > FILE_BYTES {
        return Err(unreadable(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 64 KiB")));
    }
    let mut secrets = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        let problem = problem_of(line, scheme)
            .or_else(|| (secrets.len() >= FILE_SECRETS).then_some("is one too many, 64 are read"));
        if let Some(problem) = problem {
            return Err(AuthError::BadLine { path: path.to_owned(), line: index + 1, problem });
        }
        secrets.push(Hashed::new(line.as_bytes()));
    }
    Ok(secrets)
}

/// Why a line can't be a secret of this scheme; never quotes it.
fn problem_of(line: &str, scheme: Scheme) -> Option<&'static str> {
    match scheme {
        Scheme::Bearer if !line.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Some("is no token: a token is printable ASCII without spaces")
        }
        Scheme::Basic if line.split_once(':').is_none_or(|(user, password)| user.is_empty() || password.is_empty()) => {
            Some("is not of the form user:password")
        }
        Scheme::Bearer | Scheme::Basic => None,
    }
}
