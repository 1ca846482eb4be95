use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use sha2::{Digest, Sha256};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The largest file of certificates or keys that is read.
const FILE_BYTES: u64 = 1 << 20;
/// How old what was read may get before the files are looked at again.
const RECHECK: Duration = Duration::from_secs(2);

/// Where a door's certificate comes from, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The door's certificate, followed by the chain that vouches for it.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The authorities whose client certificates count as credentials; none: clients are not asked for certificates.
    pub client_ca: Option<PathBuf>,
}

/// TLS for a door: versions 1.2 and 1.3, by the process's `rustls` provider. The files are read again when they change,
/// so that a renewed certificate needs no restart; while they can't be read, the last ones stay in force.
pub struct Tls {
    files: TlsFiles,
    loaded: Mutex<Loaded>,
}

struct Loaded {
    config: Arc<ServerConfig>,
    /// What the files held, hashed.
    content: [u8; 32],
    checked: Instant,
    readable: bool,
}

/// Why there is no TLS. A retry helps only for [`Unreadable`](Self::Unreadable). None of the texts holds a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file can't be read.
    #[error("TLS file {path} can't be read: {source}", path = path.display())]
    Unreadable {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file holds nothing of what it should.
    #[error("TLS file {path} holds no {what} in PEM", path = path.display())]
    Empty {
        /// Which one.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
    },
    /// The parts don't fit: another key, a broken certificate.
    #[error("the certificate {certificate} and its key can't be used: {why}", certificate = certificate.display())]
    Unusable {
        /// The certificate's file.
        certificate: PathBuf,
        /// What is wrong.
        why: String,
    },
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// When a file can't be used: a program must then not start.
    pub fn open(files: TlsFiles) -> Result<Self, TlsError> {
        let content = read_all(&files)?;
        let config = Arc::new(config(&files, &content)?);
        let loaded = Loaded { config, content: hash(&content), checked: Instant::now(), readable: true };
        Ok(Self { files, loaded: Mutex::new(loaded) })
    }

    /// Whether client certificates are asked for.
    pub(crate) fn asks_for_certificates(&self) -> bool {
        self.files.client_ca.is_some()
    }

    /// What is in force.
    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if loaded.checked.elapsed() >= RECHECK {
            self.reload(&mut loaded);
        }
        Arc::clone(&loaded.config)
    }

    fn reload(&self, loaded: &mut Loaded) {
        loaded.checked = Instant::now();
        let read = read_all(&self.files).and_then(|content| {
            let hash = hash(&content);
            let fresh = if hash == loaded.content { None } else { Some(Arc::new(config(&self.files, &content)?)) };
            Ok((hash, fresh))
        });
        match read {
            Ok((content, fresh)) => {
                if let Some(fresh) = fresh {
                    tracing::info!(certificate = %self.files.certificate.display(), "a renewed certificate is in force");
                    loaded.config = fresh;
                }
                loaded.content = content;
                loaded.readable = true;
            }
            Err(error) if loaded.readable => {
                loaded.readable = false;
                tracing::warn!(%error, "keeping the certificate read before");
            }
            Err(_) => {}
        }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("files", &self.files).finish_non_exhaustive()
    }
}

/// What the files hold: certificate, key, client authorities.
struct Content {
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

fn read_all(files: &TlsFiles) -> Result<Content, TlsError> {
    Ok(Content {
        certificate: read(&files.certificate)?,
        key: read(&files.key)?,
        client_ca: files.client_ca.as_deref().map(read).transpose()?,
    })
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    use std::io::Read;
    let unreadable = |source| TlsError::Unreadable { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(FILE_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > FILE_BYTES {
        return Err(unreadable(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 1 MiB")));
    }
    Ok(bytes)
}

fn hash(content: &Content) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in [&content.certificate, &content.key, content.client_ca.as_ref().unwrap_or(&Vec::new())] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

fn config(files: &TlsFiles, content: &Content) -> Result<ServerConfig, TlsError> {
    let chain = certificates(&content.certificate, &files.certificate)?;
    let key = PrivateKeyDer::from_pem_slice(&content.key)
        .map_err(|_| TlsError::Empty { path: files.key.clone(), what: "private key" })?;
    let unusable =
        |why: &dyn fmt::Display| TlsError::Unusable { certificate: files.certificate.clone(), why: why.to_string() };
    let builder = match (&files.client_ca, &content.client_ca) {
        (Some(path), Some(pem)) => {
            let mut roots = RootCertStore::empty();
            for authority in certificates(pem, path)? {
                roots.add(authority).map_err(|error| unusable(&error))?;
            }
            // Who shows none is told so by a 401, after the handshake, like anybody without credentials.
            let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).allow_unauthenticated().build();
            ServerConfig::builder().with_client_cert_verifier(verifier.map_err(|error| unusable(&error))?)
        }
        _ => ServerConfig::builder().with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(chain, key).map_err(|error| unusable(&error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn certificates(pem: &[u8], path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let empty = || TlsError::Empty { path: path.to_owned(), what: "certificate" };
    let all = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().map_err(|_| empty())?;
    if all.is_empty() { Err(empty()) } else { Ok(all) }
}

/// A client certificate for people: the beginning of its SHA-256 fingerprint.
pub(crate) fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    let digest: [u8; 32] = Sha256::digest(certificate).into();
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
