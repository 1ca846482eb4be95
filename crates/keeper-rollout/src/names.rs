//! Names that the core compares and never reads.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes the text as it is.
            pub fn new(text: impl Into<Arc<str>>) -> Self {
                Self(text.into())
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }
    };
}

name! {
    /// What is judged and promoted: an image digest (annotation mode) or the Canary's `uid/generation` (resource mode),
    /// followed by `@` and a name for the images where its template names tags: a tag that moved is another revision.
    Revision
}
name! {
    /// One attempt to bring out one revision. Each write of `Launching` makes a new one; the canary carries it, and a
    /// promoted workload carries it as a label. A valid label value.
    RunId
}
name! {
    /// The uid the API server gave an object: another object of the same name has another one.
    Uid
}
name! {
    /// An object's `resourceVersion`, compared for equality alone.
    Version
}
name! {
    /// A hash of the production template as served, our image blanked.
    TemplateHash
}

impl Revision {
    /// A form for people: a digest's algorithm and first twelve characters; the generation of a Canary, with what tells
    /// the images that its tags named; anything short as it is.
    #[must_use]
    pub fn short(&self) -> Cow<'_, str> {
        match (self.generation(), self.images()) {
            (Some(generation), None) => Cow::Owned(format!("generation {generation}")),
            (Some(generation), Some(images)) => Cow::Owned(format!("generation {generation} with images {images}")),
            (None, _) => Cow::Borrowed(self.digest_short()),
        }
    }

    /// The form that a [`Command`](crate::Command) names it by: the short digest, or the Canary's generation.
    #[must_use]
    pub fn named(&self) -> &str {
        self.generation().unwrap_or_else(|| self.digest_short())
    }

    fn digest_short(&self) -> &str {
        let text = self.as_str();
        let start = text.find(':').map_or(0, |colon| colon + 1);
        text.get(..start + 12).unwrap_or(text)
    }

    /// The generation in `<uid>/<generation>` and `<uid>/<generation>@<images>`.
    pub(crate) fn generation(&self) -> Option<&str> {
        let (_, tail) = self.as_str().split_once('/')?;
        let generation = tail.split_once('@').map_or(tail, |(generation, _)| generation);
        (!generation.is_empty() && generation.bytes().all(|b| b.is_ascii_digit())).then_some(generation)
    }

    fn images(&self) -> Option<&str> {
        self.as_str().split_once('@').map(|(_, images)| images)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, short: &str, named: &str) {
        let revision = Revision::from(text);
        assert_eq!((revision.short().as_ref(), revision.named()), (short, named), "{text}");
    }

    #[test]
    fn revisions_have_a_form_for_people() {
        check("sha256:0123456789abcdef", "sha256:0123456789ab", "sha256:0123456789ab");
        check("short", "short", "short");
        check("3f2504e0-4f89/3", "generation 3", "3");
        check("3f2504e0-4f89/3@0a1b2c3d", "generation 3 with images 0a1b2c3d", "3");
        check("a/b", "a/b", "a/b");
        check("", "", "");
    }
}
