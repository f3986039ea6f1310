//! The process's one recorder of metrics, and how its text is made.

use std::{fmt, sync::Arc};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use crate::catalogue::{self, COUNTS, SECONDS};

/// What renders the metrics of this process; cheap to clone.
#[derive(Clone)]
pub struct MetricsHandle(Arc<PrometheusHandle>);

/// Installs the recorder that all rooms count with. Called once, by the binary, before any of them starts.
///
/// # Panics
/// When a recorder is installed already: rooms that hold its handles would go on counting there.
#[must_use]
pub fn install_metrics() -> MetricsHandle {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
        .and_then(|builder| builder.set_buckets(&COUNTS))
        .expect("there are buckets")
        .install_recorder()
        .expect("the recorder is installed once, by the binary");
    catalogue::describe();
    MetricsHandle(Arc::new(handle))
}

impl MetricsHandle {
    /// The metrics as Prometheus reads them (text format 0.0.4).
    #[must_use]
    pub fn render(&self) -> String {
        self.0.render()
    }

    /// Folds what was recorded since into the histograms; without it they grow until they are rendered.
    pub fn upkeep(&self) {
        self.0.run_upkeep();
    }
}

impl fmt::Debug for MetricsHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsHandle").finish_non_exhaustive()
    }
}
