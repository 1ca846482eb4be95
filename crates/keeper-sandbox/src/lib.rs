//! A cluster for one machine: Kubernetes API, workload controllers, node and Service proxy, image registry, faults.
//!
//! It decides nothing about canaries. It is there so that the real operator, unchanged, can be tried, shown and tested where
//! no cluster is: everything runs in one process and, for pods, as ordinary processes on addresses of 127.0.0.0/8 of their
//! own. It is for tests and the demo: no authentication, no isolation, nothing is kept.
//!
//! [`Sandbox`] is all of it together. Each part is usable alone:
//!
//! | part | what it is |
//! |---|---|
//! | [`api`] | an API server in memory |
//! | [`controllers`] | Deployment, ReplicaSet, StatefulSet, Job, EndpointSlice, budgets, namespaces, garbage; clients of the API |
//! | [`node`] | runs pods, as processes or as fakes; a client of any API server |
//! | [`proxy`] | forwards connections to Services; a client of any API server |
//! | [`registry`] | images, tags, digests, token authentication, wrong answers on purpose |
//! | [`faults`] | a layer in front of any API server that makes it fail |
//! | [`Rights`] | whether a Role allows what was asked, and what of it nobody asked for |
//!
//! Whether it tells the truth is tested: its own tests also run on a real control plane
//! ([`Sandbox::attach`], chosen by the environment variable `KEEPER_E2E_KUBECONFIG`).
//!
//! ```
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! use keeper_sandbox::{Sandbox, SandboxConfig, registry::ImageConfig};
//! use kube::{Api, api::{DynamicObject, ApiResource, GroupVersionKind, PostParams}};
//!
//! # let directory = tempfile::tempdir()?;
//! # let directory = directory.path();
//! let sandbox = Sandbox::start(SandboxConfig::new(directory).with_fake_pods()).await?;
//! sandbox.registry().push("app", "1.0", &ImageConfig::new(["/usr/local/bin/app"]));
//! let pod: DynamicObject = serde_json::from_value(serde_json::json!({
//!     "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "app"},
//!     "spec": {"containers": [{"name": "app", "image": sandbox.registry().pull_spec("app", "1.0")}]},
//! }))?;
//! let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Pod"));
//! let pods: Api<DynamicObject> = Api::default_namespaced_with(sandbox.client()?, &kind);
//! pods.create(&PostParams::default(), &pod).await?;
//! while pods.get("app").await?.data["status"]["phase"] != "Running" {
//!     tokio::time::sleep(std::time::Duration::from_millis(10)).await;
//! }
//! println!("kubectl --kubeconfig {} get pods", sandbox.kubeconfig().display());
//! sandbox.stop().await;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```

pub mod api;
pub mod controllers;
pub mod faults;
pub mod node;
pub mod proxy;
pub mod registry;

mod address;
mod fetch;
mod objects;
mod queue;
mod rights;
mod sandbox;
mod selector;
mod view;

pub use address::AddressBlock;
pub use rights::Rights;
pub use sandbox::{AttachConfig, Sandbox, SandboxConfig, SandboxError};
