//! What of a new object is refused for reasons that lie outside it. Of the real server's admission, the priority of pods.

use serde_json::Value;

use super::object;
use super::resources::ResourceType;
use super::status::Status;

/// Looks at an object before it is filled in. There are no PriorityClasses here, so a class that is named is believed.
pub(crate) fn admit(resource: &ResourceType, new: &Value) -> Result<(), Status> {
    let classless = object::text(new, "/spec/priorityClassName").is_none_or(str::is_empty);
    match object::number(new, "/spec/priority") {
        Some(priority) if resource.is("", "pods") && classless && priority != 0 => {
            let why = format!(
                "the integer value of priority ({priority}) must not be provided in pod spec; priority admission \
                 controller computed 0 from the given PriorityClass name"
            );
            Err(Status::forbidden(resource, object::name(new), &why))
        }
        _ => Ok(()),
    }
}
