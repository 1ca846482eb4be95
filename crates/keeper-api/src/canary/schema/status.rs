//! `status`.

use super::{flag, keyed, object, open, text, texts, with, word};
use serde_json::{Value, json};

pub(super) fn schema() -> Value {
    let record = json!({ "type": "object", "description": "What the operator remembers. It is the operator's alone." });
    let properties = [
        ("phase", text("Settled, Launching, Incubating, Promoting, Rejected, Inconclusive or Held.", 32)),
        ("reason", text("The reason in CamelCase.", 128)),
        ("message", text("The reason in one line.", 1_024)),
        ("observedGeneration", generation("The generation of the spec that all this is about.")),
        ("revision", text("What is judged: uid and generation of this Canary. promote, abort and retry name it.", 128)),
        ("deployment", text("The production Deployment.", 253)),
        ("conditions", keyed("How it stands: Promoted, Progressing, Ready.", 16, "type", condition())),
        ("checks", keyed("What each check said last.", 16, "name", check())),
        (
            "images",
            texts(
                "Images of the template and the digests they named when the canary started, which it runs.",
                64,
                1_024,
            ),
        ),
        ("record", open(record)),
    ];
    object("How it stands. Written by the operator alone.", properties, &[])
}

fn generation(doc: &str) -> Value {
    json!({ "type": "integer", "format": "int64", "description": doc })
}

fn condition() -> Value {
    let time = json!({ "type": "string", "format": "date-time", "description": "Since when the status is this one." });
    let properties = [
        ("type", text("Promoted, Progressing or Ready.", 316)),
        ("status", word("True, False or Unknown.", &["True", "False", "Unknown"])),
        ("observedGeneration", generation("The generation that it is about.")),
        ("lastTransitionTime", time),
        ("reason", with(text("The reason in CamelCase.", 1_024), "minLength", 1)),
        ("message", text("The reason in words.", 32_768)),
    ];
    object("One condition.", properties, &["type", "status", "lastTransitionTime", "reason", "message"])
}

fn check() -> Value {
    let figures = json!({
        "type": "object", "description": "The figures that the verdict rests on.",
        "additionalProperties": { "type": "number" },
    });
    let properties = [
        ("name", text("The check's name.", 63)),
        ("verdict", word("Healthy, Unhealthy or Unknown.", &["Healthy", "Unhealthy", "Unknown"])),
        ("message", text("What the verdict rests on, in one line.", 1_024)),
        ("figures", figures),
        ("observeOnly", flag("true: it judges nothing.")),
    ];
    object("What one check said last.", properties, &["name", "verdict"])
}
