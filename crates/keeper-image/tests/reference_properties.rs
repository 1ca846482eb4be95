//! Whatever is written, a reference is read without panic, and what it prints reads back as itself.

use keeper_image::{Digest, ImageId, Reference};
use proptest::prelude::*;

proptest! {
    #[test]
    fn no_text_panics(text in ".{0,300}") {
        let _ = text.parse::<Reference>();
        let _ = text.parse::<Digest>();
        let _ = ImageId::parse(&text);
    }

    #[test]
    fn near_misses_never_panic_and_what_is_read_reads_back(text in "[a-zA-Z0-9./:@_\\[\\]-]{0,60}") {
        if let Ok(reference) = text.parse::<Reference>() {
            let printed = reference.to_string();
            prop_assert_eq!(reference.as_written(), &text);
            prop_assert_eq!(&printed.parse::<Reference>().unwrap(), &reference);
            prop_assert_eq!(printed.parse::<Reference>().unwrap().to_string(), printed);
        }
    }

    #[test]
    fn well_formed_references_are_read(
        host in proptest::option::of("([a-z0-9]{1,8}\\.[a-z]{2,4}|localhost|\\[::1\\])(:[1-9][0-9]{0,3})?"),
        path in "[a-z0-9]{1,9}(/[a-z0-9]{1,9}([._-][a-z0-9]{1,9})?){0,3}",
        tag in proptest::option::of("[A-Za-z0-9_][A-Za-z0-9._-]{0,20}"),
        content in proptest::option::of(any::<[u8; 4]>()),
    ) {
        let digest = content.map(|bytes| Digest::sha256_of(&bytes));
        let mut text = String::new();
        if let Some(host) = &host {
            text.push_str(host);
            text.push('/');
        }
        text.push_str(&path);
        if let Some(tag) = &tag {
            text.push(':');
            text.push_str(tag);
        }
        if let Some(digest) = &digest {
            text.push_str(&format!("@{digest}"));
        }
        let reference: Reference = text.parse().unwrap();
        prop_assert_eq!(reference.digest(), digest.as_ref());
        if let Some(tag) = &tag {
            prop_assert_eq!(reference.tag().unwrap().as_str(), tag);
        }
        if let Some(host) = &host {
            prop_assert_eq!(reference.repository().host(), host);
            prop_assert!(reference.repository().path().ends_with(&path));
        } else {
            prop_assert!(reference.repository().to_string().starts_with("docker.io/"));
        }
        prop_assert_eq!(&reference.to_string().parse::<Reference>().unwrap(), &reference);
    }
}
