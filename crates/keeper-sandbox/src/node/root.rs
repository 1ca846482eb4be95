//! The root directory of a container whose image has layers: what is in the image, the pod's volumes, and what a kubelet adds.
//!
//! Such a container sees nothing of the machine's files; its network and its processes are the machine's. A volume is as it
//! was when the container started: Secrets and ConfigMaps are copied, an `emptyDir` is the container's own.
//!
//! Layers are unpacked by root. An image is trusted as whoever runs the sandbox is: no layer is looked through for members that
//! an earlier one's links lead elsewhere.

use std::{
    collections::VecDeque,
    ffi::OsString,
    io,
    path::{Component, Path, PathBuf},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use kube::api::ListParams;
use serde_json::{Value, json};

use super::{ApiAccess, Shared, command::Command, image::Image};
use crate::objects::{CONFIG_MAPS, Fields, Meta, Object, SECRETS, SERVICES};

/// Where programs in pods look for their ServiceAccount.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// Where the node puts a kubeconfig instead, on a server without TLS.
const KUBECONFIG: &str = "/var/run/secrets/sandbox/kubeconfig";
/// How many links are followed on the way to a directory, as Linux does.
const LINKS: usize = 40;
/// The ConfigMap in which each namespace has the API server's authority.
const AUTHORITY: &str = "kube-root-ca.crt";

/// A directory that is gone when this is.
#[derive(Debug)]
pub(super) struct Root {
    path: PathBuf,
    /// `uid:gid`.
    user: String,
    /// How the container finds the API server.
    env: Vec<(String, String)>,
}

/// What a container gets beside its image's files.
#[derive(Debug, Default)]
struct Contents {
    /// Files by their paths.
    files: Vec<(String, Vec<u8>)>,
    /// Directories that are to be written to.
    open: Vec<String>,
    env: Vec<(String, String)>,
}

impl Root {
    /// Makes it; the error is the message of `CreateContainerConfigError`.
    pub(super) async fn make(
        shared: &Shared,
        directory: &Path,
        pod: &Object,
        container: &Value,
        image: &Image,
    ) -> Result<Self, String> {
        let Some(store) = &shared.store else { return Err("this node keeps no layers".to_owned()) };
        // What may be missing comes first: it is asked for again and again.
        let user = user(pod, container, image)?;
        let contents = contents(shared, pod, container).await?;
        let name =
            format!("{}_{}_{:08x}", pod.uid(), container.text("/name").unwrap_or_default(), rand::random::<u32>());
        let path = directory.join("roots").join(name);
        std::fs::create_dir_all(&path).map_err(|error| said(&path, &error))?;
        let root = Self { path, user, env: contents.env };
        store.unpack(&image.layers, &root.path).await.map_err(|error| error.to_string())?;
        for path in &contents.open {
            // Whoever runs there may write.
            let place = root.directory(path)?;
            open_to_all(&place).map_err(|error| said(&place, &error))?;
        }
        for (path, content) in &contents.files {
            root.write(path, content)?;
        }
        Ok(root)
    }

    /// The same command inside of it, by the `chroot` program, which needs root's rights.
    pub(super) fn confine(&self, command: Command) -> Result<Command, String> {
        if command.directory.as_deref().is_some_and(|directory| directory != "/") {
            return Err("a workingDir is not known to this node where the image has layers".to_owned());
        }
        // By this process's PATH: the container's is about the image.
        let chroot = on_path("chroot").ok_or("this node has no chroot on its PATH")?;
        let head = [format!("--userspec={}", self.user), self.path.display().to_string(), command.program];
        let env = command.env.into_iter().chain(self.env.iter().cloned()).collect();
        let arguments = head.into_iter().chain(command.arguments).collect();
        Ok(Command { program: chroot.display().to_string(), arguments, env, directory: None })
    }

    /// A directory of that path in here, made if it isn't there. Links of the image are followed as a container sees them: none
    /// leads out of here.
    fn directory(&self, path: &str) -> Result<PathBuf, String> {
        let mut pending: VecDeque<OsString> = parts(Path::new(path)).collect();
        if pending.iter().any(|part| part == "..") {
            return Err(format!("{path:?} is no path in a container"));
        }
        let (mut found, mut links) = (PathBuf::new(), 0);
        while let Some(part) = pending.pop_front() {
            if part == ".." {
                found.pop();
                continue;
            }
            let place = self.path.join(&found).join(&part);
            match std::fs::symlink_metadata(&place) {
                Ok(there) if there.is_dir() => found.push(part),
                Ok(there) if there.is_symlink() && links < LINKS => {
                    links += 1;
                    let target = std::fs::read_link(&place).map_err(|error| said(&place, &error))?;
                    if target.is_absolute() {
                        found.clear();
                    }
                    pending = parts(&target).chain(pending).collect();
                }
                Ok(_) => return Err(format!("{path}: the image has something else there than a directory")),
                Err(_) => {
                    std::fs::create_dir(&place).map_err(|error| said(&place, &error))?;
                    found.push(part);
                }
            }
        }
        Ok(self.path.join(found))
    }

    fn write(&self, path: &str, content: &[u8]) -> Result<(), String> {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let place = self.directory(parent)?.join(name);
        // Not through a link that the image has there.
        let _ = std::fs::remove_file(&place);
        std::fs::write(&place, content).map_err(|error| said(&place, &error))
    }
}

/// What a path is made of, `..` included.
fn parts(path: &Path) -> impl Iterator<Item = OsString> {
    let names = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    names.collect::<Vec<_>>().into_iter()
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// The pod's volumes, and what a kubelet adds.
async fn contents(shared: &Shared, pod: &Object, container: &Value) -> Result<Contents, String> {
    let mut contents = Contents::default();
    for mount in container.items("/volumeMounts") {
        let (name, at) = (mount.text("/name").unwrap_or_default(), mount.text("/mountPath").unwrap_or_default());
        let mut volumes = pod.items("/spec/volumes").iter();
        let volume = volumes.find(|volume| volume.text("/name") == Some(name));
        let volume = volume.ok_or_else(|| format!("volume {name} is not there"))?;
        if mount.at("/subPath").is_some() {
            return Err(format!("volume {name}: a subPath is not known to this node"));
        }
        match files_of(shared, pod, volume).await.map_err(|error| format!("volume {name}: {error}"))? {
            Some(files) => {
                contents.files.extend(files.into_iter().map(|(file, content)| (format!("{at}/{file}"), content)));
            }
            None => contents.open.push(at.to_owned()),
        }
    }
    contents.files.push(("/etc/hosts".to_owned(), hosts(shared, pod).await?.into_bytes()));
    account(shared, pod, &mut contents).await?;
    Ok(contents)
}

/// What a program in a pod finds the API server by.
async fn account(shared: &Shared, pod: &Object, contents: &mut Contents) -> Result<(), String> {
    if pod.at("/spec/automountServiceAccountToken") == Some(&Value::Bool(false)) {
        return Ok(());
    }
    match &shared.config.access {
        None => {}
        Some(ApiAccess::Kubeconfig(kubeconfig)) => {
            contents.files.push((KUBECONFIG.to_owned(), kubeconfig.to_string().into_bytes()));
            contents.env.push(("KUBECONFIG".to_owned(), KUBECONFIG.to_owned()));
        }
        Some(ApiAccess::ServiceAccount { host, port }) => {
            let token = token(shared, pod).await?;
            let authority = config_map(shared, pod.namespace(), AUTHORITY).await?;
            let authority = authority.text("/data/ca.crt").unwrap_or_default().to_owned();
            let namespace = pod.namespace().to_owned();
            let files = [("token", token), ("ca.crt", authority), ("namespace", namespace)];
            contents.files.extend(files.map(|(file, content)| (format!("{ACCOUNT}/{file}"), content.into_bytes())));
            let variables = [("KUBERNETES_SERVICE_HOST", host.clone()), ("KUBERNETES_SERVICE_PORT", port.to_string())];
            contents.env.extend(variables.map(|(name, value)| (name.to_owned(), value)));
        }
    }
    Ok(())
}

impl Drop for Root {
    fn drop(&mut self) {
        let path = std::mem::take(&mut self.path);
        // What can't be removed goes with the sandbox's directory.
        let remove = move || drop(std::fs::remove_dir_all(path));
        // Tens of megabytes keep a thread busy that others wait for.
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(remove)),
            Err(_) => remove(),
        }
    }
}

