//! The life of one container: pull, start, probe, end, back off, start again.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use serde_json::Value;
use tokio::time::sleep;

use super::{
    NodeMode, Shared,
    board::{Board, Slot, Stop},
    command::{Command, Place},
    fake::{Delay, FakeScript},
    image::{Image, PullError, Reference, digest_of, pull},
    probe::Probe,
    process::Process,
    root::Root,
    status::{Ended, State},
};
use crate::objects::{Fields, Meta, Object};

/// How often a container that was never ready is asked; a kubelet keeps to the probe's period from the start.
const EAGER: Duration = Duration::from_millis(100);
/// A container that ran for so long starts its back-off anew.
const BACK_OFF_FORGETS: Duration = Duration::from_secs(600);

/// Runs one container of one pod.
pub(crate) struct Runner {
    pub(crate) shared: Arc<Shared>,
    pub(crate) pod: Arc<Object>,
    pub(crate) spec: Value,
    pub(crate) slot: Slot,
    pub(crate) place: Place,
    pub(crate) board: Board,
    pub(crate) stop: Stop,
}

/// What stands behind the container.
enum Engine {
    Process {
        process: Process,
        /// The directory that it runs in, where it has one: gone when it is.
        _root: Option<Root>,
    },
    Fake {
        script: FakeScript,
        started: tokio::time::Instant,
    },
}

impl Runner {
    /// Runs until the container ended for good or was stopped; says whether it succeeded.
    pub(crate) async fn run(self) -> bool {
        let mut crashes = 0;
        loop {
            let Some((image, script)) = self.image().await else { return false };
            let Some(ended) = self.once(&image, script).await else { return false };
            let for_good = self.stop.is_wanted() || !self.restarts_after(ended.exit_code);
            if for_good {
                let succeeded = ended.exit_code == 0;
                self.set(|container| container.state = State::Ended(ended));
                return succeeded;
            }
            if !self.back_off(ended, &mut crashes).await {
                return false;
            }
        }
    }

    fn restarts_after(&self, exit_code: i32) -> bool {
        let policy = self.board.read(|pod| pod.restart_policy);
        match self.slot {
            // An init container is done when it succeeds, whatever the policy.
            Slot::Init(_) => exit_code != 0 && policy.restarts_after(exit_code),
            Slot::Main(_) => policy.restarts_after(exit_code),
        }
    }

    fn set(&self, change: impl FnOnce(&mut super::status::Container)) {
        self.board.update_container(self.slot, change);
    }

    fn waiting(&self, reason: &str, message: String) {
        self.set(|container| container.state = State::waiting(reason, Some(message)));
    }

    fn image_name(&self) -> &str {
        self.spec.text("/image").unwrap_or_default()
    }

    /// Waits, unless the end is wanted first; says whether it waited to the end.
    async fn pause(&self, time: Duration) -> bool {
        tokio::select! {
            () = sleep(time) => true,
            () = self.stop.wanted() => false,
        }
    }

    /// Pulls until it succeeds; `None` when the end is wanted before.
    async fn image(&self) -> Option<(Image, FakeScript)> {
        let mut delay = self.shared.config.pull_backoff;
        loop {
            let pulled = tokio::select! {
                pulled = self.pull() => pulled,
                () = self.stop.wanted() => return None,
            };
            let message = match pulled {
                Ok((image, script)) => {
                    self.set(|container| container.image_id.clone_from(&image.id));
                    return Some((image, script));
                }
                Err(message) => format!("failed to pull image \"{}\": {message}", self.image_name()),
            };
            self.waiting("ErrImagePull", message.clone());
            if !self.pause(delay / 4).await {
                return None;
            }
            self.waiting(
                "ImagePullBackOff",
                format!("Back-off pulling image \"{}\": ErrImagePull: {message}", self.image_name()),
            );
            if !self.pause(delay).await {
                return None;
            }
            delay = (delay * 2).min(self.shared.config.backoff_cap);
        }
    }

