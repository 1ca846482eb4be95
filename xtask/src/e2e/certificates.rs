//! Keys and certificates of one run, by the `openssl` program: an authority, the server, and one administrator.

use super::namespace::{FIRST_SERVICE, SERVER};
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::{Command, Stdio};

/// Makes them all in `folder`: `ca`, `server` and `admin` as `.crt` and `.key`, `accounts.key` for service accounts.
pub(super) fn make(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    let names =
        format!("subjectAltName=IP:127.0.0.1,IP:{SERVER},IP:{FIRST_SERVICE},DNS:localhost,DNS:kubernetes.default.svc");
    std::fs::write(folder.join("names"), names).context("writing the certificate's names")?;
    openssl(folder, "genrsa -out accounts.key 2048")?;
    openssl(folder, "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -subj /CN=ca -days 30")?;
    signed(folder, "server", "/CN=kube-apiserver")?;
    signed(folder, "admin", "/O=system:masters/CN=admin")
}

fn signed(folder: &Path, name: &str, subject: &str) -> Result<()> {
    openssl(folder, &format!("req -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr -subj {subject}"))?;
    let authority = "-CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -extfile names";
    openssl(folder, &format!("x509 -req -in {name}.csr {authority} -out {name}.crt"))
}

/// Runs one openssl command; what it says is shown only if it fails.
fn openssl(folder: &Path, arguments: &str) -> Result<()> {
    let mut command = Command::new("openssl");
    let output = command.current_dir(folder).args(arguments.split(' ')).stdin(Stdio::null()).output();
    let output = output.context("starting openssl")?;
    if !output.status.success() {
        bail!("openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
