//! The rule without a Prometheus: the demo looks at the counters each second, and posts what Alertmanager would.

use super::rule;
use super::shop::Shop;
use crate::voice::Voice;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::sleep;

/// How often it looks, and posts.
const EVERY: Duration = Duration::from_secs(1);
/// How long a counter must stand still: what the rule comes to.
const STILL: SignedDuration = SignedDuration::from_secs(6);

/// What was seen of the counters.
#[derive(Default)]
struct Seen {
    /// Each pod's count, and since when it is that.
    counts: BTreeMap<String, (u64, Timestamp)>,
}

/// Looks and posts until it is aborted.
pub(super) async fn look(shop: Shop, door: SocketAddr, secret: String, voice: Voice) {
    let (http, mut seen) = (reqwest::Client::new(), Seen::default());
    loop {
        sleep(EVERY).await;
        let Ok(counters) = shop.counters().await else { continue };
        for (pod, since) in seen.stuck(counters, Timestamp::now()) {
            let body = rule::webhook(&pod, since).to_string();
            let request = http.post(format!("http://{door}/kill")).bearer_auth(&secret);
            let answer = request.header("content-type", "application/json").body(body).send().await;
            let said = answer.map_or_else(|error| error.to_string(), |answer| answer.status().to_string());
            voice.say(&format!("alert     {} of {pod} posted by the demo: {said}", rule::ALERT));
        }
    }
}

impl Seen {
    /// The pods that have served and stand still, while others move, and since when the alert about them fires.
    fn stuck(&mut self, counters: BTreeMap<String, u64>, now: Timestamp) -> Vec<(String, Timestamp)> {
        let since = |pod: &String, count: u64| match self.counts.get(pod) {
            Some((before, since)) if *before == count => *since,
            _ => now,
        };
        self.counts = counters.into_iter().map(|(pod, count)| (pod.clone(), (count, since(&pod, count)))).collect();
        let moves = self.counts.values().any(|(_, since)| *since == now);
        let stuck =
            self.counts.iter().filter(|(_, (count, since))| moves && *count > 0 && now.duration_since(*since) >= STILL);
        stuck.map(|(pod, (_, since))| (pod.clone(), *since + STILL)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_served_and_stands_still_while_others_move_is_stuck() {
        let mut seen = Seen::default();
        let start: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let mut stuck = |second: i64, counts: [u64; 3]| {
            let counters = ["a", "b", "fresh"].map(str::to_owned).into_iter().zip(counts).collect();
            seen.stuck(counters, start + SignedDuration::from_secs(second))
        };
        for second in 0..6 {
            assert_eq!(stuck(second, [second.unsigned_abs() + 1, 5, 0]), []);
        }
        let fires = start + SignedDuration::from_secs(6);
        assert_eq!(stuck(6, [7, 5, 0]), [("b".to_owned(), fires)]);
        assert_eq!(stuck(7, [8, 5, 0]), [("b".to_owned(), fires)]);
        assert_eq!(stuck(8, [8, 5, 0]), [], "nobody moves: the client is to blame");
        assert_eq!(stuck(9, [9, 6, 0]), []);
    }
}
