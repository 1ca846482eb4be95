#![allow(clippy::needless_pass_by_value, reason = "tables read best with values")]

use super::*;
use serde_json::json;

fn object(value: Value) -> DynamicObject {
    serde_json::from_value(value).unwrap()
}

fn shared(value: Value) -> Arc<DynamicObject> {
    Arc::new(object(value))
}

fn digest(letter: char) -> String {
    format!("sha256:{}", letter.to_string().repeat(64))
}

fn pinned(letter: char) -> String {
    format!("quay.io/team/shop@{}", digest(letter))
}

/// A Deployment of three replicas at generation 2, with this status.
fn rolling(status: Value) -> DynamicObject {
    object(json!({
        "metadata": {"name": "shop", "generation": 2},
        "spec": {"replicas": 3},
        "status": status,
    }))
}

fn progressing(reason: &str) -> Value {
    json!([{"type": "Progressing", "status": "True", "reason": reason, "message": format!("it is {reason}")}])
}

/// The same as a DeploymentConfig without ConfigChange trigger, promoted when its latest version was 4.
fn config(status: Value) -> DynamicObject {
    object(json!({
        "apiVersion": "apps.openshift.io/v1", "kind": "DeploymentConfig",
        "metadata": {
            "name": "shop", "namespace": "team", "uid": "u", "resourceVersion": "9", "generation": 2,
            "annotations": {"canary-keeper.dev/latest-version": "4"},
        },
        "spec": {"replicas": 3, "triggers": [], "template": {"spec": {"containers": [{"name": "shop"}]}}},
        "status": status,
    }))
}

#[test]
fn a_config_that_nobody_rolled_out_yet_is_not_complete() {
    let status = |version: i64, reason: &str| {
        json!({
            "latestVersion": version, "observedGeneration": 2, "updatedReplicas": 3, "replicas": 3,
            "availableReplicas": 3, "conditions": progressing(reason),
        })
    };
    let available = "NewReplicationControllerAvailable";
    assert_eq!(rollout(&config(status(4, available))), Rollout::Progressing);
    assert_eq!(rollout(&config(status(5, available))), Rollout::Complete);
    let deadline = Rollout::Stuck("it is ProgressDeadlineExceeded".into());
    assert_eq!(rollout(&config(status(5, "ProgressDeadlineExceeded"))), deadline);
}

#[test]
fn the_pods_of_a_config_are_selected_by_its_name_too() {
    let by_config = shared(json!({"metadata": {"name": "s"}, "spec": {"selector": {"deploymentconfig": "shop"}}}));
    assert_eq!(production_services(&config(json!({})), &[Arc::clone(&by_config)]).len(), 1);
    assert_eq!(production_services(&rolling(json!({})), &[by_config]).len(), 0);
}

#[test]
fn a_rollout_is_as_far_as_its_controller_says() {
    let status = |observed: i64, updated: i64, all: i64, available: i64, reason: &str| {
        json!({
            "observedGeneration": observed, "updatedReplicas": updated, "replicas": all,
            "availableReplicas": available, "conditions": progressing(reason),
        })
    };
    let table = [
        ("complete", status(2, 3, 3, 3, "NewReplicaSetAvailable"), Rollout::Complete),
        // A pod of a complete rollout that is unready for a moment starts no new rollout.
        ("one unready", status(2, 3, 3, 2, "NewReplicaSetAvailable"), Rollout::Complete),
        ("not seen yet", status(1, 3, 3, 3, "NewReplicaSetAvailable"), Rollout::Progressing),
        ("never seen", json!({}), Rollout::Progressing),
        ("surging", status(2, 3, 4, 3, "ReplicaSetUpdated"), Rollout::Progressing),
        ("old pods left", status(2, 2, 3, 3, "ReplicaSetUpdated"), Rollout::Progressing),
        ("scaled up", status(2, 2, 2, 2, "NewReplicaSetAvailable"), Rollout::Progressing),
        (
            "deadline",
            status(2, 1, 4, 3, "ProgressDeadlineExceeded"),
            Rollout::Stuck("it is ProgressDeadlineExceeded".into()),
        ),
        // Without a progress deadline there is no condition.
        (
            "no condition, available",
            json!({"observedGeneration": 2, "updatedReplicas": 3, "replicas": 3, "availableReplicas": 3}),
            Rollout::Complete,
        ),
        (
            "no condition, unavailable",
            json!({"observedGeneration": 2, "updatedReplicas": 3, "replicas": 3, "availableReplicas": 2}),
            Rollout::Progressing,
        ),
        ("nonsense", json!({"observedGeneration": "2", "conditions": 7}), Rollout::Progressing),
    ];
    for (name, status, expected) in table {
        assert_eq!(rollout(&rolling(status)), expected, "{name}");
    }
}

