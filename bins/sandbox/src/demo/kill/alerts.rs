//! Who tells the killer: a real Prometheus with a real Alertmanager, or, where they are not, the demo itself.

use super::look;
use super::rule;
use super::shop::Shop;
use crate::demo::alerting::{Alerting, Found};
use crate::demo::alertmanager::Receiver;
use crate::voice::Voice;
use std::net::SocketAddr;
use std::path::Path;
use tokio_util::task::AbortOnDropHandle;

/// Who tells.
pub(super) enum Alerts {
    /// A rule, and who posts what it says.
    Real(Box<Alerting>),
    /// The demo looks at the pods itself, and ends with this.
    Demo { _looking: AbortOnDropHandle<()> },
}

impl Alerts {
    /// Starts what is on PATH.
    pub(super) async fn start(
        dir: &Path,
        door: SocketAddr,
        (token, secret): (&Path, &str),
        (shop, replicas): (&Shop, u32),
        voice: Voice,
    ) -> miette::Result<Self> {
        let Some(found) = Found::on_path() else {
            voice.say("no prometheus and alertmanager on PATH: the demo looks at the counters and posts the same body");
            let looking = tokio::spawn(look::look(shop.clone(), door, secret.to_owned(), voice));
            return Ok(Self::Demo { _looking: AbortOnDropHandle::new(looking) });
        };
        // Said again each second: the killer must not mind.
        let receiver = Receiver { door, path: "/kill", token, repeat: "1s" };
        let real = Alerting::start(&found, &rule::rule(), &receiver, (shop.cluster(), replicas), dir, voice).await?;
        Ok(Self::Real(Box::new(real)))
    }

    /// Who it is, in words.
    pub(super) fn who(&self) -> &'static str {
        match self {
            Self::Real(_) => "Prometheus and Alertmanager",
            Self::Demo { .. } => "the demo itself",
        }
    }

    /// Stops them gracefully.
    pub(super) async fn stop(self) -> miette::Result<()> {
        match self {
            Self::Real(real) => real.stop().await,
            Self::Demo { .. } => Ok(()),
        }
    }
}
