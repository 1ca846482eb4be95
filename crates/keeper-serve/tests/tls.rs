//! The door behind TLS: who is let in, by which certificate, and what a renewed one changes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use common::{Receiver, TOKEN, bearer, short, status, write};
use keeper_serve::{AuthOptions, Authenticator, Door, ServeError, Tls, TlsError, TlsFiles};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate and its key, in PEM, for this name; one that ended years ago if `expired`.
fn certificate(authority: &Authority, expired: bool) -> (String, String) {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    if expired {
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2020, 2, 1);
    }
    let key = KeyPair::generate().unwrap();
    (params.signed_by(&key, authority).unwrap().pem(), key.serialize_pem())
}

fn files(folder: &Path, (certificate, key): &(String, String), client_ca: Option<&Authority>) -> TlsFiles {
    TlsFiles {
        certificate: write(&folder.join("tls.crt"), certificate),
        key: write(&folder.join("tls.key"), key),
        client_ca: client_ca.map(|authority| write(&folder.join("ca.crt"), &authority.pem())),
    }
}

struct Running {
    address: SocketAddr,
    receiver: Arc<Receiver>,
    stop: CancellationToken,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A door with one token, and with client certificates where an authority for them is given.
async fn door(folder: &Path, tls: TlsFiles) -> Running {
    provider();
    let auth = Authenticator::new(AuthOptions {
        bearer_token_files: vec![write(&folder.join("tokens"), TOKEN)],
        client_certificates: tls.client_ca.is_some(),
        ..AuthOptions::default()
    });
    let receiver = Arc::new(Receiver::default());
    let door = Door::new(auth.unwrap(), short()).tls(Tls::open(tls).unwrap()).route("/kill", receiver.clone());
    let listener = keeper_serve::listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
    let stopping = stop.clone();
    tokio::spawn(async move { door.serve(listener, stopping).await.unwrap() });
    Running { address, receiver, stop }
}

fn provider() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

impl Running {
    /// What a client hears that trusts this authority and shows this certificate.
    async fn post(
        &self,
        trusts: &Authority,
        shows: Option<&(String, String)>,
        headers: &str,
    ) -> std::io::Result<String> {
        let mut roots = RootCertStore::empty();
        roots.add(trusts.der().clone()).unwrap();
        let builder = ClientConfig::builder().with_root_certificates(roots);
        let config = match shows {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
                builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap()).unwrap()
            }
        };
        let tcp = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from("localhost").unwrap();
        let mut stream = TlsConnector::from(Arc::new(config)).connect(name, tcp).await?;
        let request = format!(
            "POST /kill HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 2\r\n{headers}\r\n{{}}"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        // A peer that doesn't say goodbye is an error to rustls, and no news to us.
        match stream.read_to_string(&mut answer).await {
            Err(error) if answer.is_empty() => Err(error),
            _ => Ok(answer),
        }
    }

    fn callers(&self) -> Vec<String> {
        self.receiver.callers.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn a_token_opens_a_door_behind_tls() {
    let (folder, ours) = (tempfile::tempdir().unwrap(), authority());
    let door = door(folder.path(), files(folder.path(), &certificate(&ours, false), None)).await;
    assert_eq!(status(&door.post(&ours, None, &bearer(TOKEN)).await.unwrap()), 200);
    assert_eq!(status(&door.post(&ours, None, "").await.unwrap()), 401);
    assert!(door.post(&authority(), None, &bearer(TOKEN)).await.is_err(), "the client trusts another authority");
    assert_eq!(door.callers(), ["token 1 of tokens"]);
    // Who speaks plain HTTP to it gets no answer, and nobody waits for him.
    let mut plain = TcpStream::connect(door.address).await.unwrap();
    plain.write_all(b"POST /kill HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(2), plain.read_to_end(&mut answer)).await.unwrap();
    assert!(!String::from_utf8_lossy(&answer).contains("HTTP/1.1 200"));
    assert_eq!(door.callers().len(), 1);
}

#[tokio::test]
async fn a_client_certificate_is_a_credential() {
    let (folder, ours, clients) = (tempfile::tempdir().unwrap(), authority(), authority());
    let door = door(folder.path(), files(folder.path(), &certificate(&ours, false), Some(&clients))).await;
    assert_eq!(status(&door.post(&ours, Some(&certificate(&clients, false)), "").await.unwrap()), 200);
    assert_eq!(status(&door.post(&ours, None, &bearer(TOKEN)).await.unwrap()), 200);
    assert_eq!(status(&door.post(&ours, None, "").await.unwrap()), 401);
    assert_eq!(status(&door.post(&ours, None, &bearer("wrong")).await.unwrap()), 401);
    for (what, wrong) in [("expired", certificate(&clients, true)), ("a stranger's", certificate(&authority(), false))]
    {
        assert!(door.post(&ours, Some(&wrong), "").await.is_err(), "{what}");
    }
    let callers = door.callers();
    assert_eq!(callers.len(), 2);
    assert!(callers[0].starts_with("certificate ") && callers[0].len() == "certificate ".len() + 16, "{callers:?}");
}

#[tokio::test]
async fn a_renewed_certificate_needs_no_restart() {
    let (folder, first, second) = (tempfile::tempdir().unwrap(), authority(), authority());
    let door = door(folder.path(), files(folder.path(), &certificate(&first, false), None)).await;
    assert!(door.post(&first, None, &bearer(TOKEN)).await.is_ok());
    // Half a renewal: the new certificate with the old key. The last pair that fitted stays in force.
    let renewed = certificate(&second, false);
    write(&folder.path().join("tls.crt"), &renewed.0);
    tokio::time::sleep(Duration::from_millis(2100)).await;
    assert!(door.post(&first, None, &bearer(TOKEN)).await.is_ok());
    write(&folder.path().join("tls.key"), &renewed.1);
    tokio::time::sleep(Duration::from_millis(2100)).await;
    assert!(door.post(&first, None, &bearer(TOKEN)).await.is_err());
    assert!(door.post(&second, None, &bearer(TOKEN)).await.is_ok());
}

#[tokio::test]
async fn what_does_not_fit_is_refused_before_anything_is_served() {
    provider();
    let (folder, ours) = (tempfile::tempdir().unwrap(), authority());
    let (one, other) = (certificate(&ours, false), certificate(&ours, false));
    let mixed = files(folder.path(), &(one.0.clone(), other.1), None);
    assert!(matches!(Tls::open(mixed).unwrap_err(), TlsError::Unusable { .. }));
    let swapped = files(folder.path(), &(one.1.clone(), one.0.clone()), None);
    let error = Tls::open(swapped).unwrap_err().to_string();
    assert!(error.ends_with("tls.crt holds no certificate in PEM") && !error.contains("BEGIN"), "{error}");
    let missing = TlsFiles { key: folder.path().join("no-such-key"), ..files(folder.path(), &one, None) };
    assert!(matches!(Tls::open(missing).unwrap_err(), TlsError::Unreadable { .. }));
    // Certificates as credentials, and nothing that says whose.
    let auth = Authenticator::new(AuthOptions { client_certificates: true, ..AuthOptions::default() }).unwrap();
    let listener = keeper_serve::listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let refused = Door::new(auth, short()).serve(listener, CancellationToken::new()).await;
    assert!(matches!(refused, Err(ServeError::NoClientAuthority)));
}