#[test]
fn a_paused_or_empty_workload_rolls_out_as_it_can() {
    let mut paused = rolling(json!({"observedGeneration": 2}));
    paused.data["spec"]["paused"] = json!(true);
    assert_eq!(rollout(&paused), Rollout::Stuck("the workload is paused".into()));
    let mut empty = rolling(json!({"observedGeneration": 2}));
    empty.data["spec"]["replicas"] = json!(0);
    assert_eq!(rollout(&empty), Rollout::Complete);
    // The API server's default.
    let mut unsaid =
        rolling(json!({"observedGeneration": 2, "updatedReplicas": 1, "replicas": 1, "availableReplicas": 1}));
    unsaid.data["spec"] = json!({});
    assert_eq!(rollout(&unsaid), Rollout::Complete);
}

#[test]
fn a_stuck_rollouts_words_are_bounded() {
    let message = "ä".repeat(100_000);
    let conditions = json!([{"type": "Progressing", "reason": "ProgressDeadlineExceeded", "message": message}]);
    let Rollout::Stuck(words) = rollout(&rolling(json!({"observedGeneration": 2, "conditions": conditions}))) else {
        panic!("stuck")
    };
    assert!(words.chars().count() <= LONGEST_WORDS + 1);
}

fn templated(containers: Value) -> DynamicObject {
    object(json!({
        "metadata": {"name": "shop"},
        "spec": {"template": {"spec": {"containers": containers}}},
    }))
}

fn running_pod(container: &str, image_id: &str) -> Arc<DynamicObject> {
    shared(json!({
        "metadata": {"name": "p"},
        "status": {"containerStatuses": [{"name": container, "imageID": image_id}]},
    }))
}

fn runs(letter: char) -> Production {
    Production::Runs(Revision::new(digest(letter)))
}

#[track_caller]
fn check_production(
    containers: Value,
    named: &[&str],
    pods: &[Arc<DynamicObject>],
    same: &[char],
    wanted: Option<char>,
    expected: Result<char, &str>,
) {
    let named: Vec<String> = named.iter().map(|name| (*name).to_owned()).collect();
    let same = same.iter().map(|letter| digest(*letter).parse().unwrap()).collect();
    let wanted: Option<Digest> = wanted.map(|letter| digest(letter).parse().unwrap());
    let found = production(&templated(containers), &named, pods, &same, wanted.as_ref());
    match (expected, found) {
        (Ok(letter), found) => assert_eq!(found, runs(letter)),
        (Err(words), Production::NotPinned(text)) => assert!(text.contains(words), "{text}"),
        (Err(words), found) => panic!("{words}: {found:?}"),
    }
}

#[test]
fn production_is_what_the_template_pins() {
    let one = json!([{"name": "app", "image": pinned('a')}]);
    check_production(one.clone(), &[], &[], &[], None, Ok('a'));
    // What its pods run doesn't count: they are about to follow.
    check_production(one, &[], &[running_pod("app", &pinned('b'))], &[], None, Ok('a'));
    let two = json!([{"name": "app", "image": pinned('a')}, {"name": "side", "image": pinned('b')}]);
    check_production(two.clone(), &["app"], &[], &[], None, Ok('a'));
    check_production(two.clone(), &["side"], &[], &[], None, Ok('b'));
    check_production(two, &["app", "side"], &[], &[], None, Err("its pods run"));
    check_production(json!([{"name": "app", "image": "NO IMAGE"}]), &[], &[], &[], None, Err("container app"));
    check_production(json!([{"name": "app"}]), &[], &[], &[], None, Err("container app"));
    check_production(json!(7), &[], &[], &[], None, Err("no running pod"));
}

