//! The flags by which a program's owner opens its door.

use crate::{AuthError, AuthOptions, Authenticator, Tls, TlsError, TlsFiles};
use std::path::PathBuf;

/// Who may come in at the webhook door, and by which certificate it is known. To be flattened into a program's own flags.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct DoorArgs {
    /// A file of bearer tokens, one a line, that open the webhook door; re-read when it changes. May be repeated.
    #[arg(long = "bearer-token-file", value_name = "FILE")]
    pub bearer_token_files: Vec<PathBuf>,

    /// A file of user:password lines that open the webhook door. May be repeated.
    #[arg(long = "basic-auth-file", value_name = "FILE")]
    pub basic_auth_files: Vec<PathBuf>,

    /// The webhook door's certificate, in PEM, with its chain; re-read when it changes. With it the door serves TLS.
    #[arg(long, requires = "tls_key", value_name = "FILE")]
    pub tls_certificate: Option<PathBuf>,

    /// The private key of --tls-certificate, in PEM.
    #[arg(long, requires = "tls_certificate", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,

    /// Authorities, in PEM, whose client certificates open the webhook door.
    #[arg(long, requires = "tls_certificate", value_name = "FILE")]
    pub client_ca: Option<PathBuf>,

    /// Open the webhook door without credentials; it then listens on loopback only.
    #[arg(long)]
    pub insecure: bool,
}

impl DoorArgs {
    /// What checks credentials, as the flags say.
    ///
    /// # Errors
    ///
    /// No flag opens the door, two contradict each other, or a file can't be used.
    pub fn authenticator(&self) -> Result<Authenticator, AuthError> {
        Authenticator::new(AuthOptions {
            bearer_token_files: self.bearer_token_files.clone(),
            basic_auth_files: self.basic_auth_files.clone(),
            client_certificates: self.client_ca.is_some(),
            insecure: self.insecure,
            ..AuthOptions::default()
        })
    }

    /// The door's TLS; `None` where no certificate is named.
    ///
    /// # Errors
    ///
    /// A file can't be used.
    pub fn tls(&self) -> Result<Option<Tls>, TlsError> {
        let (Some(certificate), Some(key)) = (self.tls_certificate.clone(), self.tls_key.clone()) else {
            return Ok(None);
        };
        Tls::open(TlsFiles { certificate, key, client_ca: self.client_ca.clone() }).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        door: DoorArgs,
    }

    fn parsed(words: &[&str]) -> Option<DoorArgs> {
        Program::try_parse_from([&["program"], words].concat()).ok().map(|program| program.door)
    }

    #[test]
    fn a_door_opens_by_a_flag_alone() {
        assert!(matches!(parsed(&[]).unwrap().authenticator(), Err(AuthError::Open)));
        let open = parsed(&["--insecure"]).unwrap();
        assert!(open.authenticator().is_ok() && open.tls().is_ok_and(|tls| tls.is_none()));
        let both = parsed(&["--insecure", "--bearer-token-file", "token"]).unwrap();
        assert!(matches!(both.authenticator(), Err(AuthError::Contradiction)));
        assert!(parsed(&["--tls-key", "key"]).is_none(), "a key is of a certificate");
        assert!(parsed(&["--client-ca", "ca"]).is_none(), "without TLS there are no client certificates");
        assert!(parsed(&["--tls-certificate", "no such", "--tls-key", "file"]).unwrap().tls().is_err());
    }
}
