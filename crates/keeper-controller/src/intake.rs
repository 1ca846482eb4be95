//! Alerts come in: matched to the runs under way, and stored in their records before the sender is told that all is well.

use crate::context::Shared;
use crate::error::ClusterError;
use crate::json::as_json;
use crate::names::canary_name;
use crate::observe;
use crate::records;
use crate::view::{View, owner_of};
use keeper_alertmanager::{Alert, LabelMatcher, Matched, Relevance, Target, WebhookError, judge, parse};
use keeper_rollout::{Record, Run, Stored, StoredAlert};
use kube::ResourceExt;
use kube::api::DynamicObject;
use std::sync::Arc;
use thiserror::Error;

/// Takes Alertmanager's webhooks. Any number of these may run; what they bring is durable when they say so.
#[derive(Clone)]
pub struct AlertIntake {
    shared: Arc<Shared>,
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
    target: Target,
}

impl AlertIntake {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Takes one webhook body. When this answers `Ok`, every alert in it that counts against a canary is stored in that
    /// canary's record.
    ///
    /// # Errors
    ///
    /// When the body is none of Alertmanager's, or when what it brought could not be stored.
    pub async fn take(&self, body: &[u8]) -> Result<(), IntakeError> {
        let webhook = parse(body)?;
        let views = self.shared.views();
        if views.is_empty() {
            return Err(IntakeError::NotReady);
        }
        if webhook.truncated > 0 {
            tracing::warn!(truncated = webhook.truncated, "alertmanager left alerts out of this message");
        }
        let mut live = self.live(&views);
        let mut unmatched = self.store_all(&webhook.alerts, &live).await?;
        if !unmatched.is_empty() {
            // Our watch may not show a canary that is already there.
            live = self.live_afresh(&views).await.map_err(IntakeError::NotStored)?;
            unmatched = self.store_all(&unmatched, &live).await?;
        }
        unmatched.iter().for_each(|_| self.shared.metrics.alert("not_ours"));
        (0..webhook.unreadable_count).for_each(|_| self.shared.metrics.alert("unreadable"));
        Ok(())
    }

    /// Stores what counts; gives back what speaks of no run at all.
    async fn store_all(&self, alerts: &[Alert], live: &[Live]) -> Result<Vec<Alert>, IntakeError> {
        let mut unmatched = Vec::new();
        for alert in alerts {
            let mut ours = false;
            for run in live {
                let relevance = judge(alert, &run.target, &self.shared.settings.alerts);
                ours |= relevance != Relevance::NotOurs;
                self.heed(alert, &relevance, run).await.map_err(IntakeError::NotStored)?;
            }
            if !ours {
                unmatched.push(alert.clone());
            }
        }
        Ok(unmatched)
    }

    async fn heed(&self, alert: &Alert, relevance: &Relevance, live: &Live) -> Result<(), ClusterError> {
        if *relevance == Relevance::NotOurs {
            return Ok(());
        }
        let (namespace, workload) = (&live.target.namespace, &live.target.workload);
        let name = alert.name();
        tracing::info!(namespace, workload, alert = name, fingerprint = alert.fingerprint, "{relevance}");
        let Some(matched) = Matched::new(alert, relevance) else {
            self.shared.metrics.alert("reported");
            return Ok(());
        };
        self.store(&matched, live).await?;
        self.shared.metrics.alert("counts");
        Ok(())
    }

    /// Writes the alert into the record of the run, on the condition that nobody wrote it meanwhile.
    async fn store(&self, matched: &Matched, live: &Live) -> Result<(), ClusterError> {
        let alert = StoredAlert {
            fingerprint: matched.fingerprint.clone(),
            starts_at: matched.starts_at,
            name: matched.name.clone(),
            about: about(matched),
        };
        let mut object = Arc::clone(&live.record);
        for attempt in 1.. {
            let Stored::Readable(mut record) = records::read(Some(&object)) else { return Ok(()) };
            let same_run = record.state.run().is_some_and(|run| run.id == live.run.id);
            if !same_run || !record.store_alert(alert.clone()) {
                return Ok(());
            }
            match self.write(&object, &record).await {
                Err(ClusterError::Conflict { .. }) if attempt < ATTEMPTS => {
                    let namespace = object.namespace().unwrap_or_default();
                    let there = self.shared.cluster.record(&namespace, &object.name_any()).await?;
                    let Some(there) = there else { return Ok(()) };
                    object = Arc::new(there);
                }
                written => return written,
            }
        }
        Ok(())
    }

    async fn write(&self, object: &DynamicObject, record: &Record) -> Result<(), ClusterError> {
        // Only the data changes: owner and labels stay as they are.
        let written = records::write(Some(object), object, &object.name_any(), record);
        self.shared.cluster.write_record(&written).await.map(drop)
    }

    fn live(&self, views: &[Arc<View>]) -> Vec<Live> {
        let of = |view: &Arc<View>| -> Vec<Live> {
            view.records.state().into_iter().filter_map(|record| live(view, record)).collect()
        };
        views.iter().flat_map(of).collect()
    }

    async fn live_afresh(&self, views: &[Arc<View>]) -> Result<Vec<Live>, ClusterError> {
        let namespaces = &self.shared.settings.namespaces;
        let mut scopes: Vec<Option<&str>> = namespaces.iter().map(|namespace| Some(namespace.as_str())).collect();
        if scopes.is_empty() {
            scopes.push(None);
        }
        let mut all = Vec::new();
        for (scope, view) in scopes.into_iter().zip(views) {
            let records = self.shared.cluster.records(scope).await?;
            all.extend(records.into_iter().filter_map(|record| live(view, Arc::new(record))));
        }
        Ok(all)
    }
}

fn about(matched: &Matched) -> String {
    if matched.summary.is_empty() { matched.about.clone() } else { format!("{}: {}", matched.about, matched.summary) }
}

/// The run in a record, and whom alerts about it would name.
fn live(view: &View, record: Arc<DynamicObject>) -> Option<Live> {
    let Stored::Readable(stored) = records::read(Some(&record)) else { return None };
    let run = stored.state.run()?.clone();
    let namespace = record.namespace()?;
    let owner = owner_of(&record, "Deployment")?;
    let workload = view.workload(&namespace, &owner.name)?;
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
        own_matchers: matchers(&workload),
        namespace,
    };
    Some(Live { record, run, target })
}

/// The workload's own matchers; where they can't be read, its plan is invalid and the run about to end.
fn matchers(workload: &DynamicObject) -> Vec<LabelMatcher> {
    let wish = keeper_api::read(&as_json(workload), &keeper_api::Defaults::default());
    let texts = wish.map_or(Vec::new(), |wish| wish.alert_matchers);
    texts.iter().filter_map(|text| LabelMatcher::parse_list(text).ok()).flatten().collect()
}
