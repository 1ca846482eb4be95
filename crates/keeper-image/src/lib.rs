//! Image references and digests as types, and the registry's answer to "what does this tag name now?".
//!
//! Decides what a pull spec means ([`Reference`]), whether two images are the same ([`Digest`], [`ImageId`]) and, with
//! the feature `registry`, what digest a tag has at this moment (`RegistryClient`, `TagWatcher`). It never compares
//! images as strings, never lists tags, never pulls a layer and never decides what a missing answer means for a rollout.
//!
//! Without features there is no IO in here:
//!
//! ```
//! use keeper_image::{Digest, ImageId, Reference};
//!
//! let watched: Reference = "quay.io/myorg/my_repo:stable".parse()?;
//! let running = ImageId::parse(
//!     "quay.io/myorg/my_repo@sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
//! );
//! let at_the_registry = Digest::sha256_of(b"{}");
//!
//! assert_eq!(running.repository(), Some(watched.repository()));
//! assert_eq!(running.digest(), Some(&at_the_registry));
//! # Ok::<(), keeper_image::ReferenceError>(())
//! ```

mod digest;
mod image_id;
mod quote;
mod reference;
#[cfg(feature = "registry")]
mod registry;
mod repository;

pub use digest::{Algorithm, Digest, DigestError};
pub use image_id::ImageId;
pub use reference::{Reference, ReferenceError};
#[cfg(feature = "registry")]
pub use registry::*;
pub use repository::{Repository, Tag};
