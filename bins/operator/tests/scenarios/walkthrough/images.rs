//! Images without a container engine: the last stage of a container file, assembled as OCI has it.

use super::paper::Build;
use super::program;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// Where the container files' first stage builds the programs.
const BUILT: &str = "/src/target/release/";

/// Makes images in a directory.
pub struct Builder {
    directory: PathBuf,
}

/// An image to be pushed.
pub struct Assembled {
    pub layer: Vec<u8>,
    pub config: Vec<u8>,
    pub manifest: Vec<u8>,
}

impl Assembled {
    pub fn manifest_digest(&self) -> String {
        digest(&self.manifest)
    }

    pub fn media_type() -> &'static str {
        MANIFEST
    }
}

impl Builder {
    pub fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// From the last stage of a container file.
    pub fn build(&self, build: &Build) -> Assembled {
        let text = fs::read_to_string(&build.file).unwrap();
        let (_, stage) = text.split_once("\nFROM scratch\n").expect("the last stage starts from nothing");
        let mut arguments: BTreeMap<String, String> = BTreeMap::new();
        let (mut files, mut config) = (Vec::new(), json!({}));
        for line in stage.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (instruction, rest) = line.split_once(' ').unwrap();
            match instruction {
                "ARG" => {
                    let (name, default) = rest.split_once('=').unwrap();
                    let given = build.arguments.iter().find(|(given, _)| given == name);
                    let value = given.map_or_else(|| default.to_owned(), |(_, value)| value.clone());
                    arguments.insert(name.to_owned(), value);
                }
                "ENV" => {
                    let filled = arguments
                        .iter()
                        .fold(rest.to_owned(), |text, (name, value)| text.replace(&format!("${{{name}}}"), value));
                    config["Env"] = json!([filled]);
                }
                "COPY" => {
                    let (from, to) = rest.strip_prefix("--from=build ").unwrap().split_once(' ').unwrap();
                    let from = from.strip_prefix(BUILT).map_or_else(|| PathBuf::from(from), program);
                    files.push((from, to.to_owned()));
                }
                "USER" => config["User"] = json!(rest),
                "EXPOSE" => {
                    config["ExposedPorts"] = rest.split(' ').map(|port| (format!("{port}/tcp"), json!({}))).collect();
                }
                "ENTRYPOINT" => config["Entrypoint"] = serde_json::from_str(rest).unwrap(),
                other => panic!("{}: {other} is not known to this test", build.file.display()),
            }
        }
        self.assemble(&build.tag.replace([':', '/'], "-"), files, &config)
    }

    /// The machine's Prometheus as the image of its project has it.
    pub fn prometheus(&self) -> Assembled {
        let files = vec![(crate::world::on_path("prometheus").unwrap(), "/bin/prometheus".to_owned())];
        self.assemble("prometheus", files, &json!({"Entrypoint": ["/bin/prometheus"], "User": "65534:65534"}))
    }

    /// One layer of these files, with the libraries that programs among them are linked to.
    fn assemble(&self, name: &str, files: Vec<(PathBuf, String)>, config: &Value) -> Assembled {
        let root = self.directory.join(name);
        let libraries: Vec<_> = files.iter().flat_map(|(from, _)| libraries(from)).collect();
        for (from, to) in files.into_iter().chain(libraries) {
            let place = root.join(to.trim_start_matches('/'));
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            fs::copy(&from, &place).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
        }
        let mut tar = Command::new("tar");
        tar.args(["--create", "--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mtime=@0", "."]);
        let output = tar.current_dir(&root).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let layer = output.stdout;
        let rootfs = json!({"type": "layers", "diff_ids": [digest(&layer)]});
        let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
        let config = json!({"os": "linux", "architecture": architecture, "config": config, "rootfs": rootfs});
        let config = config.to_string().into_bytes();
        let part = |kind: &str, bytes: &[u8]| json!({"mediaType": kind, "digest": digest(bytes), "size": bytes.len()});
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": part(CONFIG, &config), "layers": [part(LAYER, &layer)],
        });
        Assembled { layer, config, manifest: manifest.to_string().into_bytes() }
    }
}

/// The loader and the libraries of a program, each under its own path; of a static one, or of what is none, nothing.
fn libraries(program: &Path) -> Vec<(PathBuf, String)> {
    let output = Command::new("ldd").arg(program).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let paths = text.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')));
    paths.filter(|path| !path.ends_with(':')).map(|path| (PathBuf::from(path), path.to_owned())).collect()
}

pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}
