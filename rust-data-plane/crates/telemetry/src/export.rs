//! From queues and instruments to OTLP requests.

use std::time::{Duration, SystemTime};

use contracts::opentelemetry::proto::collector::logs::v1::ExportLogsServiceRequest;
use contracts::opentelemetry::proto::collector::metrics::v1::ExportMetricsServiceRequest;
use contracts::opentelemetry::proto::collector::trace::v1::ExportTraceServiceRequest;
use contracts::opentelemetry::proto::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use contracts::opentelemetry::proto::logs::v1::{LogRecord, ResourceLogs, ScopeLogs, SeverityNumber};
use contracts::opentelemetry::proto::metrics::v1 as otlp;
use contracts::opentelemetry::proto::resource::v1::Resource;
use contracts::opentelemetry::proto::trace::v1::{self as trace, ResourceSpans, ScopeSpans};
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};

use crate::config::{Batching, Config};
use crate::histogram::SCALE;
use crate::metrics::{Instrument, Meter, Reading};
use crate::record::Record;
use crate::sink::{Signal, Sink};
use crate::span::{self, Attribute, Span, Value};
use crate::state::TraceState;
use crate::unix_nanos;

pub(crate) async fn run(
    config: Config,
    spans: mpsc::Receiver<Span>,
    logs: mpsc::Receiver<Record>,
    meter: Meter,
    stop: watch::Receiver<bool>,
) {
    let (sink, resource) = (Sink::new(&config), resource(&config.resource));
    let resource = || Some(resource.clone());
    tokio::join!(
        batches(spans, config.spans, stop.clone(), async |spans| {
            sink.send(Signal::Traces, traces_request(resource(), spans)).await;
        }),
        batches(logs, config.logs, stop.clone(), async |records| {
            sink.send(Signal::Logs, logs_request(resource(), records)).await;
        }),
        readings(&meter, config.metric_interval, stop, async |metrics| {
            sink.send(Signal::Metrics, metrics_request(resource(), metrics)).await;
        }),
    );
}

/// Collects a batch until it is full or for its delay, whichever comes first; after the stop, what is left.
async fn batches<T>(
    mut queue: mpsc::Receiver<T>,
    limits: Batching,
    mut stop: watch::Receiver<bool>,
    send: impl AsyncFn(Vec<T>),
) {
    let mut batch = Vec::with_capacity(limits.batch);
    let mut ticks = interval(limits.delay);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !*stop.borrow() {
        let room = limits.batch - batch.len();
        tokio::select! {
            _ = stop.changed() => break,
            _ = ticks.tick() => {}
            n = queue.recv_many(&mut batch, room) => {
                if n == 0 {
                    break;
                }
                if batch.len() < limits.batch {
                    continue;
                }
            }
        }
        if !batch.is_empty() {
            send(std::mem::take(&mut batch)).await;
        }
    }
    loop {
        while batch.len() < limits.batch
            && let Ok(record) = queue.try_recv()
        {
            batch.push(record);
        }
        if batch.is_empty() {
            return;
        }
        send(std::mem::take(&mut batch)).await;
    }
}

async fn readings(
    meter: &Meter,
    every: Duration,
    mut stop: watch::Receiver<bool>,
    send: impl AsyncFn(Vec<otlp::Metric>),
) {
    let start = unix_nanos(SystemTime::now());
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let stopped = tokio::select! {
            _ = ticks.tick() => false,
            _ = stop.changed() => true,
        };
        let now = unix_nanos(SystemTime::now());
        send(meter.read(|instruments| metrics(instruments, start, now))).await;
        if stopped {
            return;
        }
    }
}

fn traces_request(resource: Option<Resource>, spans: Vec<Span>) -> ExportTraceServiceRequest {
    let scope_spans =
        ScopeSpans { scope: scope(), spans: spans.into_iter().map(span_out).collect(), ..Default::default() };
    let spans = ResourceSpans { resource, scope_spans: vec![scope_spans], ..Default::default() };
    ExportTraceServiceRequest { resource_spans: vec![spans] }
}

fn logs_request(resource: Option<Resource>, records: Vec<Record>) -> ExportLogsServiceRequest {
    let scope_logs =
        ScopeLogs { scope: scope(), log_records: records.into_iter().map(log_out).collect(), ..Default::default() };
    let logs = ResourceLogs { resource, scope_logs: vec![scope_logs], ..Default::default() };
    ExportLogsServiceRequest { resource_logs: vec![logs] }
}

fn metrics_request(resource: Option<Resource>, metrics: Vec<otlp::Metric>) -> ExportMetricsServiceRequest {
    let scope_metrics = otlp::ScopeMetrics { scope: scope(), metrics, ..Default::default() };
    let metrics = otlp::ResourceMetrics { resource, scope_metrics: vec![scope_metrics], ..Default::default() };
    ExportMetricsServiceRequest { resource_metrics: vec![metrics] }
}

fn resource(attributes: &[(String, Value)]) -> Resource {
    let attributes = attributes.iter().map(|(key, value)| key_value(key, value_out(value)));
    Resource { attributes: attributes.collect(), ..Default::default() }
}

fn scope() -> Option<InstrumentationScope> {
    Some(InstrumentationScope { name: "hybrid".into(), ..Default::default() })
}

fn key_value(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }) }
}

fn attributes_out(attributes: &[Attribute]) -> Vec<KeyValue> {
    attributes.iter().map(|(key, value)| key_value(key, value_out(value))).collect()
}

fn value_out(value: &Value) -> any_value::Value {
    match value {
        Value::Text(text) => any_value::Value::StringValue(text.to_string()),
        Value::Int(n) => any_value::Value::IntValue(*n),
        Value::Double(n) => any_value::Value::DoubleValue(*n),
        Value::Bool(b) => any_value::Value::BoolValue(*b),
    }
}

