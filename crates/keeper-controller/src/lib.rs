//! The thin Kubernetes layer: gather, step, carry out, record.
