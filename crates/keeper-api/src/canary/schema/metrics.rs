//! `spec.metrics`: the checks, made of the tables that their reader uses.

use super::{Rule, flag, list, object, open, pattern, put, ruled, span, text, texts, whole, with, word};
use crate::checks::{FIELDS, Field, Form, MOST, TEMPLATE};
use serde_json::{Map, Value, json};

/// What a kind can't do without.
const REQUIRED: [(&str, &str); 5] = [
    ("latencyShare", "bound"),
    ("query", "query"),
    ("http", "provider"),
    ("job", "jobTemplate"),
    ("alerts", "matchers"),
];

/// What says the same as, or contradicts, another field, with the reason.
const EXCLUDED: [(&str, &str, &str); 8] = [
    ("provider", "port", "is for Prometheus, and port asks the pods themselves"),
    ("selector", "port", "is for Prometheus, and port asks the pods themselves"),
    ("errorSelector", "port", "is for Prometheus, and port asks the pods themselves"),
    ("codeLabel", "errorSelector", "says the same as errorSelector"),
    ("errorCodes", "errorSelector", "says the same as errorSelector"),
    ("min", "equals", "stands beside equals"),
    ("max", "equals", "stands beside equals"),
    ("max", "min", "must not be less than min"),
];

pub(super) fn schema() -> Value {
    let doc =
        "The checks that judge the canary, each of them required unless it only observes. None: alerts alone judge.";
    let mut properties = Map::new();
    let templates =
        TEMPLATE.iter().map(|field| Known { name: field.name, form: field.form, docs: vec![("", field.doc)] });
    for field in fields().into_iter().chain(templates) {
        properties.insert(field.name.to_owned(), field.schema());
    }
    let item = json!({
        "type": "object",
        "description": "A check, with a kind or a template. Which further fields it may have is up to its kind.",
        "properties": properties,
    });
    let item = ruled(item, fields().iter().filter_map(Known::rule).chain(required()).chain(excluded()).chain(either()));
    let unique = "self.all(a, !has(a.name) || self.exists_one(b, has(b.name) && b.name == a.name))";
    let alerts = "self.filter(m, has(m.kind) && m.kind == 'alerts').size() <= 1";
    ruled(
        list(doc, MOST, item),
        [
            Rule::new(unique, "each check needs a name of its own"),
            Rule::new(alerts, "only one check can be of kind alerts: an alert must fit all its matchers"),
        ],
    )
}

/// A field, and the kinds that have it with what they say of it.
struct Known {
    name: &'static str,
    form: Form,
    docs: Vec<(&'static str, &'static str)>,
}

/// Every field that a check can have, in the order of the tables.
fn fields() -> Vec<Known> {
    let mut known: Vec<Known> = vec![];
    for (kind, tables) in FIELDS {
        for Field { name, form, doc } in tables.iter().copied().flatten().copied() {
            match known.iter_mut().find(|known| known.name == name) {
                Some(known) => known.docs.push((kind, doc)),
                None => known.push(Known { name, form, docs: vec![(kind, doc)] }),
            }
        }
    }
    known
}

impl Known {
    /// One sentence where all kinds that have it say the same, else one for each.
    fn doc(&self) -> String {
        let kinds = |doc: &str| self.docs.iter().filter(|(_, d)| *d == doc).map(|(kind, _)| *kind).collect::<Vec<_>>();
        let mut said: Vec<&str> = vec![];
        for (_, doc) in &self.docs {
            if !said.contains(doc) {
                said.push(doc);
            }
        }
        if said.len() == 1 && (self.is_common() || kinds(said.concat().as_str()) == [""]) {
            return said.concat();
        }
        said.iter().map(|doc| format!("{}: {doc}", kinds(doc).join(", "))).collect::<Vec<_>>().join(" ")
    }

