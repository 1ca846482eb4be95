//! Definitions of custom kinds, and objects of such kinds.

use serde_json::{Value, json};

use super::super::script::{JSON_PATCH, MERGE, STRATEGIC, Script, TABLE};

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// A definition in a group of the script's own.
fn definition(versions: Value) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": "things.{ns}.example.com" },
        "spec": {
            "group": "{ns}.example.com", "scope": "Namespaced", "versions": versions,
            "names": { "plural": "things", "kind": "Thing", "shortNames": ["th"], "categories": ["all"] },
        },
    })
}

fn version(schema: Value) -> Value {
    json!({ "name": "v1", "served": true, "storage": true, "schema": { "openAPIV3Schema": schema }, "subresources": { "status": {} } })
}

fn path(rest: &str) -> String {
    format!("/apis/{{ns}}.example.com/v1/namespaces/{{ns}}/{rest}")
}

fn own_definition() -> String {
    format!("{DEFINITIONS}/things.{{ns}}.example.com")
}

fn thing(name: &str, spec: Value) -> Value {
    json!({ "apiVersion": "{ns}.example.com/v1", "kind": "Thing", "metadata": { "name": name }, "spec": spec })
}

/// Defines things with this schema of `spec` and waits for them.
fn started(name: &str, spec: Value) -> Script {
    let status = json!({ "type": "object", "properties": { "count": { "type": "integer", "minimum": 0 }, "note": { "type": "string" } } });
    let schema = json!({ "type": "object", "properties": { "spec": spec, "status": status } });
    let mut script = Script::new(name);
    script.post(DEFINITIONS, definition(json!([version(schema)])));
    script.get(path("things")).until(200);
    script
}

fn ended(mut script: Script) -> Script {
    script.delete(own_definition(), json!(null));
    script.get(own_definition()).until(404);
    script
}

