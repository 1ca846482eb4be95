use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

/// An HTTP endpoint under a name, as the program's owner writes it down. As YAML:
///
/// ```
/// # let yaml = r#"
/// name: synthetic-tests
/// url: https://tests.example.com/api
/// bearerTokenFile: /var/run/secrets/tests/token
/// tls:
///   caFile: /etc/tests-ca/ca.crt
/// headers:
///   X-Team: shop
/// # "#;
/// # let settings: keeper_http::EndpointSettings = serde_saphyr::from_str(yaml)?;
/// # assert_eq!(settings.check(), Ok(()));
/// # Ok::<(), serde_saphyr::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EndpointSettings {
    /// The name by which checks ask for it: letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// Its address: `http` or `https`, with a path that every request's path is added to, without user, query and
    /// fragment.
    pub url: String,
    /// A file that holds a bearer token.
    #[serde(default)]
    pub bearer_token_file: Option<PathBuf>,
    /// Basic authentication; not beside a bearer token.
    #[serde(default)]
    pub basic_auth: Option<BasicAuth>,
    /// Certificates, for `https` alone.
    #[serde(default)]
    pub tls: TlsFiles,
    /// More headers to send. No secrets: they are not kept out of logs.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// How long a whole answer may take; 4 s, which is below the 5 s between two looks.
    #[serde(default = "timeout", with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub timeout: Duration,
}

/// A user and the file of its password.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BasicAuth {
    /// The user, without a colon.
    pub username: String,
    /// The file that holds the password.
    pub password_file: PathBuf,
}

/// Files in PEM. All are read again whenever they are needed, so that a rotated certificate counts at once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TlsFiles {
    /// The certificate authorities to trust, instead of the system's.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// The client certificate, with its chain.
    #[serde(default)]
    pub cert_file: Option<PathBuf>,
    /// The client certificate's key.
    #[serde(default)]
    pub key_file: Option<PathBuf>,
}

/// Why an endpoint can't be used. The texts name the field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointSettingsError {
    /// Not a name.
    #[error("name must be 1 to 63 letters, digits, `-`, `_` or `.`")]
    Name,
    /// Not an address.
    #[error("url must be http:// or https:// with a host, without user, query and fragment")]
    Url,
    /// Two ways to authenticate.
    #[error("bearerTokenFile and basicAuth exclude each other: keep one")]
    TwoCredentials,
    /// Not a user.
    #[error("basicAuth.username must be neither empty nor contain a colon")]
    Username,
    /// A certificate without its key, or the other way round.
    #[error("tls.certFile and tls.keyFile belong together: give both or none")]
    HalfCertificate,
    /// Certificates for plain HTTP.
    #[error("tls needs an https:// url")]
    TlsWithoutHttps,
    /// Not a header.
    #[error("headers.{0} is no header that can be sent, or one that is set from elsewhere")]
    Header(String),
    /// No time.
    #[error("timeout must be longer than zero and at most 1m")]
    Timeout,
}

