//! What a family of metrics is: its name, type and help, and how its samples are read from the model.

use std::collections::BTreeMap;

use prometheus::proto::{Bucket, Counter, Gauge, Histogram as Buckets, LabelPair, Metric};

use crate::status::{Connection, Credential, Daemon, Output, Stream};
use crate::telemetry::histogram::Histogram;

/// One family.
#[derive(Debug)]
pub struct Family {
    /// Its name, without [`super::PREFIX`].
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// What it means, in a sentence or two, unit included.
    pub help: &'static str,
    /// The label that its samples have besides those of what they are about.
    pub label: Option<&'static str>,
    /// How it is read.
    pub samples: Samples,
}

/// The types of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, from 0 when the daemon starts.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Values counted by size.
    Histogram,
}

/// What a family has samples of, and how they are read.
#[derive(Clone, Copy, Debug)]
pub enum Samples {
    /// The daemon.
    Daemon(fn(&Daemon, &mut Out)),
    /// Each stream.
    Stream(fn(&Stream, &mut Out)),
    /// Each output of each stream.
    Output(fn(&Output, &mut Out)),
    /// Each connection slot.
    Connection(fn(&Connection, &mut Out)),
    /// Each credential.
    Credential(fn(&Credential, &mut Out)),
}

impl Family {
    const fn new(name: &'static str, kind: Kind, help: &'static str, samples: Samples) -> Self {
        Self {
            name,
            kind,
            help,
            label: None,
            samples,
        }
    }

    /// With one more label.
    #[must_use]
    pub const fn by(self, label: &'static str) -> Self {
        Self {
            label: Some(label),
            ..self
        }
    }

    /// All its labels.
    pub fn labels(&self) -> impl Iterator<Item = &'static str> {
        let about: &[&str] = match self.samples {
            Samples::Daemon(_) => &[],
            Samples::Stream(_) => &["stream"],
            Samples::Output(_) => &["stream", "output"],
            Samples::Connection(_) => &["stream", "slot"],
            Samples::Credential(_) => &["credential"],
        };
        about.iter().copied().chain(self.label)
    }
}

/// A family that only grows.
pub const fn counter(name: &'static str, help: &'static str, samples: Samples) -> Family {
    Family::new(name, Kind::Counter, help, samples)
}

/// A family that goes up and down.
pub const fn gauge(name: &'static str, help: &'static str, samples: Samples) -> Family {
    Family::new(name, Kind::Gauge, help, samples)
}

/// A family of values counted by size.
pub const fn histogram(name: &'static str, help: &'static str, samples: Samples) -> Family {
    Family::new(name, Kind::Histogram, help, samples)
}

/// Takes the samples of one family.
pub struct Out {
    kind: Kind,
    label: &'static str,
    about: Vec<LabelPair>,
    samples: Vec<Metric>,
}

impl Out {
    pub(super) const fn new(family: &Family) -> Self {
        Self {
            kind: family.kind,
            label: match family.label {
                Some(label) => label,
                None => "",
            },
            about: Vec::new(),
            samples: Vec::new(),
        }
    }

    /// What the samples are about that come next.
    pub(super) fn about(&mut self, labels: &[(&str, &str)]) {
        self.about = labels.iter().map(|(name, value)| pair(name, value)).collect();
    }

    pub(super) fn samples(self) -> Vec<Metric> {
        self.samples
    }

    /// A number.
    pub fn number(&mut self, number: u64) {
        // Exact up to 2^53, as all of Prometheus is.
        self.value(number as f64);
    }

    /// A number that need not be whole.
    pub fn value(&mut self, value: f64) {
        self.push(self.about.clone(), value);
    }

    /// The same, if it is known.
    pub fn known(&mut self, value: Option<f64>) {
        if let Some(value) = value {
            self.value(value);
        }
    }

    /// 1 for yes, 0 for no.
    pub fn flag(&mut self, is_so: bool) {
        self.value(f64::from(u8::from(is_so)));
    }

    /// A number for one value of the family's own label.
    pub fn at(&mut self, label: &str, value: f64) {
        let mut labels = self.about.clone();
        labels.push(pair(self.label, label));
        self.push(labels, value);
    }

    /// The one state of `all` that holds: 1 for it, and 0 for each of the others.
    pub fn state<'s>(&mut self, holds: &str, all: impl IntoIterator<Item = &'s str>) {
        for state in all {
            self.at(state, f64::from(u8::from(state == holds)));
        }
    }

    /// Counts by name. Those whose name is not `known` count as `other`, all together.
    pub fn by_name(&mut self, counts: &BTreeMap<String, u64>, known: impl Fn(&str) -> bool) {
        let (named, others): (Vec<_>, Vec<_>) = counts.iter().partition(|(name, _)| known(name));
        for (name, count) in named {
            self.at(name, *count as f64);
        }
        if !others.is_empty() {
            let sum: u64 = others.into_iter().map(|(_, count)| count).sum();
            self.at("other", sum as f64);
        }
    }

    /// Values by size.
    pub fn histogram(&mut self, histogram: &Histogram) {
        let mut buckets = Buckets::default();
        buckets.set_sample_count(histogram.count);
        buckets.set_sample_sum(histogram.sum);
        let of = |bucket: &crate::telemetry::histogram::Bucket| {
            let mut one = Bucket::default();
            one.set_upper_bound(bucket.le);
            one.set_cumulative_count(bucket.count);
            one
        };
        buckets.set_bucket(histogram.buckets.iter().map(of).collect());
        let mut metric = Metric::from_label(self.about.clone());
        metric.set_histogram(buckets);
        self.samples.push(metric);
    }

    fn push(&mut self, labels: Vec<LabelPair>, value: f64) {
        let mut metric = Metric::from_label(labels);
        match self.kind {
            Kind::Counter => {
                let mut counter = Counter::default();
                counter.set_value(value);
                metric.set_counter(counter);
            }
            Kind::Gauge | Kind::Histogram => {
                let mut gauge = Gauge::default();
                gauge.set_value(value);
                metric.set_gauge(gauge);
            }
        }
        self.samples.push(metric);
    }
}

fn pair(name: &str, value: &str) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}