/// Who runs: the container's word, the pod's, the image's, root.
fn user(pod: &Object, container: &Value, image: &Image) -> Result<String, String> {
    let wanted = |field: &str| {
        let at = format!("/securityContext/{field}");
        container.int(&at).or_else(|| pod.int(&format!("/spec{at}")))
    };
    let of_image = image.user.as_deref().unwrap_or("0");
    let (uid, gid) = of_image.split_once(':').unwrap_or((of_image, "0"));
    let number = |text: &str| text.parse::<i64>().map_err(|_| format!("the image's user {of_image:?} is no number"));
    let (uid, gid) = match wanted("runAsUser") {
        Some(uid) => (uid, 0),
        None => (number(uid)?, number(gid)?),
    };
    Ok(format!("{uid}:{}", wanted("runAsGroup").unwrap_or(gid)))
}

type Files = Vec<(String, Vec<u8>)>;

/// The files of a volume; `None`: it is empty, to be written to.
async fn files_of(shared: &Shared, pod: &Object, volume: &Value) -> Result<Option<Files>, String> {
    if volume.at("/emptyDir").is_some() {
        return Ok(None);
    }
    let (object, encoded, source) = if let Some(name) = volume.text("/secret/secretName") {
        let secret = shared.view.api(&SECRETS, pod.namespace()).get_opt(name).await;
        (found(secret, "Secret", name)?, "/data", "/secret")
    } else if let Some(name) = volume.text("/configMap/name") {
        (config_map(shared, pod.namespace(), name).await?, "/binaryData", "/configMap")
    } else {
        return Err("this node knows volumes of secret, configMap and emptyDir only".to_owned());
    };
    if volume.at(&format!("{source}/items")).is_some() {
        return Err("items of a volume are not known to this node".to_owned());
    }
    let mut files = Files::new();
    for (name, content) in object.map(encoded).into_iter().flatten() {
        let decoded = content.as_str().and_then(|content| BASE64_STANDARD.decode(content).ok());
        files.push((name.clone(), decoded.ok_or_else(|| format!("{name} is not base64"))?));
    }
    if encoded == "/binaryData" {
        let plain = object.map("/data").into_iter().flatten();
        files.extend(plain.filter_map(|(name, text)| Some((name.clone(), text.as_str()?.as_bytes().to_vec()))));
    }
    Ok(Some(files))
}

