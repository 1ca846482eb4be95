//! What all objects have, as OpenAPI, with descriptions of our own.

use serde_json::{Map, Value, json};

use super::super::object::set;

const METADATA: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
const LIST_METADATA: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";
const OWNER: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.OwnerReference";

/// Descriptions of `apiVersion` and `kind`.
pub(super) struct TypeFields {
    version: &'static str,
    kind: &'static str,
}

/// Those of an object.
pub(super) const TYPE_FIELDS: TypeFields =
    TypeFields { version: "Group and version of this object's form.", kind: "What this object is, in CamelCase." };

/// Those of an object inside of another.
pub(super) const EMBEDDED_TYPE_FIELDS: TypeFields = TypeFields {
    version: "Group and version of the inner object's form.",
    kind: "What the inner object is, in CamelCase.",
};

/// Sets `apiVersion` and `kind` in a map of properties.
pub(super) fn add_type_fields(properties: &mut Value, fields: &TypeFields) {
    set(properties, "apiVersion", json!({ "type": "string", "description": fields.version }));
    set(properties, "kind", json!({ "type": "string", "description": fields.kind }));
}

fn reference(to: &str, description: &str) -> Value {
    json!({ "description": description, "allOf": [{ "$ref": format!("#/components/schemas/{to}") }] })
}

/// The `metadata` of an object.
pub(super) fn metadata() -> Value {
    reference(METADATA, "Name, labels and what the server knows of every object.")
}

/// The `metadata` of a list.
pub(super) fn list_metadata() -> Value {
    reference(LIST_METADATA, "The version of the list, and how to go on reading it.")
}

/// The schemas that the kinds refer to, by name.
pub(super) fn schemas() -> Map<String, Value> {
    let object = |description: &str, properties: Value| json!({ "type": "object", "description": description, "properties": properties });
    let text = |description: &str| json!({ "type": "string", "description": description });
    let time = |description: &str| json!({ "type": "string", "format": "date-time", "description": description });
    let number = |description: &str| json!({ "type": "integer", "format": "int64", "description": description });
    let flag = |description: &str| json!({ "type": "boolean", "description": description });
    let texts = |description: &str| json!({ "type": "object", "additionalProperties": { "type": "string" }, "description": description });
    let list = |items: Value, description: &str| json!({ "type": "array", "items": items, "description": description });
    let metadata = json!({
        "annotations": texts("Notes of any kind; nothing is selected by them."),
        "creationTimestamp": time("When the server made the object."),
        "deletionGracePeriodSeconds": number("Seconds from the wish to delete the object to its end."),
        "deletionTimestamp": time("When the object is to be gone. Set by the server."),
        "finalizers": list(json!({ "type": "string" }), "Who must still agree before the object goes."),
        "generateName": text("The beginning of a name that the server completes."),
        "generation": number("Counts the changes of what is wanted."),
        "labels": texts("What the object is selected by."),
        "managedFields": list(json!({ "type": "object" }), "Who has set which fields. Not kept by the sandbox."),
        "name": text("Unique among the objects of its kind in its namespace."),
        "namespace": text("Where the object is."),
        "ownerReferences": list(
            json!({ "allOf": [{ "$ref": format!("#/components/schemas/{OWNER}") }] }),
            "With the last of these owners the object goes, too.",
        ),
        "resourceVersion": text("Changes with every write."),
        "selfLink": text("No longer used."),
        "uid": text("Never used twice."),
    });
    let list_metadata = json!({
        "continue": text("Where the next page starts."),
        "remainingItemCount": number("How many objects are on the pages that follow."),
        "resourceVersion": text("The moment that the list is of."),
        "selfLink": text("No longer used."),
    });
    let owner = json!({
        "apiVersion": text("Group and version of the owner."),
        "blockOwnerDeletion": flag("A deletion of the owner in the foreground waits for this object."),
        "controller": flag("The owner is the one that manages this object."),
        "kind": text("What the owner is."),
        "name": text("The owner's name."),
        "uid": text("The owner's uid."),
    });
    let mut owner = object("An object that this one belongs to.", owner);
    set(&mut owner, "required", json!(["apiVersion", "kind", "name", "uid"]));
    Map::from_iter([
        (METADATA.to_owned(), object("What the server knows of every object.", metadata)),
        (LIST_METADATA.to_owned(), object("What the server says of every list.", list_metadata)),
        (OWNER.to_owned(), owner),
    ])
}
