//! Every label and annotation key, and the names of what we store.
//!
//! The four short names are older than this project and stay as they are; everything else is under [`PREFIX`].
//! `keeper-clone` writes the labels of a canary and holds the same strings on its own, since neither crate imports the
//! other: change them together.

/// What all our own keys begin with.
pub const PREFIX: &str = "canary-keeper.dev/";

// What the owner of a workload writes.

/// Label of a workload: `"true"` asks for canaries, anything else and its absence don't.
pub const CANARY_LABEL: &str = "canary";
/// Annotation: the pull spec whose tag is watched. Required.
pub const CANARY_IMAGE: &str = "canary-image";
/// Annotation: the container that gets the image, or several. Needed only when the workload has several containers.
pub const CANARY_NAME: &str = "canary-name";
/// Annotation: how long a canary must be watched, like `15m`. Default: the operator's, 15 min.
pub const CANARY_DURATION: &str = "canary-duration";
/// Annotation: a YAML list of checks. Default: none, so that alerts alone judge.
pub const CHECKS: &str = "canary-keeper.dev/checks";
/// Annotation: Alertmanager matchers; an alert that fits all of them counts as one about this service. Default: none.
pub const ALERT_MATCHERS: &str = "canary-keeper.dev/alert-matchers";
/// Annotation: any value but `false` stops every write except records and the removal of our canary.
pub const PAUSE: &str = "canary-keeper.dev/pause";
/// Annotation: the revision to promote now, see [`keeper_rollout::Command`].
pub const PROMOTE: &str = "canary-keeper.dev/promote";
/// Annotation: the revision whose canary is to end, rejected.
pub const ABORT: &str = "canary-keeper.dev/abort";
/// Annotation: the revision that may be tried again.
pub const RETRY: &str = "canary-keeper.dev/retry";
/// Annotation: `retry` or `reject`, what becomes of a revision that could not be judged. Default: the operator's,
/// `retry`.
pub const ON_INCONCLUSIVE: &str = "canary-keeper.dev/on-inconclusive";
/// Annotation: how long a canary may take to become Ready. Default: the operator's, 10 min.
pub const LAUNCH_DEADLINE: &str = "canary-keeper.dev/launch-deadline";
/// Annotation: how long an incubation may last in all; not below the incubation. Default: twice the incubation.
pub const MAX_INCUBATION: &str = "canary-keeper.dev/max-incubation";
/// Annotation: `true` allows a canary beside a workload that declares it can't have two copies. Default `false`.
pub const ALLOW_TWO_COPIES: &str = "canary-keeper.dev/allow-two-copies";

// What we write. Nothing is read from the first three: they are for `kubectl get` and `kubectl wait`.

/// Annotation of a workload, display only: the phase.
pub const PHASE: &str = "canary-keeper.dev/phase";
/// Annotation of a workload, display only: the reason in CamelCase.
pub const REASON: &str = "canary-keeper.dev/reason";
/// Annotation of a workload, display only: the reason in words.
pub const MESSAGE: &str = "canary-keeper.dev/message";
/// Annotation of a workload: changed to another value so that a promotion still on its way is refused.
pub const FENCE: &str = "canary-keeper.dev/fence";
/// Annotation of a promoted DeploymentConfig without ConfigChange trigger: its latest version when it was promoted.
pub const LATEST_VERSION: &str = "canary-keeper.dev/latest-version";
/// Label of a canary and of its record: the name of the workload.
pub const CANARY_OF: &str = "canary-keeper.dev/canary";
/// Label of a canary: the first twelve hex digits of its revision.
pub const REVISION_LABEL: &str = "canary-keeper.dev/revision";
/// Annotation of a canary: the hash of the production template it was cloned from.
pub const TEMPLATE: &str = "canary-keeper.dev/template";
/// Label of a canary and of a workload that was promoted: the id of the run.
pub const RUN_LABEL: &str = "canary-keeper.dev/run";
/// Label of everything we create.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The value of [`MANAGED_BY`].
pub const MANAGED_BY_VALUE: &str = "canary-keeper";
/// The key in the record's ConfigMap under which [`crate::record`] is stored.
pub const RECORD_KEY: &str = "record.json";

/// The annotations under [`PREFIX`] that an owner may write.
pub(crate) const OWNERS: [&str; 10] = [
    CHECKS,
    ALERT_MATCHERS,
    PAUSE,
    PROMOTE,
    ABORT,
    RETRY,
    ON_INCONCLUSIVE,
    LAUNCH_DEADLINE,
    MAX_INCUBATION,
    ALLOW_TWO_COPIES,
];

/// The annotations of a workload under [`PREFIX`] that are ours.
pub(crate) const OURS: [&str; 5] = [PHASE, REASON, MESSAGE, FENCE, LATEST_VERSION];
