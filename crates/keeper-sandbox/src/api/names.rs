//! The syntax of names, labels and annotations, with the real server's wording of each fault.
//!
//! Every function gives all that is wrong with a text, in the order in which the real server finds it; nothing when it is
//! good. The same rule counts characters in the name of an object and bytes in a label, as it does there.

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', \
    and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must \
    start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const LABEL_1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an \
    alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for \
    validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const QUALIFIED: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
    alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
    '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and \
    must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for \
    validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const DATA_KEY: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or \
    'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";

const MAX_SUBDOMAIN: usize = 253;
const MAX_LABEL: usize = 63;

fn lower(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit()
}

fn is_label(text: &str) -> bool {
    text.starts_with(lower) && text.ends_with(lower) && text.chars().all(|c| lower(c) || c == '-')
}

fn is_subdomain(text: &str) -> bool {
    text.split('.').all(is_label)
}

fn is_qualified_part(text: &str) -> bool {
    let outer = |c: char| c.is_ascii_alphanumeric();
    text.starts_with(outer) && text.ends_with(outer) && text.chars().all(|c| outer(c) || "-_.".contains(c))
}

/// Why a name can't be part of a path.
pub(crate) fn path_segment_fault(name: &str) -> Option<&'static str> {
    match name {
        "." => Some("may not be '.'"),
        ".." => Some("may not be '..'"),
        _ if name.contains('/') => Some("may not contain '/'"),
        _ => name.contains('%').then_some("may not contain '%'"),
    }
}

/// One fault for each rule that is broken: whether it is, and the wording.
fn broken<const N: usize>(rules: [(bool, String); N]) -> Vec<String> {
    rules.into_iter().filter_map(|(broken, why)| broken.then_some(why)).collect()
}

fn too_long(text: &str, most: usize, unit: &str) -> (bool, String) {
    (text.len() > most, format!("must be no more than {most} {unit}"))
}

fn subdomain(name: &str, unit: &str) -> Vec<String> {
    broken([too_long(name, MAX_SUBDOMAIN, unit), (!is_subdomain(name), SUBDOMAIN.into())])
}

/// What is wrong with a DNS subdomain, the syntax of most object names.
pub(crate) fn subdomain_faults(name: &str) -> Vec<String> {
    subdomain(name, "characters")
}

/// The same where the rule counts bytes.
pub(crate) fn long_name_faults(name: &str) -> Vec<String> {
    subdomain(name, "bytes")
}

/// What is wrong with a DNS label, the syntax of namespaces, containers and volumes.
pub(crate) fn label_faults(name: &str) -> Vec<String> {
    let syntax = if is_subdomain(name) { "must not contain dots" } else { LABEL };
    broken([too_long(name, MAX_LABEL, "characters"), (!is_label(name), syntax.into())])
}

/// What is wrong with a DNS label of the older kind, which starts with a letter: the names of versions and resources.
pub(crate) fn label_1035_faults(name: &str) -> Vec<String> {
    let syntax = !is_label(name) || name.starts_with(|c: char| c.is_ascii_digit());
    broken([too_long(name, MAX_LABEL, "characters"), (syntax, LABEL_1035.into())])
}

/// What is wrong with the key of a label or annotation, or another name with an optional prefix.
pub(crate) fn label_key_faults(key: &str) -> Vec<String> {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    if name.contains('/') {
        return vec![format!(
            "a valid label key {QUALIFIED} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
        )];
    }
    let of_prefix = match prefix {
        Some("") => vec!["must be non-empty".to_owned()],
        Some(prefix) => long_name_faults(prefix),
        None => Vec::new(),
    };
    let of_name = broken([
        (name.is_empty(), "must be non-empty".into()),
        too_long(name, MAX_LABEL, "bytes"),
        (!is_qualified_part(name), QUALIFIED.into()),
    ]);
    let of_prefix = of_prefix.into_iter().map(|fault| format!("prefix part {fault}"));
    of_prefix.chain(of_name.into_iter().map(|fault| format!("name part {fault}"))).collect()
}

/// What is wrong with a label value.
pub(crate) fn label_value_faults(value: &str) -> Vec<String> {
    let syntax = !value.is_empty() && !is_qualified_part(value);
    broken([too_long(value, MAX_LABEL, "bytes"), (syntax, VALUE.into())])
}

/// What is wrong with a key in a ConfigMap or Secret.
pub(crate) fn data_key_faults(key: &str) -> Vec<String> {
    let good = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let upwards = match key {
        "." | ".." => format!("must not be '{key}'"),
        _ => "must not start with '..'".into(),
    };
    broken([
        too_long(key, MAX_SUBDOMAIN, "characters"),
        (key.is_empty() || !key.chars().all(good), DATA_KEY.into()),
        (key == "." || key.starts_with(".."), upwards),
    ])
}

/// What is wrong with the name of a container's port, or of a Service's target port.
pub(crate) fn port_name_faults(name: &str) -> Vec<String> {
    let charset = !name.is_empty() && name.chars().all(|c| lower(c) || c == '-');
    broken([
        too_long(name, 15, "characters"),
        (!charset, "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".into()),
        (!name.contains(|c: char| c.is_ascii_lowercase()), "must contain at least one letter (a-z)".into()),
        (name.contains("--"), "must not contain consecutive hyphens".into()),
        (name.starts_with('-') || name.ends_with('-'), "must not begin or end with a hyphen".into()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_judged_like_the_real_server_does() {
        for good in ["a", "web-1", "a.b-c.d0", "0"] {
            assert_eq!(subdomain_faults(good), [""; 0], "{good}");
        }
        for bad in ["", "A", "-a", "a-", "a..b", "a_b", &"a".repeat(254)] {
            assert_eq!(subdomain_faults(bad).len(), 1, "{bad}");
        }
        for bad in ["a.b", &"a".repeat(64)] {
            assert_eq!(label_faults(bad).len(), 1, "{bad}");
        }
        for good in ["app", "App_1.x", "example.com/app"] {
            assert_eq!(label_key_faults(good), [""; 0], "{good}");
        }
        for (bad, faults) in [("/x", 1), ("a/", 2), ("a/b/c", 1), ("a b", 1), ("Ex/app", 1), ("", 2), ("Ex/a b", 2)] {
            assert_eq!(label_key_faults(bad).len(), faults, "{bad}");
        }
        assert_eq!(label_value_faults(""), [""; 0]);
        assert_eq!(label_value_faults("a b").len(), 1);
        assert_eq!(label_value_faults(&"b".repeat(64)).len(), 1);
        assert_eq!(data_key_faults("..a"), ["must not start with '..'"]);
        assert_eq!(port_name_faults("http-2"), [""; 0]);
        assert_eq!(port_name_faults("1-").len(), 2);
    }
}
