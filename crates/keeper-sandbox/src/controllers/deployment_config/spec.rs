//! What a DeploymentConfig asks for, with OpenShift's defaults.

use serde_json::{Value, json};

use crate::{
    controllers::deployment::spec::{Spec, Strategy, share},
    objects::{Fields, Object},
};

/// OpenShift gives a rollout ten minutes.
const TIMEOUT: i64 = 600;

/// The sizes and bounds of a rollout.
pub(super) fn of(config: &Object) -> Spec {
    let replicas = config.int("/spec/replicas").unwrap_or(1).max(0);
    let recreate = config.text("/spec/strategy/type") == Some("Recreate");
    let params = if recreate { "recreateParams" } else { "rollingParams" };
    let strategy = if recreate { Strategy::Recreate } else { rolling(config, replicas) };
    let timeout = config.int(&format!("/spec/strategy/{params}/timeoutSeconds")).unwrap_or(TIMEOUT);
    Spec {
        replicas,
        strategy,
        progress_deadline: Some(timeout),
        history_limit: config
            .int("/spec/revisionHistoryLimit")
            .and_then(|limit| usize::try_from(limit).ok())
            .unwrap_or(10),
        paused: config.flag("/spec/paused"),
    }
}

fn rolling(config: &Object, replicas: i64) -> Strategy {
    let quarter = json!("25%");
    let bound = |field: &str, round_up| {
        let bound: &Value = config.at(&format!("/spec/strategy/rollingParams/{field}")).unwrap_or(&quarter);
        share(bound, replicas, round_up).unwrap_or(0)
    };
    let (surge, unavailable) = (bound("maxSurge", true), bound("maxUnavailable", false));
    // Both may come out as zero by rounding; then nothing could ever move.
    let unavailable = if surge == 0 && unavailable == 0 { 1 } else { unavailable };
    Strategy::Rolling { surge, unavailable: unavailable.min(replicas) }
}

/// Whether a change of the template rolls out by itself: so it does where no trigger was written at all.
pub(super) fn on_config_change(config: &Object) -> bool {
    match config.at("/spec/triggers").and_then(Value::as_array) {
        None => true,
        Some(triggers) => triggers.iter().any(|trigger| trigger.text("/type") == Some("ConfigChange")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::{DEPLOYMENT_CONFIGS, object};

    fn config(spec: &Value) -> Object {
        object(&DEPLOYMENT_CONFIGS, json!({"metadata": {"name": "d"}, "spec": spec})).unwrap()
    }

    #[test]
    fn the_defaults_are_openshifts() {
        let spec = of(&config(&json!({"replicas": 10})));
        assert_eq!(spec.strategy, Strategy::Rolling { surge: 3, unavailable: 2 });
        assert_eq!((spec.progress_deadline, spec.history_limit, spec.paused), (Some(600), 10, false));
        let recreate = json!({"strategy": {"type": "Recreate", "recreateParams": {"timeoutSeconds": 7}}});
        let spec = of(&config(&recreate));
        assert_eq!((spec.replicas, spec.strategy, spec.progress_deadline), (1, Strategy::Recreate, Some(7)));
    }

    #[test]
    fn only_an_absent_list_of_triggers_has_the_default() {
        assert!(on_config_change(&config(&json!({}))));
        assert!(on_config_change(&config(&json!({"triggers": [{"type": "ImageChange"}, {"type": "ConfigChange"}]}))));
        assert!(!on_config_change(&config(&json!({"triggers": []}))));
        assert!(!on_config_change(&config(&json!({"triggers": [{"type": "ImageChange"}]}))));
    }
}
