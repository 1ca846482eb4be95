//! The Service proxy: a client of any API server that forwards connections to a Service's ready pods.
//!
//! For each port of each Service it listens on the cluster address and gives every new connection to the next ready endpoint,
//! as kube-proxy does: it looks at connections, not at requests; a connection that stands is never moved; where no endpoint
//! is ready, connections are refused. TCP only; a Service port below 1024 needs the right to listen there. It never retries a pod that refuses: whoever connects shall see what a
//! cluster would show.

use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use kube::{Client, runtime::watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::{
    objects::{ENDPOINT_SLICES, Fields, Key, Meta, Object, SERVICES},
    queue::Queue,
    view::View,
};

const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// A pod that does not take a connection in this time is as good as gone.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// An address that can't be listened on yet is tried again after this.
const LISTEN_AGAIN: Duration = Duration::from_millis(500);

/// A running proxy. Dropping it closes its listeners and connections.
#[derive(Debug)]
pub struct Proxy {
    shutdown: CancellationToken,
    _task: AbortOnDropHandle<()>,
}

impl Proxy {
    /// Starts to forward for all Services of the API server behind `client`, or for those of one namespace.
    #[must_use]
    pub fn start(client: Client, namespace: Option<String>) -> Self {
        let shutdown = CancellationToken::new();
        let view = View::within(client, namespace);
        let queue = Arc::new(Queue::new());
        let line = Arc::clone(&queue);
        view.on_change(move |change| {
            let concerned = change
                .latest()
                .and_then(|object| if *change.kind == *SERVICES { Some(object.key()) } else { service_of(object) });
            if let Some(key) = concerned {
                line.add(key);
            }
        });
        for kind in [&SERVICES, &ENDPOINT_SLICES] {
            view.follow(kind, watcher::Config::default(), shutdown.clone());
        }
        let closing = shutdown.clone();
        let task = tokio::spawn(async move {
            view.synced().await;
            let mut services: HashMap<Key, BTreeMap<SocketAddr, Front>> = HashMap::new();
            loop {
                let key = queue.next().await;
                let fronts = services.entry(key.clone()).or_default();
                if !update(fronts, wanted(&view, &key), &closing).await {
                    queue.add_after(key.clone(), LISTEN_AGAIN);
                }
                if fronts.is_empty() {
                    services.remove(&key);
                }
            }
        });
        Self { shutdown, _task: AbortOnDropHandle::new(task) }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

fn service_of(slice: &Object) -> Option<Key> {
    Some(Key::new(slice.namespace(), slice.label(SERVICE_NAME)?))
}

/// Where a Service is listened for, and which endpoints are ready behind each address. Without ready endpoints an address is
/// left out: nobody listens there, so connections are refused.
fn wanted(view: &View, key: &Key) -> BTreeMap<SocketAddr, Vec<SocketAddr>> {
    let Some(service) = view.get(&SERVICES, key) else { return BTreeMap::new() };
    let Some(address) = service.text("/spec/clusterIP").and_then(|ip| ip.parse::<IpAddr>().ok()) else {
        return BTreeMap::new();
    };
    let slices = view.all(&ENDPOINT_SLICES, Some(&key.namespace));
    let slices: Vec<&Object> =
        slices.iter().filter(|slice| service_of(slice).as_ref() == Some(key)).map(|slice| &**slice).collect();
    let tcp = |port: &&serde_json::Value| port.text("/protocol").unwrap_or("TCP") == "TCP";
    let mut fronts = BTreeMap::new();
    for port in service.items("/spec/ports").iter().filter(tcp) {
        let Some(number) = port.int("/port").and_then(|number| u16::try_from(number).ok()) else { continue };
        let endpoints = ready(&slices, port.text("/name").unwrap_or_default());
        if !endpoints.is_empty() {
            fronts.insert(SocketAddr::new(address, number), endpoints);
        }
    }
    fronts
}

fn ready(slices: &[&Object], port: &str) -> Vec<SocketAddr> {
    let mut endpoints = Vec::new();
    for slice in slices {
        let named = |candidate: &&serde_json::Value| candidate.text("/name").unwrap_or_default() == port;
        let number = slice.items("/ports").iter().find(named).and_then(|port| port.int("/port"));
        let Some(number) = number.and_then(|number| u16::try_from(number).ok()) else { continue };
        // A missing condition means ready, says the API.
        let takes = |endpoint: &&serde_json::Value| {
            endpoint.at("/conditions/ready").is_none_or(|ready| ready == &serde_json::Value::Bool(true))
        };
        let addresses =
            slice.items("/endpoints").iter().filter(takes).filter_map(|endpoint| endpoint.text("/addresses/0"));
        endpoints.extend(addresses.filter_map(|address| Some(SocketAddr::new(address.parse().ok()?, number))));
    }
    endpoints.sort_unstable();
    endpoints.dedup();
    endpoints
}

/// One address that is listened on.
struct Front {
    backends: Arc<Backends>,
    _task: AbortOnDropHandle<()>,
}

/// Ready endpoints, taken in turn.
struct Backends {
    ready: RwLock<Vec<SocketAddr>>,
    turn: AtomicUsize,
}

impl Backends {
    fn next(&self) -> Option<SocketAddr> {
        let ready = self.ready.read().unwrap_or_else(PoisonError::into_inner);
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        ready.get(turn.checked_rem(ready.len())?).copied()
    }
}

/// Brings the listeners in line; says whether all of them could be.
async fn update(
    fronts: &mut BTreeMap<SocketAddr, Front>,
    wanted: BTreeMap<SocketAddr, Vec<SocketAddr>>,
    shutdown: &CancellationToken,
) -> bool {
    fronts.retain(|address, _| wanted.contains_key(address));
    let mut all = true;
    for (address, endpoints) in wanted {
        match fronts.get(&address) {
            Some(front) => *front.backends.ready.write().unwrap_or_else(PoisonError::into_inner) = endpoints,
            None => match TcpListener::bind(address).await {
                Ok(listener) => {
                    let backends = Arc::new(Backends { ready: RwLock::new(endpoints), turn: AtomicUsize::new(0) });
                    let task = tokio::spawn(accept(listener, Arc::clone(&backends), shutdown.clone()));
                    fronts.insert(address, Front { backends, _task: AbortOnDropHandle::new(task) });
                }
                Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => all = false,
                // Not an address of this machine, or a port that needs rights: said once, since trying again would not help.
                Err(error) => tracing::warn!(%address, %error, "service can't be listened for"),
            },
        }
    }
    all
}

async fn accept(listener: TcpListener, backends: Arc<Backends>, shutdown: CancellationToken) {
    loop {
        match listener.accept().await {
            Ok((client, _)) => {
                let (backends, shutdown) = (Arc::clone(&backends), shutdown.clone());
                // Connections outlive the listener: a Service that loses its last endpoint does not cut them.
                tokio::spawn(async move { shutdown.run_until_cancelled(forward(client, backends)).await });
            }
            // Out of file handles, most likely.
            Err(error) => {
                tracing::warn!(%error, "connection not accepted");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

async fn forward(client: TcpStream, backends: Arc<Backends>) {
    let mut client = client;
    let connected = match backends.next() {
        Some(backend) => tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(backend)).await,
        None => return refuse(&client),
    };
    let Ok(Ok(mut backend)) = connected else { return refuse(&client) };
    let _ = (client.set_nodelay(true), backend.set_nodelay(true));
    // Either side may break off at any time: that is theirs to see, not ours to report.
    let _ = tokio::io::copy_bidirectional(&mut client, &mut backend).await;
}

/// Closes with a reset, which is what a client gets from a cluster when the pod refuses.
fn refuse(client: &TcpStream) {
    let _ = client.set_zero_linger();
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::objects::object;

    fn slice(ready: &[(&str, Option<bool>)]) -> Object {
        let endpoint =
            |(address, ready): &(&str, Option<bool>)| json!({"addresses": [address], "conditions": {"ready": ready}});
        object(
            &ENDPOINT_SLICES,
            json!({
                "metadata": {"name": "s", "namespace": "n", "labels": {SERVICE_NAME: "web"}},
                "ports": [{"name": "http", "port": 8080}],
                "endpoints": ready.iter().map(endpoint).collect::<Vec<_>>(),
            }),
        )
        .unwrap()
    }

    #[test]
    fn only_ready_endpoints_of_the_named_port_count() {
        let slice = slice(&[
            ("127.2.1.1", Some(true)),
            ("127.2.1.2", Some(false)),
            ("127.2.1.3", None),
            ("nonsense", Some(true)),
        ]);
        let found: Vec<String> = ready(&[&slice], "http").iter().map(SocketAddr::to_string).collect();
        assert_eq!(found, ["127.2.1.1:8080", "127.2.1.3:8080"]);
        assert!(ready(&[&slice], "grpc").is_empty());
    }

    #[test]
    fn backends_take_turns() {
        let address = |last| SocketAddr::from(([127, 2, 1, last], 80));
        let backends = Backends { ready: RwLock::new(vec![address(1), address(2)]), turn: AtomicUsize::new(0) };
        assert_eq!(
            [backends.next(), backends.next(), backends.next()],
            [Some(address(1)), Some(address(2)), Some(address(1))]
        );
        backends.ready.write().unwrap().clear();
        assert_eq!(backends.next(), None);
    }
}
