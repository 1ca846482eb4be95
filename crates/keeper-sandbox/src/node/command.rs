//! What to run for a container: command, arguments and environment, from the image and the pod's spec. Pure.

use std::net::Ipv4Addr;

use serde_json::Value;

use super::image::Image;
use crate::objects::{Fields, Meta, Object};

/// Everything that a process is started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Command {
    pub(crate) program: String,
    pub(crate) arguments: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) directory: Option<String>,
}

/// Where the pod is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) pod_ip: Ipv4Addr,
    pub(crate) host_ip: Ipv4Addr,
}

impl Command {
    /// What the container asks for; the error is the message of `CreateContainerConfigError`.
    pub(crate) fn of(pod: &Object, container: &Value, image: &Image, place: &Place) -> Result<Self, String> {
        let env = environment(pod, container, image, place)?;
        let words = |pointer: &str| -> Vec<String> {
            container.items(pointer).iter().filter_map(Value::as_str).map(|word| expand(word, &env)).collect()
        };
        let (command, arguments) = (words("/command"), words("/args"));
        // As Kubernetes has it: `command` replaces entrypoint and default arguments, `args` replaces the default arguments.
        let mut line = match (command.is_empty(), arguments.is_empty()) {
            (false, _) => [command, arguments].concat(),
            (true, false) => [image.entrypoint.clone(), arguments].concat(),
            (true, true) => [image.entrypoint.clone(), image.command.clone()].concat(),
        };
        if line.is_empty() {
            return Err("no command specified".to_owned());
        }
        let program = line.remove(0);
        let directory = container.text("/workingDir").map(str::to_owned).or_else(|| image.directory.clone());
        Ok(Self { program, arguments: line, env, directory })
    }
}

/// The image's variables, then the node's own, then the container's; a later one replaces an earlier one.
///
/// The node's own are `POD_IP` and `IMAGE_DIGEST`: pods here share the machine's network, so a program must be told its address.
fn environment(pod: &Object, container: &Value, image: &Image, place: &Place) -> Result<Vec<(String, String)>, String> {
    let mut env = Vec::new();
    for (name, value) in &image.env {
        put(&mut env, name, value.clone());
    }
    put(&mut env, "HOSTNAME", pod.name().to_owned());
    put(&mut env, "POD_IP", place.pod_ip.to_string());
    put(&mut env, "IMAGE_DIGEST", image.digest.clone());
    for variable in container.items("/env") {
        let Some(name) = variable.text("/name") else { continue };
        let value = match variable.at("/valueFrom") {
            None => expand(variable.text("/value").unwrap_or_default(), &env),
            Some(source) => field(pod, source, place).ok_or_else(|| {
                format!("env {name}: of valueFrom this node knows fieldRef of metadata, spec.nodeName, status.podIP and status.hostIP only")
            })?,
        };
        put(&mut env, name, value);
    }
    if !container.items("/envFrom").is_empty() {
        return Err("envFrom is not known to this node".to_owned());
    }
    Ok(env)
}

fn put(env: &mut Vec<(String, String)>, name: &str, value: String) {
    env.retain(|(known, _)| known != name);
    env.push((name.to_owned(), value));
}

fn field(pod: &Object, source: &Value, place: &Place) -> Option<String> {
    let path = source.text("/fieldRef/fieldPath")?;
    let keyed = |prefix: &str| path.strip_prefix(prefix)?.strip_prefix("['")?.strip_suffix("']");
    if let Some(label) = keyed("metadata.labels") {
        return Some(pod.label(label).unwrap_or_default().to_owned());
    }
    if let Some(annotation) = keyed("metadata.annotations") {
        return Some(pod.annotation(annotation).unwrap_or_default().to_owned());
    }
    match path {
        "metadata.name" => Some(pod.name().to_owned()),
        "metadata.namespace" => Some(pod.namespace().to_owned()),
        "metadata.uid" => Some(pod.uid().to_owned()),
        "spec.nodeName" => Some(pod.text("/spec/nodeName").unwrap_or_default().to_owned()),
        "status.podIP" => Some(place.pod_ip.to_string()),
        "status.hostIP" => Some(place.host_ip.to_string()),
        _ => None,
    }
}

/// `$(NAME)` becomes the variable's value, `$$(NAME)` the text `$(NAME)`; an unknown name stays as it is.
fn expand(text: &str, env: &[(String, String)]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        if let Some(escaped) = after.strip_prefix('$') {
            out.push('$');
            rest = escaped;
            continue;
        }
        let name = after.strip_prefix('(').and_then(|after| after.split_once(')'));
        match name.and_then(|(name, tail)| Some((env.iter().find(|(known, _)| known == name)?, tail))) {
            Some(((_, value), tail)) => {
                out.push_str(value);
                rest = tail;
            }
            None => {
                out.push('$');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
#[allow(clippy::needless_pass_by_value, reason = "literal JSON reads better without borrows")]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::objects::{PODS, object};

    fn of(container: Value) -> Result<Command, String> {
        let pod =
            object(&PODS, json!({"metadata": {"name": "p", "namespace": "n", "labels": {"app": "web"}}})).unwrap();
        let image = Image {
            digest: "sha256:d".into(),
            entrypoint: vec!["/app".into()],
            command: vec!["--default".into()],
            env: vec![("MODE".into(), "image".into())],
            ..Image::default()
        };
        let place = Place { pod_ip: Ipv4Addr::new(127, 2, 1, 1), host_ip: Ipv4Addr::new(127, 2, 0, 1) };
        Command::of(&pod, &container, &image, &place)
    }

    fn line(container: Value) -> Vec<String> {
        let command = of(container).unwrap();
        [vec![command.program], command.arguments].concat()
    }

    #[test]
    fn command_and_args_replace_as_in_kubernetes() {
        assert_eq!(line(json!({})), ["/app", "--default"]);
        assert_eq!(line(json!({"args": ["-v"]})), ["/app", "-v"]);
        assert_eq!(line(json!({"command": ["/sh"]})), ["/sh"]);
        assert_eq!(line(json!({"command": ["/sh"], "args": ["-c"]})), ["/sh", "-c"]);
    }

    #[test]
    fn variables_come_from_image_node_and_container() {
        let command = of(json!({
            "args": ["$(POD_IP):80", "$$(MODE)", "$(UNKNOWN)"],
            "env": [
                {"name": "MODE", "value": "container"},
                {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                {"name": "APP", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
                {"name": "BOTH", "value": "$(NAME)-$(APP)"},
            ],
        }))
        .unwrap();
        assert_eq!(command.arguments, ["127.2.1.1:80", "$(MODE)", "$(UNKNOWN)"]);
        let value = |name: &str| command.env.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        assert_eq!(
            (value("MODE"), value("BOTH"), value("IMAGE_DIGEST")),
            (Some("container"), Some("p-web"), Some("sha256:d"))
        );
    }

    #[test]
    fn what_the_node_cannot_read_is_said() {
        let error =
            of(json!({"env": [{"name": "S", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]})).unwrap_err();
        assert!(error.contains("env S"), "{error}");
    }
}