    async fn pull(&self) -> Result<(Image, FakeScript), String> {
        let name = self.image_name();
        let image = match Reference::parse(name) {
            Ok(reference) => self.pull_by_policy(&reference).await,
            Err(error) => Err(error),
        };
        let image = image.map_err(|error| in_full(&error))?;
        let annotations = self.pod.metadata.annotations.clone().unwrap_or_default();
        let script = FakeScript::from_labels(&annotations)
            .or(self.shared.script_of(name))
            .or(FakeScript::from_labels(&image.labels));
        match (&self.shared.config.mode, script.pull_error) {
            (NodeMode::Fake, Some(error)) => Err(error),
            (_, pull_error) => Ok((image, FakeScript { pull_error, ..script })),
        }
    }

    async fn pull_by_policy(&self, reference: &Reference) -> Result<Image, PullError> {
        if !reference.is_local() && self.shared.config.mode == NodeMode::Fake {
            // A scenario's image that no registry serves: it is there, with the digest it names or one made of its name.
            let digest = reference.digest().map_or_else(|| digest_of(reference.to_string().as_bytes()), str::to_owned);
            return Ok(Image { id: reference.id(&digest), digest, ..Image::default() });
        }
        let default = if reference.is_latest() { "Always" } else { "IfNotPresent" };
        let policy = self.spec.text("/imagePullPolicy").unwrap_or(default);
        let name = reference.to_string();
        match (policy, self.shared.cached(&name)) {
            ("IfNotPresent" | "Never", Some(image)) => return Ok(image),
            ("Never", None) => {
                return Err(PullError::Name(name, "it is not on the node, and the pull policy is Never"));
            }
            _ => {}
        }
        let credentials = self.shared.credentials(&self.pod, &reference.host).await;
        let image = pull(reference, credentials, self.shared.store.as_ref()).await?;
        self.shared.cache(name, image.clone());
        Ok(image)
    }

    /// Starts the container and sees it through to its end; `None` when the end was wanted before it could be started.
    async fn once(&self, image: &Image, script: FakeScript) -> Option<Ended> {
        let started = Timestamp::now();
        let mut engine = loop {
            let begun = tokio::select! {
                begun = self.start(image, script.clone()) => begun,
                () = self.stop.wanted() => return None,
            };
            match begun {
                Ok(engine) => break engine,
                Err(Failure::Config(message)) => {
                    self.waiting("CreateContainerConfigError", message);
                    if !self.pause(self.shared.config.crash_backoff).await {
                        return None;
                    }
                }
                Err(Failure::Start(message)) => {
                    let finished = Timestamp::now();
                    return Some(Ended {
                        exit_code: 128,
                        reason: "StartError".into(),
                        message: Some(message),
                        started,
                        finished,
                    });
                }
            }
        };
        self.set(|container| container.state = State::Running { since: started });
        let fake = match &engine {
            Engine::Fake { script, started } => Some((script.clone(), *started)),
            Engine::Process { .. } => None,
        };
        let unhealthy = tokio::select! {
            _ = engine.wait() => None,
            message = self.watch_over(fake) => Some(message),
            () = self.stop.wanted() => None,
        };
        if let Some(message) = unhealthy {
            tracing::debug!(pod = %self.pod.key(), message, "unhealthy, restarting");
            self.end_unhealthy(&mut engine).await;
        } else if self.stop.is_wanted() {
            self.end(&mut engine).await;
        }
        let exit_code = engine.wait().await;
        self.set(|container| (container.ready, container.started) = (false, false));
        Some(Ended { exit_code, reason: engine.reason(exit_code), message: None, started, finished: Timestamp::now() })
    }

