//! `spec`.

use super::{Rule, flag, list, metrics, object, ruled, span, template, text, with, word};
use serde_json::Value;

/// How often a longer duration is written than the shorter one; units that CEL doesn't know are left to the operator.
const LONGEST: &str = "!has(self.maxIncubation) || !has(self.incubation) \
    || self.incubation.matches('[dw]') || self.maxIncubation.matches('[dw]') \
    || duration(self.maxIncubation) >= duration(self.incubation)";

pub(super) fn schema() -> Value {
    let incubation = span("How long the canary must be watched while it is Ready, reachable and measured: 1s to 7d.");
    let properties = [
        ("deploymentTemplate", template::schema()),
        ("incubation", with(incubation, "default", "60s")),
        (
            "maxIncubation",
            span(
                "How long an incubation may last in all; past it the release is Inconclusive. Default: twice the incubation.",
            ),
        ),
        ("launchDeadline", span("How long the canary may take to become Ready. Default: the operator's, 10m.")),
        (
            "onInconclusive",
            word(
                "What becomes of a release that could not be judged: retry (tried again later) or reject. Default: the \
                 operator's, retry.",
                &["retry", "reject"],
            ),
        ),
        ("metrics", metrics::schema()),
        (
            "alertMatchers",
            list(
                "Matchers as Alertmanager writes them, one or more in each text: an alert that fits all of them counts \
                 as one about this service. Default: none; alerts that name the canary or the service count anyway.",
                32,
                text("Matchers such as team=\"shop\".", 1_024),
            ),
        ),
        (
            "allowTwoCopies",
            flag(
                "true: a canary may run beside a Deployment that declares it can't have two copies (strategy Recreate, \
                 a ReadWriteOnce volume, a hostPort). Default false.",
            ),
        ),
    ];
    let doc = "What is wanted. A change is another release, which starts over; pause, promote, abort and retry are \
               annotations.";
    let both = "!has(self.alertMatchers) || size(self.alertMatchers) == 0 || !has(self.metrics) \
                || !self.metrics.exists(m, has(m.kind) && m.kind == 'alerts')";
    ruled(
        object(doc, properties, &["deploymentTemplate"]),
        [
            Rule::new(LONGEST, "must not be shorter than incubation").about("maxIncubation"),
            Rule::new(both, "must not stand beside a check of kind alerts: write the matchers in one place")
                .about("alertMatchers")
                .forbidden(),
        ],
    )
}
