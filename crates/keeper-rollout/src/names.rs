//! Names that the core compares and never reads.

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
    /// What is judged and promoted: an image digest (annotation mode) or the Canary's `uid/generation` (resource mode).
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
    /// A form for people: a digest's algorithm and first twelve characters, anything short as it is.
    #[must_use]
    pub fn short(&self) -> &str {
        let text = self.as_str();
        let start = text.find(':').map_or(0, |colon| colon + 1);
        text.get(..start + 12).unwrap_or(text)
    }
}