#[test]
fn production_is_what_its_pods_run_where_the_template_names_a_tag() {
    let tagged = || json!([{"name": "app", "image": "quay.io/team/shop:stable"}]);
    let pod = |letter| running_pod("app", &pinned(letter));
    check_production(tagged(), &[], &[pod('a'), pod('a')], &[], None, Ok('a'));
    check_production(tagged(), &[], &[], &[], None, Err("no running pod"));
    check_production(tagged(), &[], &[running_pod("app", "")], &[], None, Err("no running pod"));
    check_production(tagged(), &[], &[running_pod("other", &pinned('a'))], &[], None, Err("no running pod"));
    check_production(
        tagged(),
        &[],
        &[pod('a'), pod('b')],
        &[],
        None,
        Err("run sha256:aaaaaaaaaaaa and sha256:bbbbbbbbbbbb"),
    );
    // Docker's form, and one with a scheme.
    check_production(
        tagged(),
        &[],
        &[running_pod("app", &format!("docker-pullable://{}", pinned('a')))],
        &[],
        None,
        Ok('a'),
    );
    // An index and its children are one image, whichever of them a node tells.
    check_production(tagged(), &[], &[pod('a'), pod('b')], &['a', 'b', 'c'], Some('c'), Ok('c'));
    check_production(tagged(), &[], &[pod('a'), pod('d')], &['a', 'c'], Some('c'), Err("run"));
    let mut leaving = pod('b').as_ref().clone();
    leaving.metadata.deletion_timestamp =
        Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(Timestamp::UNIX_EPOCH));
    check_production(tagged(), &[], &[pod('a'), Arc::new(leaving)], &[], None, Ok('a'));
}

#[test]
fn is_pinned_needs_every_judged_container() {
    let two =
        templated(json!([{"name": "app", "image": pinned('a')}, {"name": "side", "image": "quay.io/team/side:1"}]));
    assert!(is_pinned(&two, &["app".into()]));
    assert!(!is_pinned(&two, &["app".into(), "side".into()]));
    assert!(!is_pinned(&two, &[]));
}

#[test]
fn services_are_those_that_select_the_template() {
    let workload = object(json!({
        "metadata": {"name": "shop"},
        "spec": {"template": {"metadata": {"labels": {"app": "shop", "tier": "web"}}}},
    }));
    let service =
        |name: &str, selector: Value| shared(json!({"metadata": {"name": name}, "spec": {"selector": selector}}));
    let all = [
        service("own", json!({"app": "shop"})),
        service("tier", json!({"tier": "web"})),
        service("other", json!({"app": "cart"})),
        service("more", json!({"app": "shop", "tier": "web", "zone": "a"})),
        service("none", json!({})),
        service("null", Value::Null),
        service("odd", json!({"app": 7})),
    ];
    let names: Vec<String> = production_services(&workload, &all).iter().map(|service| service.name_any()).collect();
    assert_eq!(names, ["own", "tier"]);
}

fn canary_pod(status: Value) -> DynamicObject {
    object(
        json!({"metadata": {"name": "shop-canary-012345", "uid": "u1", "creationTimestamp": "2026-01-01T00:00:00Z"}, "status": status}),
    )
}

fn waiting(name: &str, reason: &str) -> Value {
    json!({"name": name, "restartCount": 0, "state": {"waiting": {"reason": reason, "message": "so it is"}}})
}

fn ended(name: &str, restarts: u32) -> Value {
    let terminated = json!({"exitCode": 137, "reason": "OOMKilled"});
    if restarts > 0 {
        json!({"name": name, "restartCount": restarts, "state": {"running": {}}, "lastState": {"terminated": terminated}})
    } else {
        json!({"name": name, "restartCount": 0, "state": {"terminated": terminated}})
    }
}

fn trouble_of(status: Value) -> Option<Trouble> {
    trouble(&canary_pod(status), &["app".into()], None)
}

