//! Objects as rows for a person: the columns that `kubectl get` shows.

mod custom;
mod kinds;
mod pods;
mod texts;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::list::partial;
use super::object::text;
use super::request::Include;
use super::resources::ResourceType;

/// Name, type and priority; priority 1 columns are for `-o wide`.
pub(crate) type Column = (&'static str, &'static str, u8);

/// A table with a row for each object. `headers` is off for all but the first event of a watch.
pub(crate) fn table(
    resource: &ResourceType,
    objects: &[Value],
    metadata: &Value,
    headers: bool,
    include: Include,
    now: Timestamp,
) -> Value {
    let beside = |object: &Value| match include {
        Include::None => Value::Null,
        Include::Metadata => partial(object),
        Include::Object => object.clone(),
    };
    let rows: Vec<Value> = objects
        .iter()
        .map(|object| json!({ "cells": cells(resource, object, now), "object": beside(object) }))
        .collect();
    // Definitions are served by another server inside the real one, which says nothing for no rows; so do Roles, which have
    // no columns of their own there.
    let is = |group, plural| resource.is(group, plural);
    let none = objects.is_empty()
        && (is("apiextensions.k8s.io", "customresourcedefinitions") || is("rbac.authorization.k8s.io", "roles"));
    let rows = if none { Value::Null } else { json!(rows) };
    let columns = if headers { definitions(resource) } else { Value::Null };
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
        "columnDefinitions": columns, "rows": rows,
    })
}

fn definitions(resource: &ResourceType) -> Value {
    if resource.custom {
        return custom::definitions(resource);
    }
    kinds::columns(resource)
        .iter()
        .map(|(name, kind, priority)| {
            let format = if *name == "Name" { "name" } else { "" };
            json!({ "name": name, "type": kind, "format": format, "description": "", "priority": priority })
        })
        .collect()
}

fn cells(resource: &ResourceType, object: &Value, now: Timestamp) -> Vec<Value> {
    if resource.custom { custom::cells(resource, object, now) } else { kinds::cells(resource, object, now) }
}

/// How long ago, as `kubectl` writes it; `<unknown>` without a time.
pub(crate) fn age(object: &Value, pointer: &str, now: Timestamp) -> String {
    let Some(then) = text(object, pointer).and_then(|t| t.parse::<Timestamp>().ok()) else {
        return "<unknown>".into();
    };
    duration(now.as_second() - then.as_second())
}

/// Seconds in one or two units, as `kubectl` rounds them.
pub(crate) fn duration(seconds: i64) -> String {
    let (s, m, h, d) = (seconds, seconds / 60, seconds / 3600, seconds / 86_400);
    let two = |big: i64, unit: char, small: i64, small_unit: char| {
        if small == 0 { format!("{big}{unit}") } else { format!("{big}{unit}{small}{small_unit}") }
    };
    match s {
        ..-1 => "<invalid>".into(),
        -1..0 => "0s".into(),
        0..120 => format!("{s}s"),
        120..600 => two(m, 'm', s % 60, 's'),
        600..10_800 => format!("{m}m"),
        10_800..28_800 => two(h, 'h', m % 60, 'm'),
        28_800..172_800 => format!("{h}h"),
        172_800..691_200 => two(d, 'd', h % 24, 'h'),
        691_200..63_072_000 => format!("{d}d"),
        63_072_000..252_288_000 => two(d / 365, 'y', d % 365, 'd'),
        _ => format!("{}y", d / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_kubectl_writes_them() {
        for (seconds, expected) in [
            (-5, "<invalid>"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (121, "2m1s"),
            (3600, "60m"),
            (3 * 3600 + 60, "3h1m"),
            (24 * 3600, "24h"),
            (3 * 86_400 + 3600, "3d1h"),
            (10 * 86_400, "10d"),
            (800 * 86_400, "2y70d"),
        ] {
            assert_eq!(duration(seconds), expected, "{seconds}");
        }
    }
}
