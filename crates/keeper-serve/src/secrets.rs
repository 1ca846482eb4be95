use crate::auth::AuthError;
use base64::prelude::{BASE64_STANDARD, Engine};
use sha2::{Digest, Sha256};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use subtle::{ConditionallySelectable, ConstantTimeEq};

/// The largest file of secrets that is read.
const FILE_BYTES: u64 = 64 << 10;
/// The most secrets one file holds: rotation needs two.
const FILE_SECRETS: usize = 64;
/// The longest name of a user that is repeated in a log, in characters.
const USER_LIMIT: usize = 64;

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

    /// Which of the file's secrets was presented, from 0. Always compares with all of them.
    pub(crate) fn holds(&self, presented: &Hashed) -> Option<usize> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if loaded.checked.elapsed() >= self.recheck {
            self.reload(&mut loaded);
        }
        let none = u64::MAX;
        let found = loaded
            .secrets
            .iter()
            .zip(0_u64..)
            .fold(none, |found, (secret, at)| u64::conditional_select(&found, &at, secret.0.ct_eq(&presented.0)));
        usize::try_from(found).ok().filter(|_| found != none)
    }

    /// The file's name, without its folder.
    pub(crate) fn name(&self) -> String {
        self.path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
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
}

/// What an `Authorization` header presents.
pub(crate) struct Presented {
    pub(crate) scheme: Scheme,
    pub(crate) secret: Hashed,
    /// The user's name, in basic authentication; one printable line.
    pub(crate) user: Option<String>,
}

impl Presented {
    /// `None` for another scheme or what can't be read.
    pub(crate) fn read(header: &[u8]) -> Option<Self> {
        let space = header.iter().position(|byte| *byte == b' ')?;
        let (scheme, rest) = header.split_at_checked(space)?;
        let secret = rest.trim_ascii();
        if scheme.eq_ignore_ascii_case(b"bearer") {
            Some(Self { scheme: Scheme::Bearer, secret: Hashed::new(secret), user: None })
        } else if scheme.eq_ignore_ascii_case(b"basic") {
            let pair = BASE64_STANDARD.decode(secret).ok()?;
            let user = pair.split(|byte| *byte == b':').next().unwrap_or_default();
            let user = String::from_utf8_lossy(user).chars().filter(|c| !c.is_control()).take(USER_LIMIT).collect();
            Some(Self { scheme: Scheme::Basic, secret: Hashed::new(&pair), user: Some(user) })
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
