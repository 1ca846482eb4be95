//! The cluster that a script runs on: the sandbox's API server with its controllers and no node, or a real control plane.

use std::time::Duration;

use keeper_sandbox::api::{ApiConfig, ApiServer};
use keeper_sandbox::controllers;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::kinds::Kind;

/// A cluster and the script's namespace in it.
pub(crate) struct Cluster {
    client: Client,
    pub(crate) namespace: String,
    pub(crate) node: String,
    own: Option<(ApiServer, CancellationToken)>,
}

/// Whether the scripts run on a real control plane.
pub(crate) fn is_real() -> bool {
    std::env::var_os("KEEPER_E2E_KUBECONFIG").is_some()
}

impl Cluster {
    /// Starts a sandbox or finds the real one, and makes a namespace and a Node that nobody runs.
    pub(crate) async fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (mut config, own) = match std::env::var_os("KEEPER_E2E_KUBECONFIG") {
            Some(path) => {
                let file = Kubeconfig::read_from(path).unwrap();
                (Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.unwrap(), None)
            }
            None => {
                let server = ApiServer::serve(ApiConfig::default()).await.unwrap();
                (Config::new(server.url().parse().unwrap()), Some((server, CancellationToken::new())))
            }
        };
        config.default_retry = false;
        let client = Client::try_from(config).unwrap();
        if let Some((_, stop)) = &own {
            tokio::spawn(controllers::run(client.clone(), stop.clone()));
        }
        let namespace = format!("controllers-{:08x}", rand::random::<u32>());
        let cluster = Self { client, node: format!("node-{namespace}"), namespace, own };
        cluster.must("POST", "/api/v1/namespaces", Some(json!({ "metadata": { "name": cluster.namespace } }))).await;
        cluster.must("POST", "/api/v1/nodes", Some(json!({ "metadata": { "name": cluster.node } }))).await;
        cluster
    }

    /// Removes what the script made and stops the sandbox.
    pub(crate) async fn end(self) {
        self.send("DELETE", &format!("/api/v1/namespaces/{}", self.namespace), None).await;
        self.send("DELETE", &format!("/api/v1/nodes/{}", self.node), None).await;
        if let Some((server, stop)) = self.own {
            stop.cancel();
            server.stop().await;
        }
    }

    /// The path of a kind's objects in the namespace, or of one of them.
    pub(crate) fn path(&self, kind: Kind, name: &str) -> String {
        let slash = if name.is_empty() { "" } else { "/" };
        format!("{}/namespaces/{}/{}{slash}{name}", kind.root, self.namespace, kind.plural)
    }

    /// All objects of a kind in the namespace.
    pub(crate) async fn list(&self, kind: Kind) -> Vec<Value> {
        let list = self.must("GET", &self.path(kind, ""), None).await;
        list["items"].as_array().cloned().unwrap_or_default()
    }

    /// One object; `None` when it is not there.
    pub(crate) async fn get(&self, kind: Kind, name: &str) -> Option<Value> {
        let (code, body) = self.send("GET", &self.path(kind, name), None).await;
        (code == 200).then_some(body)
    }

    /// A request that must succeed.
    pub(crate) async fn must(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let (code, answer) = self.send(method, path, body).await;
        assert!((200..300).contains(&code), "{method} {path}: {code} {answer}");
        answer
    }

    /// Any request; a PATCH is a merge patch when the body is an object, and a JSON patch when it is a list.
    pub(crate) async fn send(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let media = match (method, &body) {
            ("PATCH", Some(Value::Array(_))) => "application/json-patch+json",
            ("PATCH", _) => "application/merge-patch+json",
            _ => "application/json",
        };
        let text = body.map_or_else(String::new, |body| body.to_string());
        let request = http::Request::builder().method(method).uri(path).header("content-type", media);
        let request = request.body(Body::from(text.into_bytes())).unwrap();
        let sent = tokio::time::timeout(Duration::from_secs(30), self.client.send(request)).await;
        let response = sent.expect("an answer in time").expect("an answer");
        let code = response.status().as_u16();
        let bytes = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
        (code, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }
}
