//! The contract with cluster users: annotations and stored records, both turned into the core's types.