impl EndpointSettings {
    /// An endpoint without credentials, everything else at its default.
    #[must_use]
    pub fn new(name: impl Into<String>, url: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            url: url.into(),
            bearer_token_file: None,
            basic_auth: None,
            tls: TlsFiles::default(),
            headers: BTreeMap::new(),
            timeout: timeout(),
        }
    }

    /// Whether it can be used at all. Files are not read.
    ///
    /// # Errors
    ///
    /// Naming the first field that can't.
    pub fn check(&self) -> Result<(), EndpointSettingsError> {
        let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if !(1..=63).contains(&self.name.len()) || !self.name.chars().all(is_word) {
            return Err(EndpointSettingsError::Name);
        }
        let url = self.parsed_url()?;
        if self.bearer_token_file.is_some() && self.basic_auth.is_some() {
            return Err(EndpointSettingsError::TwoCredentials);
        }
        if self.basic_auth.as_ref().is_some_and(|basic| basic.username.is_empty() || basic.username.contains(':')) {
            return Err(EndpointSettingsError::Username);
        }
        let TlsFiles { ca_file, cert_file, key_file } = &self.tls;
        if cert_file.is_some() != key_file.is_some() {
            return Err(EndpointSettingsError::HalfCertificate);
        }
        if url.scheme() != "https" && (ca_file.is_some() || cert_file.is_some()) {
            return Err(EndpointSettingsError::TlsWithoutHttps);
        }
        self.header_map()?;
        if self.timeout.is_zero() || self.timeout > Duration::from_secs(60) {
            return Err(EndpointSettingsError::Timeout);
        }
        Ok(())
    }

    pub(crate) fn parsed_url(&self) -> Result<Url, EndpointSettingsError> {
        let url = Url::parse(&self.url).map_err(|_| EndpointSettingsError::Url)?;
        let plain = url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
            && matches!(url.scheme(), "http" | "https");
        if plain && url.has_host() { Ok(url) } else { Err(EndpointSettingsError::Url) }
    }

    pub(crate) fn header_map(&self) -> Result<http::HeaderMap, EndpointSettingsError> {
        let ours = [http::header::AUTHORIZATION, http::header::HOST, http::header::CONTENT_TYPE];
        self.headers
            .iter()
            .map(|(name, value)| {
                let wrong = || EndpointSettingsError::Header(name.clone());
                let header = http::HeaderName::try_from(name).map_err(|_| wrong())?;
                let value = http::HeaderValue::try_from(value).map_err(|_| wrong())?;
                if ours.contains(&header) { Err(wrong()) } else { Ok((header, value)) }
            })
            .collect()
    }
}

/// Without the values of headers.
impl fmt::Debug for EndpointSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<_> = self.headers.keys().collect();
        f.debug_struct("EndpointSettings")
            .field("name", &self.name)
            .field("url", &self.url)
            .field("bearer_token_file", &self.bearer_token_file)
            .field("basic_auth", &self.basic_auth)
            .field("tls", &self.tls)
            .field("headers", &headers)
            .field("timeout", &self.timeout)
            .finish()
    }
}

fn timeout() -> Duration {
    Duration::from_secs(4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(change: impl FnOnce(&mut EndpointSettings)) -> Result<(), EndpointSettingsError> {
        let mut settings = EndpointSettings::new("main", "https://tests.example.com");
        change(&mut settings);
        settings.check()
    }

    #[test]
    fn what_cannot_work_is_refused_by_field() {
        assert_eq!(with(|_| ()), Ok(()));
        for name in ["", "a b", "a/b", &"a".repeat(64)] {
            assert_eq!(with(|p| p.name = name.into()), Err(EndpointSettingsError::Name), "{name}");
        }
        for url in ["", "tests:9090", "ftp://a", "http://u:p@a", "http://a?b=c", "http://a#b", "http://"] {
            assert_eq!(with(|p| p.url = url.into()), Err(EndpointSettingsError::Url), "{url}");
        }
        let basic = |username: &str| Some(BasicAuth { username: username.into(), password_file: "p".into() });
        let two = with(|p| (p.bearer_token_file, p.basic_auth) = (Some("t".into()), basic("me")));
        assert_eq!(two, Err(EndpointSettingsError::TwoCredentials));
        assert_eq!(with(|p| p.basic_auth = basic("m:e")), Err(EndpointSettingsError::Username));
        assert_eq!(with(|p| p.tls.cert_file = Some("c".into())), Err(EndpointSettingsError::HalfCertificate));
        let plain = with(|p| (p.url, p.tls.ca_file) = ("http://a".into(), Some("c".into())));
        assert_eq!(plain, Err(EndpointSettingsError::TlsWithoutHttps));
        for (name, value) in [("Authorization", "x"), ("a b", "x"), ("x-a", "line\nbreak")] {
            let refused = with(|p| drop(p.headers.insert(name.into(), value.into())));
            assert_eq!(refused, Err(EndpointSettingsError::Header(name.into())));
        }
        assert_eq!(with(|p| p.timeout = Duration::ZERO), Err(EndpointSettingsError::Timeout));
    }
}
