//! Whether the right pod was removed, once, and replaced. Pure: values in, a summary and complaints out.

use super::shop::Member;
use crate::demo::manifests::NAMESPACE;
use crate::demo::report::Client;
use jiff::Timestamp;
use keeper_sandbox::api::RequestRecord;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// One run of the demo: one JSON object, whose fields are a promise.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Summary {
    /// `kill`.
    pub(super) mode: &'static str,
    /// The pod that hung.
    pub(super) pod: String,
    /// Its uid.
    pub(super) uid: String,
    /// Who told the killer.
    pub(super) alerted_by: &'static str,
    /// Evictions that the API server was asked for, whoever asked and for whichever pod.
    pub(super) evictions: usize,
    /// From the moment when it hung to the eviction.
    pub(super) seconds_to_eviction: Option<f64>,
    /// From then until the pod was no more.
    pub(super) seconds_to_gone: Option<f64>,
    /// From then until as many pods as are wanted were Ready and answered.
    pub(super) seconds_to_serving: Option<f64>,
    /// What the client saw.
    pub(super) client: Clients,
    /// The notes of the Events on the Deployment.
    pub(super) events: Vec<String>,
    /// What `killer history` prints, line by line.
    pub(super) history: Vec<String>,
}

/// What the client saw before the pod hung, until the errors had stopped, and after.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Clients {
    pub(super) before: Client,
    pub(super) during: Client,
    pub(super) after: Client,
}

impl Summary {
    /// It in words.
    pub(super) fn words(&self) -> Vec<String> {
        let seconds = |span: Option<f64>| span.map_or_else(|| "never".to_owned(), |span| format!("after {span} s"));
        let client = |when: &str, client: Client| {
            format!("client    {when:<6}: {} requests, {} errors", client.requests, client.errors)
        };
        let mut words = vec![format!(
            "{} hung; evicted {}, gone {}, all serving {}; alerted by {}",
            self.pod,
            seconds(self.seconds_to_eviction),
            seconds(self.seconds_to_gone),
            seconds(self.seconds_to_serving),
            self.alerted_by
        )];
        let Clients { before, during, after } = self.client;
        words.extend([client("before", before), client("during", during), client("after", after)]);
        words.extend(self.events.iter().map(|note| format!("event     {note}")));
        words
    }
}

/// What is left of it.
pub(super) struct Evidence<'a> {
    pub(super) hung: &'a Member,
    pub(super) records: &'a [RequestRecord],
    pub(super) notes: &'a [String],
    pub(super) history: &'a [String],
    pub(super) client: Clients,
    pub(super) gone: Option<Duration>,
    pub(super) serving: Option<Duration>,
    pub(super) clean: bool,
    /// What each process had answered at the beginning and at the end of the calm afterwards.
    pub(super) counters: (&'a BTreeMap<String, u64>, &'a BTreeMap<String, u64>),
}

impl Evidence<'_> {
    pub(super) fn summary(&self, hung_at: Timestamp, alerted_by: &'static str) -> Summary {
        let evictions = self.evictions();
        let evicted = evictions.first().map(|record| record.time.duration_since(hung_at).as_secs_f64());
        let tenths = |seconds: f64| (seconds * 10.0).round() / 10.0;
        Summary {
            mode: "kill",
            pod: self.hung.name.clone(),
            uid: self.hung.uid.clone(),
            alerted_by,
            evictions: evictions.len(),
            seconds_to_eviction: evicted.map(tenths),
            seconds_to_gone: self.gone.map(|span| tenths(span.as_secs_f64())),
            seconds_to_serving: self.serving.map(|span| tenths(span.as_secs_f64())),
            client: self.client,
            events: self.notes.to_vec(),
            history: self.history.to_vec(),
        }
    }

    /// What speaks against it.
    pub(super) fn against(&self) -> Vec<String> {
        let Member { name, uid, .. } = self.hung;
        let Clients { before, during, after } = self.client;
        let mut complaints = Vec::new();
        let mut unless = |right: bool, complaint: String| {
            if !right {
                complaints.push(complaint);
            }
        };
        let evictions = self.evictions();
        let once = matches!(evictions.as_slice(), [one] if one.code == 201 && one.name == *name && asks_for(one, uid));
        unless(once, format!("the API server's log has not one eviction of {name} by its uid: {evictions:?}"));
        let deletions = self.records.iter().filter(|record| is_deletion(record)).count();
        unless(deletions == 0, format!("pods were deleted without eviction, {deletions} times"));
        unless(self.gone.is_some(), format!("{name} is still there"));
        unless(self.serving.is_some(), "not every process answers again".into());
        unless(self.clean, "the client's errors did not go back to zero".into());
        unless(before.errors == 0, format!("the client saw {} errors before anything hung", before.errors));
        unless(during.errors > 0, "the client saw no error, so the pod that hung was not in use".into());
        unless(after.requests > 0 && after.errors == 0, format!("the client saw {} errors afterwards", after.errors));
        let (first, last) = self.counters;
        let idle = last.iter().filter(|(pod, count)| first.get(*pod) == Some(count)).map(|(pod, _)| pod.as_str());
        let idle: Vec<_> = idle.collect();
        unless(idle.is_empty(), format!("the client's requests don't reach {}", idle.join(", ")));
        let note = matches!(self.notes, [note] if note.contains(name.as_str()));
        unless(note, format!("the Deployment has not one Event of the kill: {:?}", self.notes));
        // The first line is the table's head.
        let told = matches!(self.history, [_, line] if line.contains(name.as_str()) && line.contains("Evicted"));
        unless(told, "killer history does not tell of one eviction, and nothing else".into());
        complaints
    }

    fn evictions(&self) -> Vec<&RequestRecord> {
        let here = self.records.iter().filter(|record| record.namespace == NAMESPACE);
        here.filter(|record| record.subresource == "eviction").collect()
    }
}

