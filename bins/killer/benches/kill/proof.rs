//! What must hold whatever the machine, and how long each removal took.

use crate::ill::Ill;
use crate::killer::Killer;
use crate::load::{ALERTS, Sent};
use jiff::SignedDuration;
use std::collections::HashSet;

/// What speaks against it.
pub async fn against(ill: &Ill, killer: &Killer, sent: &[Sent], budget: usize) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut unless = |right: bool, complaint: String| {
        if !right {
            complaints.push(complaint);
        }
    };
    let evictions = ill.evictions();
    let evicted: HashSet<&str> = evictions.iter().map(|(uid, _)| uid.as_str()).collect();
    unless(evictions.len() == budget, format!("{} evictions were accepted, the budget is {budget}", evictions.len()));
    unless(evicted.len() == evictions.len(), "a pod was evicted twice".into());
    let greedy = |pods: &&Vec<crate::ill::Member>| pods.iter().all(|pod| evicted.contains(pod.uid.as_str()));
    unless(!ill.workloads.iter().any(|pods| greedy(&pods)), "a workload lost both pods".into());

    let strange = sent.iter().filter(|one| !matches!(one.code, 200 | 503)).count();
    unless(strange == 0, format!("{strange} bodies were answered neither 200 nor 503"));
    // All that a body answered 200 accuses may go and has gone: nothing else in it could have been done with.
    let lost = sent.iter().filter(|one| one.code == 200).flat_map(|one| &one.accused);
    let lost = lost.filter(|uid| !evicted.contains(uid.as_str())).count();
    unless(lost == 0, format!("{lost} acknowledged alerts came to nothing"));
    let ruled = killer.metric("canary_keeper_kill_alerts_total{").await;
    unless(ruled == sent.len() * ALERTS, format!("{ruled} alerts were counted of {}", sent.len() * ALERTS));

    let ledger = ill.ledger().await;
    let count = |list: &str| ledger[list].as_array().map_or(0, Vec::len);
    unless(count("open") == 0 && count("ended") == budget, "the ledger tells of other removals".into());
    // One for a body at the most, one for each ending, and a few that say who works on what is open.
    let writes = ill.ledger_writes();
    unless(writes <= sent.len() + budget + 10, format!("the ledger was written {writes} times"));
    complaints
}

/// From the first request that accuses a pod, until the API server has accepted its eviction.
pub fn latencies(ill: &Ill, sent: &[Sent]) -> Vec<SignedDuration> {
    let accused_at = |uid: &String| sent.iter().filter(|one| one.accused.contains(uid)).map(|one| one.at).min();
    let took = |(uid, request): &(String, keeper_sandbox::api::RequestRecord)| {
        Some(request.answered.duration_since(accused_at(uid)?))
    };
    ill.evictions().iter().filter_map(took).collect()
}