#[test]
fn trouble_is_told_apart_by_who_is_to_blame() {
    let container = |status: Value| json!({"containerStatuses": [status]});
    let condition = |type_: &str, status: &str, reason: &str| json!({"conditions": [{"type": type_, "status": status, "reason": reason, "message": "so it is"}]});
    let restarted = || Some(Trouble::Restarted("app: OOMKilled, exit code 137".into()));
    let cannot_pull = |name: &str| Some(Trouble::CannotPull(format!("{name}: so it is")));
    let to_node = |words: &str| Some(Trouble::LostToNode(words.into()));
    let table = [
        ("well", container(json!({"name": "app", "restartCount": 0, "state": {"running": {}}})), None),
        ("nothing said yet", json!({}), None),
        ("starting", container(waiting("app", "ContainerCreating")), None),
        ("ended", container(ended("app", 0)), restarted()),
        ("started again", container(ended("app", 2)), restarted()),
        ("another one ended", container(ended("side", 2)), None),
        ("pull fails", container(waiting("app", "ErrImagePull")), cannot_pull("app")),
        ("pull waits", container(waiting("app", "ImagePullBackOff")), cannot_pull("app")),
        ("never pulled", container(waiting("app", "ErrImageNeverPull")), cannot_pull("app")),
        ("another's pull fails", container(waiting("side", "ErrImagePull")), cannot_pull("side")),
        (
            "an earlier one's",
            json!({"initContainerStatuses": [waiting("init", "ImagePullBackOff")]}),
            cannot_pull("init"),
        ),
        (
            "cannot be configured",
            container(waiting("app", "CreateContainerConfigError")),
            Some(Trouble::CannotRun("app: so it is".into())),
        ),
        (
            "bad command",
            container(waiting("app", "RunContainerError")),
            Some(Trouble::CannotRun("app: so it is".into())),
        ),
        (
            "no node",
            condition("PodScheduled", "False", "Unschedulable"),
            Some(Trouble::NotScheduled("so it is".into())),
        ),
        ("a node", condition("PodScheduled", "True", ""), None),
        ("drained", condition("DisruptionTarget", "True", "EvictionByEvictionAPI"), to_node("EvictionByEvictionAPI")),
        ("not drained", condition("DisruptionTarget", "False", "EvictionByEvictionAPI"), None),
        (
            "evicted",
            json!({"phase": "Failed", "reason": "Evicted", "message": "disk pressure"}),
            to_node("disk pressure"),
        ),
        ("not admitted", json!({"phase": "Failed", "reason": "OutOfcpu"}), to_node("OutOfcpu")),
        ("failed without a word", json!({"phase": "Failed"}), to_node("the pod failed")),
        ("failed with its container", json!({"phase": "Failed", "containerStatuses": [ended("app", 0)]}), restarted()),
        (
            "its own deadline",
            json!({"phase": "Failed", "reason": "DeadlineExceeded", "message": "too long", "containerStatuses": [ended("app", 0)]}),
            Some(Trouble::DeadlineExceeded("too long".into())),
        ),
        ("nonsense", json!({"containerStatuses": [7, {"name": 3}], "conditions": "x", "phase": 1}), None),
    ];
    for (name, status, expected) in table {
        assert_eq!(trouble_of(status), expected, "{name}");
    }
}

#[test]
fn a_container_that_ends_with_its_deleted_pod_is_in_no_trouble() {
    let leaving = |status: Value| {
        let mut pod = canary_pod(status);
        let now = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(Timestamp::UNIX_EPOCH);
        pod.metadata.deletion_timestamp = Some(now);
        trouble(&pod, &[], None)
    };
    assert_eq!(leaving(json!({"containerStatuses": [ended("app", 0)]})), None);
    assert_eq!(leaving(json!({"phase": "Failed", "containerStatuses": [ended("app", 0)]})), None);
    // A restart before that stands.
    assert!(matches!(leaving(json!({"containerStatuses": [ended("app", 1)]})), Some(Trouble::Restarted(_))));
}

#[test]
fn whether_an_image_is_there_is_the_registrys_word() {
    let pod = canary_pod(json!({"containerStatuses": [waiting("app", "ErrImagePull")]}));
    let of = |head: Option<Result<(), HeadError>>| trouble(&pod, &[], head.as_ref()).unwrap();
    assert_eq!(of(Some(Err(HeadError::NotFound("404".into())))), Trouble::ImageNotFound("404".into()));
    assert_eq!(of(Some(Err(HeadError::Other("503".into())))), Trouble::CannotPull("503".into()));
    assert_eq!(of(Some(Ok(()))), Trouble::CannotPull("app: so it is".into()));
    assert_eq!(of(None), Trouble::CannotPull("app: so it is".into()));
    assert!(waits_for_image(&pod, &[]) && waits_for_image(&pod, &["app".into()]));
    assert!(!waits_for_image(&pod, &["side".into()]), "another container's image is not what was released");
}

