use crate::secrets::{Hashed, Scheme, SecretFile};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use std::io;
use std::path::PathBuf;
use std::time::Duration;
use subtle::Choice;

/// Where credentials come from. At least one file, or `insecure`, must be given.
#[derive(Clone, Debug)]
pub struct AuthOptions {
    /// Files of bearer tokens, one per line; several lines serve a rotation. At most 64 KiB and 64 tokens each.
    pub bearer_token_files: Vec<PathBuf>,
    /// Files of `user:password` lines for basic authentication, plain text; the same bounds.
    pub basic_auth_files: Vec<PathBuf>,
    /// Asks for no credentials at all. Such a door only serves a loopback address. Can't be combined with files.
    pub insecure: bool,
    /// How old what was read from a file may get before it is read again; 2 s. A file that can't be read any more
    /// leaves the last credentials in force (and a warning in the log); an empty one shuts the door.
    pub recheck: Duration,
}

/// Tells whether a request's headers hold one of the accepted credentials.
#[derive(Debug)]
pub struct Authenticator {
    /// Empty: everybody may come in, from loopback.
    files: Vec<(Scheme, SecretFile)>,
    challenge: String,
}

/// Why there is no authenticator. A retry helps only for [`Unreadable`](Self::Unreadable). None of the texts holds a
/// secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// Neither a file nor `insecure` was given.
    #[error(
        "the webhook door has no credentials: give a bearer token file or a basic auth file, or `insecure` to serve \
         loopback only"
    )]
    Open,
    /// Files and `insecure` at once.
    #[error("`insecure` and credential files exclude each other: leave one out")]
    Contradiction,
    /// A file can't be read.
    #[error("credential file {path} can't be read: {source}", path = path.display())]
    Unreadable {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file holds no secret.
    #[error("credential file {path} is empty: write one secret per line", path = path.display())]
    NoSecret {
        /// Which one.
        path: PathBuf,
    },
    /// A line of a file can't be used.
    #[error("line {line} of credential file {path} {problem}", path = path.display())]
    BadLine {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
}

impl Default for AuthOptions {
    fn default() -> Self {
        Self {
            bearer_token_files: Vec::new(),
            basic_auth_files: Vec::new(),
            insecure: false,
            recheck: Duration::from_secs(2),
        }
    }
}

impl Authenticator {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// When no credentials are given and `insecure` neither, or a file can't be used: a program must then not start.
    pub fn new(options: AuthOptions) -> Result<Self, AuthError> {
        let AuthOptions { bearer_token_files, basic_auth_files, insecure, recheck } = options;
        match (insecure, bearer_token_files.is_empty() && basic_auth_files.is_empty()) {
            (false, true) => return Err(AuthError::Open),
            (true, false) => return Err(AuthError::Contradiction),
            (true, true) | (false, false) => {}
        }
        let bearer = bearer_token_files.into_iter().map(|path| (Scheme::Bearer, path));
        let basic = basic_auth_files.into_iter().map(|path| (Scheme::Basic, path));
        let files = bearer
            .chain(basic)
            .map(|(scheme, path)| Ok((scheme, SecretFile::open(path, scheme, recheck)?)))
            .collect::<Result<Vec<_>, AuthError>>()?;
        let challenge = challenge(&files);
        Ok(Self { files, challenge })
    }

    /// Whether no credentials are asked for.
    #[must_use]
    pub fn is_insecure(&self) -> bool {
        self.files.is_empty()
    }

    /// Whether these headers may come in. More than one `Authorization` header never may: which one counts would be a
    /// matter of taste.
    pub(crate) fn admits(&self, headers: &HeaderMap) -> bool {
        if self.is_insecure() {
            return true;
        }
        let mut presented = headers.get_all(AUTHORIZATION).iter();
        let (Some(header), None) = (presented.next(), presented.next()) else { return false };
        let Some((scheme, secret)) = Hashed::presented(header.as_bytes()) else { return false };
        let of_scheme = self.files.iter().filter(|(of, _)| *of == scheme);
        of_scheme.fold(Choice::from(0), |found, (_, file)| found | file.holds(&secret)).into()
    }

    /// What `WWW-Authenticate` says to those who may not.
    pub(crate) fn challenge(&self) -> &str {
        &self.challenge
    }
}

fn challenge(files: &[(Scheme, SecretFile)]) -> String {
    let accepts = |scheme| files.iter().any(|(of, _)| *of == scheme);
    let bearer = accepts(Scheme::Bearer).then_some(r#"Bearer realm="canary-keeper""#);
    let basic = accepts(Scheme::Basic).then_some(r#"Basic realm="canary-keeper", charset="UTF-8""#);
    bearer.into_iter().chain(basic).collect::<Vec<_>>().join(", ")
}
