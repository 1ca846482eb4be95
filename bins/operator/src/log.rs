//! The log: a line for people, or an object for machines.

use crate::args::LogFormat;
use std::fmt;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Installs the log on standard error. `RUST_LOG` chooses what is told; `info` by default.
pub(crate) fn install(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,kube=warn"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => log.event_format(People).init(),
        LogFormat::Json => log.json().flatten_event(true).with_current_span(false).with_span_list(false).init(),
    }
}

/// `<time> <level> <namespace>/<workload> <phase> <reason>: <message> <other fields>`
struct People;

impl<S, N> FormatEvent<S, N> for People
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut to: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut said = Said::default();
        event.record(&mut said);
        SystemTime.format_time(&mut to)?;
        write!(to, " {:<5}", event.metadata().level().as_str())?;
        if let (Some(namespace), Some(workload)) = (&said.namespace, &said.workload) {
            write!(to, " {namespace}/{workload}")?;
        }
        if let (Some(phase), Some(reason)) = (&said.phase, &said.reason) {
            write!(to, " {phase} {reason}:")?;
        }
        writeln!(to, " {}{}", said.message, said.others)
    }
}

#[derive(Default)]
struct Said {
    namespace: Option<String>,
    workload: Option<String>,
    phase: Option<String>,
    reason: Option<String>,
    message: String,
    others: String,
}

impl Visit for Said {
    fn record_str(&mut self, field: &Field, value: &str) {
        let known = match field.name() {
            "namespace" => &mut self.namespace,
            "workload" => &mut self.workload,
            "phase" => &mut self.phase,
            "reason" => &mut self.reason,
            _ => return self.record_debug(field, &value),
        };
        *known = Some(value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            "namespace" | "workload" | "phase" | "reason" => {
                let text = format!("{value:?}");
                self.record_str(field, text.trim_matches('"'));
            }
            name => self.others.push_str(&format!(" {name}={value:?}")),
        }
    }
}
