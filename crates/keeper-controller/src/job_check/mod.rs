//! The check `kind: job`: a Job beside the canary, whose exit decides.
//!
//! It is here and not below, since it is the one signal that needs the API server. What is asked of that is in `cluster`.

mod build;
mod read;

use crate::cluster::Cluster;
use crate::error::ClusterError;
use crate::kind;
use build::Made;
use jiff::{SignedDuration, Timestamp};
use keeper_api::checks::Job;
use keeper_api::keys;
use keeper_signal::{Evidence, HealthSignal, Look, Looking, Verdict, Why};
use kube::api::DynamicObject;
use kube::{Client, ResourceExt};
use read::Reading;
use std::time::Duration;

/// Runs Jobs beside a canary, one after the other, and judges by how they end.
///
/// A Job that completes is Healthy, one that fails is Unhealthy. One that can't run, or doesn't end within its time-out,
/// has measured nothing; past the time-out it is deleted and another one started. While one runs, the answer is Unknown
/// and the incubation's clock goes on, unless the one before measured nothing.
///
/// It paces itself, so it is to be asked at every look: a [`Policy`](keeper_signal::Policy) around it has the interval
/// zero. Each failed Job is answered once, so that it is counted once.
///
/// A Job's name is made of the canary and of how many there were before: an operator that starts anew finds it again. It
/// is owned by the canary pod and goes with it.
pub struct JobCheck {
    cluster: Cluster,
    check: String,
    job: Job,
    interval: Duration,
    state: State,
}

#[derive(Default)]
struct State {
    /// Of which canary the rest is.
    canary: String,
    /// How many Jobs there were before this one.
    attempt: u32,
    /// Whether the Job was created or seen.
    is_there: bool,
    /// Why the Job before it measured nothing.
    trouble: Option<String>,
    /// How it ended, and when it was begun.
    ended: Option<(Timestamp, Verdict)>,
}

impl State {
    /// The answer of this look, if no Job is to be looked at for it.
    fn answer_without(&self, interval: Duration, now: Timestamp) -> Option<Verdict> {
        let (begun, verdict) = self.ended.as_ref()?;
        let stands = verdict.is_healthy() && interval.is_zero();
        if !stands && elapsed(*begun, now) >= interval {
            return None;
        }
        match verdict {
            // It was told, and counted, when the Job ended.
            Verdict::Unhealthy(evidence) => Some(not_enough(format!("{evidence}; the next Job is not due yet"))),
            other => Some(other.clone()),
        }
    }

    /// Goes on to the next Job.
    fn go_on(&mut self) {
        self.attempt = self.attempt.saturating_add(1);
        self.is_there = false;
        self.ended = None;
    }
}

impl JobCheck {
    /// The check of that name. `interval` is from one Job's start to the next one's; zero: the outcome of the first one
    /// that ends stands, unless its failure is borne.
    #[must_use]
    pub fn new(client: Client, check: impl Into<String>, job: Job, interval: Duration) -> Self {
        let cluster = Cluster::new(client, String::new());
        Self { cluster, check: check.into(), job, interval, state: State::default() }
    }

    async fn measure(&mut self, look: &Look) -> Result<Verdict, String> {
        let name = build::name(&look.workload, &look.canary.uid, &self.check, self.state.attempt);
        let job = self.find_or_start(look, &name).await?;
        self.state.is_there = true;
        let pods = match job.uid().filter(|_| read::needs_pods(&job.data)) {
            None => Vec::new(),
            Some(uid) => self.cluster.pods_of_job(&look.canary.namespace, &name, &uid).await.map_err(words)?,
        };
        let pods: Vec<_> = pods.iter().map(|pod| &pod.data).collect();
        let begun = job.creation_timestamp().map_or(look.window.to, |time| time.0);
        let verdict = match read::read(&job.data, &pods, elapsed(begun, look.window.to), self.job.timeout) {
            Reading::Complete => Verdict::Healthy(Evidence::new(format!("Job {name} completed"))),
            Reading::Failed(how) => Verdict::Unhealthy(Evidence::new(format!("Job {name} failed: {how}"))),
            Reading::Running => return self.running(&job, &name),
            Reading::Stuck(why) => return Err(format!("Job {name} can't run: {why}")),
            Reading::Lost(why) => return Err(self.start_over(look, &job, why).await?),
            Reading::Late => {
                let why = format!("did not end within {} s (timeout)", self.job.timeout.as_secs_f64());
                return Err(self.start_over(look, &job, why).await?);
            }
        };
        self.state.trouble = None;
        self.state.ended = Some((begun, verdict.clone()));
        Ok(verdict)
    }

    fn running(&self, job: &DynamicObject, name: &str) -> Result<Verdict, String> {
        if job.metadata.deletion_timestamp.is_some() {
            return Err(format!("Job {name} is being removed before it ended"));
        }
        match &self.state.trouble {
            Some(before) => Err(format!("{before}; Job {name} runs")),
            None => Ok(not_enough(format!("Job {name} runs"))),
        }
    }

