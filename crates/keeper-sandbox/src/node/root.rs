//! The root directory of a container whose image has layers: what is in the image, the pod's volumes, and what a kubelet adds.
//!
//! Such a container sees nothing of the machine's files; its network and its processes are the machine's. A volume is as it
//! was when the container started: Secrets and ConfigMaps are copied, an `emptyDir` is the container's own.

use std::{
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

impl Root {
    /// Makes it; the error is the message of `CreateContainerConfigError`.
    pub(super) async fn make(
        shared: &Shared,
        directory: &Path,
        pod: &Object,
        container: &Value,
        image: &Image,
    ) -> Result<Self, String> {
        let name = format!("{}_{}", pod.uid(), container.text("/name").unwrap_or_default());
        let path = directory.join("roots").join(name);
        // What a run before left, were it cut short.
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).map_err(|error| said(&path, &error))?;
        let mut root = Self { path, user: user(pod, container, image)?, env: Vec::new() };
        let Some(store) = &shared.store else { return Err("this node keeps no layers".to_owned()) };
        store.unpack(&image.layers, &root.path).await.map_err(|error| error.to_string())?;
        root.mount(shared, pod, container).await?;
        root.write("/etc/hosts", hosts(shared, pod).await?.as_bytes())?;
        root.account(shared, pod).await?;
        Ok(root)
    }

    /// The same command inside of it, by the `chroot` program, which needs root's rights.
    pub(super) fn confine(&self, command: Command) -> Result<Command, String> {
        if command.directory.as_deref().is_some_and(|directory| directory != "/") {
            return Err("a workingDir is not known to this node where the image has layers".to_owned());
        }
        let head = [format!("--userspec={}", self.user), self.path.display().to_string(), command.program];
        let env = command.env.into_iter().chain(self.env.iter().cloned()).collect();
        let arguments = head.into_iter().chain(command.arguments).collect();
        Ok(Command { program: "chroot".to_owned(), arguments, env, directory: None })
    }

    async fn mount(&self, shared: &Shared, pod: &Object, container: &Value) -> Result<(), String> {
        for mount in container.items("/volumeMounts") {
            let (name, at) = (mount.text("/name").unwrap_or_default(), mount.text("/mountPath").unwrap_or_default());
            let mut volumes = pod.items("/spec/volumes").iter();
            let volume = volumes.find(|volume| volume.text("/name") == Some(name));
            let volume = volume.ok_or_else(|| format!("volume {name} is not there"))?;
            if mount.at("/subPath").is_some() {
                return Err(format!("volume {name}: a subPath is not known to this node"));
            }
            let files = files_of(shared, pod, volume).await.map_err(|error| format!("volume {name}: {error}"))?;
            let directory = self.directory(at)?;
            match files {
                Some(files) => {
                    for (file, content) in files {
                        self.write(&format!("{at}/{file}"), &content)?;
                    }
                }
                // Whoever runs there may write.
                None => open_to_all(&directory).map_err(|error| said(&directory, &error))?,
            }
        }
        Ok(())
    }

    /// What a program in a pod finds the API server by.
    async fn account(&mut self, shared: &Shared, pod: &Object) -> Result<(), String> {
        if pod.at("/spec/automountServiceAccountToken") == Some(&Value::Bool(false)) {
            return Ok(());
        }
        match &shared.config.access {
            None => {}
            Some(ApiAccess::Kubeconfig(kubeconfig)) => {
                self.write(KUBECONFIG, kubeconfig.to_string().as_bytes())?;
                self.env.push(("KUBECONFIG".to_owned(), KUBECONFIG.to_owned()));
            }
            Some(ApiAccess::ServiceAccount { host, port }) => {
                let token = token(shared, pod).await?;
                let authority = config_map(shared, pod.namespace(), AUTHORITY).await?;
                let authority = authority.text("/data/ca.crt").unwrap_or_default().to_owned();
                let namespace = pod.namespace().to_owned();
                for (file, content) in [("token", token), ("ca.crt", authority), ("namespace", namespace)] {
                    self.write(&format!("{ACCOUNT}/{file}"), content.as_bytes())?;
                }
                let variables =
                    [("KUBERNETES_SERVICE_HOST", host.clone()), ("KUBERNETES_SERVICE_PORT", port.to_string())];
                self.env.extend(variables.map(|(name, value)| (name.to_owned(), value)));
            }
        }
        Ok(())
    }

    /// A directory of that path in here, made if it isn't there. No link of the image leads out of here.
    fn directory(&self, path: &str) -> Result<PathBuf, String> {
        let mut place = self.path.clone();
        for part in Path::new(path).components() {
            match part {
                Component::RootDir | Component::CurDir => continue,
                Component::Normal(name) => place.push(name),
                Component::ParentDir | Component::Prefix(_) => {
                    return Err(format!("{path:?} is no path in a container"));
                }
            }
            match std::fs::symlink_metadata(&place) {
                Ok(found) if found.is_dir() => {}
                Ok(_) => return Err(format!("{path}: the image has something else there than a directory")),
                Err(_) => std::fs::create_dir(&place).map_err(|error| said(&place, &error))?,
            }
        }
        Ok(place)
    }

    fn write(&self, path: &str, content: &[u8]) -> Result<(), String> {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let place = self.directory(parent)?.join(name);
        // Not through a link that the image has there.
        let _ = std::fs::remove_file(&place);
        std::fs::write(&place, content).map_err(|error| said(&place, &error))
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        // What can't be removed goes with the sandbox's directory.
        let _ = std::fs::remove_dir_all(&self.path);
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

/// A token of the pod's ServiceAccount, as the server issues it to a kubelet.
async fn token(shared: &Shared, pod: &Object) -> Result<String, String> {
    let account = pod.text("/spec/serviceAccountName").unwrap_or("default");
    let path = format!("/api/v1/namespaces/{}/serviceaccounts/{account}/token", pod.namespace());
    let asked = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
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
        assert_eq!(
            (inside.program.as_str(), inside.arguments),
            ("chroot", vec!["--userspec=1:2".into(), place, "/operator".into(), "--insecure".into()])
        );
        assert_eq!(inside.env.last().unwrap().0, "KUBECONFIG");
        assert!(root.confine(plain(Some("/"))).is_ok());
        assert!(root.confine(plain(Some("/work"))).is_err());
    }

    #[test]
    fn nothing_is_written_outside() {
        let (root, outside) = (root(), tempfile::tempdir().unwrap());
        root.write("/etc/hosts", b"127.0.0.1 localhost\n").unwrap();
        assert!(root.path.join("etc/hosts").is_file());
        std::os::unix::fs::symlink(outside.path(), root.path.join("run")).unwrap();
        std::os::unix::fs::symlink(outside.path().join("file"), root.path.join("etc/link")).unwrap();
        assert!(root.write("/run/file", b"x").is_err());
        assert!(root.write("/../file", b"x").is_err());
        root.write("/etc/link", b"x").unwrap();
        assert!(std::fs::read_dir(outside.path()).unwrap().next().is_none());
        let path = root.path.clone();
        drop(root);
        assert!(!path.exists());
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
