//! Writes what was exported as text that does not differ from run to run.

use std::collections::BTreeMap;
use std::fmt::Write;

use metrics_util::MetricKind;
use metrics_util::debugging::{DebugValue, Snapshot};
use opentelemetry::trace::{SpanId, SpanKind, Status};
use opentelemetry::{KeyValue, Value};
use opentelemetry_sdk::trace::SpanData;

/// Returns the spans, each below its parent, in the order of their starts.
pub(crate) fn spans(mut spans: Vec<SpanData>) -> String {
    spans.sort_by_key(|span| span.start_time);
    let mut text = String::new();
    children(&spans, SpanId::INVALID, 0, &mut text);
    text
}

fn children(spans: &[SpanData], parent: SpanId, depth: usize, text: &mut String) {
    for span in spans.iter().filter(|span| span.parent_span_id == parent) {
        let indent = "    ".repeat(depth);
        let kind = match span.span_kind {
            SpanKind::Client => "client",
            SpanKind::Internal => "internal",
            _ => "another kind",
        };
        let status = match &span.status {
            Status::Unset => "unset".to_owned(),
            Status::Ok => "ok".to_owned(),
            Status::Error { description } => format!("error {description:?}"),
        };
        line(text, &format!("{indent}{} (kind {kind}, status {status})", span.name));
        attributes(&span.attributes, &format!("{indent}    "), text);
        for event in span.events.iter() {
            line(text, &format!("{indent}    event {:?}", event.name));
            attributes(&event.attributes, &format!("{indent}        "), text);
        }
        children(spans, span.span_context.span_id(), depth + 1, text);
    }
}

fn attributes(attributes: &[KeyValue], indent: &str, text: &mut String) {
    let sorted: BTreeMap<_, _> = attributes.iter().map(|pair| (pair.key.as_str(), &pair.value)).collect();
    for (key, value) in sorted {
        let value = match value {
            Value::String(value) => format!("{:?}", value.as_str()),
            value => value.to_string(),
        };
        line(text, &format!("{indent}{key} = {}", stable(key, &value)));
    }
}

/// Returns the metrics with their units and descriptions, by name and labels. Of a histogram it shows the number of values.
pub(crate) fn metrics(snapshot: Snapshot) -> String {
    let mut metrics = BTreeMap::new();
    for (key, unit, description, value) in snapshot.into_vec() {
        let kind = match key.kind() {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
        };
        let unit = unit.map_or("none", |unit| unit.as_str());
        let name = format!("{} ({kind}, unit {unit}): {}", key.key().name(), description.unwrap_or_default());
        let labels: BTreeMap<_, _> = key.key().labels().map(|label| (label.key(), label.value())).collect();
        let labels: Vec<_> = labels.iter().map(|(key, value)| format!("{key}={:?} ", stable(key, value))).collect();
        let value = match value {
            DebugValue::Counter(value) => value.to_string(),
            DebugValue::Gauge(value) => value.to_string(),
            DebugValue::Histogram(values) => format!("count {}", values.len()),
        };
        metrics.entry(name).or_insert_with(BTreeMap::new).insert(labels.concat(), value);
    }
    let mut text = String::new();
    for (name, values) in metrics {
        line(&mut text, &name);
        for (labels, value) in values {
            line(&mut text, &format!("    {labels}{value}"));
        }
    }
    text
}

/// Returns the lines of the log.
pub(crate) fn log(log: &str) -> String {
    let mut text = String::new();
    for entry in log.lines() {
        let words = entry.trim().split(' ').map(|word| match word.split_once('=') {
            Some((key, value)) => format!("{key}={}", stable(key, value)),
            None => word.to_owned(),
        });
        line(&mut text, &words.collect::<Vec<_>>().join(" "));
    }
    if text.is_empty() { "(nothing)\n".to_owned() } else { text }
}

/// Returns the value, or a placeholder for one that differs from run to run.
fn stable(key: &str, value: &str) -> String {
    match key {
        "server.port" => "<port>".to_owned(),
        "outage_seconds" => "<seconds>".to_owned(),
        "url.full" => {
            let port = |after: &str| after.chars().take_while(char::is_ascii_digit).count();
            match value.rsplit_once(':') {
                Some((before, after)) => format!("{before}:<port>{}", &after[port(after)..]),
                None => value.to_owned(),
            }
        }
        _ => value.to_owned(),
    }
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("a string accepts every write");
}
