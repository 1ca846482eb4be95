//! The scripts, by controller.

mod budgets;
mod deployments;
mod endpoints;
mod garbage;
mod jobs;
mod namespaces;
mod recreate;
mod replicas;
mod revisions;
mod scaling;
mod stateful;

/// A test from a script: its name is the file's in `testdata/controllers`.
macro_rules! script {
    ($name:ident, $kinds:expr, |$run:ident| $body:block) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            #[allow(unused_mut, reason = "a script may only look once")]
            let mut $run = crate::run::Run::begin(stringify!($name), $kinds).await;
            $body
            $run.end().await;
        }
    };
}
use script;
