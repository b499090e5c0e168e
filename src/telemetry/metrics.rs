//! Every metric, named once. There is no global registry: an application makes its own, hands out handles, and
//! prints it on demand. Label values come from configuration or from closed lists, never from a request.

use std::sync::Arc;

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::auth::time::Span;
use crate::telemetry::age::Age;
use crate::telemetry::histogram::Durations;
use crate::telemetry::labels::{
    EventLabels, KindLabels, OutcomeLabels, ReasonLabels, ReloadOutcome, SignInLabels, SignInStage,
    UpstreamLabels,
};
use crate::telemetry::route_metrics::{RequestLabels, RouteMetrics};

/// The content type of what [`Metrics::render`] gives (OpenMetrics 1.0).
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics of one application. Clones share them.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Set>);

#[derive(Debug)]
struct Set {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    durations: Durations,
    sign_ins: Family<SignInLabels, Counter>,
    refreshes: Family<OutcomeLabels, Counter>,
    refresh_circuit: Gauge,
    grace_requests: Counter,
    bearers: Family<OutcomeLabels, Counter>,
    reloads: Family<OutcomeLabels, Counter>,
    key_set_age: Age,
    key_reloads: Family<OutcomeLabels, Counter>,
    sealing_keys: Gauge,
    sealing_key_age: Age,
    revocation_events: Family<EventLabels, Counter>,
    revocation_webhooks_refused: Family<ReasonLabels, Counter>,
    events_poll_age: Age,
    upstream_errors: Family<UpstreamLabels, Counter>,
    workos_errors: Family<KindLabels, Counter>,
    store_errors: Family<KindLabels, Counter>,
    store_up: Gauge,
    connections_open: Gauge,
    streams_open: Gauge,
    streams_closed: Family<ReasonLabels, Counter>,
    access_lines_dropped: Counter,
    audit_lines_lost: Counter,
}

impl Metrics {
    /// All metrics at their start; `version` is told by `vestibule_build_info`.
    #[must_use]
    pub fn new(version: &str) -> Self {
        let mut set = Set {
            registry: Registry::with_prefix("vestibule"),
            requests: Family::default(),
            durations: Durations::default(),
            sign_ins: Family::default(),
            refreshes: Family::default(),
            refresh_circuit: Gauge::default(),
            grace_requests: Counter::default(),
            bearers: Family::default(),
            reloads: Family::default(),
            key_set_age: Age::default(),
            key_reloads: Family::default(),
            sealing_keys: Gauge::default(),
            sealing_key_age: Age::default(),
            revocation_events: Family::default(),
            revocation_webhooks_refused: Family::default(),
            events_poll_age: Age::default(),
            upstream_errors: Family::default(),
            workos_errors: Family::default(),
            store_errors: Family::default(),
            store_up: Gauge::default(),
            connections_open: Gauge::default(),
            streams_open: Gauge::default(),
            streams_closed: Family::default(),
            access_lines_dropped: Counter::default(),
            audit_lines_lost: Counter::default(),
        };
        // Cookies always can; a server says when it cannot.
        set.store_up.set(1);
        set.register_requests();
        set.register_sessions();
        set.register_keys();
        set.register_connections();
        set.register_process(version);
        Self(Arc::new(set))
    }

    /// The counters of a route; ask once and keep them. `route` must come from configuration.
    #[must_use]
    pub fn route(&self, route: &str) -> RouteMetrics {
        RouteMetrics::new(route, self.0.requests.clone(), self.0.durations.clone())
    }

    /// Counts a step of a sign-in. `reason` comes from a closed list; `none` where there is nothing to explain.
    pub fn sign_in(&self, stage: SignInStage, reason: &'static str) {
        self.0.sign_ins.get_or_create(&SignInLabels { stage: stage.as_str(), reason }).inc();
    }

