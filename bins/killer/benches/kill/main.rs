//! `cargo xtask bench kill`: an incident that grows, told to the killer binary at 10,000 alerts a second on one core.
//!
//! Every hundred milliseconds further workloads fall ill and are accused of from then on; half of the bodies hold only what
//! may be killed, the others also a second pod of each workload, which its budget spares. The last workloads that fall ill
//! find the overall budget spent. Then a single body of 20,000 alerts. The figures are printed; what must hold whatever the
//! machine (budgets, answers, one write of the ledger for a body) ends it with an error.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    unreachable_pub,
    reason = "a benchmark is a test that prints"
)]

mod cores;
mod ill;
mod killer;
mod load;
mod proof;

use cores::Cores;
use ill::Ill;
use killer::Killer;
use load::{ALERTS, BODIES, SECONDS, Sent};
use std::process::ExitCode;

/// How many workloads fall ill, and how many pods the overall budget lets go.
const WORKLOADS: usize = 300;
const BUDGET: usize = 250;

fn main() -> ExitCode {
    let cores = Cores::divide();
    // After the division: its threads share what is not the killer's.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let complaints = runtime.block_on(run(&cores));
    complaints.iter().for_each(|complaint| println!("FAILED: {complaint}"));
    if complaints.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn run(cores: &Cores) -> Vec<String> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let ill = Ill::prepare(WORKLOADS).await;
    let killer = Killer::start(&ill, BUDGET, cores).await;
    println!(
        "an incident over {SECONDS} s: {} alerts a second in bodies of {ALERTS}, about {WORKLOADS} workloads; \
         a budget of {BUDGET} pods; the killer on {}",
        BODIES * ALERTS,
        cores.said()
    );
    let sent = load::send(&ill, &killer).await;
    killer.settled().await;
    let mut complaints = proof::against(&ill, &killer, &sent, BUDGET).await;
    print(&ill, &killer, &sent);

    let body = load::many(&ill, 20_000);
    println!("one body of 20,000 alerts, {:.1} MB", body.len() as f64 / 1e6);
    let one = load::post(&killer, body).await;
    println!("  answered       {} after {:.0} ms", one.code, ms(one.after()));
    println!("  peak memory    {:.1} MB", killer.peak_mb());
    if one.code != 200 {
        complaints.push(format!("the large body was answered {}", one.code));
    }
    complaints
}

fn print(ill: &Ill, killer: &Killer, sent: &[Sent]) {
    let alerts = sent.len() * ALERTS;
    let first = sent.iter().map(|one| one.at).min().unwrap();
    let last = sent.iter().map(|one| one.answered).max().unwrap();
    let span = last.duration_since(first).as_secs_f64();
    let code = |code| sent.iter().filter(|one| one.code == code).count();
    println!("  taken          {:.0} alerts a second: {alerts} alerts in {span:.2} s", alerts as f64 / span);
    println!("  answers        {} of 200, {} of 503 (only a budget is in the way)", code(200), code(503));
    let answers = sent.iter().map(Sent::after).collect();
    println!("  answered after {}", percentiles(answers));
    let evicted = proof::latencies(ill, sent);
    println!("  evictions      {} accepted, the budget is {BUDGET}", evicted.len());
    println!("  from request to eviction accepted: {}", percentiles(evicted));
    println!("  ledger         {} writes for {} bodies and {BUDGET} endings", ill.ledger_writes(), sent.len());
    println!("  processor      {:.2} s of the killer's core", killer.cpu_seconds());
    println!("  peak memory    {:.1} MB", killer.peak_mb());
}

fn percentiles(mut all: Vec<jiff::SignedDuration>) -> String {
    all.sort_unstable();
    let at = |share: usize| all.get((all.len() * share / 100).min(all.len().saturating_sub(1))).copied();
    let shown = |share| at(share).map_or(f64::NAN, ms);
    format!("p50 {:.1} ms, p99 {:.1} ms, longest {:.1} ms", shown(50), shown(99), shown(100))
}

fn ms(duration: jiff::SignedDuration) -> f64 {
    duration.as_secs_f64() * 1e3
}
