//! Whether the sandbox's API server tells the truth: the same requests are asked of it and of a real one, and the answers
//! compared.
//!
//! The real server's answers are kept in `testdata/truth`, so this needs no control plane. With `KEEPER_E2E_KUBECONFIG`
//! set, that cluster is asked again and compared with both; with `KEEPER_TRUTH_RECORD` as well, its answers are written
//! down. What may differ is in [`exceptions`], by name.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::needless_pass_by_value,
    clippy::print_stdout,
    unreachable_pub,
    reason = "helpers of tests"
)]

mod compare;
mod exceptions;
mod kept;
mod normal;
mod script;
mod scripts;
mod server;

use futures::stream::{self, StreamExt};
use serde_json::Value;

use script::Script;
use server::Asked;

/// Fewer pairs than this prove too little.
const ENOUGH: usize = 300;

/// Scripts under way at once.
const AT_ONCE: usize = 6;

async fn answers(server: &Asked, scripts: &[Script]) -> Vec<Vec<Value>> {
    stream::iter(scripts)
        .map(|script| async move {
            let (namespace, answers) = server.ask(script).await;
            let mut symbols = normal::Symbols::new(&namespace);
            script.steps.iter().zip(&answers).map(|(step, answer)| symbols.normalise(step, answer)).collect()
        })
        .buffered(AT_ONCE)
        .collect()
        .await
}

/// Prints every difference and says how many pairs differ.
fn compare_all(scripts: &[Script], real: &[Vec<Value>], other: &[Vec<Value>], what: &str) -> usize {
    let mut differing = 0;
    for ((script, real), other) in scripts.iter().zip(real).zip(other) {
        let mut pairing = compare::Pairing::default();
        for (i, (step, (real, other))) in script.steps.iter().zip(real.iter().zip(other)).enumerate() {
            let found = pairing.differences(real, other);
            if !found.is_empty() {
                differing += 1;
                let body: String = step.body.chars().take(300).collect();
                println!("{what}: {} {}: {} {} {body}", script.name, i + 1, step.method, step.path);
                for difference in found {
                    println!("    {difference}");
                }
            }
        }
    }
    differing
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sandbox_answers_as_the_real_server_does() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut scripts = scripts::all();
    if let Ok(only) = std::env::var("KEEPER_TRUTH_ONLY") {
        scripts.retain(|script| script.name.contains(&only));
    }
    let pairs: usize = scripts.iter().map(|script| script.steps.len()).sum();
    let mut differing = 0;
    let real = match std::env::var_os("KEEPER_E2E_KUBECONFIG") {
        Some(kubeconfig) => {
            let server = Asked::real(kubeconfig.as_ref()).await;
            let real = answers(&server, &scripts).await;
            if std::env::var_os("KEEPER_TRUTH_RECORD").is_some() {
                scripts.iter().zip(&real).for_each(|(script, answers)| kept::write(script, answers));
            } else {
                let kept: Vec<_> = scripts.iter().map(|script| kept::read(script).unwrap()).collect();
                differing += compare_all(&scripts, &real, &kept, "kept answers (shown as sandbox)");
            }
            real
        }
        None => scripts.iter().map(|script| kept::read(script).unwrap()).collect(),
    };
    let sandbox = Asked::sandbox().await;
    let ours = answers(&sandbox, &scripts).await;
    sandbox.stop().await;
    differing += compare_all(&scripts, &real, &ours, "sandbox");
    println!("{pairs} pairs of answers, {differing} differing; in all of them is left out by name:");
    for exception in exceptions::EXCEPTIONS {
        println!("    {}: {}", exception.name, exception.reason);
    }
    assert_eq!(differing, 0, "the differences are above");
    assert!(pairs >= ENOUGH || std::env::var_os("KEEPER_TRUTH_ONLY").is_some());
}
