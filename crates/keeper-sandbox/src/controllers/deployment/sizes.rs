//! How many pods each ReplicaSet of a Deployment should have next. Pure arithmetic over the sizes seen.

use super::spec::Spec;

/// The size of one ReplicaSet: how many pods it is told to have, how many of them are available.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::controllers) struct Size {
    pub(in crate::controllers) wanted: i64,
    pub(in crate::controllers) available: i64,
}

/// The next size of the newest ReplicaSet in a rolling update: as large as the surge allows.
pub(in crate::controllers) fn grow(spec: &Spec, newest: i64, all: &[Size]) -> i64 {
    if newest > spec.replicas {
        return spec.replicas;
    }
    let total: i64 = all.iter().map(|size| size.wanted).sum();
    let room = (spec.replicas + spec.surge() - total).max(0);
    newest + room.min(spec.replicas - newest)
}

/// The next sizes of the old ReplicaSets (oldest first) in a rolling update: pods that don't work go first, then as many as
/// may be missing.
pub(in crate::controllers) fn shrink(spec: &Spec, newest: Size, old: &[Size]) -> Vec<i64> {
    let minimum = spec.replicas - spec.unavailable();
    let total: i64 = old.iter().map(|size| size.wanted).sum::<i64>() + newest.wanted;
    let mut next: Vec<i64> = old.iter().map(|size| size.wanted).collect();
    // What the new ReplicaSet still owes counts as missing: else a broken update would take the old pods with it.
    let spare = total - minimum - (newest.wanted - newest.available);
    if spare <= 0 {
        return next;
    }
    let mut unhealthy = spare;
    for (next, size) in next.iter_mut().zip(old) {
        let gone = unhealthy.min(*next - size.available).clamp(0, *next);
        *next -= gone;
        unhealthy -= gone;
    }
    let available: i64 = old.iter().map(|size| size.available).sum::<i64>() + newest.available;
    let mut surplus = available - minimum;
    for next in &mut next {
        let gone = surplus.min(*next).max(0);
        *next -= gone;
        surplus -= gone;
    }
    next
}

/// One ReplicaSet in a proportional scaling: its size, and how many pods the Deployment might have had when it got that size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Portion {
    pub(super) wanted: i64,
    pub(super) max_before: i64,
}

/// The next sizes when a Deployment is scaled in the middle of an update: each ReplicaSet keeps its proportion. The portions
/// come largest first; the first one takes what rounding leaves.
pub(super) fn spread(spec: &Spec, portions: &[Portion]) -> Vec<i64> {
    let allowed = if spec.replicas > 0 { spec.replicas + spec.surge() } else { 0 };
    let to_add = allowed - portions.iter().map(|portion| portion.wanted).sum::<i64>();
    let mut added = 0;
    let mut next: Vec<i64> = portions
        .iter()
        .map(|portion| {
            let part = proportion(spec, *portion, to_add, added);
            added += part;
            (portion.wanted + part).max(0)
        })
        .collect();
    if let Some(first) = next.first_mut() {
        *first = (*first + to_add - added).max(0);
    }
    next
}

fn proportion(spec: &Spec, portion: Portion, to_add: i64, added: i64) -> i64 {
    if portion.wanted == 0 || to_add == added {
        return 0;
    }
    let fraction = fraction(spec, portion);
    let left = to_add - added;
    if to_add > 0 { fraction.min(left) } else { fraction.max(left) }
}

fn fraction(spec: &Spec, portion: Portion) -> i64 {
    if spec.replicas == 0 || portion.max_before <= 0 {
        return -portion.wanted;
    }
    let scaled = portion.wanted * (spec.replicas + spec.surge());
    // Rounded to the nearest.
    (2 * scaled + portion.max_before) / (2 * portion.max_before) - portion.wanted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::controllers::deployment::spec::Strategy as Replace;

    fn spec(replicas: i64, surge: i64, unavailable: i64) -> Spec {
        Spec {
            replicas,
            strategy: Replace::Rolling { surge, unavailable },
            progress_deadline: None,
            history_limit: 10,
            paused: false,
        }
    }

    fn size(wanted: i64, available: i64) -> Size {
        Size { wanted, available }
    }

    #[test]
    fn the_new_one_grows_by_the_surge() {
        assert_eq!(grow(&spec(10, 3, 2), 0, &[size(10, 10), size(0, 0)]), 3);
        assert_eq!(grow(&spec(10, 3, 2), 3, &[size(8, 8), size(3, 0)]), 5);
        assert_eq!(grow(&spec(4, 3, 2), 9, &[size(9, 9)]), 4, "scaled down at once");
    }

    #[test]
    fn the_old_ones_shrink_by_what_may_be_missing() {
        assert_eq!(shrink(&spec(10, 3, 2), size(3, 0), &[size(10, 10)]), [8]);
        assert_eq!(
            shrink(&spec(10, 3, 2), size(5, 0), &[size(8, 8)]),
            [8],
            "the new ones don't work: nothing more goes"
        );
        assert_eq!(shrink(&spec(10, 3, 2), size(5, 3), &[size(8, 8)]), [5]);
    }

    #[test]
    fn what_does_not_work_goes_first() {
        assert_eq!(shrink(&spec(4, 1, 1), size(1, 1), &[size(2, 0), size(2, 2)]), [0, 2]);
    }

    #[test]
    fn a_scaling_keeps_proportions() {
        let portions = [Portion { wanted: 8, max_before: 13 }, Portion { wanted: 5, max_before: 13 }];
        let next = spread(&spec(20, 5, 4), &portions);
        assert_eq!(next.iter().sum::<i64>(), 25);
        assert_eq!(next, [15, 10]);
    }

    proptest! {
        /// Whatever is unavailable, a step never asks for fewer available pods than allowed, nor for more than the surge.
        #[test]
        fn a_step_stays_in_bounds(
            replicas in 1_i64..40, surge in 0_i64..10, unavailable in 0_i64..10,
            newest in 0_i64..50, newest_available in 0_i64..50,
            old in proptest::collection::vec((0_i64..30, 0_i64..30), 0..4),
        ) {
            let unavailable = if surge == 0 { unavailable.max(1) } else { unavailable }.min(replicas);
            let spec = spec(replicas, surge, unavailable);
            let newest = size(newest, newest_available.min(newest));
            let old: Vec<Size> = old.into_iter().map(|(wanted, available)| size(wanted, available.min(wanted))).collect();
            let next = shrink(&spec, newest, &old);
            // The worst case: of each set the available pods go only after the others.
            let left: i64 = next.iter().zip(&old).map(|(next, old)| old.available.min(*next)).sum();
            let before: i64 = old.iter().map(|old| old.available).sum::<i64>() + newest.available;
            prop_assert!(left + newest.available >= before.min(replicas - unavailable));
            prop_assert!(next.iter().all(|next| *next >= 0));

            let mut all = old.clone();
            all.push(newest);
            let total: i64 = all.iter().map(|size| size.wanted).sum();
            let grown = grow(&spec, newest.wanted, &all);
            prop_assert!(total - newest.wanted + grown <= total.max(replicas + surge));
        }
    }
}
