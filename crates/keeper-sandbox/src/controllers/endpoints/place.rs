//! Which endpoint is in which slice. Pure.
//!
//! As kube-controller-manager does it: as few writes as possible rather than as few slices. An endpoint stays where it is;
//! a slice that must be written anyway is filled up first; then the fullest one that has room for all that is left.

use std::sync::Arc;

use serde_json::Value;

use crate::objects::{Fields, Object};

/// The most endpoints in one slice.
pub(super) const MOST: usize = 100;

/// What becomes of the slices with one set of ports.
#[derive(Debug, Default)]
pub(super) struct Placed {
    /// Slices that change, with their new endpoints.
    pub(super) update: Vec<(Arc<Object>, Vec<Value>)>,
    /// The endpoints of new slices.
    pub(super) create: Vec<Vec<Value>>,
    pub(super) delete: Vec<Arc<Object>>,
}

/// Spreads `wanted` over the slices there are.
pub(super) fn place(there: &[Arc<Object>], wanted: Vec<Value>) -> Placed {
    let mut placed = Placed::default();
    let mut left = wanted;
    let mut unchanged: Vec<Arc<Object>> = Vec::new();
    for slice in there {
        let old = slice.items("/endpoints");
        let mut kept = Vec::new();
        for endpoint in old {
            if let Some(position) = left.iter().position(|wanted| same(wanted, endpoint)) {
                kept.push(left.remove(position));
            }
        }
        match () {
            () if kept == old => unchanged.push(Arc::clone(slice)),
            () if kept.is_empty() => placed.delete.push(Arc::clone(slice)),
            () => placed.update.push((Arc::clone(slice), kept)),
        }
    }
    placed.update.sort_by_key(|(_, endpoints)| std::cmp::Reverse(endpoints.len()));
    for (_, endpoints) in &mut placed.update {
        fill(endpoints, &mut left);
    }
    while !left.is_empty() {
        let room = |slice: &Arc<Object>| MOST.saturating_sub(slice.items("/endpoints").len());
        let fits =
            unchanged.iter().filter(|slice| left.len() < MOST && room(slice) >= left.len()).min_by_key(|s| room(s));
        match fits.cloned() {
            Some(slice) => {
                unchanged.retain(|other| !Arc::ptr_eq(other, &slice));
                let mut endpoints = slice.items("/endpoints").to_vec();
                fill(&mut endpoints, &mut left);
                placed.update.push((slice, endpoints));
            }
            None => {
                let mut endpoints = Vec::new();
                fill(&mut endpoints, &mut left);
                placed.create.push(endpoints);
            }
        }
    }
    placed
}

/// Whether two endpoints are the same pod at the same address, in whatever condition.
fn same(one: &Value, other: &Value) -> bool {
    let of =
        |endpoint: &Value| (endpoint.text("/targetRef/uid").map(str::to_owned), endpoint.at("/addresses").cloned());
    of(one) == of(other)
}

fn fill(endpoints: &mut Vec<Value>, left: &mut Vec<Value>) {
    let room = MOST.saturating_sub(endpoints.len()).min(left.len());
    endpoints.extend(left.drain(..room));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::objects::{ENDPOINT_SLICES, object};

    fn endpoint(number: usize, ready: bool) -> Value {
        json!({"targetRef": {"uid": number.to_string()}, "addresses": [number.to_string()], "conditions": {"ready": ready}})
    }

    fn endpoints(numbers: std::ops::Range<usize>) -> Vec<Value> {
        numbers.map(|number| endpoint(number, true)).collect()
    }

    fn slice(endpoints: &[Value]) -> Arc<Object> {
        Arc::new(object(&ENDPOINT_SLICES, json!({"metadata": {"name": "s"}, "endpoints": endpoints})).unwrap())
    }

    fn sizes(placed: &Placed) -> (Vec<usize>, Vec<usize>, usize) {
        let updated = placed.update.iter().map(|(_, endpoints)| endpoints.len()).collect();
        (updated, placed.create.iter().map(Vec::len).collect(), placed.delete.len())
    }

    #[test]
    fn what_does_not_change_is_not_written() {
        assert_eq!(sizes(&place(&[slice(&endpoints(0..3))], endpoints(0..3))), (vec![], vec![], 0));
        let mut wanted = endpoints(0..3);
        wanted[1] = endpoint(1, false);
        assert_eq!(sizes(&place(&[slice(&endpoints(0..3))], wanted)), (vec![3], vec![], 0));
    }

    #[test]
    fn many_need_several_slices_and_the_fullest_with_room_is_taken() {
        assert_eq!(sizes(&place(&[], endpoints(0..104))), (vec![], vec![100, 4], 0));
        let there = [slice(&endpoints(0..90)), slice(&endpoints(90..94))];
        assert_eq!(sizes(&place(&there, endpoints(0..104))), (vec![100], vec![], 0));
    }

    #[test]
    fn slices_are_not_packed_again_when_pods_go() {
        let there = [slice(&endpoints(0..100)), slice(&endpoints(100..104))];
        assert_eq!(sizes(&place(&there, endpoints(60..104))), (vec![40], vec![], 0));
        assert_eq!(sizes(&place(&there, endpoints(100..104))), (vec![], vec![], 1));
    }
}