fn state_out(state: Option<&TraceState<'_>>) -> String {
    state.map_or_else(String::new, |state| state.as_str().to_owned())
}

fn span_out(span: Span) -> trace::Span {
    let flags = |sampled| u32::from(sampled);
    let (code, message) = match span.status {
        span::Status::Unset => (trace::status::StatusCode::Unset, String::new()),
        span::Status::Ok => (trace::status::StatusCode::Ok, String::new()),
        span::Status::Error(message) => (trace::status::StatusCode::Error, message),
    };
    trace::Span {
        trace_id: span.context.trace_id.0.to_vec(),
        span_id: span.context.span_id.0.to_vec(),
        trace_state: state_out(span.state.as_ref()),
        parent_span_id: span.parent.map_or_else(Vec::new, |parent| parent.0.to_vec()),
        flags: flags(span.context.sampled),
        name: span.name.into_owned(),
        kind: span.kind as i32,
        start_time_unix_nano: unix_nanos(span.start),
        end_time_unix_nano: unix_nanos(span.end),
        attributes: attributes_out(&span.attributes),
        links: span
            .links
            .iter()
            .map(|link| trace::span::Link {
                trace_id: link.context.trace_id.0.to_vec(),
                span_id: link.context.span_id.0.to_vec(),
                trace_state: state_out(link.state.as_ref()),
                flags: flags(link.context.sampled),
                ..Default::default()
            })
            .collect(),
        status: Some(trace::Status { code: code.into(), message }),
        ..Default::default()
    }
}

fn log_out(record: Record) -> LogRecord {
    let severity = match record.level {
        tracing::Level::ERROR => SeverityNumber::Error,
        tracing::Level::WARN => SeverityNumber::Warn,
        tracing::Level::INFO => SeverityNumber::Info,
        tracing::Level::DEBUG => SeverityNumber::Debug,
        tracing::Level::TRACE => SeverityNumber::Trace,
    };
    let at = unix_nanos(record.at);
    LogRecord {
        time_unix_nano: at,
        observed_time_unix_nano: at,
        severity_number: severity.into(),
        severity_text: record.level.to_string(),
        body: Some(AnyValue { value: Some(any_value::Value::StringValue(record.message)) }),
        attributes: attributes_out(&record.attributes),
        trace_id: record.trace_id.map_or_else(Vec::new, |id| id.0.to_vec()),
        span_id: record.span_id.map_or_else(Vec::new, |id| id.0.to_vec()),
        ..Default::default()
    }
}

/// One metric for each name, with a point for each of its time series.
fn metrics(instruments: &[Instrument], start: u64, now: u64) -> Vec<otlp::Metric> {
    let mut metrics: Vec<otlp::Metric> = Vec::new();
    for instrument in instruments {
        let Some(data) = point(instrument, start, now) else { continue };
        match metrics.iter_mut().find(|metric| metric.name == instrument.name) {
            Some(metric) => merge(metric, data),
            None => metrics.push(otlp::Metric {
                name: instrument.name.into(),
                description: instrument.description.into(),
                unit: instrument.unit.into(),
                data: Some(data),
                ..Default::default()
            }),
        }
    }
    metrics
}

fn merge(metric: &mut otlp::Metric, more: otlp::metric::Data) {
    use otlp::metric::Data;
    match (&mut metric.data, more) {
        (Some(Data::Sum(all)), Data::Sum(more)) => all.data_points.extend(more.data_points),
        (Some(Data::Gauge(all)), Data::Gauge(more)) => all.data_points.extend(more.data_points),
        (Some(Data::ExponentialHistogram(all)), Data::ExponentialHistogram(more)) => {
            all.data_points.extend(more.data_points);
        }
        _ => tracing::debug!(metric = metric.name, "two kinds of instrument have one name"),
    }
}

fn point(instrument: &Instrument, start: u64, now: u64) -> Option<otlp::metric::Data> {
    let attributes = attributes_out(&instrument.attributes);
    let cumulative = otlp::AggregationTemporality::Cumulative.into();
    let number = |value| otlp::NumberDataPoint {
        attributes: attributes.clone(),
        start_time_unix_nano: start,
        time_unix_nano: now,
        value: Some(value),
        ..Default::default()
    };
    let sum = |count: u64| {
        let value = otlp::number_data_point::Value::AsInt(i64::try_from(count).unwrap_or(i64::MAX));
        otlp::metric::Data::Sum(otlp::Sum {
            data_points: vec![number(value)],
            aggregation_temporality: cumulative,
            is_monotonic: true,
        })
    };
    Some(match &instrument.reading {
        Reading::Counter(count) => sum(count.load(std::sync::atomic::Ordering::Relaxed)),
        Reading::Observed(read) => sum(read()),
        Reading::Gauge(read) => {
            let value = otlp::number_data_point::Value::AsDouble(read()?);
            otlp::metric::Data::Gauge(otlp::Gauge { data_points: vec![number(value)] })
        }
        Reading::Histogram(durations) => {
            let totals = durations.totals()?;
            let point = otlp::ExponentialHistogramDataPoint {
                attributes: attributes.clone(),
                start_time_unix_nano: start,
                time_unix_nano: now,
                count: totals.count,
                sum: Some(totals.sum),
                scale: SCALE,
                zero_count: totals.zeros,
                positive: Some(otlp::exponential_histogram_data_point::Buckets {
                    offset: totals.offset,
                    bucket_counts: totals.buckets,
                }),
                min: Some(totals.min),
                max: Some(totals.max),
                ..Default::default()
            };
            otlp::metric::Data::ExponentialHistogram(otlp::ExponentialHistogram {
                data_points: vec![point],
                aggregation_temporality: cumulative,
            })
        }
    })
}
