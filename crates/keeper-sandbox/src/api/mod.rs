//! A Kubernetes API server in memory, on plain HTTP: good enough for kube-rs, its watchers and controllers, and for
//! `kubectl`.
//!
//! Objects are kept as the JSON that was sent plus what a server sets, less the fields that their kind does not have in
//! the Kubernetes release that k8s-openapi was built for.
//! Custom resources are held against the schemas in their definitions: checked, pruned, filled with defaults.
//! The answers, their codes and their wording follow kube-apiserver 1.36. Left out, and answered with 415 or not at
//! all: server-side apply, field management, rules in CEL (`x-kubernetes-validations` are stored and not evaluated),
//! conversion webhooks, access control (Roles and RoleBindings are kept, and nobody is asked for rights), other
//! admission than pod tolerations and priorities, `exec`, `attach` and `portforward`, protobuf answers (and bodies
//! beyond what `kubectl` sends), OpenAPI of the built-in kinds (`kubectl explain` explains custom ones), and warnings:
//! unknown fields are dropped, and refused with `fieldValidation=Strict`. EndpointSlices may hold loopback addresses,
//! because the sandbox's pods live on them.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use keeper_sandbox::api::{ApiConfig, ApiServer};
//!
//! let server = ApiServer::serve(ApiConfig::default()).await?;
//! println!("kubectl --server http://{} get namespaces", server.address());
//! println!("{} requests so far, also under /sandbox/requests", server.requests().total());
//! server.stop().await;
//! # Ok(())
//! # }
//! ```

mod admission;
mod binding;
mod body;
mod cluster;
mod convert;
mod custom;
mod decode;
mod defaults;
mod definitions;
mod deletion;
mod deployment_config;
mod discovery;
mod go;
mod http;
mod list;
mod names;
mod object;
mod openapi;
mod patch;
mod pod_log;
mod pod_streams;
mod protobuf;
mod prune;
mod quantity;
mod request;
mod request_log;
mod resources;
mod scale;
mod selector;
mod server;
mod services;
mod status;
mod store;
mod strategic;
mod strategy;
mod table;
mod validation;
mod watch;

pub use pod_log::log_file_name;
pub(crate) use pod_log::previous_log_file_name;
pub use request_log::{RequestCounts, RequestLog, RequestRecord};
pub use server::{ApiConfig, ApiServer};

use server::Server;