async fn config_map(shared: &Shared, namespace: &str, name: &str) -> Result<Object, String> {
    found(shared.view.api(&CONFIG_MAPS, namespace).get_opt(name).await, "ConfigMap", name)
}

fn found(answer: kube::Result<Option<Object>>, kind: &str, name: &str) -> Result<Object, String> {
    match answer {
        Ok(Some(object)) => Ok(object),
        Ok(None) => Err(format!("{kind} {name} is not there")),
        Err(error) => Err(format!("{kind} {name} can't be read: {error}")),
    }
}

/// The names of the namespace's Services, where a cluster has a DNS server.
async fn hosts(shared: &Shared, pod: &Object) -> Result<String, String> {
    let services = shared.view.api(&SERVICES, pod.namespace()).list(&ListParams::default()).await;
    let services = services.map_err(|error| format!("the Services can't be listed: {error}"))?;
    let mut text = "127.0.0.1 localhost\n".to_owned();
    for service in &services.items {
        if let Some(address) = service.text("/spec/clusterIP").filter(|address| *address != "None") {
            let (name, namespace) = (service.name(), service.namespace());
            text.push_str(&format!("{address} {name} {name}.{namespace} {name}.{namespace}.svc\n"));
        }
    }
    Ok(text)
}

/// How long the server is asked to let a token live, in seconds: a node here renews none. It may have a bound of its own.
const TOKEN_LIVES: u64 = 24 * 3600;

/// A token of the pod's ServiceAccount, as the server issues it to a kubelet.
async fn token(shared: &Shared, pod: &Object) -> Result<String, String> {
    let account = pod.text("/spec/serviceAccountName").unwrap_or("default");
    let path = format!("/api/v1/namespaces/{}/serviceaccounts/{account}/token", pod.namespace());
    let spec = json!({"expirationSeconds": TOKEN_LIVES});
    let asked = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec});
    let request = http::Request::post(path).header(http::header::CONTENT_TYPE, "application/json");
    let request = request.body(asked.to_string().into_bytes()).map_err(|error| error.to_string())?;
    let answer = shared.view.client().request::<Value>(request).await;
    let answer = answer.map_err(|error| format!("no token for ServiceAccount {account}: {error}"))?;
    answer.text("/status/token").map(str::to_owned).ok_or_else(|| format!("no token for ServiceAccount {account}"))
}

