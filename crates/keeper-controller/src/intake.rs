//! Alerts come in: matched to the runs under way, and stored in their records before the sender is told that all is well.

use crate::context::Shared;
use crate::error::ClusterError;
use crate::json::as_json;
use crate::kind::{Subject, owning_subject};
use crate::names::canary_name;
use crate::observe;
use crate::records;
use crate::view::{View, deployment_name};
use keeper_alertmanager::{Alert, LabelMatcher, Matched, Relevance, Target, WebhookError, judge, parse};
use keeper_api::Defaults;
use keeper_rollout::{ALERTS_LIMIT, Record, Run, Stored, StoredAlert};
use kube::ResourceExt;
use kube::api::DynamicObject;
use std::sync::Arc;
use std::time::Instant;
use thiserror::Error;
use tokio::sync::Mutex;

/// Takes Alertmanager's webhooks. Any number of these may run; what they bring is durable when they say so.
#[derive(Clone)]
pub struct AlertIntake {
    shared: Arc<Shared>,
    listed: Arc<Mutex<Option<Listed>>>,
}

/// The runs under way, as the server had them after `asked`.
struct Listed {
    asked: Instant,
    live: Arc<Vec<Live>>,
}

/// Why a webhook was not taken.
#[derive(Debug, Error)]
pub enum IntakeError {
    /// The body can never be accepted: coming again does not help.
    #[error(transparent)]
    Garbage(#[from] WebhookError),
    /// What it brought could not be stored. Coming again helps.
    #[error("an alert could not be stored")]
    NotStored(#[source] ClusterError),
    /// Our view of the cluster is not there yet. Coming again helps.
    #[error("still reading the cluster")]
    NotReady,
}

/// How often a record is read and written again when somebody else wrote it in between.
const ATTEMPTS: usize = 5;

/// A run under way and the record it is in.
struct Live {
    record: Arc<DynamicObject>,
    run: Run,
    /// Whom alerts about it would name: one for each pod that its canary has had.
    targets: Vec<Target>,
    /// What the names of such pods begin with, where they are not known beforehand: our watch may not show one yet.
    prefix: Option<String>,
}

impl AlertIntake {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, listed: Arc::default() }
    }

    /// Takes one webhook body. When this answers `Ok`, every alert in it that counts against a canary is stored in that
    /// canary's record.
    ///
    /// # Errors
    ///
    /// When the body is none of Alertmanager's, or when what it brought could not be stored.
    pub async fn take(&self, body: &[u8]) -> Result<(), IntakeError> {
        let arrived = Instant::now();
        let webhook = parse(body)?;
        let views = self.shared.views();
        if views.is_empty() {
            return Err(IntakeError::NotReady);
        }
        if webhook.truncated > 0 {
            tracing::warn!(truncated = webhook.truncated, "alertmanager left alerts out of this message");
        }
        let live = self.live(&views, arrived).await.map_err(IntakeError::NotStored)?;
        let mut ours = vec![false; webhook.alerts.len()];
        for run in live.iter() {
            let counting = self.counting(&webhook.alerts, run, &mut ours);
            self.store(&counting, run).await.map_err(IntakeError::NotStored)?;
        }
        ours.iter().filter(|ours| !**ours).for_each(|_| self.shared.metrics.alert("not_ours"));
        (0..webhook.unreadable_count).for_each(|_| self.shared.metrics.alert("unreadable"));
        Ok(())
    }

    /// The runs under way, asked of the server after the webhook arrived: a run that our watch doesn't show yet counts,
    /// and one that began later is no older than the alert. Webhooks that arrive together share one request.
    async fn live(&self, views: &[Arc<View>], arrived: Instant) -> Result<Arc<Vec<Live>>, ClusterError> {
        let mut listed = self.listed.lock().await;
        if let Some(listed) = listed.as_ref().filter(|listed| listed.asked >= arrived) {
            return Ok(Arc::clone(&listed.live));
        }
        let asked = Instant::now();
        let namespaces = &self.shared.settings.namespaces;
        let mut scopes: Vec<Option<&str>> = namespaces.iter().map(|namespace| Some(namespace.as_str())).collect();
        if scopes.is_empty() {
            scopes.push(None);
        }
        let defaults = &self.shared.settings.defaults;
        let mut all = Vec::new();
        for (scope, view) in scopes.into_iter().zip(views) {
            let records = self.shared.cluster.records(scope).await?;
            all.extend(records.into_iter().filter_map(|record| live(view, defaults, Arc::new(record))));
            let canaries = self.shared.cluster.canaries(scope).await?;
            all.extend(canaries.into_iter().filter_map(|canary| live_canary(view, defaults, canary)));
        }
        let live = Arc::new(all);
        *listed = Some(Listed { asked, live: Arc::clone(&live) });
        Ok(live)
    }

