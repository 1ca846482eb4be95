//! The canary's name, and texts that fit into labels.

use sha2::{Digest as _, Sha256};

/// The longest DNS label, and the longest label value.
const MAX_LABEL: usize = 63;
/// How many hex characters of the workload's uid the canary's name ends with.
const UID_HEX: usize = 6;
/// How many hex characters tell shortened label values apart.
const HASH_HEX: usize = 8;

/// The canary's name: `<workload>-canary-<6 hex of the workload's uid>`, always a DNS label of at most 63 characters.
///
/// It holds no revision, so that two operators can't make two canaries of one workload. A long workload name is cut,
/// and dots in it become dashes; the uid keeps the names of different workloads apart.
///
/// ```
/// assert_eq!(keeper_clone::canary_name("shop", "3f2504e0-4f89-11d3-9a0c-0305e82c3301"), "shop-canary-3f2504");
/// ```
pub fn canary_name(workload: &str, uid: &str) -> String {
    let hex: String = uid.chars().filter(char::is_ascii_hexdigit).take(UID_HEX).collect();
    let hex = if hex.len() == UID_HEX {
        hex.to_ascii_lowercase()
    } else {
        // Not a UUID: no server makes such a uid, but the name must still be one.
        short_hash(uid, UID_HEX)
    };
    let suffix = format!("-canary-{hex}");
    let kept: String = workload.replace('.', "-").chars().take(MAX_LABEL - suffix.len()).collect();
    format!("{}{suffix}", kept.trim_end_matches('-'))
}

/// The text as a label value: itself when it fits into 63 characters, else its beginning, a dash and 8 hex characters
/// of its SHA-256, so that the same text always gives the same value and different ones different values.
pub fn label_value(text: &str) -> String {
    if text.len() <= MAX_LABEL {
        return text.to_owned();
    }
    let kept: String = text.chars().take(MAX_LABEL - HASH_HEX - 1).collect();
    let kept = kept.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
    format!("{kept}-{}", short_hash(text, HASH_HEX))
}

/// Whether Kubernetes takes the text as a label value.
pub(crate) fn is_label_value(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let outer = |b: Option<u8>| b.is_none_or(|b| b.is_ascii_alphanumeric());
    text.len() <= MAX_LABEL && text.bytes().all(inner) && outer(text.bytes().next()) && outer(text.bytes().last())
}

fn short_hash(text: &str, length: usize) -> String {
    hex::encode(Sha256::digest(text)).chars().take(length).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const UID: &str = "3F2504e0-4f89-11d3-9a0c-0305e82c3301";

    #[test]
    fn long_names_are_cut_and_stay_names() {
        assert_eq!(canary_name("my.shop", UID), "my-shop-canary-3f2504");
        let long = canary_name(&"a".repeat(63), UID);
        assert_eq!((long.len(), long.ends_with("a-canary-3f2504")), (63, true));
        assert_eq!(
            canary_name(&format!("{}-{}", "a".repeat(48), "b".repeat(20)), UID),
            format!("{}-canary-3f2504", "a".repeat(48))
        );
        assert_ne!(canary_name("shop", "x"), canary_name("shop", "y"));
    }

    #[test]
    fn long_label_values_differ_and_fit() {
        assert_eq!(label_value("shop"), "shop");
        let (one, two) = ("a".repeat(200), format!("{}b", "a".repeat(199)));
        assert_ne!(label_value(&one), label_value(&two));
        assert_eq!(label_value(&one).len(), 63);
        assert!(
            label_value(&format!("{}...{}", "a".repeat(52), "b".repeat(20)))
                .starts_with(&format!("{}-", "a".repeat(52)))
        );
    }

    proptest! {
        #[test]
        fn names_of_workloads_give_valid_names(name in "[a-z0-9]([a-z0-9.-]{0,250}[a-z0-9])?", uid in "[0-9a-f-]{0,36}") {
            let canary = canary_name(&name, &uid);
            prop_assert!(canary.len() <= 63);
            prop_assert!(canary.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'));
            prop_assert!(!canary.starts_with('-') && !canary.ends_with('-'));
            prop_assert!(is_label_value(&label_value(&name)));
        }

        #[test]
        fn no_text_panics(name in ".{0,300}", uid in ".{0,40}") {
            let _ = (canary_name(&name, &uid), label_value(&name));
        }
    }
}
