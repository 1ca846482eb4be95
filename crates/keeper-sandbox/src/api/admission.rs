//! What of a new object is refused for reasons that lie outside it. Of the real server's admission, the priority of pods.

use serde_json::Value;

use super::object;
use super::resources::ResourceType;
use super::status::Status;

/// Looks at an object before it is filled in. There are no PriorityClasses here, so a class that is named is believed.
pub(crate) fn admit(resource: &ResourceType, new: &Value) -> Result<(), Status> {
    let classless = object::text(new, "/spec/priorityClassName").is_none_or(str::is_empty);
    if !resource.is("", "pods") || !classless {
        return Ok(());
    }
    let (priority, preempts) = (object::number(new, "/spec/priority"), object::text(new, "/spec/preemptionPolicy"));
    let (what, given, computed) = match (priority, preempts) {
        (Some(number), _) if number != 0 => ("integer value of priority", number.to_string(), "0"),
        (_, Some(policy)) if policy != "PreemptLowerPriority" => {
            ("string value of PreemptionPolicy", policy.to_owned(), "PreemptLowerPriority")
        }
        _ => return Ok(()),
    };
    let why = format!(
        "the {what} ({given}) must not be provided in pod spec; priority admission controller computed {computed} from \
         the given PriorityClass name"
    );
    Err(Status::forbidden(resource, object::name(new), &why))
}
