//! `kubectl` on the sandbox: the machine's and 1.37, each test with both.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::string_slice,
    unreachable_pub,
    reason = "helpers of tests"
)]

#[path = "../api_support/mod.rs"]
mod api_support;

mod custom;
mod logs;
mod reads;
mod tool;
mod workloads;
mod writes;

/// Each test once for each version, on the API server alone or on a whole sandbox.
macro_rules! with_each_kubectl {
    ($start:ident: $($module:ident::$name:ident),* $(,)?) => {
        with_each_kubectl!(@ machine Machine $start $($module::$name),*);
        with_each_kubectl!(@ newest Newest $start $($module::$name),*);
    };
    (@ $version:ident $variant:ident $start:ident $($module:ident::$name:ident),*) => {
        mod $version {
            use crate::tool::{Kubectl, Version};
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    let Some(kubectl) = Kubectl::$start(Version::$variant).await else { return };
                    crate::$module::$name(&kubectl).await;
                    kubectl.stop().await;
                }
            )*
        }
    };
}

mod api_alone {
    with_each_kubectl!(on_api:
        writes::apply_patch_annotate_label_scale_and_delete,
        writes::apply_removes_what_was_dropped_and_takes_lists,
        writes::edit_replace_diff_and_set,
        writes::create_works_for_kinds_that_kubectl_sends_as_protobuf,
        writes::server_side_apply_is_refused_in_words,
        reads::get_shows_kubectls_tables,
        reads::get_w_follows_changes,
        reads::objects_are_printed_in_every_form,
        reads::events_are_told,
        reads::wait_and_rollout_read_the_status,
        reads::what_is_served_can_be_listed,
        reads::what_needs_a_line_into_pods_is_refused_in_words,
        logs::logs_follow_select_and_look_back,
        custom::custom_resources_are_served_like_built_in_ones,
        custom::custom_kinds_are_explained,
        custom::custom_objects_are_checked,
        custom::a_canary_is_explained_and_taken,
    );
}

mod whole_sandbox {
    with_each_kubectl!(on_sandbox:
        workloads::a_rollout_is_followed_undone_paused_and_restarted,
        workloads::deletion_cascades_as_asked,
        workloads::a_node_is_drained_within_budgets,
        workloads::describe_shows_what_controllers_and_node_say,
    );
}
