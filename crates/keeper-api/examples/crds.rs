//! Prints the CustomResourceDefinition of a Canary as YAML: `cargo xtask crds` puts it into `deploy/crd/`.

use std::io::Write;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let yaml = serde_saphyr::to_string(&keeper_api::canary::crd())?;
    std::io::stdout().write_all(yaml.as_bytes())?;
    Ok(())
}