fn open_to_all(directory: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o777))
}

fn said(path: &Path, error: &io::Error) -> String {
    format!("{}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::{PODS, object};

    fn root() -> Root {
        let path = tempfile::tempdir().unwrap().keep();
        Root { path, user: "1:2".into(), env: vec![("KUBECONFIG".into(), KUBECONFIG.into())] }
    }

    #[test]
    fn a_command_runs_inside() {
        let (root, plain) = (root(), |directory: Option<&str>| Command {
            program: "/operator".into(),
            arguments: vec!["--insecure".into()],
            env: vec![("A".into(), "b".into())],
            directory: directory.map(str::to_owned),
        });
        let inside = root.confine(plain(None)).unwrap();
        let place = root.path.display().to_string();
        assert!(inside.program.ends_with("/chroot"), "{}", inside.program);
        assert_eq!(inside.arguments, ["--userspec=1:2", &place, "/operator", "--insecure"]);
        assert_eq!(inside.env.last().unwrap().0, "KUBECONFIG");
        assert!(root.confine(plain(Some("/"))).is_ok());
        assert!(root.confine(plain(Some("/work"))).is_err());
    }

    #[test]
    fn nothing_is_written_outside() {
        let (root, outside) = (root(), tempfile::tempdir().unwrap());
        root.write("/etc/hosts", b"127.0.0.1 localhost\n").unwrap();
        assert!(root.path.join("etc/hosts").is_file());
        let link = |target: &Path, name: &str| {
            std::os::unix::fs::symlink(target, root.path.join(name)).unwrap();
        };
        link(outside.path(), "abroad");
        link(&outside.path().join("file"), "etc/link");
        link(Path::new("../../../../../run"), "etc/relative");
        link(Path::new("circle"), "circle");
        // As a container sees it: from its own root.
        root.write("/abroad/file", b"x").unwrap();
        assert!(root.path.join(outside.path().strip_prefix("/").unwrap()).join("file").is_file());
        root.write("/etc/relative/file", b"x").unwrap();
        assert!(root.path.join("run/file").is_file());
        root.write("/etc/link", b"x").unwrap();
        assert!(std::fs::read_dir(outside.path()).unwrap().next().is_none());
        assert!(root.write("/../file", b"x").is_err());
        assert!(root.write("/circle/file", b"x").is_err());
        assert!(root.write("/etc/hosts/file", b"x").is_err());
        let path = root.path.clone();
        drop(root);
        assert!(!path.exists());
    }

    #[test]
    fn what_distributions_link_is_found() {
        let root = root();
        root.directory("/run").unwrap();
        root.directory("/var").unwrap();
        std::os::unix::fs::symlink("/run", root.path.join("var/run")).unwrap();
        root.write(&format!("{ACCOUNT}/token"), b"t").unwrap();
        assert!(root.path.join("run/secrets/kubernetes.io/serviceaccount/token").is_file());
    }

    #[test]
    fn who_runs_is_the_containers_word_then_the_pods_then_the_images() {
        let as_image = |user: &str| Image { user: Some(user.to_owned()), ..Image::default() };
        let pod = |spec: Value| object(&PODS, json!({"metadata": {"name": "p"}, "spec": spec})).unwrap();
        let (none, of_pod) = (pod(json!({})), pod(json!({"securityContext": {"runAsUser": 7, "runAsGroup": 8}})));
        let own = json!({"securityContext": {"runAsUser": 9}});
        assert_eq!(user(&none, &json!({}), &Image::default()).unwrap(), "0:0");
        assert_eq!(user(&none, &json!({}), &as_image("65532:65533")).unwrap(), "65532:65533");
        assert_eq!(user(&of_pod, &json!({}), &as_image("65532:65533")).unwrap(), "7:8");
        assert_eq!(user(&of_pod, &own, &as_image("nobody")).unwrap(), "9:8");
        let error = user(&none, &json!({}), &as_image("nobody")).unwrap_err();
        assert_eq!(error, "the image's user \"nobody\" is no number");
    }
}
