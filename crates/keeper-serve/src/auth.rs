use crate::secrets::{Presented, Scheme, SecretFile};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Where credentials come from. At least one file, or `insecure`, must be given.
#[derive(Clone, Debug)]
pub struct AuthOptions {
    /// Files of bearer tokens, one per line; several lines serve a rotation. At most 64 KiB and 64 tokens each.
    pub bearer_token_files: Vec<PathBuf>,
    /// Files of `user:password` lines for basic authentication, plain text; the same bounds.
    pub basic_auth_files: Vec<PathBuf>,
    /// Client certificates count as credentials, where the door's TLS names the authorities that sign them.
    pub client_certificates: bool,
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
    certificates: bool,
    challenge: String,
}

/// Why there is no authenticator. A retry helps only for [`Unreadable`](Self::Unreadable). None of the texts holds a
/// secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// Neither a file nor `insecure` was given.
    #[error(
        "the webhook door has no credentials: give a bearer token file, a basic auth file or client certificates' authorities, or `insecure` to serve \
         loopback only"
    )]
    Open,
    /// Files and `insecure` at once.
    #[error("`insecure` and credentials exclude each other: leave one out")]
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
            client_certificates: false,
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
        let AuthOptions { bearer_token_files, basic_auth_files, client_certificates, insecure, recheck } = options;
        let none = bearer_token_files.is_empty() && basic_auth_files.is_empty() && !client_certificates;
        match (insecure, none) {
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
        Ok(Self { files, certificates: client_certificates, challenge })
    }

    /// Whether no credentials are asked for.
    #[must_use]
    pub fn is_insecure(&self) -> bool {
        self.files.is_empty() && !self.certificates
    }

    /// Whether client certificates count as credentials.
    pub(crate) fn takes_certificates(&self) -> bool {
        self.certificates
    }

    /// Who sent a request with these headers, if it may come in: by the certificate that its connection showed, or by its
    /// `Authorization` header. More than one of these never may: which one counts would be a matter of taste.
    pub(crate) fn admits(&self, headers: &HeaderMap, certificate: Option<&str>) -> Option<String> {
        if self.is_insecure() {
            return Some("anybody".to_owned());
        }
        if let Some(certificate) = certificate.filter(|_| self.certificates) {
            return Some(format!("certificate {certificate}"));
        }
        let mut presented = headers.get_all(AUTHORIZATION).iter();
        let (Some(header), None) = (presented.next(), presented.next()) else { return None };
        let presented = Presented::read(header.as_bytes())?;
        let of_scheme = self.files.iter().filter(|(of, _)| *of == presented.scheme);
        // All are looked at, so that the time taken doesn't say which one it was.
        let found =
            of_scheme.fold(None, |found, (_, file)| file.holds(&presented.secret).map(|at| (file, at)).or(found));
        found.map(|(file, at)| match presented.user {
            Some(user) => format!("user {user}"),
            None => format!("token {} of {}", at + 1, file.name()),
        })
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
