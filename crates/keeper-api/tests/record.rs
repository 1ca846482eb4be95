//! Records written down and read again.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too, which the lint does not see")]

use jiff::Timestamp;
use keeper_api::record::{LIMIT, from_json, to_json};
use keeper_rollout::{
    ALERTS_LIMIT, Command, Ended, Entry, EntryKind, Hold, LEDGER_LIMIT, Proof, Record, Revision, Run, RunId, Sending,
    State, StoredAlert, TemplateHash, Told, USED_LIMIT, Uid, Verb, Version, Watched,
};
use proptest::prelude::*;
use std::time::Duration;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn digest(digit: char) -> Revision {
    Revision::new(format!("sha256:{}", digit.to_string().repeat(64)))
}

fn told(reason: &str, message: &str) -> Told {
    Told { reason: reason.into(), message: message.into(), at: at("2026-01-02T03:04:05.678Z") }
}

fn full() -> Record {
    let run = Run {
        id: RunId::from("7-0123ab"),
        revision: digest('a'),
        template: TemplateHash::from("5f3c"),
        from: digest('b'),
        began: at("2026-01-02T03:00:00Z"),
        recreated: 1,
        alerts: vec![StoredAlert {
            fingerprint: "00c0ffee00c0ffee".into(),
            starts_at: at("2026-01-02T03:03:00Z"),
            name: "BasketErrors".into(),
            about: "accuses pod shop-canary-012345: \"too many errors\"".into(),
        }],
    };
    let sending = Sending {
        canary: Uid::from("6f1d0f0e-0000-4000-8000-000000000001"),
        ready_changed: at("2026-01-02T03:00:20Z"),
        generation: 12,
        version: Version::from("48151"),
        proof: Proof::Measured,
        since: at("2026-01-02T03:15:21Z"),
    };
    let rolled_back = told("RolledBack", "our promotion was taken back by somebody");
    Record {
        state: State::Promoting(run, sending),
        ledger: [
            (digest('d'), Entry { kind: EntryKind::RolledBack, told: rolled_back }),
            (digest('c'), Entry { kind: EntryKind::Rejected, told: told("Rejected", "the container was restarted") }),
        ]
        .into(),
        promoted: Some(digest('b')),
        floor: 11,
        rolled_back: [(digest('d'), 2)].into(),
        tried: Some((digest('e'), 3)),
        used: vec![Command::new(Verb::Retry, "cccccccccccc"), Command::new(Verb::Promote, "bbbbbbbbbbbb please")],
        runs: 7,
    }
}

#[test]
fn a_record_as_it_is_stored() {
    let json = to_json(&full());
    insta::assert_snapshot!(json);
    assert_eq!(from_json(&json).unwrap(), full());
}

#[test]
fn what_is_stored_once_is_read_for_ever() {
    let stored = include_str!("version-1.json");
    assert_eq!(from_json(stored).unwrap(), full());
}

#[test]
fn the_fullest_record_can_be_read_again() {
    let ugly = "\"".repeat(5_000);
    let told = || Told { reason: ugly.clone(), message: ugly.clone(), at: Timestamp::MAX };
    let mut record = full();
    let State::Promoting(run, _) = &mut record.state else { panic!("no run") };
    for n in 0..ALERTS_LIMIT {
        let (name, about) = (ugly.clone(), ugly.clone());
        run.alerts.push(StoredAlert { fingerprint: format!("{n:016}"), starts_at: Timestamp::MAX, name, about });
    }
    for n in 0..LEDGER_LIMIT {
        let revision = Revision::new(format!("sha256:{n:064}"));
        record.rolled_back.insert(revision.clone(), u64::MAX);
        record.ledger.insert(revision, Entry { kind: EntryKind::RolledBack, told: told() });
    }
    record.used = vec![Command::new(Verb::Promote, "\"".repeat(256)); USED_LIMIT];
    let json = to_json(&record);
    assert!(json.len() < LIMIT, "{} bytes", json.len());
    assert_eq!(to_json(&from_json(&json).unwrap()), json);
}

#[test]
fn texts_for_people_are_kept_as_one_line() {
    let mut record = Record::default();
    let message = format!("two\nlines {}", "ä".repeat(1_000));
    record.ledger.insert(digest('a'), Entry { kind: EntryKind::Rejected, told: told("Rejected", &message) });
    let read = from_json(&to_json(&record)).unwrap();
    let kept = &read.ledger[&digest('a')].told.message;
    assert!(kept.starts_with("two lines ä") && kept.len() == 1_024, "{kept}");
}

fn times() -> impl Strategy<Value = Timestamp> {
    let nanoseconds = Timestamp::MIN.as_nanosecond()..=Timestamp::MAX.as_nanosecond();
    nanoseconds.prop_map(|n| Timestamp::from_nanosecond(n).unwrap())
}

