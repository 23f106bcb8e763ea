//! Metrics for Prometheus: vital signs first, findings second, with names and units by its conventions and a bounded number of series.

mod chosen;
mod families;
mod labels;
pub mod rules;
mod times;
mod waits;

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, prometheus_text, text};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

pub use self::families::{Family, METRICS, Measure, Unit};
pub(super) use self::waits::Selection;

use self::families::{Sample, View};
use super::reading::Scrape;

/// A format of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exposition {
    /// `OpenMetrics` 1.0, which says more.
    OpenMetrics,
    /// The text format of Prometheus before it, which everything reads.
    Text,
}

impl Exposition {
    /// The format for a client that accepts these.
    pub(super) fn accepted<'a>(mut accepts: impl Iterator<Item = &'a str>) -> Self {
        let is_open = accepts.any(|accept| accept.contains("application/openmetrics-text"));
        if is_open { Self::OpenMetrics } else { Self::Text }
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => prometheus_text::CONTENT_TYPE,
        }
    }
}

/// The metrics of a run in a format. `selection` remembers which places have series of their own.
///
/// # Errors
/// None: memory takes everything.
pub(super) fn text(scrape: Scrape, selection: &mut Selection, exposition: Exposition) -> Result<String, fmt::Error> {
    let view = View::new(scrape, selection);
    let families = METRICS.iter().map(|family| (family, (family.samples)(&view))).collect();
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Measured { families }));
    let mut text = String::new();
    match exposition {
        Exposition::OpenMetrics => text::encode(&mut text, &registry)?,
        Exposition::Text => prometheus_text::encode(&mut text, &registry)?,
    }
    Ok(text)
}

/// All metrics as they were at one moment.
#[derive(Debug)]
struct Measured {
    families: Vec<(&'static Family, Vec<Sample>)>,
}

impl Collector for Measured {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for (family, samples) in self.families.iter().filter(|(_, samples)| !samples.is_empty()) {
            let unit = family.unit.map(Unit::of_library);
            let kind = family.measure.of_library();
            let mut metric = encoder.encode_descriptor(family.name, family.help, unit.as_ref(), kind)?;
            for Sample { labels, value } in samples {
                let series = metric.encode_family(labels)?;
                match family.measure {
                    Measure::Counter => ConstCounter::new(*value).encode(series)?,
                    Measure::Gauge => ConstGauge::new(*value).encode(series)?,
                }
            }
        }
        Ok(())
    }
}
