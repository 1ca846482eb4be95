//! Which containers get the new image.

use crate::annotations::Annotations;
use crate::invalid::{Invalid, list, quote};
use crate::{keys, yaml};
use serde_json::Value;

/// The containers that `canary-name` names, in its order; none when it is left out and there is only one.
pub(crate) fn read(object: &Value, annotations: &Annotations<'_>) -> Result<Vec<String>, Invalid> {
    let existing = names(object, "/spec/template/spec/containers");
    let Some(text) = annotations.text(keys::CANARY_NAME)? else {
        return left_out(&existing);
    };
    let wanted = split(text)?;
    for (at, name) in wanted.iter().enumerate() {
        if !existing.contains(&name.as_str()) {
            return Err(unknown(object, name, &existing));
        }
        if wanted.iter().take(at).any(|earlier| earlier == name) {
            let fix = "name each container once";
            return Err(Invalid::annotation(keys::CANARY_NAME, format!("names {} twice", quote(name)), fix));
        }
    }
    Ok(wanted)
}

fn left_out(existing: &[&str]) -> Result<Vec<String>, Invalid> {
    match existing {
        [] => Err(Invalid {
            field: "spec.template.spec.containers".into(),
            problem: "has no container with a name".into(),
            fix: "give the workload the container that is to get the image".into(),
        }),
        [_] => Ok(vec![]),
        several => {
            let problem = format!("is missing, and there are {} containers", several.len());
            Err(Invalid::annotation(keys::CANARY_NAME, problem, one_of(several)))
        }
    }
}

fn unknown(object: &Value, name: &str, existing: &[&str]) -> Invalid {
    let problem = if names(object, "/spec/template/spec/initContainers").contains(&name) {
        format!("{} is an init container, which has ended before a canary is watched", quote(name))
    } else {
        format!("there is no container {}", quote(name))
    };
    Invalid::annotation(keys::CANARY_NAME, problem, one_of(existing))
}

fn one_of(existing: &[&str]) -> String {
    match existing {
        [] => "give the workload that container".into(),
        [only] => format!("write {}", list([*only])),
        several => format!("write one or more of {}", list(several.iter().copied())),
    }
}

fn names<'a>(object: &'a Value, path: &str) -> Vec<&'a str> {
    let containers = object.pointer(path).and_then(Value::as_array);
    containers.into_iter().flatten().filter_map(|container| container.get("name")?.as_str()).collect()
}

/// One name, names between commas or blanks, or a list in YAML or JSON. A name begins with neither `[` nor `-`.
fn split(text: &str) -> Result<Vec<String>, Invalid> {
    let fix = "write one name, or several with commas between them";
    let invalid = |problem: String| Invalid::annotation(keys::CANARY_NAME, problem, fix);
    let names = if text.starts_with(['[', '-']) {
        let read = yaml::read(text).map_err(invalid)?;
        let items = read.as_array().map(Vec::as_slice).unwrap_or_default();
        let named = items.iter().map(|item| item.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>();
        named.ok_or_else(|| invalid("holds something else than names".into()))?
    } else {
        let parts = text.split(|c: char| c == ',' || c.is_whitespace());
        parts.filter(|part| !part.is_empty()).map(str::to_owned).collect()
    };
    if names.is_empty() { Err(invalid("names no container".into())) } else { Ok(names) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(name: Option<&str>, containers: &[&str], expected: Result<&[&str], &str>) {
        let containers: Vec<Value> = containers.iter().map(|name| json!({ "name": name })).collect();
        let object = json!({
            "metadata": { "annotations": { "canary-name": name } },
            "spec": { "template": { "spec": { "containers": containers, "initContainers": [{ "name": "init" }] } } }
        });
        let read = read(&object, &Annotations::of(&object, 1_000)).map_err(|invalid| invalid.to_string());
        let expected = expected.map(|names| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert_eq!(read, expected.map_err(str::to_owned), "{name:?}");
    }

    #[test]
    fn containers_are_named_in_several_ways() {
        let all = ["app", "proxy", "1"];
        check(None, &["app"], Ok(&[]));
        check(Some("  "), &["app"], Ok(&[]));
        check(Some("app"), &["app"], Ok(&["app"]));
        check(Some("proxy, app"), &all, Ok(&["proxy", "app"]));
        check(Some("proxy\napp"), &all, Ok(&["proxy", "app"]));
        check(Some("- proxy\n- app"), &all, Ok(&["proxy", "app"]));
        check(Some("[app, 'proxy']"), &all, Ok(&["app", "proxy"]));
        check(Some(r#"["app"]"#), &all, Ok(&["app"]));
        check(Some("1"), &all, Ok(&["1"]));
    }

    #[test]
    fn a_wrong_name_is_told_with_the_right_ones() {
        let all = ["app", "proxy"];
        let of = "write one or more of app, proxy";
        let list = "write one name, or several with commas between them";
        let wrong = |problem: &str, fix: &str| format!("annotation canary-name: {problem}; {fix}");
        check(None, &all, Err(&wrong("is missing, and there are 2 containers", of)));
        check(Some("web"), &all, Err(&wrong("there is no container \"web\"", of)));
        check(Some("web"), &["app"], Err(&wrong("there is no container \"web\"", "write app")));
        check(Some("App"), &["app"], Err(&wrong("there is no container \"App\"", "write app")));
        check(Some("app,app"), &all, Err(&wrong("names \"app\" twice", "name each container once")));
        check(Some("[]"), &all, Err(&wrong("names no container", list)));
        check(Some(","), &all, Err(&wrong("names no container", list)));
        check(Some("[{a: b}]"), &all, Err(&wrong("holds something else than names", list)));
        let init = "\"init\" is an init container, which has ended before a canary is watched";
        check(Some("init"), &all, Err(&wrong(init, of)));
        check(
            None,
            &[],
            Err("spec.template.spec.containers: has no container with a name; \
                 give the workload the container that is to get the image"),
        );
    }
}