    /// The alerts that count against a run. Notes in `ours` which ones are about its workload at all.
    fn counting(&self, alerts: &[Alert], live: &Live, ours: &mut [bool]) -> Vec<StoredAlert> {
        let Some(Target { namespace, workload, .. }) = live.targets.first() else { return Vec::new() };
        let mut counting = Vec::new();
        for (alert, ours) in alerts.iter().zip(ours) {
            let relevance = live.judge(alert, &self.shared.settings.alerts);
            if relevance == Relevance::NotOurs {
                continue;
            }
            *ours = true;
            let (name, fingerprint) = (alert.name(), &alert.fingerprint);
            let Some(matched) = Matched::new(alert, &relevance) else {
                tracing::debug!(namespace, workload, alert = name, fingerprint, "an alert does not count: {relevance}");
                self.shared.metrics.alert("reported");
                continue;
            };
            self.shared.metrics.alert("counts");
            if counting.len() < ALERTS_LIMIT {
                tracing::info!(namespace, workload, alert = name, fingerprint, "an alert counts: {relevance}");
                counting.push(stored(&matched));
            }
        }
        counting
    }

    /// Writes the alerts into the record of the run, on the condition that nobody wrote it meanwhile.
    async fn store(&self, alerts: &[StoredAlert], live: &Live) -> Result<(), ClusterError> {
        let mut object = Arc::clone(&live.record);
        for attempt in 1..=ATTEMPTS {
            let Stored::Readable(mut record) = records::read(Some(&object)) else { return Ok(()) };
            if record.state.run().is_none_or(|run| run.revision != live.run.revision) {
                // What they count against is over; whatever began since is younger than they are.
                return Ok(());
            }
            let news = alerts.iter().filter(|alert| record.store_alert((*alert).clone())).count();
            if news == 0 {
                return Ok(());
            }
            match self.write(&object, &record).await {
                Err(ClusterError::Conflict { .. }) if attempt < ATTEMPTS => {
                    let namespace = object.namespace().unwrap_or_default();
                    let (cluster, name) = (&self.shared.cluster, object.name_any());
                    let there = match Subject::of(&object) {
                        Subject::Canary => cluster.subject(&(namespace, name, Subject::Canary)).await?,
                        Subject::Workload(_) => cluster.record(&namespace, &name).await?,
                    };
                    let Some(there) = there else { return Ok(()) };
                    object = Arc::new(there);
                }
                written => return written,
            }
        }
        Ok(())
    }

    async fn write(&self, object: &DynamicObject, record: &Record) -> Result<(), ClusterError> {
        // Only the record changes: owner, labels and what is shown stay as they are.
        self.shared.cluster.write_record(&records::replace(object, record)).await.map(drop)
    }
}

fn stored(matched: &Matched) -> StoredAlert {
    StoredAlert {
        fingerprint: matched.fingerprint.clone(),
        starts_at: matched.starts_at,
        name: matched.name.clone(),
        about: about(matched),
    }
}

fn about(matched: &Matched) -> String {
    if matched.summary.is_empty() { matched.about.clone() } else { format!("{}: {}", matched.about, matched.summary) }
}

/// The run in a record, and whom alerts about it would name.
fn live(view: &View, defaults: &Defaults, record: Arc<DynamicObject>) -> Option<Live> {
    let Stored::Readable(stored) = records::read(Some(&record)) else { return None };
    let run = stored.state.run()?.clone();
    let namespace = record.namespace()?;
    let (subject, owner) = owning_subject(&record)?;
    let workload = view.subject(&(namespace.clone(), owner.name, subject))?;
    let canary = view.pod(&namespace, &canary_name(&workload));
    let this_run =
        canary.filter(|pod| pod.labels().get(keeper_api::keys::RUN_LABEL).map(String::as_str) == Some(run.id.as_str()));
    let created = this_run.and_then(|pod| pod.creation_timestamp()).map_or(run.began, |time| time.0);
    let services = observe::production_services(&workload, &view.services(&namespace));
    let pods = view.production_pods(&namespace, &workload.uid().unwrap_or_default());
    let target = Target {
        workload: workload.name_any(),
        services: services.iter().map(|service| service.name_any()).collect(),
        canary_pod: canary_name(&workload),
        canary_created: created,
        production_pods: pods.iter().map(|pod| pod.name_any()).collect(),
        own_matchers: matchers(&workload, defaults),
        namespace,
    };
    Some(Live { record, run, targets: vec![target], prefix: None })
}