    fn schema(&self) -> Value {
        let doc = &self.doc();
        match self.form {
            Form::Text(longest) => text(doc, longest),
            Form::Pattern(longest, regex) => pattern(doc, longest, regex),
            Form::Word(words) => word(doc, words),
            Form::Span => span(doc),
            Form::Flag => flag(doc),
            Form::Whole(least, most) => whole(doc, least, most),
            Form::Percent => {
                let schema = json!({ "type": "number", "description": doc, "minimum": 0, "maximum": 100 });
                with(schema, "exclusiveMinimum", true)
            }
            Form::Number => json!({ "type": "number", "description": doc }),
            Form::Texts => list(doc, 32, text("One or more of them.", 1_024)),
            Form::Job => job(doc),
            Form::Map => texts(doc, 16, 256),
        }
    }

    /// Whether it says how a check is asked, whatever that is.
    fn is_common(&self) -> bool {
        self.docs.len() >= FIELDS.len() - 1
    }

    /// It belongs to its kinds alone; what is common may stand beside a template too.
    fn rule(&self) -> Option<Rule> {
        let kinds: Vec<String> = self.docs.iter().map(|(kind, _)| format!("'{kind}'")).collect();
        if kinds.len() == FIELDS.len() {
            return None;
        }
        let names: Vec<&str> = self.docs.iter().map(|(kind, _)| *kind).collect();
        let beside = if self.is_common() { "!has(self.kind) ||" } else { "has(self.kind) &&" };
        let rule = format!("!has(self.{}) || ({beside} self.kind in [{}])", self.name, kinds.join(", "));
        Some(Rule::new(rule, format!("is a field of kind {} alone", names.join(", "))).about(self.name).forbidden())
    }
}

fn required() -> impl Iterator<Item = Rule> {
    REQUIRED.into_iter().map(|(kind, field)| {
        let rule = format!("!has(self.kind) || self.kind != '{kind}' || has(self.{field})");
        Rule::new(rule, format!("a check of kind {kind} needs it")).about(field).required()
    })
}

fn excluded() -> impl Iterator<Item = Rule> {
    EXCLUDED.into_iter().map(|(field, other, why)| {
        if (field, other) == ("max", "min") {
            let rule = "!has(self.min) || !has(self.max) || self.min <= self.max";
            return Rule::new(rule, why).about(field);
        }
        let rule = format!("!has(self.{field}) || !has(self.{other})");
        Rule::new(rule, format!("{why}; remove one of the two")).about(field).forbidden()
    })
}

/// Where there is a choice.
fn either() -> [Rule; 6] {
    let of = |kind: &str, rest: &str| format!("!has(self.kind) || self.kind != '{kind}' || {rest}");
    let template = "says what is asked, and so does template; remove one of the two";
    [
        Rule::new("has(self.kind) || has(self.template)", "a check needs kind, or template").about("kind").required(),
        Rule::new("!has(self.kind) || !has(self.template)", template).about("kind").forbidden(),
        Rule::new("!has(self.with) || has(self.template)", "belongs to template").about("with").forbidden(),
        Rule::new(
            of("query", "has(self.min) || has(self.max)"),
            "a check of kind query needs min or max: which numbers are healthy",
        )
        .about("max")
        .required(),
        Rule::new(
            of("http", "has(self.min) || has(self.max) || has(self.equals)"),
            "a check of kind http needs min, max or equals: what is healthy",
        )
        .about("max")
        .required(),
        Rule::new(
            of("httpErrorRate", "!has(self.path) || has(self.port)"),
            "needs port beside it, or Prometheus is asked",
        )
        .about("port")
        .required(),
    ]
}

/// A Job's template, declared in part as the Deployment is.
fn job(doc: &str) -> Value {
    let containers = json!({
        "type": "array", "description": "The containers; at least one.", "minItems": 1, "maxItems": 32,
        "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
        "items": open(object(
            "A container: any field of v1.",
            [("name", text("Its name.", 63)), ("image", text("Its image.", 1_024))],
            &["name", "image"],
        )),
    });
    let pod = open(object("spec of the pod: any field of v1.", [("containers", containers)], &["containers"]));
    let template = open(object("The Job's pod.", [("spec", pod)], &["spec"]));
    let spec = open(object("spec of the Job: any field of batch/v1.", [("template", template)], &["template"]));
    let mut metadata = json!({ "type": "object", "description": "Labels and annotations of the Job." });
    put(&mut metadata, "x-kubernetes-preserve-unknown-fields", true.into());
    open(object(doc, [("metadata", metadata), ("spec", spec)], &["spec"]))
}