    /// Counts the end of a refresh. `outcome` comes from a closed list.
    pub fn refresh(&self, outcome: &'static str) {
        self.0.refreshes.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    /// Says whether calls that renew sessions are held back because WorkOS does not answer.
    pub fn set_refresh_circuit(&self, open: bool) {
        self.0.refresh_circuit.set(i64::from(open));
    }

    /// Counts a request that was forwarded on an expired access token because WorkOS did not answer.
    pub fn served_in_grace(&self) {
        self.0.grace_requests.inc();
    }

    /// Counts a program's token that was looked at. `outcome` comes from a closed list.
    pub fn bearer(&self, outcome: &'static str) {
        self.0.bearers.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    /// Counts a reload.
    pub fn reload(&self, outcome: ReloadOutcome) {
        self.0.reloads.get_or_create(&OutcomeLabels { outcome: outcome.as_str() }).inc();
    }

    /// Says how old the key set is; nothing is shown until it was once said. Call it before
    /// [`render`](Self::render).
    pub fn set_key_set_age(&self, age: Span) {
        self.0.key_set_age.set(age);
    }

    /// Counts a reading of the sealing keys that changed something, or that was no good; one that found
    /// everything as it was is not counted.
    pub fn key_reload(&self, outcome: ReloadOutcome) {
        self.0.key_reloads.get_or_create(&OutcomeLabels { outcome: outcome.as_str() }).inc();
    }

    /// Says how many sealing keys there are, and how old the one is that seals, if it tells. Call it before
    /// [`render`](Self::render).
    pub fn set_sealing_keys(&self, count: usize, age: Option<Span>) {
        self.0.sealing_keys.set(i64::try_from(count).unwrap_or(i64::MAX));
        match age {
            Some(age) => self.0.sealing_key_age.set(age),
            None => self.0.sealing_key_age.forget(),
        }
    }

    /// Counts an event of WorkOS' that was heard for the first time. `source` and `event` come from closed lists.
    pub fn revocation_event(&self, source: &'static str, event: &'static str) {
        self.0.revocation_events.get_or_create(&EventLabels { source, event }).inc();
    }

    /// Counts a webhook that was not taken. `reason` comes from a closed list.
    pub fn revocation_webhook_refused(&self, reason: &'static str) {
        self.0.revocation_webhooks_refused.get_or_create(&ReasonLabels { reason }).inc();
    }

    /// Says how long ago WorkOS was last asked for events and answered; `None`, when nobody asks, shows nothing.
    /// Call it before [`render`](Self::render).
    pub fn set_events_poll_age(&self, age: Option<Span>) {
        match age {
            Some(age) => self.0.events_poll_age.set(age),
            None => self.0.events_poll_age.forget(),
        }
    }

    /// Counts a failure of an upstream. `upstream` must come from configuration, `kind` from a closed list.
    pub fn upstream_error(&self, upstream: &Arc<str>, kind: &'static str) {
        let labels = UpstreamLabels { upstream: Arc::clone(upstream), kind };
        self.0.upstream_errors.get_or_create(&labels).inc();
    }

    /// Counts a call to WorkOS that gave an error. `kind` comes from a closed list.
    pub fn workos_error(&self, kind: &'static str) {
        self.0.workos_errors.get_or_create(&KindLabels { kind }).inc();
    }

    /// Counts something that the server with the sessions did not answer, or not well. `kind` comes from a closed
    /// list.
    pub fn store_error(&self, kind: &'static str) {
        self.0.store_errors.get_or_create(&KindLabels { kind }).inc();
    }

    /// Says whether the place where sessions are kept can be reached.
    pub fn set_store_up(&self, up: bool) {
        self.0.store_up.set(i64::from(up));
    }

    /// A client connection was opened; it is open until the guard is dropped.
    pub fn connection_opened(&self) -> OpenGuard {
        OpenGuard::new(&self.0.connections_open)
    }

    /// A stream was opened; it is open until the guard is dropped.
    pub fn stream_opened(&self) -> OpenGuard {
        OpenGuard::new(&self.0.streams_open)
    }

    /// Counts the end of a stream. `reason` comes from a closed list.
    pub fn stream_closed(&self, reason: &'static str) {
        self.0.streams_closed.get_or_create(&ReasonLabels { reason }).inc();
    }

    /// What the access log counts dropped lines with.
    #[must_use]
    pub fn access_lines_dropped(&self) -> Counter {
        self.0.access_lines_dropped.clone()
    }

    /// What the audit log counts lost lines with.
    #[must_use]
    pub fn audit_lines_lost(&self) -> Counter {
        self.0.audit_lines_lost.clone()
    }

    /// All metrics as OpenMetrics text; see [`CONTENT_TYPE`].
    #[must_use]
    pub fn render(&self) -> String {
        let mut page = String::new();
        // Writing to a String cannot fail.
        let _written = text::encode(&mut page, &self.0.registry);
        page
    }
}

impl Set {
    fn register_requests(&mut self) {
        let registry = &mut self.registry;
        let help = "Requests answered, by route, decision and status";
        registry.register("requests", help, self.requests.clone());
        let help = "Time from a request's head to the end of its answer";
        registry.register("request_duration_seconds", help, self.durations.clone());
        let help = "Requests that an upstream failed to answer";
        registry.register("upstream_errors", help, self.upstream_errors.clone());
    }

    fn register_sessions(&mut self) {
        let registry = &mut self.registry;
        registry.register("sign_ins", "Sign-ins, by how far they came", self.sign_ins.clone());
        registry.register("refreshes", "Session refreshes, by outcome", self.refreshes.clone());
        let help = "Access tokens that programs brought, by what they were found to be";
        registry.register("bearers", help, self.bearers.clone());
        let help = "1 while refreshes are held back because WorkOS does not answer, else 0";
        registry.register("refresh_circuit_open", help, self.refresh_circuit.clone());
        let help = "Requests forwarded on an expired access token because WorkOS did not answer";
        registry.register("outage_grace_requests", help, self.grace_requests.clone());
        let help = "Events of WorkOS' about sessions, people and organizations, by how they came";
        registry.register("revocation_events", help, self.revocation_events.clone());
        let help = "Webhooks that were not taken, by reason";
        registry.register("revocation_webhooks_refused", help, self.revocation_webhooks_refused.clone());
        let help = "Time since WorkOS last answered for events; absent when they are not polled";
        registry.register("events_poll_age_seconds", help, self.events_poll_age.clone());
        let help = "Calls to WorkOS that gave an error";
        registry.register("workos_errors", help, self.workos_errors.clone());
        let help = "Commands that the server with the sessions did not answer, or not well";
        registry.register("store_errors", help, self.store_errors.clone());
        let help = "1 while the place where sessions are kept can be reached, else 0";
        registry.register("store_up", help, self.store_up.clone());
        let help = "Time since WorkOS' key set was last fetched; absent until it first was";
        registry.register("key_set_age_seconds", help, self.key_set_age.clone());
    }

    fn register_keys(&mut self) {
        let registry = &mut self.registry;
        let help = "Sealing keys that open sessions, the one that seals among them";
        registry.register("sealing_keys", help, self.sealing_keys.clone());
        let help = "Time since the key that seals was made; absent when the key does not tell";
        registry.register("sealing_key_age_seconds", help, self.sealing_key_age.clone());
        let help = "Readings of the sealing keys that changed something, or were no good";
        registry.register("key_reloads", help, self.key_reloads.clone());
    }

    fn register_connections(&mut self) {
        let registry = &mut self.registry;
        let help = "Client connections that are open";
        registry.register("connections_open", help, self.connections_open.clone());
        let help = "WebSockets and other streams that are open";
        registry.register("streams_open", help, self.streams_open.clone());
        let help = "WebSockets and other streams that ended, by reason";
        registry.register("streams_closed", help, self.streams_closed.clone());
    }

    fn register_process(&mut self, version: &str) {
        let registry = &mut self.registry;
        let build = Info::new(vec![("version".to_owned(), version.to_owned())]);
        registry.register("build", "The running version", build);
        registry.register("config_reloads", "Reloads of the configuration", self.reloads.clone());
        let help = "Access lines that were dropped because they came too fast";
        registry.register("access_lines_dropped", help, self.access_lines_dropped.clone());
        let help = "Audit lines that could not be written";
        registry.register("audit_lines_lost", help, self.audit_lines_lost.clone());
    }
}

/// Something is open for as long as this lives.
#[derive(Debug)]
#[must_use = "it counts as closed when this is dropped"]
pub struct OpenGuard(Gauge);

impl OpenGuard {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for OpenGuard {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::decision::DecisionWord;

    fn samples(page: &str) -> Vec<&str> {
        let mut samples: Vec<&str> = page.lines().filter(|line| !line.starts_with('#')).collect();
        samples.sort_unstable();
        samples
    }

    #[test]
    fn requests_are_counted_by_route_decision_and_status() {
        let metrics = Metrics::new("1.2.3");
        let app = metrics.route("app");
        for _ in 0..3 {
            app.count(DecisionWord::Allow, 200, Span::from_millis(7));
        }
        app.clone().count(DecisionWord::Deny, 403, Span::from_secs(60));
        metrics.route("app").count(DecisionWord::Allow, 200, Span::ZERO);
        app.count(DecisionWord::Allow, 7, Span::ZERO);
        let page = metrics.render();
        for sample in [
            "vestibule_requests_total{route=\"app\",decision=\"allow\",status=\"200\"} 4",
            "vestibule_requests_total{route=\"app\",decision=\"deny\",status=\"403\"} 1",
            "vestibule_requests_total{route=\"app\",decision=\"allow\",status=\"0\"} 1",
            "vestibule_request_duration_seconds_bucket{le=\"0.005\"} 2",
            "vestibule_request_duration_seconds_bucket{le=\"0.01\"} 5",
            "vestibule_request_duration_seconds_bucket{le=\"10.0\"} 5",
            "vestibule_request_duration_seconds_bucket{le=\"+Inf\"} 6",
            "vestibule_request_duration_seconds_count 6",
            "vestibule_request_duration_seconds_sum 60.021",
            "vestibule_build_info{version=\"1.2.3\"} 1",
        ] {
            assert!(samples(&page).contains(&sample), "{sample} in\n{page}");
        }
        assert!(page.ends_with("# EOF\n"));
    }

    #[test]
    fn every_metric_has_the_name_that_dashboards_ask_for() {
        let metrics = Metrics::new("0");
        metrics.sign_in(SignInStage::Failed, "invalid_grant");
        metrics.refresh("renewed");
        metrics.reload(ReloadOutcome::Refused);
        metrics.set_key_set_age(Span::from_secs(61));
        metrics.key_reload(ReloadOutcome::Applied);
        metrics.set_sealing_keys(2, Some(Span::from_secs(62)));
        metrics.revocation_event("webhook", "session.revoked");
        metrics.revocation_webhook_refused("signature");
        metrics.set_events_poll_age(Some(Span::from_secs(9)));
        metrics.upstream_error(&"app".into(), "connect");
        metrics.workos_error("timeout");
        metrics.store_error("timeout");
        metrics.stream_closed("signed_out");
        metrics.access_lines_dropped().inc();
        let open = (metrics.connection_opened(), metrics.stream_opened());
        let page = metrics.render();
        for sample in [
            "vestibule_sign_ins_total{stage=\"failed\",reason=\"invalid_grant\"} 1",
            "vestibule_refreshes_total{outcome=\"renewed\"} 1",
            "vestibule_config_reloads_total{outcome=\"refused\"} 1",
            "vestibule_key_set_age_seconds 61",
            "vestibule_key_reloads_total{outcome=\"applied\"} 1",
            "vestibule_sealing_keys 2",
            "vestibule_sealing_key_age_seconds 62",
            "vestibule_revocation_events_total{source=\"webhook\",event=\"session.revoked\"} 1",
            "vestibule_revocation_webhooks_refused_total{reason=\"signature\"} 1",
            "vestibule_events_poll_age_seconds 9",
            "vestibule_upstream_errors_total{upstream=\"app\",kind=\"connect\"} 1",
            "vestibule_workos_errors_total{kind=\"timeout\"} 1",
            "vestibule_store_errors_total{kind=\"timeout\"} 1",
            "vestibule_store_up 1",
            "vestibule_streams_closed_total{reason=\"signed_out\"} 1",
            "vestibule_access_lines_dropped_total 1",
            "vestibule_audit_lines_lost_total 0",
            "vestibule_connections_open 1",
            "vestibule_streams_open 1",
        ] {
            assert!(samples(&page).contains(&sample), "{sample} in\n{page}");
        }
        drop(open);
        assert!(samples(&metrics.render()).contains(&"vestibule_connections_open 0"));
    }

    #[test]
    fn an_unknown_age_is_not_shown() {
        let metrics = Metrics::new("0");
        let page = metrics.render();
        assert!(!page.contains("key_set_age") && !page.contains("sealing_key_age"), "{page}");
        metrics.set_sealing_keys(1, Some(Span::from_secs(5)));
        metrics.set_sealing_keys(1, None);
        assert!(!metrics.render().contains("sealing_key_age"), "the ages of two keys are not mixed up");
        metrics.set_events_poll_age(Some(Span::ZERO));
        metrics.set_events_poll_age(None);
        assert!(!metrics.render().contains("_age_seconds"));
    }

    #[test]
    fn two_applications_share_no_count() {
        let (one, other) = (Metrics::new("0"), Metrics::new("0"));
        one.refresh("renewed");
        assert!(!other.render().contains("renewed"));
    }

    #[test]
    fn threads_count_without_losing_any() {
        let metrics = Metrics::new("0");
        let route = metrics.route("app");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1_000 {
                        route.count(DecisionWord::Allow, 200, Span::from_millis(1));
                    }
                });
            }
        });
        assert!(metrics.render().contains("status=\"200\"} 4000"));
    }
}
