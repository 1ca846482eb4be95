//! A structural schema: the part of OpenAPI that definitions may use, read from a definition.

use std::collections::BTreeMap;

use regex_lite::Regex;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// What values of one place look like.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Schema {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) description: String,
    pub(super) format: String,
    pub(super) nullable: bool,
    pub(super) default: Option<Value>,
    #[serde(rename = "enum")]
    pub(super) values: Option<Vec<Value>>,
    pub(super) pattern: Option<Pattern>,
    pub(super) min_length: Option<u64>,
    pub(super) max_length: Option<u64>,
    pub(super) minimum: Option<f64>,
    pub(super) maximum: Option<f64>,
    pub(super) exclusive_minimum: bool,
    pub(super) exclusive_maximum: bool,
    pub(super) multiple_of: Option<f64>,
    pub(super) min_items: Option<u64>,
    pub(super) max_items: Option<u64>,
    pub(super) min_properties: Option<u64>,
    pub(super) max_properties: Option<u64>,
    pub(super) required: Vec<String>,
    pub(super) properties: BTreeMap<String, Self>,
    pub(super) additional_properties: Option<Additional>,
    pub(super) items: Option<Box<Self>>,
    pub(super) all_of: Vec<Self>,
    pub(super) any_of: Vec<Self>,
    pub(super) one_of: Vec<Self>,
    pub(super) not: Option<Box<Self>>,
    #[serde(rename = "x-kubernetes-preserve-unknown-fields")]
    pub(super) preserve_unknown: bool,
    #[serde(rename = "x-kubernetes-embedded-resource")]
    pub(super) embedded: bool,
    #[serde(rename = "x-kubernetes-int-or-string")]
    pub(super) int_or_string: bool,
    /// In CEL: known to be there, never evaluated.
    #[serde(rename = "x-kubernetes-validations")]
    pub(super) rules: Vec<Value>,
    #[serde(rename = "x-kubernetes-list-type")]
    pub(super) list_type: Option<String>,
    #[serde(rename = "x-kubernetes-list-map-keys")]
    pub(super) list_map_keys: Vec<String>,
}

/// What `additionalProperties` says of the keys that are not named.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Additional {
    Allowed(bool),
    Like(Box<Schema>),
}

/// A regular expression; none when it is not understood here.
#[derive(Debug)]
pub(super) struct Pattern {
    pub(super) text: String,
    pub(super) regex: Option<Regex>,
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let regex = Regex::new(&text).ok();
        Ok(Self { text, regex })
    }
}

impl Schema {
    /// Reads a schema; none when its fields have the wrong types, which the definition's own check reports.
    pub(crate) fn read(schema: &Value) -> Option<Self> {
        Self::deserialize(schema).ok()
    }

    /// The types that a value may have; empty when any will do.
    pub(super) fn kinds(&self) -> Vec<&str> {
        match self.kind.as_str() {
            _ if self.int_or_string => vec!["integer", "string"],
            "" => Vec::new(),
            kind => vec![kind],
        }
    }

    /// Whether there are rules in CEL anywhere.
    pub(super) fn has_rules(&self) -> bool {
        let like = match &self.additional_properties {
            Some(Additional::Like(like)) => Some(&**like),
            _ => None,
        };
        !self.rules.is_empty() || self.properties.values().chain(self.items.as_deref()).chain(like).any(Self::has_rules)
    }

    /// The schema of a property, named or not.
    pub(super) fn property(&self, key: &str) -> Option<&Self> {
        self.properties.get(key).or(match &self.additional_properties {
            Some(Additional::Like(schema)) => Some(schema),
            _ => None,
        })
    }
}
