//! `spec.deploymentTemplate`: a Deployment, declared as far as rules need it.

use super::{Rule, keyed, list, object, open, pattern, ruled, text, texts, whole, with, word};
use serde_json::Value;

/// The most labels of an object that rules are evaluated on.
const LABELS: usize = 64;
/// The most containers and selector expressions.
const MOST: usize = 32;

const NAME: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";

pub(super) fn schema() -> Value {
    let properties = [
        ("apiVersion", word("apps/v1. May be left out.", &["apps/v1"])),
        ("kind", word("Deployment. May be left out.", &["Deployment"])),
        ("metadata", metadata()),
        ("spec", spec()),
    ];
    let doc = "The Deployment that is wanted after success: whole, and as it would be applied. What it declares is what \
               production is given; without replicas, production keeps its number.";
    open(object(doc, properties, &["metadata", "spec"]))
}

fn metadata() -> Value {
    let properties = [
        ("name", pattern("Name of the production Deployment, whatever the Canary is called.", 246, NAME)),
        ("namespace", text("Must be the Canary's, if it is written.", 63)),
        ("labels", texts("Labels of the Deployment.", LABELS, 63)),
    ];
    let annotated = "!has(self.labels) || !('canary' in self.labels) || self.labels['canary'] != 'true'";
    let rule = Rule::new(annotated, "must not have canary: \"true\", which opts the Deployment into annotation mode");
    let doc = "Name, labels and annotations of the production Deployment; the rest of it is passed over.";
    ruled(open(object(doc, properties, &["name"])), [rule.about("labels")])
}

fn spec() -> Value {
    let properties = [
        ("replicas", whole("How many copies production has. Left out: as many as it has now.", 0, 2_147_483_647)),
        ("selector", selector()),
        ("template", pods()),
    ];
    let labels = "self.template.metadata.labels";
    let by_label = format!(
        "!has(self.selector.matchLabels) || self.selector.matchLabels.all(k, \
         k in {labels} && {labels}[k] == self.selector.matchLabels[k])"
    );
    let among = format!("e.key in {labels} && has(e.values) && {labels}[e.key] in e.values");
    let by_expression = format!(
        "!has(self.selector.matchExpressions) || self.selector.matchExpressions.all(e, \
         e.operator == 'In' ? {among} : e.operator == 'NotIn' ? !({among}) \
         : e.operator == 'Exists' ? e.key in {labels} : !(e.key in {labels}))"
    );
    let doc = "spec of the Deployment: any field of apps/v1, of which only a few are listed here.";
    ruled(
        open(object(doc, properties, &["selector", "template"])),
        [
            Rule::new(by_label, "must match the labels of spec.template").about("selector.matchLabels"),
            Rule::new(by_expression, "must match the labels of spec.template").about("selector.matchExpressions"),
        ],
    )
}

fn selector() -> Value {
    let expression = object(
        "One condition on a label.",
        [
            ("key", text("The label.", 317)),
            ("operator", word("How it is compared.", &["In", "NotIn", "Exists", "DoesNotExist"])),
            ("values", list("With what, for In and NotIn.", MOST, text("A value.", 63))),
        ],
        &["key", "operator"],
    );
    let properties = [
        ("matchLabels", texts("Labels that the pods have.", LABELS, 63)),
        ("matchExpressions", list("Further conditions on labels.", MOST, expression)),
    ];
    let some = "(has(self.matchLabels) && size(self.matchLabels) > 0) \
                || (has(self.matchExpressions) && size(self.matchExpressions) > 0)";
    let rule = Rule::new(some, "must not be empty: it would select every pod of the namespace").required();
    let doc = "The selector of the production Deployment. It can't be changed there later.";
    ruled(open(object(doc, properties, &[])), [rule])
}

fn pods() -> Value {
    let container = object(
        "A container: any field of v1, of which only two are listed here.",
        [
            ("name", with(text("Its name.", 63), "minLength", 1)),
            (
                "image",
                with(
                    text(
                        "Its image. A tag is resolved when the canary starts; canary and production get the digest.",
                        1_024,
                    ),
                    "minLength",
                    1,
                ),
            ),
        ],
        &["name", "image"],
    );
    let containers = keyed("The containers; at least one.", MOST, "name", open(container));
    let metadata = object(
        "metadata of the pods.",
        [("labels", with(texts("Labels of the pods.", LABELS, 63), "minProperties", 1))],
        &["labels"],
    );
    let spec = object(
        "spec of the pods: any field of v1, of which only one is listed here.",
        [("containers", with(containers, "minItems", 1))],
        &["containers"],
    );
    let properties = [("metadata", open(metadata)), ("spec", open(spec))];
    open(object("The pods of production, and of the canary.", properties, &["metadata", "spec"]))
}
