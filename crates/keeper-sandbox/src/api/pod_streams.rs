//! What the doors to a running container (log, exec, attach, portforward) have in common. The last three are refused: this
//! server has no line to the processes.

use serde_json::Value;

use super::object;
use super::request::Query;
use super::status::Status;

/// The container that a request is about, which need not be named when there is only one.
pub(crate) fn container<'a>(pod: &'a Value, query: &'a Query) -> Result<&'a str, Status> {
    let names = |list: &str| object::list(pod, list).iter().filter_map(|c| object::text(c, "/name"));
    let all = || ["/spec/initContainers", "/spec/containers", "/spec/ephemeralContainers"].into_iter().flat_map(names);
    let name = object::name(pod);
    let mut regular = names("/spec/containers");
    match (query.get("container").filter(|wanted| !wanted.is_empty()), regular.next(), regular.next()) {
        (Some(wanted), ..) if all().any(|known| known == wanted) => Ok(wanted),
        (Some(wanted), ..) => Err(Status::bad_request(format!("container {wanted} is not valid for pod {name}"))),
        (None, Some(only), None) => Ok(only),
        _ => {
            let known = all().collect::<Vec<_>>().join(" ");
            let why = format!("a container name must be specified for pod {name}, choose one of: [{known}]");
            Err(Status::bad_request(why))
        }
    }
}

/// The node that the pod is bound to; empty before.
pub(crate) fn node(pod: &Value) -> &str {
    object::text(pod, "/spec/nodeName").unwrap_or_default()
}

/// Why there is no `exec`, `attach` or `portforward`.
pub(crate) fn refusal(door: &str, pod: &Value, query: &Query) -> Status {
    if door != "portforward"
        && let Err(status) = container(pod, query)
    {
        return status;
    }
    if node(pod).is_empty() {
        return Status::bad_request(format!("pod {} does not have a host assigned", object::name(pod)));
    }
    Status::new(501, "NotImplemented", format!("this sandbox has no {door}: nothing here reaches a pod's processes"))
}
