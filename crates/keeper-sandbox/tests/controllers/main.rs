//! Whether the sandbox's controllers do as kube-controller-manager does: the same script on both, and after each of its steps
//! what the objects have settled to.
//!
//! A script plays user and kubelet: it writes objects, makes pods ready one by one, ends them. What the real controllers made
//! of it is kept in `testdata/controllers`, so this needs no control plane. With `KEEPER_E2E_KUBECONFIG` set the scripts run
//! on that cluster in place of the sandbox; with `KEEPER_CONTROLLERS_RECORD` as well, what it did is written down.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::needless_pass_by_value,
    clippy::print_stdout,
    unreachable_pub,
    reason = "helpers of tests"
)]

mod cluster;
mod kept;
mod kinds;
mod kubelet;
mod normal;
mod run;
mod scripts;