fn revisions() -> impl Strategy<Value = Revision> {
    prop_oneof!["sha256:[0-9a-f]{64}", ".{0,30}"].prop_map(Revision::new)
}

/// One line, and no longer than what is kept.
fn lines(longest: usize) -> impl Strategy<Value = String> {
    proptest::string::string_regex(&format!("\\PC{{0,{}}}", longest / 4)).unwrap()
}

prop_compose! {
    fn tolds()(reason in lines(128), message in lines(1_024), at in times()) -> Told {
        Told { reason, message, at }
    }
}

prop_compose! {
    fn alerts()(fingerprint in ".{0,20}", starts_at in times(), name in lines(128), about in lines(1_024)) -> StoredAlert {
        StoredAlert { fingerprint, starts_at, name, about }
    }
}

prop_compose! {
    fn runs()(
        id in ".{0,20}", revision in revisions(), template in ".{0,20}", from in revisions(), began in times(),
        recreated in any::<u8>(), alerts in prop::collection::vec(alerts(), 0..3),
    ) -> Run {
        let (id, template) = (RunId::new(id), TemplateHash::new(template));
        Run { id, revision, template, from, began, recreated, alerts }
    }
}

prop_compose! {
    fn watched()(canary in ".{0,20}", ready_changed in times(), began in times(), ms in any::<u64>()) -> Watched {
        Watched { canary: Uid::new(canary), ready_changed, began, observed: Duration::from_millis(ms) }
    }
}

prop_compose! {
    fn sendings()(
        canary in ".{0,20}", ready_changed in times(), generation in any::<i64>(), version in ".{0,20}",
        proof in prop::sample::select(vec![Proof::Measured, Proof::Silence, Proof::Person, Proof::FirstCreation]), since in times(),
    ) -> Sending {
        Sending { canary: Uid::new(canary), ready_changed, generation, version: Version::new(version), proof, since }
    }
}

prop_compose! {
    fn endings()(revision in revisions(), told in tolds()) -> Ended {
        Ended { revision, told }
    }
}

fn states() -> impl Strategy<Value = State> {
    let holds = prop::sample::select(vec![Hold::RolledBack, Hold::NotRolledOut, Hold::Inconclusive]);
    prop_oneof![
        Just(State::Settled),
        runs().prop_map(State::Launching),
        (runs(), watched()).prop_map(|(run, watched)| State::Incubating(run, watched)),
        (runs(), sendings()).prop_map(|(run, sending)| State::Promoting(run, sending)),
        endings().prop_map(State::Rejected),
        (endings(), times()).prop_map(|(ended, until)| State::Inconclusive(ended, until)),
        (endings(), holds).prop_map(|(ended, hold)| State::Held(ended, hold)),
    ]
}

fn entries() -> impl Strategy<Value = Entry> {
    let kinds = prop::sample::select(vec![EntryKind::Rejected, EntryKind::RolledBack]);
    (kinds, tolds()).prop_map(|(kind, told)| Entry { kind, told })
}

fn commands() -> impl Strategy<Value = Command> {
    let verbs = prop::sample::select(vec![Verb::Promote, Verb::Abort, Verb::Retry]);
    (verbs, ".{0,40}").prop_map(|(verb, value)| Command::new(verb, value))
}

prop_compose! {
    fn records()(
        state in states(),
        ledger in prop::collection::btree_map(revisions(), entries(), 0..3),
        promoted in prop::option::of(revisions()),
        floor in any::<i64>(),
        rolled_back in prop::collection::btree_map(revisions(), any::<u64>(), 0..3),
        tried in prop::option::of((revisions(), any::<u8>())),
        used in prop::collection::vec(commands(), 0..3),
        runs in any::<u64>(),
    ) -> Record {
        Record { state, ledger, promoted, floor, rolled_back, tried, used, runs }
    }
}

proptest! {
    #[test]
    fn what_was_written_is_read(record in records()) {
        let json = to_json(&record);
        prop_assert_eq!(from_json(&json).unwrap(), record.clone());
        prop_assert_eq!(&to_json(&record), &json);
        // A map of this type is sorted by its keys.
        let sorted: serde_json::Value = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(serde_json::to_string_pretty(&sorted).unwrap(), json);
    }

    #[test]
    fn a_damaged_record_is_refused_or_can_be_written_and_read(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = to_json(&full()).into_bytes();
        *at.get_mut(&mut bytes) = byte;
        if let Ok(read) = String::from_utf8(bytes).map_err(drop).and_then(|text| from_json(&text).map_err(drop)) {
            // Not the record itself: a text that was damaged into two lines is written as one.
            let written = to_json(&read);
            prop_assert_eq!(to_json(&from_json(&written).unwrap()), written);
        }
    }

    #[test]
    fn any_text_is_read_without_a_panic(text in ".{0,300}") {
        if let Err(error) = from_json(&text) {
            prop_assert!(error.to_string().chars().count() < 200);
        }
    }
}
