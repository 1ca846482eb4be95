//! Reading the Kubernetes protobuf form of the kinds that `kubectl create` and `kubectl drain` send in it.
//!
//! Since 1.32 typed Go clients send built-in kinds as protobuf and don't fall back. Only reading is needed: they take
//! JSON as an answer. The tables below know the fields that `kubectl` can fill in; a message with any other field is
//! refused as a whole, so that nothing is ever lost in silence.

use serde_json::{Map, Value, json};

/// What a field holds.
#[derive(Clone, Copy)]
enum Type {
    Text,
    Int,
    Bool,
    /// Bytes, in base64 in JSON.
    Bytes,
    /// A message with these fields.
    Message(&'static [Field]),
    /// A text, repeated.
    Texts,
    /// Messages, repeated.
    List(&'static [Field]),
    /// A map from text to text.
    TextMap,
    /// A map from text to bytes.
    BytesMap,
    /// A map from text to quantities.
    Quantities,
    /// A number or a text.
    IntOrString,
    /// Seconds and nanoseconds.
    Time,
    /// Empty messages and fields without a JSON form.
    Ignored,
    /// The fields of this message stand in the JSON of the one around it.
    Inline(&'static [Field]),
}

type Field = (u64, &'static str, Type);

use Type::{
    Bool, Bytes, BytesMap, Ignored, Inline, Int, IntOrString, List, Message, Quantities, Text, TextMap, Texts, Time,
};

const OWNER: &[Field] = &[
    (1, "kind", Text),
    (3, "name", Text),
    (4, "uid", Text),
    (5, "apiVersion", Text),
    (6, "controller", Bool),
    (7, "blockOwnerDeletion", Bool),
];
const META: &[Field] = &[
    (1, "name", Text),
    (2, "generateName", Text),
    (3, "namespace", Text),
    (4, "selfLink", Ignored),
    (5, "uid", Text),
    (6, "resourceVersion", Text),
    // Nobody but the server sets it, and Go writes its zero, which would differ from nothing in a template.
    (7, "generation", Ignored),
    (8, "creationTimestamp", Time),
    (9, "deletionTimestamp", Time),
    (10, "deletionGracePeriodSeconds", Int),
    (11, "labels", TextMap),
    (12, "annotations", TextMap),
    (13, "ownerReferences", List(OWNER)),
    (14, "finalizers", Texts),
    (17, "managedFields", Ignored),
];
const REQUIREMENT: &[Field] = &[(1, "key", Text), (2, "operator", Text), (3, "values", Texts)];
const SELECTOR: &[Field] = &[(1, "matchLabels", TextMap), (2, "matchExpressions", List(REQUIREMENT))];
const PORT: &[Field] =
    &[(1, "name", Text), (2, "hostPort", Int), (3, "containerPort", Int), (4, "protocol", Text), (5, "hostIP", Text)];
const ENV: &[Field] = &[(1, "name", Text), (2, "value", Text)];
const RESOURCES: &[Field] = &[(1, "limits", Quantities), (2, "requests", Quantities)];
const CONTAINER: &[Field] = &[
    (1, "name", Text),
    (2, "image", Text),
    (3, "command", Texts),
    (4, "args", Texts),
    (5, "workingDir", Text),
    (6, "ports", List(PORT)),
    (7, "env", List(ENV)),
    (8, "resources", Message(RESOURCES)),
    (13, "terminationMessagePath", Text),
    (14, "imagePullPolicy", Text),
    (16, "stdin", Bool),
    (17, "stdinOnce", Bool),
    (18, "tty", Bool),
    (20, "terminationMessagePolicy", Text),
];
const POD_SPEC: &[Field] = &[
    (2, "containers", List(CONTAINER)),
    (3, "restartPolicy", Text),
    (4, "terminationGracePeriodSeconds", Int),
    (5, "activeDeadlineSeconds", Int),
    (6, "dnsPolicy", Text),
    (7, "nodeSelector", TextMap),
    (8, "serviceAccountName", Text),
    (9, "serviceAccount", Text),
    (10, "nodeName", Text),
    (11, "hostNetwork", Bool),
    (12, "hostPID", Bool),
    (13, "hostIPC", Bool),
    (14, "securityContext", Ignored),
    (16, "hostname", Text),
    (17, "subdomain", Text),
    (19, "schedulerName", Text),
    (20, "initContainers", List(CONTAINER)),
    (24, "priorityClassName", Text),
];
const TEMPLATE: &[Field] = &[(1, "metadata", Message(META)), (2, "spec", Message(POD_SPEC))];
const ROLLING: &[Field] = &[(1, "maxUnavailable", IntOrString), (2, "maxSurge", IntOrString)];
const STRATEGY: &[Field] = &[(1, "type", Text), (2, "rollingUpdate", Message(ROLLING))];
const DEPLOYMENT: &[Field] = &[
    (1, "replicas", Int),
    (2, "selector", Message(SELECTOR)),
    (3, "template", Message(TEMPLATE)),
    (4, "strategy", Message(STRATEGY)),
    (5, "minReadySeconds", Int),
    (6, "revisionHistoryLimit", Int),
    (7, "paused", Bool),
    (9, "progressDeadlineSeconds", Int),
];
const JOB: &[Field] = &[
    (1, "parallelism", Int),
    (2, "completions", Int),
    (3, "activeDeadlineSeconds", Int),
    (4, "selector", Message(SELECTOR)),
    (5, "manualSelector", Bool),
    (6, "template", Message(TEMPLATE)),
    (7, "backoffLimit", Int),
    (8, "ttlSecondsAfterFinished", Int),
];
const SERVICE_PORT: &[Field] = &[
    (1, "name", Text),
    (2, "protocol", Text),
    (3, "port", Int),
    (4, "targetPort", IntOrString),
    (5, "nodePort", Int),
    (6, "appProtocol", Text),
];
const SERVICE: &[Field] = &[
    (1, "ports", List(SERVICE_PORT)),
    (2, "selector", TextMap),
    (3, "clusterIP", Text),
    (4, "type", Text),
    (5, "externalIPs", Texts),
    (7, "sessionAffinity", Text),
    (8, "loadBalancerIP", Text),
    (10, "externalName", Text),
    (11, "externalTrafficPolicy", Text),
    (12, "healthCheckNodePort", Int),
    (13, "publishNotReadyAddresses", Bool),
    (17, "ipFamilyPolicy", Text),
    (18, "clusterIPs", Texts),
    (19, "ipFamilies", Texts),
];
const BUDGET: &[Field] =
    &[(1, "minAvailable", IntOrString), (2, "selector", Message(SELECTOR)), (3, "maxUnavailable", IntOrString)];
const PRECONDITIONS: &[Field] = &[(1, "uid", Text), (2, "resourceVersion", Text)];
const DELETE_OPTIONS: &[Field] = &[
    (1, "gracePeriodSeconds", Int),
    (2, "preconditions", Message(PRECONDITIONS)),
    (3, "orphanDependents", Bool),
    (4, "propagationPolicy", Text),
    (5, "dryRun", Texts),
];
const NAMED: &[Field] = &[(1, "name", Text)];
const REFERENCE: &[Field] = &[
    (1, "kind", Text),
    (2, "namespace", Text),
    (3, "name", Text),
    (4, "uid", Text),
    (5, "apiVersion", Text),
    (6, "resourceVersion", Text),
    (7, "fieldPath", Text),
];

/// The fields of a whole object.
fn fields(api_version: &str, kind: &str) -> Option<&'static [Field]> {
    const META_FIELD: Field = (1, "metadata", Message(META));
    const STATUS: Field = (3, "status", Ignored);
    Some(match (api_version, kind) {
        ("v1", "Namespace") => &[META_FIELD, (2, "spec", Ignored), STATUS],
        ("v1", "ConfigMap") => &[META_FIELD, (2, "data", TextMap), (3, "binaryData", BytesMap), (4, "immutable", Bool)],
        ("v1", "Secret") => {
            &[META_FIELD, (2, "data", BytesMap), (3, "type", Text), (4, "stringData", TextMap), (5, "immutable", Bool)]
        }
        ("v1", "ServiceAccount") => &[
            META_FIELD,
            (2, "secrets", List(REFERENCE)),
            (3, "imagePullSecrets", List(NAMED)),
            (4, "automountServiceAccountToken", Bool),
        ],
        ("v1", "Service") => &[META_FIELD, (2, "spec", Message(SERVICE)), STATUS],
        ("v1", "Pod") => &[META_FIELD, (2, "spec", Message(POD_SPEC)), STATUS],
        ("apps/v1", "Deployment") => &[META_FIELD, (2, "spec", Message(DEPLOYMENT)), STATUS],
        ("batch/v1", "Job") => &[META_FIELD, (2, "spec", Message(JOB)), STATUS],
        ("policy/v1", "PodDisruptionBudget") => &[META_FIELD, (2, "spec", Message(BUDGET)), STATUS],
        ("policy/v1", "Eviction") => &[META_FIELD, (2, "deleteOptions", Message(DELETE_OPTIONS))],
        (_, "DeleteOptions") => &[(0, "", Inline(DELETE_OPTIONS))],
        _ => return None,
    })
}

/// Reads the envelope and the object in it.
///
/// # Errors
/// Says in words for the client what can't be read, with the way out: the same as JSON.
pub(crate) fn read(body: &[u8]) -> Result<Value, String> {
    let envelope = body.strip_prefix(PREFIX).ok_or("the body does not start like Kubernetes protobuf")?;
    const TYPE: &[Field] = &[(1, "apiVersion", Text), (2, "kind", Text)];
    let mut kind = Value::Null;
    let mut raw: &[u8] = &[];
    for part in parts(envelope) {
        match part? {
            (1, Wire::Bytes(bytes)) => kind = Value::Object(message(TYPE, bytes, 0)?),
            (2, Wire::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let text = |field: &str| kind.get(field).and_then(Value::as_str).unwrap_or_default();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    let table = fields(api_version, kind)
        .ok_or_else(|| format!("{api_version} {kind} is not read as protobuf here: send it as JSON"))?;
    let table = match table {
        [(_, _, Inline(fields))] => fields,
        table => table,
    };
    let mut object = message(table, raw, 0)?;
    object.insert("apiVersion".into(), json!(api_version));
    object.insert("kind".into(), json!(kind));
    Ok(Value::Object(object))
}

/// A value as it stands on the wire.
enum Wire<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// What a Kubernetes protobuf message begins with.
pub(crate) const PREFIX: &[u8] = b"k8s\0";
/// What [`read`] says of a message that ends too early, as the real server does.
pub(crate) const CUT: &str = "unexpected EOF";
/// Messages nest no deeper than this in the kinds above.
const MAX_DEPTH: usize = 16;

/// The fields of a message in order of appearance.
fn parts(mut rest: &[u8]) -> impl Iterator<Item = Result<(u64, Wire<'_>), String>> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let part = part(&mut rest);
        if part.is_err() {
            rest = &[];
        }
        Some(part)
    })
}

fn part<'a>(rest: &mut &'a [u8]) -> Result<(u64, Wire<'a>), String> {
    let tag = varint(rest)?;
    let value = match tag & 7 {
        0 => Wire::Number(varint(rest)?),
        2 => {
            let length = usize::try_from(varint(rest)?).map_err(|_| CUT)?;
            let (bytes, after) = rest.split_at_checked(length).ok_or(CUT)?;
            *rest = after;
            Wire::Bytes(bytes)
        }
        other => return Err(format!("protobuf wire type {other} does not occur in Kubernetes objects")),
    };
    Ok((tag >> 3, value))
}

fn varint(rest: &mut &[u8]) -> Result<u64, String> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first().ok_or(CUT)?;
        *rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err("a protobuf number is too long".into())
}

fn message(fields: &[Field], bytes: &[u8], depth: usize) -> Result<Map<String, Value>, String> {
    if depth > MAX_DEPTH {
        return Err("the protobuf message is nested too deeply".into());
    }
    let mut object = Map::new();
    for part in parts(bytes) {
        let (number, wire) = part?;
        let (_, name, kind) = fields
            .iter()
            .find(|(n, _, _)| *n == number)
            .ok_or_else(|| format!("protobuf field {number} is not known here: send the object as JSON"))?;
        value(&mut object, name, *kind, &wire, depth)?;
    }
    Ok(object)
}

fn value(object: &mut Map<String, Value>, name: &str, kind: Type, wire: &Wire<'_>, depth: usize) -> Result<(), String> {
    let wrong = || format!("protobuf field {name} has the wrong type");
    let utf8 = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(|_| wrong());
    let found = match (kind, wire) {
        (Ignored, _) | (Inline(_), _) => return Ok(()),
        (Text, Wire::Bytes(bytes)) => {
            // Go writes empty texts too, where JSON leaves them out.
            if bytes.is_empty() {
                return Ok(());
            }
            json!(utf8(bytes)?)
        }
        (Int, Wire::Number(n)) => json!(n.cast_signed()),
        (Bool, Wire::Number(n)) => json!(*n != 0),
        (Bytes, Wire::Bytes(bytes)) => json!(base64(bytes)),
        (Message(fields), Wire::Bytes(bytes)) => Value::Object(message(fields, bytes, depth + 1)?),
        (IntOrString, Wire::Bytes(bytes)) => int_or_string(bytes)?,
        (Time, Wire::Bytes(bytes)) => match time(bytes)? {
            Some(time) => json!(time),
            None => return Ok(()),
        },
        (Texts, Wire::Bytes(bytes)) => return push(object, name, json!(utf8(bytes)?)).ok_or_else(wrong),
        (List(fields), Wire::Bytes(bytes)) => {
            let item = Value::Object(message(fields, bytes, depth + 1)?);
            return push(object, name, item).ok_or_else(wrong);
        }
        (TextMap | BytesMap | Quantities, Wire::Bytes(bytes)) => {
            let value = match kind {
                TextMap => Text,
                BytesMap => Bytes,
                _ => Message(&[(1, "string", Text)]),
            };
            let (key, value) = entry(bytes, value, depth)?;
            let map = object.entry(name).or_insert_with(|| json!({}));
            map.as_object_mut().ok_or_else(wrong)?.insert(key, value);
            return Ok(());
        }
        _ => return Err(wrong()),
    };
    object.insert(name.to_owned(), found);
    Ok(())
}

fn push(object: &mut Map<String, Value>, name: &str, item: Value) -> Option<()> {
    object.entry(name).or_insert_with(|| json!([])).as_array_mut()?.push(item);
    Some(())
}

/// An entry of a map: a key and a value, either of which may be left out when it is empty.
fn entry(bytes: &[u8], kind: Type, depth: usize) -> Result<(String, Value), String> {
    let fields: [Field; 2] = [(1, "key", Text), (2, "value", kind)];
    let mut entry = message(&fields, bytes, depth + 1)?;
    let key = entry.get("key").and_then(Value::as_str).unwrap_or_default().to_owned();
    let value = match entry.remove("value") {
        Some(Value::Object(mut quantity)) => quantity.remove("string").unwrap_or_else(|| json!("0")),
        Some(value) => value,
        None => json!(""),
    };
    Ok((key, value))
}

fn int_or_string(bytes: &[u8]) -> Result<Value, String> {
    let read = message(&[(1, "type", Int), (2, "int", Int), (3, "string", Text)], bytes, 0)?;
    let is_text = read.get("type").and_then(Value::as_i64) == Some(1);
    let found = if is_text { read.get("string") } else { read.get("int") };
    Ok(found.cloned().unwrap_or_else(|| if is_text { json!("") } else { json!(0) }))
}

/// None for the zero time, which Go sends where there is none.
fn time(bytes: &[u8]) -> Result<Option<String>, String> {
    let read = message(&[(1, "seconds", Int), (2, "nanos", Int)], bytes, 0)?;
    let Some(seconds) = read.get("seconds").and_then(Value::as_i64) else { return Ok(None) };
    Ok(jiff::Timestamp::from_second(seconds).ok().map(|time| time.to_string()))
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::prelude::BASE64_STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, u8::try_from(bytes.len()).unwrap()], bytes].concat()
    }

    fn envelope(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
        let kind = [field(1, api_version.as_bytes()), field(2, kind.as_bytes())].concat();
        [b"k8s\0".to_vec(), field(1, &kind), field(2, raw)].concat()
    }

    #[test]
    fn a_config_map_is_read_and_an_unknown_field_is_refused() {
        let entry = [field(1, b"a"), field(2, b"b")].concat();
        let map = [field(1, &field(1, b"cm")), field(2, &entry)].concat();
        let read = read(&envelope("v1", "ConfigMap", &map)).unwrap();
        let expected =
            json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "cm" }, "data": { "a": "b" } });
        assert_eq!(read, expected);
        let strange = super::read(&envelope("v1", "ConfigMap", &field(15, b"x"))).unwrap_err();
        assert!(strange.contains("field 15"), "{strange}");
        let unknown = super::read(&envelope("v9", "Nothing", b"")).unwrap_err();
        assert!(unknown.contains("send it as JSON"), "{unknown}");
    }

    proptest! {
        #[test]
        fn garbage_never_panics(raw in proptest::collection::vec(any::<u8>(), 0..100), whole in any::<bool>()) {
            let body = if whole { envelope("apps/v1", "Deployment", &raw) } else { [b"k8s\0".to_vec(), raw].concat() };
            let _ = read(&body);
        }
    }
}
