use std::time::Duration;

/// The validated meaning of the user's YAML: the same for annotation and resource mode. All durations are positive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// How long a canary must be watched while Ready, reachable and measured. Default 15 min (annotation mode).
    pub incubation: Duration,
    /// How long a canary may take to become Ready. Default 10 min.
    pub launch_deadline: Duration,
    /// How long an incubation may last in all; past it the rollout is Inconclusive. Default twice the incubation.
    pub max_incubation: Duration,
    /// How long production's own rollout may take after our patch. Default 15 min.
    pub rollout_deadline: Duration,
    /// How often a running canary is looked at. Default 5 s.
    pub look_interval: Duration,
    /// The pauses before an Inconclusive revision is tried again; when they are used up it is Held. Default 10 min,
    /// 30 min, 2 h.
    pub retry_after: Vec<Duration>,
    /// What becomes of a revision that could not be judged. Default [`OnInconclusive::Retry`].
    pub on_inconclusive: OnInconclusive,
    /// How often a canary lost to its node is made again within one attempt. Default 2.
    pub recreate_limit: u8,
    /// Makes silence of the alerts, when nothing else judges and the alert path is not known to live, Unknown instead
    /// of proof. Default false.
    pub require_live_alert_path: bool,
}

/// See [`Plan::on_inconclusive`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnInconclusive {
    /// Try again later, and Hold in the end.
    Retry,
    /// Treat it as a rejection: the revision enters the ledger.
    Reject,
}

impl Default for Plan {
    fn default() -> Self {
        let minutes = |n: u64| Duration::from_secs(n * 60);
        Self {
            incubation: minutes(15),
            launch_deadline: minutes(10),
            max_incubation: minutes(30),
            rollout_deadline: minutes(15),
            look_interval: Duration::from_secs(5),
            retry_after: vec![minutes(10), minutes(30), minutes(120)],
            on_inconclusive: OnInconclusive::Retry,
            recreate_limit: 2,
            require_live_alert_path: false,
        }
    }
}

impl Plan {
    /// How long evidence is fresh: three looks or 30 s, the longer. A gap beyond it breaks the watch.
    #[must_use]
    pub fn fresh_for(&self) -> Duration {
        self.look_interval.saturating_mul(3).max(Duration::from_secs(30))
    }

    /// How much newly observed time is worth a write of the record: a quarter of the incubation, and not less than
    /// 30 s, since what a restart forfeits is then less than the restart costs.
    #[must_use]
    pub fn worth_recording(&self) -> Duration {
        (self.incubation / 4).max(Duration::from_secs(30))
    }

    /// After how long a canary that nobody watches ends itself (`activeDeadlineSeconds` of its pod): launch deadline,
    /// longest incubation and `grace` (default 10 min).
    #[must_use]
    pub fn canary_lifetime(&self, grace: Duration) -> Duration {
        self.launch_deadline.saturating_add(self.max_incubation).saturating_add(grace)
    }
}
