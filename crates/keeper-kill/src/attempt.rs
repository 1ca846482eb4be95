use crate::{Intent, Mode, Outcome, Policy, Refusal, Uid};
use jiff::{SignedDuration, Timestamp};

/// The longest text of the API server's that is kept, in characters.
const SAID_LIMIT: usize = 200;
/// The first pause after a removal that is refused for now; each next one is twice as long.
const FIRST_PAUSE: SignedDuration = SignedDuration::from_secs(1);
/// The longest pause.
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_secs(30);
/// How long after the deadline a deletion in place of an eviction, or a removal that always fails, is still tried.
const GRACE: SignedDuration = SignedDuration::from_mins(1);

/// What the API server shows of the pod right before its removal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// Nobody bears the name.
    Gone,
    /// A pod that stays until somebody removes it.
    Staying(Uid),
    /// A pod that is being deleted, has ended, or was taken out of service before.
    Leaving(Uid),
}

/// What a process knows about its requests for one intent. Not stored: whoever takes over an intent from another process
/// begins with [`Attempt::taken_over`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Whether a request may have been accepted that nobody was told about: an answer was lost, or another process held
    /// the intent before.
    pub maybe_accepted: bool,
    /// How many requests this process sent.
    pub tries: u32,
}

impl Attempt {
    /// For an intent that this process decided itself.
    pub const FRESH: Self = Self { maybe_accepted: false, tries: 0 };

    /// For an intent found in the ledger.
    #[must_use]
    pub const fn taken_over() -> Self {
        Self { maybe_accepted: true, tries: 0 }
    }
}

/// One request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// An eviction, with the uid as precondition.
    Evict,
    /// A deletion, with the uid as precondition.
    Delete,
    /// The relabelling, with a test of the uid.
    Quarantine,
}

/// What the API server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// 2xx.
    Accepted,
    /// 404: nobody bears the name.
    NotFound,
    /// 409: another pod bears it.
    AnotherPod,
    /// 429 of a disruption budget, or the 500 that several budgets on one pod get.
    DisruptionBudget(String),
    /// It will not do it, and won't later: 401, 403, 422, ...
    Refused(String),
    /// It was only asked whether it would, or refused for what passes by itself: nothing was done.
    NotNow(String),
    /// It said nothing, or that it can't now. Whether it did it is unknown.
    Lost(String),
}

/// What is to be done about an intent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Send this, then ask [`after`].
    Send(Removal),
    /// Look again then.
    Wait(Timestamp),
    /// It is over. The ledger is told, and the budgets get back what was not [spent](Outcome::spends).
    End(Outcome),
}

/// What is to be done about an intent, by what the API server shows right before.
///
/// The uid is compared here, before the request: an eviction that its precondition fails has spent a disruption of the
/// budget for two minutes all the same.
#[must_use]
pub fn next(intent: &Intent, shown: &Shown, attempt: Attempt, policy: &Policy, now: Timestamp) -> Next {
    match shown {
        Shown::Staying(uid) if *uid == intent.uid => {}
        Shown::Staying(_) | Shown::Leaving(_) | Shown::Gone if attempt.maybe_accepted => {
            return Next::End(Outcome::GoneAfterRequest);
        }
        Shown::Staying(uid) | Shown::Leaving(uid) if *uid != intent.uid => {
            return Next::End(Outcome::refused(&Refusal::Replaced));
        }
        Shown::Staying(_) | Shown::Leaving(_) | Shown::Gone => return Next::End(Outcome::GoneBefore),
    }
    if intent.withdrawn && !attempt.maybe_accepted {
        return Next::End(Outcome::Withdrawn);
    }
    match policy.mode {
        Mode::Delete => Next::Send(Removal::Delete),
        Mode::Quarantine => Next::Send(Removal::Quarantine),
        Mode::EvictThenDelete if now >= intent.deadline => Next::Send(Removal::Delete),
        Mode::Evict | Mode::EvictThenDelete => Next::Send(Removal::Evict),
    }
}

/// What is to be done after an answer, and what is known from then on.
#[must_use]
pub fn after(
    intent: &Intent,
    attempt: Attempt,
    removal: Removal,
    answer: &Answer,
    policy: &Policy,
    now: Timestamp,
) -> (Next, Attempt) {
    let tries = attempt.tries.saturating_add(1);
    let before = Attempt { tries, ..attempt };
    let end = |outcome| (Next::End(if attempt.maybe_accepted { Outcome::GoneAfterRequest } else { outcome }), before);
    match answer {
        Answer::Accepted => (Next::End(accepted(removal)), before),
        Answer::NotFound => end(Outcome::GoneBefore),
        Answer::AnotherPod => end(Outcome::refused(&Refusal::Replaced)),
        Answer::Refused(said) if !attempt.maybe_accepted => {
            (Next::End(Outcome::tried(&Refusal::ApiServer { said: bounded(said) })), before)
        }
        Answer::DisruptionBudget(said) => {
            (wait(intent, before, &Refusal::DisruptionBudget { said: bounded(said) }, policy, now), before)
        }
        // Either nothing was done, or something was sent before that may have been accepted: only a look can tell.
        Answer::NotNow(said) | Answer::Refused(said) => {
            (wait(intent, before, &Refusal::ApiServer { said: bounded(said) }, policy, now), before)
        }
        Answer::Lost(said) => {
            let maybe = Attempt { maybe_accepted: true, tries };
            (wait(intent, maybe, &Refusal::ApiServer { said: bounded(said) }, policy, now), maybe)
        }
    }
}

fn accepted(removal: Removal) -> Outcome {
    match removal {
        Removal::Evict => Outcome::Evicted,
        Removal::Delete => Outcome::Deleted,
        Removal::Quarantine => Outcome::Quarantined,
    }
}

/// When to try again; or how it ends, when that would be too late.
fn wait(intent: &Intent, attempt: Attempt, refusal: &Refusal, policy: &Policy, now: Timestamp) -> Next {
    let last = match policy.mode {
        Mode::Evict => intent.deadline,
        Mode::EvictThenDelete | Mode::Delete | Mode::Quarantine => later(intent.deadline, GRACE),
    };
    let wake = later(now, pause(attempt.tries));
    if now < intent.deadline {
        // Not past the deadline: there it is decided whether a deletion follows.
        Next::Wait(wake.min(intent.deadline))
    } else if now < last {
        Next::Wait(wake.min(last))
    } else if attempt.maybe_accepted {
        Next::End(Outcome::Unanswered)
    } else {
        Next::End(Outcome::tried(refusal))
    }
}

fn later(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.checked_add(by).unwrap_or(Timestamp::MAX)
}

fn pause(tries: u32) -> SignedDuration {
    let doubled = 1_i32.checked_shl(tries.saturating_sub(1)).filter(|times| *times > 0).unwrap_or(i32::MAX);
    FIRST_PAUSE.checked_mul(doubled).map_or(LONGEST_PAUSE, |pause| pause.min(LONGEST_PAUSE))
}

fn bounded(said: &str) -> String {
    said.chars().filter(|c| !c.is_control()).take(SAID_LIMIT).collect()
}