#[test]
fn a_canary_is_read_whole() {
    let mut pod = canary_pod(json!({"conditions": [
        {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:01:00Z"},
    ]}));
    pod.labels_mut().insert(keys::RUN_LABEL.into(), "3-17".into());
    pod.annotations_mut().insert(keys::TEMPLATE.into(), "abc".into());
    let expected = Canary {
        uid: Uid::new("u1"),
        run: Some(RunId::new("3-17")),
        template: Some("abc".into()),
        ready: true,
        ready_changed: "2026-01-01T00:01:00Z".parse().unwrap(),
        terminating: false,
        reachable: Reach::Reached,
        trouble: None,
    };
    assert_eq!(canary(&pod, &[], Reach::Reached, None), expected);
    let bare = canary(&canary_pod(json!({})), &[], Reach::NoService, None);
    assert_eq!((bare.ready, bare.run, bare.template), (false, None, None));
    assert_eq!(bare.ready_changed, "2026-01-01T00:00:00Z".parse().unwrap(), "its creation, while it has no condition");
}

#[test]
fn reach_needs_every_service_to_list_the_pod_as_ready() {
    let service = |name: &str| shared(json!({"metadata": {"name": name}}));
    let slice = |service: &str, endpoints: Value| {
        shared(
            json!({"metadata": {"name": service, "labels": {"kubernetes.io/service-name": service}}, "endpoints": endpoints}),
        )
    };
    let endpoint = |uid: &str, ready: Value| json!([{"targetRef": {"uid": uid}, "conditions": {"ready": ready}}]);
    let missing = |names: &[&str]| Reach::Missing(names.iter().map(|name| (*name).to_owned()).collect());
    let both = [service("a"), service("b")];
    let pod = canary_pod(json!({}));
    let table = [
        ("no slice", vec![], missing(&["a", "b"])),
        ("one", vec![slice("a", endpoint("u1", json!(true)))], missing(&["b"])),
        (
            "both",
            vec![slice("a", endpoint("u1", json!(true))), slice("b", endpoint("u1", json!(true)))],
            Reach::Reached,
        ),
        (
            "unknown counts as ready",
            vec![slice("a", endpoint("u1", Value::Null)), slice("b", endpoint("u1", json!(true)))],
            Reach::Reached,
        ),
        (
            "unready",
            vec![slice("a", endpoint("u1", json!(false))), slice("b", endpoint("u1", json!(true)))],
            missing(&["a"]),
        ),
        (
            "another pod of the name",
            vec![slice("a", endpoint("u0", json!(true))), slice("b", endpoint("u1", json!(true)))],
            missing(&["a"]),
        ),
        (
            "split over slices",
            vec![
                slice("a", json!([])),
                slice("a", endpoint("u1", json!(true))),
                slice("b", endpoint("u1", json!(true))),
            ],
            Reach::Reached,
        ),
        ("nonsense", vec![slice("a", json!("x")), slice("b", json!([7]))], missing(&["a", "b"])),
    ];
    for (name, slices, expected) in table {
        assert_eq!(reach(&pod, &both, &slices), expected, "{name}");
    }
    assert_eq!(reach(&pod, &[], &[]), Reach::NoService);
}

#[test]
fn what_keeps_a_canary_from_starting() {
    let workload = |spec: Value| object(json!({"metadata": {"name": "shop"}, "spec": spec}));
    let crowd = |in_namespace, in_all, neighbour: Option<&str>| Crowd {
        in_namespace,
        in_all,
        neighbour: neighbour.map(str::to_owned),
    };
    let limits = CanaryLimits::default();
    let kind = |spec: Value, crowd: Crowd| blocker(&workload(spec), &crowd, limits).map(|blocker| blocker.kind);
    assert_eq!(kind(json!({"replicas": 1}), crowd(0, 0, None)), None);
    assert_eq!(kind(json!({}), crowd(4, 19, None)), None);
    assert_eq!(kind(json!({"paused": true}), crowd(0, 0, None)), Some(BlockerKind::WorkloadPaused));
    assert_eq!(kind(json!({"replicas": 0}), crowd(0, 0, None)), Some(BlockerKind::ScaledToZero));
    assert_eq!(kind(json!({}), crowd(1, 1, Some("cart"))), Some(BlockerKind::TooManyCanaries));
    assert_eq!(kind(json!({}), crowd(5, 5, None)), Some(BlockerKind::TooManyCanaries));
    assert_eq!(kind(json!({}), crowd(0, 20, None)), Some(BlockerKind::TooManyCanaries));
    let text = crowded(&crowd(1, 1, Some("cart")), limits).unwrap().text;
    assert_eq!(text, "the canary of cart runs behind the same Service");
    let text = crowded(&crowd(5, 7, None), limits).unwrap().text;
    assert_eq!(text, "5 canaries run in this namespace (at most 5) and 7 in all (at most 20)");
}
