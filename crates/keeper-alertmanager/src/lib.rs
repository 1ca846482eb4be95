//! Alertmanager's webhook as types, alerts matched to canaries and pods, the alert signal.