/// One fault at a time: the real server finds those of different fields in no order.
pub(crate) fn faults() -> Script {
    let text = || json!({ "type": "string" });
    let spec = json!({ "type": "object", "required": ["needed"], "properties": {
        "needed": { "type": "integer" },
        "text": { "type": "string", "minLength": 2, "maxLength": 5 },
        "pattern": { "type": "string", "pattern": "^a+$" },
        "choice": { "type": "string", "enum": ["one", "two"] },
        "numbers": { "type": "integer", "enum": [1, 2] },
        "low": { "type": "integer", "minimum": 1, "maximum": 10 },
        "open": { "type": "number", "minimum": 0, "maximum": 1, "exclusiveMinimum": true, "exclusiveMaximum": true },
        "fives": { "type": "integer", "multipleOf": 5 },
        "small": { "type": "integer", "format": "int32" },
        "flag": { "type": "boolean" },
        "list": { "type": "array", "minItems": 1, "maxItems": 2, "items": { "type": "object", "required": ["name"], "properties": { "name": text() } } },
        "map": { "type": "object", "minProperties": 1, "maxProperties": 2, "additionalProperties": { "type": "integer" } },
        "nullable": { "type": "string", "nullable": true },
        "either": { "x-kubernetes-int-or-string": true },
        "when": { "type": "string", "format": "date-time" },
        "address": { "type": "string", "format": "ipv4" },
        "strange": { "type": "string", "format": "no-such-format" },
        "one": { "type": "object", "properties": { "a": text(), "b": text() }, "oneOf": [{ "required": ["a"] }, { "required": ["b"] }] },
        "any": { "type": "object", "properties": { "a": text(), "b": { "type": "integer" } }, "anyOf": [{ "required": ["a"] }, { "required": ["b"], "properties": { "b": { "minimum": 5 } } }] },
        "all": { "type": "object", "properties": { "a": text(), "b": text() }, "allOf": [{ "required": ["a"] }, { "required": ["b"] }] },
        "not": { "type": "object", "properties": { "a": text() }, "not": { "required": ["a"] } },
        "inner": { "type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true },
        "set": { "type": "array", "x-kubernetes-list-type": "set", "items": { "type": "string" } },
        "byName": { "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"], "items": { "type": "object", "required": ["name"], "properties": { "name": text(), "value": text() } } },
    } });
    let mut script = started("custom-faults", spec);
    script.post(path("things?dryRun=All"), thing("none", json!(null)));
    script.post(path("things?dryRun=All"), thing("none", json!({})));
    script.post(path("things?dryRun=All"), thing("none", json!("text")));
    script.post(path("things?dryRun=All"), thing("none", json!([])));
    for fault in [
        json!({ "needed": "text" }),
        json!({ "needed": 1.5 }),
        json!({ "needed": true }),
        json!({ "needed": null }),
        json!({ "text": "x" }),
        json!({ "text": "éé" }),
        json!({ "text": "longer" }),
        json!({ "text": 1 }),
        json!({ "text": {} }),
        json!({ "pattern": "b" }),
        json!({ "pattern": "aaa" }),
        json!({ "choice": "three" }),
        json!({ "choice": 1 }),
        json!({ "numbers": 2 }),
        json!({ "numbers": 3 }),
        json!({ "low": 0 }),
        json!({ "low": 11 }),
        json!({ "low": 10 }),
        json!({ "open": 0 }),
        json!({ "open": 1 }),
        json!({ "open": 1.5 }),
        json!({ "open": 0.5 }),
        json!({ "fives": 7 }),
        json!({ "fives": 10 }),
        json!({ "small": 3_000_000_000_i64 }),
        json!({ "flag": "true" }),
        json!({ "list": [] }),
        json!({ "list": [{ "name": "a" }, { "name": "b" }, { "name": "c" }] }),
        json!({ "list": [{}] }),
        json!({ "list": [{ "name": 1 }] }),
        json!({ "list": ["text"] }),
        json!({ "list": {} }),
        json!({ "map": {} }),
        json!({ "map": { "a": 1, "b": 2, "c": 3 } }),
        json!({ "map": { "a": "text" } }),
        json!({ "nullable": null }),
        json!({ "nullable": 1 }),
        json!({ "either": "50%" }),
        json!({ "either": 5 }),
        json!({ "either": true }),
        json!({ "either": 1.5 }),
        json!({ "when": "2001-01-01T00:00:00Z" }),
        json!({ "when": "yesterday" }),
        json!({ "address": "10.0.0.1" }),
        json!({ "address": "10.0.0" }),
        json!({ "strange": "anything" }),
        json!({ "one": { "a": "1" } }),
        json!({ "one": {} }),
        json!({ "one": { "a": "1", "b": "2" } }),
        json!({ "any": { "a": "1" } }),
        json!({ "any": {} }),
        json!({ "any": { "b": 1 } }),
        json!({ "all": { "a": "1", "b": "2" } }),
        json!({ "all": { "a": "1" } }),
        json!({ "all": {} }),
        json!({ "not": {} }),
        json!({ "not": { "a": "1" } }),
        json!({ "inner": { "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "p" }, "spec": { "any": [1] } } }),
        json!({ "inner": { "apiVersion": "v1" } }),
        json!({ "inner": { "kind": "", "apiVersion": "v1" } }),
        json!({ "inner": { "kind": "Pod", "apiVersion": "v1", "metadata": { "labels": { "not a key": "" } } } }),
        json!({ "set": ["a", "b"] }),
        json!({ "set": ["a", "b", "a", "a"] }),
        json!({ "byName": [{ "name": "a" }, { "name": "b" }] }),
        json!({ "byName": [{ "name": "a" }, { "name": "a", "value": "v" }] }),
        json!({ "unknown": 1, "list": [{ "name": "a", "other": 2 }] }),
    ] {
        let mut spec = json!({ "needed": 1 });
        spec.as_object_mut().unwrap().extend(fault.as_object().cloned().unwrap());
        script.post(path("things?dryRun=All"), thing("t", spec));
    }
    script.post(
        path("things?dryRun=All&fieldValidation=Strict"),
        thing("t", json!({ "needed": 1, "b": 1, "a": { "c": 1 } })),
    );
    script.post(path("things?dryRun=All&fieldValidation=Warn"), thing("t", json!({ "needed": 1, "b": 1 })));
    script.post(path("things?dryRun=All"), thing("Not A Name", json!({ "needed": 1 })));
    ended(script)
}

/// Rules in CEL, which hold here: what else is said when the schema has a fault already.
pub(crate) fn rules() -> Script {
    let spec = json!({ "type": "object", "required": ["a"], "properties": {
        "a": { "type": "integer", "maximum": 5, "x-kubernetes-validations": [{ "rule": "self >= 0" }] },
        "b": { "type": "string", "maxLength": 3, "pattern": "^x" },
        "c": { "type": "string", "enum": ["one"] },
    }, "x-kubernetes-validations": [{ "rule": "!has(self.b) || self.a > 0", "message": "b wants a" }] });
    let mut script = started("custom-rules", spec);
    for spec in [
        json!({ "a": 1, "b": "x" }),
        json!({}),
        json!({ "a": "text" }),
        json!({ "a": 6 }),
        json!({ "a": 1, "b": "xxxx" }),
        json!({ "a": 1, "b": "y" }),
        json!({ "a": 1, "c": "two" }),
    ] {
        script.post(path("things?dryRun=All"), thing("t", spec));
    }
    script.post(path("things"), thing("t", json!({ "a": 1 })));
    script.patch(path("things/t"), MERGE, json!({ "spec": { "c": "two" } }));
    script.patch(path("things/t/status"), MERGE, json!({ "status": { "count": "text" } }));
    script.patch(path("things/t/status"), MERGE, json!({ "status": { "count": -1 } }));
    script.patch(path("things/t/status"), MERGE, json!({ "status": { "count": 1 } }));
    ended(script)
}

/// Pruning, defaults and nulls.
pub(crate) fn conforming() -> Script {
    let spec = json!({ "type": "object", "default": {}, "properties": {
        "size": { "type": "integer", "default": 3 },
        "mode": { "type": "string", "nullable": true, "default": "auto" },
        "part": { "type": "object", "properties": { "on": { "type": "boolean", "default": true } } },
        "filled": { "type": "object", "default": { "on": false }, "properties": { "on": { "type": "boolean", "default": true }, "other": { "type": "string", "default": "o" } } },
        "items": { "type": "array", "items": { "type": "object", "properties": { "port": { "type": "integer", "default": 80 }, "name": { "type": "string" } } } },
        "map": { "type": "object", "additionalProperties": { "type": "object", "properties": { "weight": { "type": "integer", "default": 1 } } } },
        "anything": { "type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": { "strict": { "type": "object", "properties": { "known": { "type": "string" } } } } },
        "inner": { "type": "object", "x-kubernetes-embedded-resource": true, "properties": { "spec": { "type": "object", "properties": { "a": { "type": "string" } } } } },
    } });
    let mut script = started("custom-conforming", spec);
    let mut bare = thing("bare", json!(null));
    bare.as_object_mut().unwrap().remove("spec");
    script.post(path("things?dryRun=All"), bare);
    for spec in [
        json!(null),
        json!({}),
        json!({ "size": null, "mode": null }),
        json!({ "size": 5, "unknown": 1, "part": { "unknown": { "deep": [1] } } }),
        json!({ "part": null, "filled": null }),
        json!({ "part": {}, "filled": {} }),
        json!({ "items": [{}, { "name": "x", "unknown": true }, { "port": null }] }),
        json!({ "map": { "a": {}, "b": { "weight": 5, "unknown": 1 }, "c": null } }),
        json!({ "anything": { "x": { "y": [null, 1] }, "n": null, "strict": { "known": "k", "unknown": "u" } } }),
        json!({ "inner": { "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "p" }, "spec": { "a": "1", "b": "2" }, "other": 1 } }),
        json!({ "size": 4.0 }),
    ] {
        script.post(path("things?dryRun=All"), thing("t", spec));
    }
    let mut with_more = thing("t", json!({ "size": 1 }));
    with_more["status"] = json!({ "count": 1 });
    with_more["other"] = json!(1);
    script.post(path("things"), with_more);
    script.get(path("things/t"));
    script.get(path("things"));
    ended(script)
}

/// The life of an object: writes of every kind, its status, its versions.
pub(crate) fn objects() -> Script {
    let spec = json!({ "type": "object", "properties": {
        "size": { "type": "integer", "default": 3, "maximum": 9 }, "name": { "type": "string" }, "old": { "type": "string", "maxLength": 3 },
    } });
    let mut script = started("custom-objects", spec);
    script.post(path("things"), thing("t", json!({ "size": 1, "name": "n" }))).save("t");
    script.post(path("things"), thing("t", json!({})));
    script.get(path("things/t"));
    script.get(path("things")).accept(TABLE);
    script.patch(path("things/t"), MERGE, json!({ "spec": { "size": 2 } }));
    script.patch(path("things/t"), MERGE, json!({ "spec": { "size": 2 } }));
    script.patch(path("things/t"), MERGE, json!({ "spec": { "size": null, "unknown": 1 } }));
    script.patch(path("things/t"), MERGE, json!({ "spec": { "size": "text" } }));
    script.patch(path("things/t"), MERGE, json!({ "spec": { "size": 10 } }));
    script.patch(path("things/t"), MERGE, json!({ "spec": null }));
    script.patch(path("things/t"), MERGE, json!({ "metadata": { "labels": { "a": "b" } }, "status": { "count": 5 } }));
    script.patch(path("things/t"), JSON_PATCH, json!([{ "op": "add", "path": "/spec", "value": { "name": "m" } }]));
    script.patch(path("things/t"), JSON_PATCH, json!([{ "op": "test", "path": "/spec/name", "value": "x" }]));
    script.patch(path("things/t"), STRATEGIC, json!({ "spec": { "size": 4 } }));
    script.patch(
        path("things/t/status"),
        MERGE,
        json!({ "status": { "count": 1, "unknown": 2 }, "spec": { "size": 8 } }),
    );
    script.patch(path("things/t/status"), MERGE, json!({ "status": { "count": "text" } }));
    script.patch(path("things/t/status"), MERGE, json!({ "status": { "count": -1 } }));
    script.patch(
        path("things/t/status"),
        MERGE,
        json!({ "metadata": { "labels": { "x": "y" }, "annotations": { "x": "y" } } }),
    );
    script.get(path("things/t/status"));
    script.get(path("things/t/scale"));
    let mut stale = thing("t", json!({ "size": 5 }));
    script.put(path("things/t"), stale.clone());
    stale["metadata"]["resourceVersion"] = json!("${t:/metadata/resourceVersion}");
    script.put(path("things/t"), stale);
    script.get(path("things/t")).save("now");
    let mut fresh = thing("t", json!({ "size": 6 }));
    fresh["metadata"]["resourceVersion"] = json!("${now:/metadata/resourceVersion}");
    script.put(path("things/t"), fresh);
    script.get(path("things/t")).save("now");
    let mut status = thing("t", json!({ "size": 7 }));
    status["metadata"]["resourceVersion"] = json!("${now:/metadata/resourceVersion}");
    status["status"] = json!({ "count": 3 });
    script.put(path("things/t/status"), status);
    let mut wrong = thing("t", json!({}));
    wrong["kind"] = json!("Other");
    script.post(path("things"), wrong);
    let mut wrong = thing("t", json!({}));
    wrong["apiVersion"] = json!("{ns}.example.com/v2");
    script.post(path("things"), wrong);
    script.get(path("things/none"));
    script.get("/apis/{ns}.example.com/v1/things");
    script.get("/apis/{ns}.example.com/v2/things");
    script.delete(path("things/t"), json!({ "preconditions": { "uid": "00000000-0000-4000-8000-000000000000" } }));
    script.delete(path("things/t"), json!(null));
    script.delete(path("things/t"), json!(null));
    ended(script)
}

/// What was stored under an older definition: its faults are passed over as long as they are not touched.
pub(crate) fn ratcheting() -> Script {
    let spec = json!({ "type": "object", "properties": {
        "a": { "type": "string" }, "b": { "type": "integer" }, "list": { "type": "array", "items": { "type": "integer" } },
    } });
    let mut script = started("custom-ratcheting", spec);
    script.post(path("things"), thing("t", json!({ "a": "long", "b": 1, "list": [1, 2, 3] })));
    let spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec";
    script.patch(
        own_definition(),
        JSON_PATCH,
        json!([
            { "op": "add", "path": format!("{spec}/properties/a/maxLength"), "value": 2 },
            { "op": "add", "path": format!("{spec}/properties/list/maxItems"), "value": 2 },
            { "op": "add", "path": format!("{spec}/properties/c"), "value": { "type": "string", "default": "new" } },
        ]),
    );
    // The new definition is in force when its default shows.
    script.patch(path("things/t?dryRun=All"), MERGE, json!({ "spec": { "a": "toolong" } })).until(422);
    script.get(path("things/t"));
    script.patch(path("things/t?dryRun=All"), MERGE, json!({ "spec": { "b": 2 } }));
    script.patch(path("things/t?dryRun=All"), MERGE, json!({ "spec": { "list": [1, 2, 4] } }));
    script.patch(path("things/t?dryRun=All"), MERGE, json!({ "spec": { "a": "ok" } }));
    script.patch(path("things/t"), MERGE, json!({ "metadata": { "labels": { "a": "b" } } }));
    ended(script)
}

/// Two versions of the same objects, columns and the scale subresource.
pub(crate) fn versions() -> Script {
    let schema = |more: &str| {
        json!({ "openAPIV3Schema": { "type": "object", "properties": {
            "spec": { "type": "object", "properties": { "replicas": { "type": "integer" }, "both": { "type": "string" }, more: { "type": "string" } } },
            "status": { "type": "object", "properties": { "replicas": { "type": "integer" }, "selector": { "type": "string" },
                "conditions": { "type": "array", "items": { "type": "object", "properties": { "type": { "type": "string" }, "status": { "type": "string" } } } } } },
        } } })
    };
    let columns = json!([
        { "name": "Replicas", "type": "integer", "jsonPath": ".spec.replicas" },
        { "name": "Both", "type": "string", "jsonPath": ".spec.both", "description": "In both versions." },
        { "name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status", "priority": 1 },
        { "name": "Spec", "type": "string", "jsonPath": ".spec" },
        { "name": "Wrong", "type": "integer", "jsonPath": ".spec.both" },
        { "name": "Since", "type": "date", "jsonPath": ".metadata.creationTimestamp" },
    ]);
    let scale = json!({ "status": {}, "scale": { "specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas", "labelSelectorPath": ".status.selector" } });
    let mut script = Script::new("custom-versions");
    script.post(DEFINITIONS, definition(json!([
        { "name": "v1", "served": true, "storage": true, "schema": schema("one"), "subresources": scale, "additionalPrinterColumns": columns },
        { "name": "v2beta1", "served": true, "storage": false, "schema": schema("two") },
    ])));
    script.get(path("things")).until(200);
    let second = |rest: &str| path(rest).replace("/v1/", "/v2beta1/");
    script.post(path("things"), thing("t", json!({ "replicas": 2, "both": "b", "one": "1", "two": "2" })));
    script.get(second("things/t")).until(200);
    script.get(second("things"));
    let mut other = thing("u", json!({ "both": "b", "one": "1", "two": "2" }));
    other["apiVersion"] = json!("{ns}.example.com/v2beta1");
    script.post(second("things"), other.clone());
    script.get(path("things/u"));
    script.post(path("things"), other);
    script.get(path("things")).accept(TABLE);
    script.get(path("things/t")).accept(TABLE);
    script.get(second("things")).accept(TABLE);
    script.patch(path("things/t/status"), MERGE, json!({ "status": { "replicas": 1, "selector": "a=b", "conditions": [{ "type": "Ready", "status": "True" }] } }));
    script.get(path("things/t")).accept(TABLE);
    script.get(path("things/t/scale"));
    script.patch(path("things/t/scale"), MERGE, json!({ "spec": { "replicas": 5 } }));
    script.patch(path("things/t/scale"), MERGE, json!({ "spec": { "replicas": -1 } }));
    script.get(path("things/u/scale"));
    script.get(second("things/t/scale"));
    script.patch(path("things/t"), MERGE, json!({ "spec": { "replicas": -1 } }));
    script.get(path("things/t"));
    script.get("/apis/{ns}.example.com").until(200);
    script.get("/apis/{ns}.example.com/v1");
    script.get("/apis/{ns}.example.com/v2beta1");
    ended(script)
}

/// Definitions that are refused, one fault each, and changes of one that is there.
pub(crate) fn definitions() -> Script {
    let mut script = Script::new("custom-definitions");
    let open = || json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    let dry = format!("{DEFINITIONS}?dryRun=All");
    let good = || definition(json!([version(open())]));
    script.post(&*dry, good());
    for (pointer, value) in [
        ("/metadata/name", json!("other.{ns}.example.com")),
        ("/spec/group", json!("")),
        ("/spec/group", json!("nodots")),
        ("/spec/scope", json!("Nonsense")),
        ("/spec/scope", json!("")),
        ("/spec/names/kind", json!("")),
        ("/spec/names/kind", json!("not a kind")),
        ("/spec/names/shortNames", json!(["Not"])),
        ("/spec/names/categories", json!(["Not"])),
        ("/spec/names/listKind", json!("Thing")),
        ("/spec/versions", json!([])),
        ("/spec/versions/0/name", json!("Not")),
        ("/spec/versions/0/storage", json!(false)),
        ("/spec/versions/0/schema", json!(null)),
        ("/spec/versions/0/schema", json!({})),
        ("/spec/versions/0/schema/openAPIV3Schema", json!("text")),
        ("/spec/versions/0/subresources", json!({ "scale": {} })),
        (
            "/spec/versions/0/subresources",
            json!({ "scale": { "specReplicasPath": "spec.replicas", "statusReplicasPath": ".spec.replicas" } }),
        ),
    ] {
        let mut body = good();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        body.pointer_mut(parent).unwrap()[key] = value;
        script.post(&*dry, body);
    }
    for columns in [
        json!([{ "type": "string", "jsonPath": ".spec.a" }]),
        json!([{ "name": "A", "jsonPath": ".spec.a" }]),
        json!([{ "name": "A", "type": "nonsense", "jsonPath": ".spec.a" }]),
        json!([{ "name": "A", "type": "string" }]),
        json!([{ "name": "A", "type": "string", "jsonPath": "spec.a" }]),
    ] {
        let mut body = good();
        body["spec"]["versions"][0]["additionalPrinterColumns"] = columns;
        script.post(&*dry, body);
    }
    for spec in [
        json!({}),
        json!({ "description": "no type" }),
        json!({ "type": "nonsense" }),
        json!({ "type": "array" }),
        json!({ "type": "array", "items": {} }),
        json!({ "type": "object", "properties": { "a": {} } }),
        json!({ "type": "object", "additionalProperties": { "type": "string" }, "properties": { "a": { "type": "string" } } }),
        json!({ "type": "array", "uniqueItems": true, "items": { "type": "string" } }),
        json!({ "type": "object", "anyOf": [{ "type": "object" }] }),
        json!({ "type": "object", "oneOf": [{ "required": ["a"], "properties": { "a": { "minimum": 1 } } }] }),
        json!({ "type": "object", "not": { "properties": { "a": { "description": "no" } } }, "properties": { "a": { "type": "string" } } }),
        json!({ "type": "string", "default": 5 }),
        json!({ "type": "object", "default": { "unknown": 1 } }),
        json!({ "type": "integer", "default": 5, "maximum": 3 }),
        json!({ "type": "string", "x-kubernetes-embedded-resource": true }),
        json!({ "type": "object", "x-kubernetes-embedded-resource": true }),
        json!({ "x-kubernetes-int-or-string": true, "anyOf": [{ "type": "integer" }, { "type": "string" }] }),
        json!({ "type": "string", "x-kubernetes-int-or-string": true }),
        json!({ "type": "object", "$ref": "#/definitions/x" }),
        json!({ "type": "object", "x-kubernetes-validations": [{ "rule": "has(self.a)", "message": "a is needed" }], "properties": { "a": { "type": "string" } } }),
    ] {
        let schema = json!({ "type": "object", "properties": { "spec": spec } });
        script.post(&*dry, definition(json!([version(schema)])));
    }
    for root in [
        json!({}),
        json!({ "type": "string" }),
        json!({ "type": "object", "properties": { "metadata": { "type": "object", "properties": { "labels": { "type": "object" } } } } }),
    ] {
        script.post(&*dry, definition(json!([version(root)])));
    }
    script.post(DEFINITIONS, good());
    script.get(path("things")).until(200);
    script.get(own_definition());
    for change in [
        json!({ "spec": { "scope": "Cluster" } }),
        json!({ "spec": { "names": { "kind": "Other" } } }),
        json!({ "spec": { "group": "other.example.com" } }),
        json!({ "spec": { "names": { "plural": "others" } } }),
        json!({ "spec": { "versions": [{ "name": "v2", "served": true, "storage": true, "schema": { "openAPIV3Schema": { "type": "object" } } }] } }),
        json!({ "metadata": { "labels": { "a": "b" } } }),
    ] {
        script.patch(format!("{}?dryRun=All", own_definition()), MERGE, change);
    }
    let two = json!({ "spec": { "versions": [
        { "name": "v1", "served": true, "storage": false, "schema": { "openAPIV3Schema": open() } },
        { "name": "v2", "served": true, "storage": true, "schema": { "openAPIV3Schema": open() } },
    ] } });
    script.patch(own_definition(), MERGE, two);
    ended(script)
}

/// A definition goes with its objects, and waits for those that have finalizers.
pub(crate) fn removal() -> Script {
    let mut script =
        started("custom-removal", json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true }));
    script.post(path("things"), thing("a", json!({})));
    let mut held = thing("b", json!({}));
    held["metadata"]["finalizers"] = json!(["example.com/f"]);
    script.post(path("things"), held);
    script.delete(format!("{}?dryRun=All", own_definition()), json!(null));
    script.delete(own_definition(), json!(null));
    script.get(path("things/a")).until(404);
    script.get(path("things/b"));
    script.post(path("things"), thing("c", json!({})));
    script.patch(path("things/b"), MERGE, json!({ "metadata": { "finalizers": null } }));
    script.get(own_definition()).until(404);
    script.get(path("things")).until(404);
    script
}
