//! What Prometheus would ask of Kubernetes, by HTTP: the ready endpoints of a namespace, with the labels that it gives them.

use crate::world::resource;
use kube::api::{Api, DynamicObject, ListParams};
use kube::{Client, ResourceExt};
use serde_json::{Map, Value, json};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;

/// Serves it, and ends with this.
pub struct Discovery {
    address: SocketAddr,
    _task: AbortOnDropHandle<()>,
}

impl Discovery {
    pub async fn serve(client: Client, namespace: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // One that breaks off asks again.
                let _ = answer(stream, &client, namespace).await;
            }
        });
        Self { address, _task: AbortOnDropHandle::new(task) }
    }

    pub fn url(&self) -> String {
        format!("http://{}/targets", self.address)
    }
}

async fn answer(mut stream: TcpStream, client: &Client, namespace: &str) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let body = targets(client, namespace).await.to_string();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await
}

async fn targets(client: &Client, namespace: &str) -> Value {
    let list = async |kind| {
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &kind);
        api.list(&ListParams::default()).await.map(|list| list.items).unwrap_or_default()
    };
    let slices = list(resource("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices")).await;
    let services = list(resource("", "v1", "Service", "services")).await;
    slices.iter().flat_map(|slice| of_slice(slice, &services)).collect()
}

/// A target for each endpoint and port.
fn of_slice(slice: &DynamicObject, services: &[DynamicObject]) -> Vec<Value> {
    let name = slice.labels().get("kubernetes.io/service-name").cloned().unwrap_or_default();
    let mut labels = Map::new();
    labels.insert("__meta_kubernetes_namespace".into(), json!(slice.namespace()));
    labels.insert("__meta_kubernetes_service_name".into(), json!(name));
    for (key, value) in services.iter().filter(|service| service.name_any() == name).flat_map(ResourceExt::labels) {
        let key = key.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
        labels.insert(format!("__meta_kubernetes_service_label_{key}"), json!(value));
    }
    let list = |pointer: &str| slice.data.pointer(pointer).and_then(Value::as_array).cloned().unwrap_or_default();
    let mut targets = Vec::new();
    for port in list("/ports") {
        for endpoint in list("/endpoints") {
            let mut labels = labels.clone();
            labels.insert("__meta_kubernetes_endpointslice_port_name".into(), port["name"].clone());
            labels.insert("__meta_kubernetes_pod_name".into(), endpoint["targetRef"]["name"].clone());
            let target = format!("{}:{}", endpoint["addresses"][0].as_str().unwrap_or_default(), port["port"]);
            targets.push(json!({"targets": [target], "labels": labels}));
        }
    }
    targets
}
