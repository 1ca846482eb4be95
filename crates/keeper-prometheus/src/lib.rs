//! Error-rate signals from Prometheus counters, read straight from the pods.
