//! Looks at pods that are made up, and files of `testdata/promql`.
#![allow(dead_code, reason = "each test binary uses its share")]

use jiff::Timestamp;
use keeper_signal::{Look, Pod, Window};
use std::net::IpAddr;
use std::path::PathBuf;

pub(crate) const BORN: i64 = 1_800_000_000;

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(BORN + second).unwrap()
}

pub(crate) fn pod(name: &str, address: Option<IpAddr>) -> Pod {
    Pod { namespace: "shop".into(), name: name.into(), uid: format!("uid-of-{name}"), address, created: at(0) }
}

pub(crate) fn look(canary: Pod, baseline: Vec<Pod>, second: i64) -> Look {
    Look { workload: "web".into(), canary, baseline, window: Window { from: at(0), to: at(second) } }
}

pub(crate) fn exposition(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/promql/exposition").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
