//! A Prometheus of our own, and what it scrapes.

use keeper_prometheus::{Provider, Server};
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Serves a text as a pod's `/metrics`, until it is stopped.
pub(crate) struct Exporter {
    pod: &'static str,
    address: SocketAddr,
    text: Arc<Mutex<String>>,
    stopped: Arc<AtomicBool>,
}

impl Exporter {
    pub(crate) fn start(pod: &'static str, text: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let text = Arc::new(Mutex::new(text.to_owned()));
        let stopped = Arc::new(AtomicBool::new(false));
        let (shown, end) = (text.clone(), stopped.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if end.load(Ordering::SeqCst) {
                    break;
                }
                let text = shown.lock().unwrap().clone();
                let _ = stream.and_then(|stream| answer(stream, &text));
            }
        });
        Self { pod, address, text, stopped }
    }

    pub(crate) fn shows(&self, text: &str) {
        text.clone_into(&mut self.text.lock().unwrap());
    }

    /// Nobody listens there any more.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.stop();
    }
}

fn answer(mut stream: TcpStream, text: &str) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut request = Vec::new();
    let mut byte = [0; 512];
    while !request.ends_with(b"\r\n\r\n") {
        let read = stream.read(&mut byte)?;
        if read == 0 {
            return Ok(());
        }
        request.extend_from_slice(&byte[..read]);
    }
    let (kind, length) = ("text/plain; version=0.0.4", text.len());
    write!(
        stream,
        "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{text}"
    )
}

/// The counter of requests, by code.
pub(crate) fn requests(ok: u32, failed: u32) -> String {
    format!(
        "# TYPE http_requests_total counter\nhttp_requests_total{{code=\"200\"}} {ok}\nhttp_requests_total{{code=\"500\"}} {failed}\n"
    )
}

/// A server of our own, ended with the value.
pub(crate) struct Prometheus {
    process: Child,
    url: String,
    _directory: tempfile::TempDir,
}

impl Prometheus {
    /// `None` when the program isn't there; then that is noted, and nothing was shown.
    pub(crate) async fn start(exporters: &[&Exporter], tls: Option<&Path>) -> Option<Self> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let directory = tempfile::tempdir().unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let config = directory.path().join("prometheus.yml");
        std::fs::write(&config, scraping(exporters)).unwrap();
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", directory.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--log.level=error")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if let Some(tls) = tls {
            let web = directory.path().join("web.yml");
            std::fs::write(&web, web_config(tls)).unwrap();
            command.arg(format!("--web.config.file={}", web.display()));
        }
        let Ok(process) = command.spawn() else {
            not_run("no prometheus on PATH: signals on a real Prometheus");
            return None;
        };
        let scheme = if tls.is_some() { "https" } else { "http" };
        let prometheus = Self { process, url: format!("{scheme}://{address}"), _directory: directory };
        let deadline = Instant::now() + Duration::from_secs(60);
        while tokio::net::TcpStream::connect(address).await.is_err() {
            assert!(Instant::now() < deadline, "prometheus does not listen");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Some(prometheus)
    }

    pub(crate) fn provider(&self) -> Provider {
        Provider { timeout: Duration::from_secs(10), ..Provider::new("main", &self.url) }
    }

    pub(crate) fn server(&self) -> Arc<Server> {
        Arc::new(Server::new(self.provider()).unwrap())
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn scraping(exporters: &[&Exporter]) -> String {
    let mut config =
        "global: {scrape_interval: 1s, scrape_timeout: 1s}\nscrape_configs:\n- job_name: web\n  static_configs:\n"
            .to_owned();
    for Exporter { pod, address, .. } in exporters {
        writeln!(config, "  - targets: ['{address}']\n    labels: {{pod: {pod}, namespace: shop}}").unwrap();
    }
    config
}

/// TLS with client certificates, and the password `scrape me` as a hash.
fn web_config(certificates: &Path) -> String {
    let file = |name: &str| certificates.join(name).display().to_string();
    format!(
        "tls_server_config:
  cert_file: {}
  key_file: {}
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: {}
basic_auth_users:
  keeper: $2b$04$abcdefghijklmnopqrstuuiVCzFsXDxj.p4bGeq16wbp33kcq4Noi
",
        file("server.pem"),
        file("server.key"),
        file("ca.pem"),
    )
}

/// A certificate authority, what it signed for a server on loopback and for a client, and another authority. False
/// without openssl.
pub(crate) fn certificates(directory: &Path) -> bool {
    let authority = |name: &str| {
        let subject = format!("/CN={name}");
        openssl(
            directory,
            &["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"],
        )(&["-subj", &subject, "-keyout", &format!("{name}.key"), "-out", &format!("{name}.pem")])
    };
    let signed = |name: &str, usage: &str| {
        let (key, request) = (format!("{name}.key"), format!("{name}.csr"));
        let extensions = directory.join(format!("{name}.ext"));
        std::fs::write(&extensions, format!("subjectAltName=IP:127.0.0.1\nextendedKeyUsage={usage}\n")).unwrap();
        openssl(directory, &["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])(&[
            "-subj",
            &format!("/CN={name}"),
            "-keyout",
            &key,
            "-out",
            &request,
        ]) && openssl(
            directory,
            &["x509", "-req", "-days", "2", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"],
        )(&["-in", &request, "-out", &format!("{name}.pem"), "-extfile", &format!("{name}.ext")])
    };
    authority("ca") && authority("other-ca") && signed("server", "serverAuth") && signed("client", "clientAuth")
}

fn openssl<'a>(directory: &'a Path, first: &'a [&'a str]) -> impl Fn(&[&str]) -> bool + 'a {
    move |rest| {
        let mut command = Command::new("openssl");
        command.args(first).args(rest).current_dir(directory).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    }
}

/// Notes, for people and for `cargo xtask test`, what this machine can't show.
pub(crate) fn not_run(why: &str) {
    println!("NOT RUN: {why}");
    if let Some(path) = std::env::var_os("KEEPER_NOT_RUN") {
        let mut notes = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        writeln!(notes, "NOT RUN: {why}").unwrap();
    }
}
