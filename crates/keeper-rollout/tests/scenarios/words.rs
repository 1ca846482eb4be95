//! Every reason there is, in words.

use insta::assert_snapshot;
use keeper_rollout::*;
use keeper_signal::{Evidence, Why};
use std::fmt::Write as _;
use std::time::Duration;

const IMAGE: &str = "sha256:0123456789abcdef";

fn image() -> Revision {
    IMAGE.into()
}

fn alert() -> StoredAlert {
    StoredAlert {
        fingerprint: "f".into(),
        starts_at: "2026-01-01T03:00:00Z".parse().unwrap(),
        name: "HighErrorRate".into(),
        about: "names service shop".into(),
    }
}

fn troubles() -> Vec<Trouble> {
    vec![
        Trouble::ImageNotFound("404 MANIFEST_UNKNOWN".into()),
        Trouble::Restarted("exit code 1, 1 restart".into()),
        Trouble::CannotRun("CreateContainerConfigError: configmap \"shop\" not found".into()),
        Trouble::CannotPull("401 from registry.example".into()),
        Trouble::NotScheduled("0/3 nodes are available: insufficient cpu".into()),
        Trouble::LostToNode("TerminationByKubelet".into()),
        Trouble::DeadlineExceeded("active on the node longer than 3000 s".into()),
    ]
}

fn missing() -> Because {
    Because::NotProved { signal: "httpErrorRate".into(), why: Why::NotMeasured("connection refused".into()) }
}

fn inconclusive(obstacle: Obstacle) -> Because {
    let again = Some(alert().starts_at);
    Because::Inconclusive { revision: image(), obstacle, again }
}

fn seen() -> Vec<Because> {
    let few = Evidence::new("3 of 100 requests");
    let waiting = troubles().into_iter().map(|trouble| Because::WaitingForReady(Some(trouble)));
    let mut all = vec![
        Because::UpToDate(image()),
        Because::OptedOut,
        Because::WantedUnknown("registry.example/shop:1: 503 Service Unavailable".into()),
        Because::Blocked(Blocker { kind: BlockerKind::ScaledToZero, text: "the workload is scaled to zero".into() }),
        Because::Paused(image()),
        Because::InvalidPlan("canary-duration: \"-1m\" is negative; say how long, as in 15m".into()),
        Because::ProductionNotPinned("its pods run 2 different digests".into()),
        Because::RecordUnreadable("version 9 is newer than this operator".into()),
        Because::LedgerLost,
        Because::ViewStale,
        Because::ReadingAfresh,
        Because::CanaryInTheWay,
        Because::CanaryLaunching(image()),
        Because::WaitingForReady(None),
        Because::CanaryIncubating(image()),
        Because::Watching { observed: Duration::from_secs(65), of: Duration::from_secs(900) },
        Because::NotReady,
        Because::NotReachable(vec!["shop".into(), "shop-internal".into()]),
        missing(),
        Because::NotProved { signal: "httpErrorRate".into(), why: Why::NotEnough(few) },
        Because::PromotionNotedAgain,
        Because::RollingOut(image()),
    ];
    all.extend(waiting);
    all
}

fn outcomes() -> Vec<Because> {
    let proofs = [Proof::Measured, Proof::Silence, Proof::Person, Proof::FirstCreation];
    let promoted = |proof, late| Because::Promoted { revision: image(), proof, late };
    let evidence = Evidence::new("31 of 1000 requests failed (3.10 %), allowed below 1 %");
    let mut all: Vec<_> = proofs.map(|proof| Because::Promoting(image(), proof)).into();
    all.extend(proofs.map(|proof| promoted(proof, vec![])));
    all.push(promoted(Proof::Measured, vec![alert()]));
    all.push(promoted(Proof::Measured, vec![alert(), alert()]));
    all.extend([
        Because::Rejected(image(), Fault::Alert(alert())),
        Because::Rejected(image(), Fault::Unhealthy { signal: "httpErrorRate".into(), evidence }),
        Because::Rejected(image(), Fault::NeverReady(Duration::from_secs(600))),
        Because::Rejected(image(), Fault::AbortedByPerson),
        Because::Rejected(image(), Fault::NotJudged(Box::new(Obstacle::NotProvedInTime(Box::new(missing()))))),
        inconclusive(Obstacle::Refused("pods \"shop-canary\" is forbidden: exceeded quota".into())),
        inconclusive(Obstacle::Lost(3)),
        inconclusive(Obstacle::NotProvedInTime(Box::new(missing()))),
        inconclusive(Obstacle::NotSentInTime),
        inconclusive(Obstacle::NotCreated),
        Because::Inconclusive { revision: image(), obstacle: Obstacle::NotCreated, again: None },
        Because::Recreating(image(), 1),
        Because::Superseded { judged: image(), by: "sha256:fedcba9876543210".into() },
        Because::TemplateChanged,
        Because::ProductionChanged,
        Because::RolledBack { revision: image(), number: 1, wanted: true },
        Because::RolledBack { revision: image(), number: 2, wanted: false },
        Because::PromotedNotRolledOut(image(), "still under way after 15m".into()),
        Because::Retried(image()),
        Because::Rejected("3f2504e0-4f89/3@0a1b2c3d".into(), Fault::AbortedByPerson),
    ]);
    for trouble in troubles() {
        if trouble.is_the_images_fault() {
            all.push(Because::Rejected(image(), Fault::Trouble(trouble)));
        } else {
            all.push(inconclusive(Obstacle::CannotStart(trouble.clone())));
            all.push(inconclusive(Obstacle::Trouble(trouble)));
        }
    }
    let told = Told { reason: "Rejected".into(), message: "as it was told then".into(), at: alert().starts_at };
    all.push(Because::Still(told));
    all
}

#[test]
fn every_reason() {
    let mut table = String::new();
    for because in seen().into_iter().chain(outcomes()) {
        let mark = if because.is_warning() { '!' } else { ' ' };
        writeln!(table, "{mark} {:<24} {because}", because.reason()).unwrap();
    }
    assert_snapshot!(table);
}
