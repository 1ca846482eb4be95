//! The syntax of names, labels and annotations, with the real server's wording of each fault.

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', \
    and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must \
    start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const LABEL_1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an \
    alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for \
    validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const NAME_PART: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with \
    an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
    '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and \
    must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for \
    validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

fn lower(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit()
}

fn is_label(text: &str) -> bool {
    text.starts_with(lower) && text.ends_with(lower) && text.chars().all(|c| lower(c) || c == '-')
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

/// What is wrong with a DNS subdomain, the syntax of most object names.
pub(crate) fn subdomain_fault(name: &str) -> Option<String> {
    if name.len() > 253 {
        return Some("must be no more than 253 characters".into());
    }
    (!name.split('.').all(is_label)).then(|| SUBDOMAIN.into())
}

/// What is wrong with a DNS label, the syntax of namespaces, containers and volumes.
pub(crate) fn label_fault(name: &str) -> Option<String> {
    if name.len() > 63 {
        return Some("must be no more than 63 characters".into());
    }
    (!is_label(name)).then(|| LABEL.into())
}

/// What is wrong with a DNS label of the older kind, which starts with a letter: the names of versions and resources.
pub(crate) fn label_1035_fault(name: &str) -> Option<String> {
    if name.len() > 63 {
        return Some("must be no more than 63 characters".into());
    }
    (!is_label(name) || name.starts_with(|c: char| c.is_ascii_digit())).then(|| LABEL_1035.into())
}

/// What is wrong with a label or annotation key.
pub(crate) fn label_key_fault(key: &str) -> Option<String> {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    if name.contains('/') {
        return Some(format!(
            "a qualified name {NAME_PART} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
        ));
    }
    match prefix {
        Some("") => return Some("prefix part must be non-empty".into()),
        Some(prefix) => {
            if let Some(fault) = subdomain_fault(prefix) {
                return Some(format!("prefix part {fault}"));
            }
        }
        None => {}
    }
    match name.len() {
        0 => Some("name part must be non-empty".into()),
        64.. => Some("name part must be no more than 63 characters".into()),
        _ => (!is_qualified_part(name)).then(|| NAME_PART.into()),
    }
}

/// What is wrong with a label value.
pub(crate) fn label_value_fault(value: &str) -> Option<String> {
    if value.len() > 63 {
        return Some("must be no more than 63 characters".into());
    }
    (!value.is_empty() && !is_qualified_part(value)).then(|| VALUE.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_judged_like_the_real_server_does() {
        for good in ["a", "web-1", "a.b-c.d0", "0"] {
            assert_eq!(subdomain_fault(good), None, "{good}");
        }
        for bad in ["", "A", "-a", "a-", "a..b", "a_b", &"a".repeat(254)] {
            assert!(subdomain_fault(bad).is_some(), "{bad}");
        }
        for bad in ["a.b", &"a".repeat(64)] {
            assert!(label_fault(bad).is_some(), "{bad}");
        }
        for good in ["app", "App_1.x", "example.com/app"] {
            assert_eq!(label_key_fault(good), None, "{good}");
        }
        for bad in ["", "/x", "a/", "a/b/c", "a b", "Ex/app", &format!("a/{}", "b".repeat(64))] {
            assert!(label_key_fault(bad).is_some(), "{bad}");
        }
        assert_eq!(label_value_fault(""), None);
        assert!(label_value_fault("a b").is_some());
        assert!(label_value_fault(&"b".repeat(64)).is_some());
    }
}
