//! What the scenario's registry holds.

use super::{World, demo_app};
use keeper_sandbox::registry::{ImageConfig, Registry};

impl World {
    pub fn registry(&self) -> &Registry {
        self.sandbox.registry()
    }

    /// Pushes an image under `shop:stable` that does as scripted (fake pods), and answers its digest. `salt` makes
    /// digests differ.
    pub fn push(&self, salt: &str, script: &[(&str, &str)]) -> String {
        self.push_to("stable", salt, script)
    }

    fn push_to(&self, tag: &str, salt: &str, script: &[(&str, &str)]) -> String {
        let mut image = ImageConfig::new(["fake"]).env("VERSION", salt);
        for (name, value) in script {
            image = image.label(format!("{}{name}", keeper_sandbox::node::SCRIPT_PREFIX), *value);
        }
        self.registry().push("shop", tag, &image)
    }

    /// Pushes an image as [`World::push`] does, under a tag that nobody watches.
    pub fn push_aside(&self, salt: &str, script: &[(&str, &str)]) -> String {
        let watched = self.registry().digest("shop", "stable");
        let digest = self.push_to("aside", salt, script);
        assert_eq!(self.registry().digest("shop", "stable"), watched);
        digest
    }

    /// Pushes the demo app with these settings under `shop:stable`.
    pub fn push_app(&self, version: &str, env: &[(&str, &str)]) -> String {
        let mut image = ImageConfig::new([demo_app().to_str().unwrap()]).env("VERSION", version);
        for (name, value) in env {
            image = image.env(*name, *value);
        }
        self.registry().push("shop", "stable", &image)
    }

    pub fn image(&self, digest: &str) -> String {
        self.registry().pinned_spec("shop", digest)
    }

    /// The watched pull spec.
    pub fn tag(&self) -> String {
        self.registry().pull_spec("shop", "stable")
    }
}
