use http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// What a door counts.
#[derive(Default)]
pub(crate) struct DoorMetrics {
    requests: Family<RouteCode, Counter>,
    refused_credentials: Counter,
    bodies_too_large: Counter,
    turned_away: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteCode {
    route: String,
    code: String,
}

impl DoorMetrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        let door = registry.sub_registry_with_prefix("door");
        door.register("requests", "Requests answered, by route and status code", self.requests.clone());
        door.register("refused_credentials", "Requests without accepted credentials", self.refused_credentials.clone());
        door.register("bodies_too_large", "Requests with a body over the cap", self.bodies_too_large.clone());
        door.register("connections_turned_away", "Connections that found every place busy", self.turned_away.clone());
    }

    /// `route` is one of ours or `None`: what a client writes into a path never becomes a label.
    pub(crate) fn answered(&self, route: Option<&str>, status: StatusCode) {
        let route = route.unwrap_or("other").to_owned();
        self.requests.get_or_create(&RouteCode { route, code: status.as_str().to_owned() }).inc();
        if status == StatusCode::UNAUTHORIZED {
            self.refused_credentials.inc();
        } else if status == StatusCode::PAYLOAD_TOO_LARGE {
            self.bodies_too_large.inc();
        }
    }

    pub(crate) fn turned_away(&self) {
        self.turned_away.inc();
    }
}
