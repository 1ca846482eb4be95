//! The parts of a plan that owners write, wherever they write them.

use crate::duration;
use crate::invalid::{Invalid, quote};
use keeper_rollout::{OnInconclusive, Plan};

/// A text and where it stands.
pub(crate) type Written<'a> = Option<(String, &'a str)>;

/// The durations of a plan as written.
pub(crate) struct Spans<'a> {
    pub(crate) incubation: Written<'a>,
    pub(crate) max_incubation: Written<'a>,
    pub(crate) launch_deadline: Written<'a>,
}

impl Spans<'_> {
    /// The defaults' plan with what is written. `incubation` is how the incubation is called where it could be shortened.
    pub(crate) fn plan(self, incubation: &str, on_inconclusive: Written<'_>, defaults: &Plan) -> Result<Plan, Invalid> {
        let span = |written: Written<'_>| written.map(|(place, text)| duration::read(&place, text)).transpose();
        let mut plan = defaults.clone();
        let said = span(self.incubation)?;
        plan.incubation = said.unwrap_or(plan.incubation);
        let place = self.max_incubation.as_ref().map(|(place, _)| place.clone()).unwrap_or_default();
        plan.max_incubation = match span(self.max_incubation)? {
            Some(longest) => longest,
            None if said.is_some() || plan.max_incubation < plan.incubation => plan.incubation.saturating_mul(2),
            None => plan.max_incubation,
        };
        if plan.max_incubation < plan.incubation {
            let problem = format!(
                "{:?} is less than the {:?} for which a canary must be watched",
                plan.max_incubation, plan.incubation
            );
            let fix = format!("write at least {}s, or shorten {incubation}", plan.incubation.as_secs_f64());
            return Err(Invalid { field: place, problem, fix });
        }
        plan.launch_deadline = span(self.launch_deadline)?.unwrap_or(plan.launch_deadline);
        plan.on_inconclusive = on_inconclusive.map_or(Ok(plan.on_inconclusive), read_on_inconclusive)?;
        Ok(plan)
    }
}

fn read_on_inconclusive((field, text): (String, &str)) -> Result<OnInconclusive, Invalid> {
    match text {
        "retry" => Ok(OnInconclusive::Retry),
        "reject" => Ok(OnInconclusive::Reject),
        other => {
            let problem = format!("{} is neither retry nor reject", quote(other));
            Err(Invalid { field, problem, fix: "write retry or reject".into() })
        }
    }
}
