//! The rollout state machine: step(plan, record, observation, now) -> Step; no IO, no clock.
