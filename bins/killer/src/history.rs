//! `killer history`: what the ledger tells.

use crate::args::{Args, HistoryArgs};
use keeper_controller::connect;
use keeper_controller::kill::{History, Line, history};
use miette::{IntoDiagnostic, Result};
use std::fmt::Write;

pub(crate) async fn print(args: &Args, asked: &HistoryArgs) -> Result<()> {
    let client = connect(args.kubeconfig.as_deref(), crate::wire::USER_AGENT).await.into_diagnostic()?;
    let history = history(client, &args.ledger_namespace, asked.namespace.as_deref()).await.into_diagnostic()?;
    #[allow(clippy::print_stdout, reason = "it is what was asked for")]
    {
        print!("{}", table(&history, &args.ledger_namespace));
    }
    Ok(())
}

/// The oldest first, in columns as wide as they need.
fn table(history: &History, ledger: &str) -> String {
    if history.lines.is_empty() {
        return format!("nothing was killed or refused (ledger of the namespace {ledger})\n");
    }
    let heads = ["TIME", "NAMESPACE", "POD", "WORKLOAD", "ALERT", "DECISION", "WHY"].map(str::to_owned);
    let rows: Vec<[String; 7]> = std::iter::once(heads).chain(history.lines.iter().map(columns)).collect();
    let mut widths = [0; 7];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            // Writing to a String can't fail.
            let _ = write!(line, "{cell:<width$}  ");
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

fn columns(line: &Line) -> [String; 7] {
    [
        line.at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        line.namespace.clone(),
        line.pod.clone(),
        line.workload.clone(),
        line.alert.clone(),
        line.decision.clone(),
        line.message.clone(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_need() {
        let line = |pod: &str, decision: &str| Line {
            at: "2026-08-20T12:00:00.5Z".parse().unwrap(),
            namespace: "shop".into(),
            pod: pod.into(),
            workload: "Deployment cart".into(),
            alert: "NoProgress".into(),
            decision: decision.into(),
            message: "why".into(),
        };
        let history = History { lines: vec![line("cart-1", "Evicted"), line("cart-22", "TooManyAccused")] };
        let expected = "\
TIME                  NAMESPACE  POD      WORKLOAD         ALERT       DECISION        WHY
2026-08-20T12:00:00Z  shop       cart-1   Deployment cart  NoProgress  Evicted         why
2026-08-20T12:00:00Z  shop       cart-22  Deployment cart  NoProgress  TooManyAccused  why
";
        assert_eq!(table(&history, "keeper"), expected);
        assert!(table(&History::default(), "keeper").contains("ledger of the namespace keeper"));
    }
}
