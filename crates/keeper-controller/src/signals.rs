use keeper_api::Check;
use keeper_signal::HealthSignal;

/// Makes the signals of a rollout out of its workload's checks. The program that wires everything implements it: the
/// controller knows no signal by name.
pub trait MakeSignals: Send + Sync {
    /// The signal for one check, fresh for one rollout.
    ///
    /// # Errors
    ///
    /// Why this check can't be asked here, in words for the workload's owner; the check is then Unknown.
    fn make(&self, check: &Check) -> Result<Box<dyn HealthSignal>, String>;
}

impl<F> MakeSignals for F
where
    F: Fn(&Check) -> Result<Box<dyn HealthSignal>, String> + Send + Sync,
{
    fn make(&self, check: &Check) -> Result<Box<dyn HealthSignal>, String> {
        self(check)
    }
}