/// Whether the eviction is of the pod with this uid, and of no other of its name.
fn asks_for(eviction: &RequestRecord, uid: &str) -> bool {
    let pointer = "/deleteOptions/preconditions/uid";
    eviction.body.as_ref().and_then(|body| body.pointer(pointer)).and_then(Value::as_str) == Some(uid)
}

/// Whether the killer, or the demo, deleted a pod.
fn is_deletion(record: &RequestRecord) -> bool {
    record.resource == "pods"
        && record.verb.starts_with("delete")
        && ["demo", "canary-keeper-killer"].contains(&record.client())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn eviction(pod: &str, uid: &str) -> RequestRecord {
        RequestRecord {
            sequence: 1,
            time: Timestamp::UNIX_EPOCH,
            answered: Timestamp::UNIX_EPOCH,
            user_agent: "canary-keeper-killer/0.1.0".into(),
            field_manager: None,
            verb: "create".into(),
            path: String::new(),
            query: String::new(),
            group: String::new(),
            resource: "pods".into(),
            namespace: NAMESPACE.into(),
            name: pod.into(),
            subresource: "eviction".into(),
            dry_run: false,
            content_type: String::new(),
            code: 201,
            body: Some(json!({"deleteOptions": {"preconditions": {"uid": uid}}})),
        }
    }

    /// How many complaints there are when these evictions are in the log, and the counters end so.
    fn check(records: &[RequestRecord], last: u64, history: &[&str], expected: usize) {
        let hung = Member { name: "app-1".into(), uid: "u1".into(), address: String::new(), ready: true, stays: true };
        let counters = |count| BTreeMap::from([("app-2".to_owned(), count)]);
        let client = |errors| Client { requests: 10, errors };
        let history: Vec<_> = history.iter().map(|line| (*line).to_owned()).collect();
        let evidence = Evidence {
            hung: &hung,
            records,
            notes: &["pod app-1 evicted".into()],
            history: &history,
            client: Clients { before: client(0), during: client(3), after: client(0) },
            gone: Some(Duration::from_secs(1)),
            serving: Some(Duration::from_secs(2)),
            clean: true,
            counters: (&counters(1), &counters(last)),
        };
        assert_eq!(evidence.against().len(), expected, "{:?}", evidence.against());
    }

    #[test]
    fn one_eviction_of_that_pod_by_its_uid_is_right_and_all_else_is_told() {
        let (right, told) = (eviction("app-1", "u1"), ["TIME ...", "... app-1 Evicted"]);
        check(std::slice::from_ref(&right), 2, &told, 0);
        check(&[], 2, &told, 1);
        check(&[right.clone(), right.clone()], 2, &told, 1);
        check(&[eviction("app-1", "u2")], 2, &told, 1);
        check(&[eviction("app-2", "u1")], 2, &told, 1);
        check(&[RequestRecord { code: 429, ..right.clone() }], 2, &told, 1);
        let deletion = RequestRecord { verb: "delete".into(), subresource: String::new(), ..right.clone() };
        check(&[right.clone(), deletion], 2, &told, 1);
        check(std::slice::from_ref(&right), 1, &told, 1);
        check(&[right], 2, &["TIME ...", "... app-1 Evicted", "... app-2 Evicted"], 1);
    }
}