    /// The Job of this attempt, ours for sure.
    async fn find_or_start(&self, look: &Look, name: &str) -> Result<DynamicObject, String> {
        let namespace = &look.canary.namespace;
        let known = match self.state.is_there {
            true => self.cluster.job(namespace, name).await.map_err(words)?,
            false => None,
        };
        let job = match known {
            Some(job) => job,
            None => self.start(look, name).await?,
        };
        let is_ours = job.labels().get(keys::MANAGED_BY).is_some_and(|by| by == keys::MANAGED_BY_VALUE)
            && job.owner_references().iter().any(|owner| owner.uid == look.canary.uid);
        if is_ours { Ok(job) } else { Err(format!("a Job {name} is there that is not ours: delete it")) }
    }

    async fn start(&self, look: &Look, name: &str) -> Result<DynamicObject, String> {
        let canary = &look.canary;
        let pod = self.cluster.canary(&canary.namespace, &canary.name, &kind::pod()).await.map_err(words)?;
        // The garbage collector would remove at once what belongs to a pod that is gone.
        let pod = pod.filter(|pod| pod.uid().as_deref() == Some(canary.uid.as_str()));
        let pod = pod.ok_or_else(|| format!("the canary {} is gone", canary.name))?;
        let run = pod.labels().get(keys::RUN_LABEL).map_or("", String::as_str);
        let made = Made { look, check: &self.check, run, name };
        let job = made.of(&self.job.template).map_err(|error| format!("jobTemplate: {error}"))?;
        match self.cluster.start_job(&job).await {
            Ok(job) => Ok(job),
            Err(error) if error.is_conflict() => {
                let there = self.cluster.job(&canary.namespace, name).await.map_err(words)?;
                there.ok_or_else(|| words(error))
            }
            Err(error) => Err(format!("jobTemplate: {}", words(error))),
        }
    }

    /// Removes a Job that measured nothing. The next look starts another one; where removing failed, it tries again.
    async fn start_over(&mut self, look: &Look, job: &DynamicObject, why: String) -> Result<String, String> {
        let (name, uid) = (job.name_any(), job.uid().unwrap_or_default());
        match self.cluster.delete_job(&look.canary.namespace, &name, &uid).await {
            Ok(()) | Err(ClusterError::NotFound { .. } | ClusterError::Conflict { .. }) => {}
            Err(error) => return Err(format!("Job {name} {why}; {}", words(error))),
        }
        self.state.go_on();
        let told = format!("Job {name} {why}; it was deleted");
        self.state.trouble = Some(told.clone());
        Ok(told)
    }
}

impl HealthSignal for JobCheck {
    fn name(&self) -> &str {
        &self.check
    }

    fn look<'a>(&'a mut self, look: &'a Look) -> Looking<'a> {
        Box::pin(async move {
            if self.state.canary != look.canary.uid {
                self.state = State { canary: look.canary.uid.clone(), ..State::default() };
            }
            if let Some(verdict) = self.state.answer_without(self.interval, look.window.to) {
                return verdict;
            }
            if self.state.ended.is_some() {
                self.state.go_on();
            }
            self.measure(look).await.unwrap_or_else(|why| Verdict::Unknown(Why::NotMeasured(why)))
        })
    }
}

fn not_enough(text: String) -> Verdict {
    Verdict::Unknown(Why::NotEnough(Evidence::new(text)))
}

/// Zero when the clocks differ.
fn elapsed(from: Timestamp, to: Timestamp) -> Duration {
    to.duration_since(from).max(SignedDuration::ZERO).unsigned_abs()
}

#[expect(clippy::needless_pass_by_value, reason = "it ends here")]
fn words(error: ClusterError) -> String {
    crate::json::cut(&error.to_string(), read::LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// What is answered at that second, where a Job begun at 100 ended so.
    fn answer(verdict: &Verdict, interval: u64, second: i64) -> Option<String> {
        let state = State { ended: Some((at(100), verdict.clone())), is_there: true, ..State::default() };
        state.answer_without(Duration::from_secs(interval), at(second)).map(|verdict| verdict.to_string())
    }

    #[test]
    fn what_was_healthy_stands_until_the_next_one_is_due() {
        let healthy = Verdict::Healthy(Evidence::new("fine"));
        let stands = Some("healthy: fine".to_owned());
        assert_eq!(answer(&healthy, 0, 9_999), stands, "without an interval there is one");
        assert_eq!(answer(&healthy, 60, 159), stands);
        assert_eq!(answer(&healthy, 60, 160), None);
        assert_eq!(answer(&healthy, 60, 50), stands, "the clock went back");
    }

    #[test]
    fn a_failure_is_told_once() {
        let bad = Verdict::Unhealthy(Evidence::new("exit code 1"));
        let waits = "unknown: not enough: exit code 1; the next Job is not due yet";
        assert_eq!(answer(&bad, 60, 159).as_deref(), Some(waits), "it must not count again");
        assert_eq!(answer(&bad, 60, 160), None);
        assert_eq!(answer(&bad, 0, 100), None, "where it was borne, the next one starts");
    }

    #[test]
    fn the_next_job_is_another_one() {
        let mut state = State { ended: Some((at(100), not_enough(String::new()))), is_there: true, ..State::default() };
        state.go_on();
        assert!(state.attempt == 1 && !state.is_there && state.ended.is_none());
        assert_eq!(State::default().answer_without(Duration::ZERO, at(1)), None, "nothing was measured yet");
    }
}
