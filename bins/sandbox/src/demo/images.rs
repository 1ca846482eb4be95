//! The images that are shipped: the demo application with one behaviour or another.

use super::args::Choice;
use keeper_sandbox::registry::ImageConfig;
use std::path::Path;

/// One image after the other; what differs is what the application is told by its environment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Release {
    /// Its name in the summary.
    pub(super) name: &'static str,
    /// What a person reads above it.
    pub(super) title: &'static str,
    /// What it is, and so what should become of it.
    pub(super) choice: Choice,
    /// Makes its digest another one.
    pub(super) version: &'static str,
}

/// What production runs at first.
pub(super) const FIRST: Release = Release { name: "first", title: "", choice: Choice::Good, version: "1" };

/// What is shipped, in this order.
const ALL: [Release; 3] = [
    Release { name: "good", title: "A good image: it should be promoted", choice: Choice::Good, version: "2" },
    Release { name: "bad", title: "A bad image: it should be rejected", choice: Choice::Bad, version: "3" },
    Release {
        name: "good-again",
        title: "Another good image: it should be promoted",
        choice: Choice::Good,
        version: "4",
    },
];

impl Release {
    /// All three, or the first of the chosen kind.
    pub(super) fn chosen(choice: Option<Choice>) -> Vec<Self> {
        match choice {
            None => ALL.to_vec(),
            Some(choice) => ALL.into_iter().find(|release| release.choice == choice).into_iter().collect(),
        }
    }

    /// The image: the program beside this one, told by its environment how to behave.
    pub(super) fn image(&self, program: &Path) -> ImageConfig {
        let image = ImageConfig::new([program.display().to_string()]).env("VERSION", self.version);
        match self.choice {
            Choice::Good => image,
            Choice::Bad => image.env("FAIL_SHARE", "0.5"),
        }
    }

    /// How it should end.
    pub(super) fn expected(&self) -> &'static str {
        match self.choice {
            Choice::Good => "promoted",
            Choice::Bad => "rejected",
        }
    }
}