    async fn start(&self, image: &Image, script: FakeScript) -> Result<Engine, Failure> {
        let NodeMode::Processes { logs, images } = &self.shared.config.mode else {
            return Ok(Engine::Fake { script, started: tokio::time::Instant::now() });
        };
        let mut command = Command::of(&self.pod, &self.spec, image, &self.place).map_err(Failure::Config)?;
        let program = command.program.clone();
        let mut root = None;
        if !image.layers.is_empty() {
            let made = Root::make(&self.shared, images, &self.pod, &self.spec, image).await;
            let made = made.map_err(Failure::Config)?;
            command = made.confine(command).map_err(Failure::Config)?;
            root = Some(made);
        }
        let container = self.spec.text("/name").unwrap_or_default();
        let (namespace, pod) = (self.pod.namespace(), self.pod.name());
        let log = logs.join(crate::api::log_file_name(namespace, pod, container));
        // Each run has a log of its own. There is none to keep when it is the first.
        let _ = std::fs::rename(&log, logs.join(crate::api::previous_log_file_name(namespace, pod, container)));
        let process = Process::start(&command, &log)
            .map_err(|error| Failure::Start(format!("failed to start \"{program}\": {error}")))?;
        Ok(Engine::Process { process, _root: root })
    }

    /// Keeps `ready` and `started` true to the facts; returns when the container should be restarted.
    async fn watch_over(&self, fake: Option<(FakeScript, tokio::time::Instant)>) -> String {
        if let Some((script, started)) = fake {
            return self.play(&script, started).await;
        }
        let probe = |field| Probe::of(&self.spec, field, self.place.pod_ip);
        if let Some(startup) = probe("startupProbe")
            && let Err(message) = self.start_up(&startup).await
        {
            return format!("startup probe failed: {message}");
        }
        let readiness = probe("readinessProbe");
        self.set(|container| (container.started, container.ready) = (true, readiness.is_none()));
        let readiness = async {
            if let Some(readiness) = readiness {
                self.keep_ready(&readiness).await;
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = readiness => String::new(),
            message = self.keep_alive(probe("livenessProbe")) => format!("liveness probe failed: {message}"),
        }
    }

    async fn play(&self, script: &FakeScript, started: tokio::time::Instant) -> String {
        match script.ready_after {
            Some(Delay::Never) => self.set(|container| container.started = true),
            Some(Delay::After(delay)) => {
                self.set(|container| container.started = true);
                tokio::time::sleep_until(started + delay).await;
                self.set(|container| container.ready = true);
            }
            None => self.set(|container| (container.started, container.ready) = (true, true)),
        }
        if let Some(delay) = script.unready_after {
            tokio::time::sleep_until(started + delay).await;
            self.set(|container| container.ready = false);
        }
        std::future::pending().await
    }

    async fn start_up(&self, probe: &Probe) -> Result<(), String> {
        sleep(probe.initial_delay).await;
        let mut failures = 0;
        loop {
            match probe.ask().await {
                Ok(()) => return Ok(()),
                Err(message) => {
                    failures += 1;
                    if failures >= probe.failure_threshold {
                        return Err(message);
                    }
                }
            }
            sleep(probe.period).await;
        }
    }

    async fn keep_ready(&self, probe: &Probe) {
        sleep(probe.initial_delay).await;
        let (mut ready, mut streak, mut was_ready) = (false, 0, false);
        loop {
            let passes = probe.ask().await.is_ok();
            streak = if passes == ready { 0 } else { streak + 1 };
            let threshold = if passes { probe.success_threshold } else { probe.failure_threshold };
            if streak >= threshold {
                (ready, streak) = (passes, 0);
                was_ready |= ready;
                self.set(|container| container.ready = ready);
            }
            sleep(if was_ready { probe.period } else { EAGER.min(probe.period) }).await;
        }
    }

    async fn keep_alive(&self, probe: Option<Probe>) -> String {
        let Some(probe) = probe else { return std::future::pending().await };
        sleep(probe.initial_delay.max(EAGER)).await;
        let mut failures = 0;
        loop {
            failures = match probe.ask().await {
                Ok(()) => 0,
                Err(message) if failures + 1 >= probe.failure_threshold => return message,
                Err(_) => failures + 1,
            };
            sleep(probe.period).await;
        }
    }

    /// The end that somebody asked for: `preStop` sleep, SIGTERM, and SIGKILL at the deadline.
    async fn end(&self, engine: &mut Engine) {
        let deadline = &self.stop;
        if let Some(seconds) =
            self.spec.int("/lifecycle/preStop/sleep/seconds").and_then(|seconds| u64::try_from(seconds).ok())
        {
            tokio::select! {
                () = sleep(Duration::from_secs(seconds)) => {}
                _ = engine.wait() => return,
                () = deadline.deadline() => {}
            }
        }
        engine.terminate();
        tokio::select! {
            _ = engine.wait() => {}
            () = deadline.deadline() => engine.kill(),
        }
    }

    async fn end_unhealthy(&self, engine: &mut Engine) {
        let grace = self
            .pod
            .int("/spec/terminationGracePeriodSeconds")
            .and_then(|grace| u64::try_from(grace).ok())
            .unwrap_or(30);
        engine.terminate();
        tokio::select! {
            _ = engine.wait() => {}
            () = sleep(Duration::from_secs(grace)) => engine.kill(),
            () = self.stop.deadline() => engine.kill(),
        }
    }

    /// The first restart is at once, the next ones wait, twice as long each time; `false` when the end is wanted before.
    async fn back_off(&self, ended: Ended, crashes: &mut u32) -> bool {
        let ran = ended.finished.duration_since(ended.started).unsigned_abs();
        if ran >= BACK_OFF_FORGETS {
            *crashes = 0;
        }
        let delay = match *crashes {
            0 => Duration::ZERO,
            crashes => self
                .shared
                .config
                .crash_backoff
                .saturating_mul(1 << (crashes - 1).min(16))
                .min(self.shared.config.backoff_cap),
        };
        *crashes += 1;
        self.set(|container| container.last = Some(ended.clone()));
        if delay > Duration::ZERO {
            let name = self.spec.text("/name").unwrap_or_default();
            self.waiting(
                "CrashLoopBackOff",
                format!("back-off {}s restarting failed container={name} pod={}", delay.as_secs(), self.pod.name()),
            );
            if !self.pause(delay).await {
                self.set(|container| container.state = State::Ended(ended));
                return false;
            }
        }
        self.set(|container| container.restarts += 1);
        true
    }
}

/// Why a container could not be started.
enum Failure {
    /// Its spec asks for something that can't be had: waits for a change.
    Config(String),
    /// Its program can't be run: counts as a crash.
    Start(String),
}

impl Engine {
    /// Waits for the end and gives the exit code; may be called again.
    async fn wait(&mut self) -> i32 {
        match self {
            Self::Process { process, .. } => process.wait().await,
            Self::Fake { script, started } => match script.exit_after {
                Some(delay) => {
                    tokio::time::sleep_until(*started + delay).await;
                    script.exit_code.unwrap_or(1)
                }
                None => std::future::pending().await,
            },
        }
    }

    fn terminate(&mut self) {
        match self {
            Self::Process { process, .. } => process.terminate(),
            // A fake ends politely, at once.
            Self::Fake { script, .. } => (script.exit_after, script.exit_code) = (Some(Duration::ZERO), Some(0)),
        }
    }

    fn kill(&mut self) {
        match self {
            Self::Process { process, .. } => process.kill(),
            Self::Fake { script, .. } => (script.exit_after, script.exit_code) = (Some(Duration::ZERO), Some(137)),
        }
    }

    fn reason(&self, exit_code: i32) -> String {
        let default = if exit_code == 0 { "Completed" } else { "Error" };
        match self {
            Self::Fake { script: FakeScript { exit_reason: Some(reason), .. }, .. } if exit_code != 0 => reason.clone(),
            Self::Fake { .. } | Self::Process { .. } => default.to_owned(),
        }
    }
}

/// An error with its causes, in one line.
pub(super) fn in_full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