/// The same for a Canary. Its canary's pods have names of their own, and there may be several, one after the other.
fn live_canary(view: &View, defaults: &Defaults, mut canary: DynamicObject) -> Option<Live> {
    crate::kind::note(&mut canary, &Subject::Canary.resource());
    let Stored::Readable(stored) = records::read(Some(&canary)) else { return None };
    let run = stored.state.run()?.clone();
    let namespace = canary.namespace()?;
    let recorded = crate::json::text(&canary.data, "/status/deployment").or_else(|| deployment_name(&canary))?;
    let name = recorded.to_owned();
    let production = view.subject(&(namespace.clone(), name.clone(), Subject::DEPLOYMENT));
    let services = production
        .as_ref()
        .map_or(Vec::new(), |production| observe::production_services(production, &view.services(&namespace)));
    let pods = production
        .as_ref()
        .map_or(Vec::new(), |production| view.production_pods(&namespace, &production.uid().unwrap_or_default()));
    let mut names: Vec<String> = services.iter().map(|service| service.name_any()).collect();
    let deployment = keeper_clone::canary_deployment_name(&name);
    let prefix = format!("{deployment}-");
    names.push(deployment);
    let ours = view.pods_of_run(&namespace, &name, run.id.as_str());
    let began = ours.iter().filter_map(|pod| Some(pod.creation_timestamp()?.0)).min().unwrap_or(run.began);
    let target = Target {
        workload: name,
        services: names,
        canary_pod: String::new(),
        canary_created: began,
        production_pods: pods.iter().map(|pod| pod.name_any()).collect(),
        own_matchers: canary_matchers(&canary, defaults),
        namespace,
    };
    let mut targets: Vec<Target> =
        ours.iter().map(|pod| Target { canary_pod: pod.name_any(), ..target.clone() }).collect();
    if targets.is_empty() {
        targets.push(target);
    }
    Some(Live { record: Arc::new(canary), run, targets, prefix: Some(prefix) })
}

impl Live {
    /// What an alert means for it: that it counts, if it does for any of its canary's pods.
    fn judge(&self, alert: &Alert, rules: &keeper_alertmanager::MatchRules) -> Relevance {
        let mut about = Relevance::NotOurs;
        let begun = |pod: &&str| self.prefix.as_ref().is_some_and(|prefix| pod.starts_with(prefix));
        let named = rules.pod_labels.iter().filter_map(|label| alert.label(label)).find(begun);
        let named = self.targets.first().zip(named);
        let named = named.map(|(target, pod)| Target { canary_pod: pod.to_owned(), ..target.clone() });
        for relevance in self.targets.iter().chain(&named).map(|target| judge(alert, target, rules)) {
            if relevance.counts() {
                return relevance;
            }
            if relevance != Relevance::NotOurs {
                about = relevance;
            }
        }
        about
    }
}

fn canary_matchers(canary: &DynamicObject, defaults: &Defaults) -> Vec<LabelMatcher> {
    let wish = keeper_api::canary::read(&as_json(canary), defaults);
    parsed(&wish.map_or(Vec::new(), |wish| wish.alert_matchers))
}

/// The workload's own matchers; where they can't be read, its plan is invalid and the run about to end.
fn matchers(workload: &DynamicObject, defaults: &Defaults) -> Vec<LabelMatcher> {
    let wish = keeper_api::read(&as_json(workload), defaults);
    parsed(&wish.map_or(Vec::new(), |wish| wish.alert_matchers))
}

fn parsed(texts: &[String]) -> Vec<LabelMatcher> {
    texts.iter().filter_map(|text| LabelMatcher::parse_list(text).ok()).flatten().collect()
}
