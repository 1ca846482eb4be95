//! The canary that `testdata/alerts` speaks of.

use keeper_alertmanager::Target;

pub(crate) fn target() -> Target {
    Target {
        namespace: "shop".into(),
        workload: "cart".into(),
        services: vec!["cart".into()],
        canary_pod: "cart-canary-1a2b3c".into(),
        canary_created: "2026-11-22T11:05:00Z".parse().unwrap(),
        production_pods: (1..=4).map(|n| format!("cart-7d9f6c5b8-aaaa{n}")).collect(),
        own_matchers: Vec::new(),
    }
}
