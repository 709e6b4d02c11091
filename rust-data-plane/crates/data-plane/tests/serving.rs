//! The process, with a scripted control plane and the in-memory Kafka.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod node;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use contracts::QuoteRequest;
use contracts::grpc::health::v1::health_client::HealthClient;
use contracts::grpc::health::v1::{HealthCheckRequest, health_check_response::ServingStatus};
use contracts::hybrid::pricing::v1::pricing_service_client::PricingServiceClient;
use contracts::hybrid::pricing::v1::{
    QuoteResponse, QuoteStreamRequest, quote_stream_response::Result as StreamResult,
};
use contracts::opentelemetry::proto::metrics::v1::metric::Data;
use contracts::opentelemetry::proto::metrics::v1::number_data_point;
use contracts::opentelemetry::proto::trace::v1::Span;
use fake_control_plane::ControlPlane;
use fake_otlp::{Attributes, Received, Receiver, attributes};
use harness::free_address;
use prost::Message as _;
use serde_json::json;
use tonic::{Code, Request};
use tonic_types::StatusExt;

use node::{DataPlane, NOWHERE, TRACE, basket, call, catalog, cluster, command, events};

#[tokio::test(flavor = "multi_thread")]
async fn quotes_over_grpc_and_json_are_alike_and_reported() {
    let (control, cluster) = (ControlPlane::start().await.unwrap(), cluster());
    let node = DataPlane::start(&control.url(), &cluster.bootstrap_servers(), &[]);
    let _session = catalog(&control).await;

    let mut client = PricingServiceClient::new(node.channel().await);
    let mut request = Request::new(basket("mug", 3));
    request.metadata_mut().insert("traceparent", TRACE.parse().unwrap());
    let quote = client.quote(request).await.unwrap().into_inner();
    assert_eq!((quote.net_minor, quote.discount_minor, quote.snapshot_version), (2835, 315, 4));
    assert_eq!((quote.tax_minor, quote.gross_minor, quote.lines[0].promotion_id.as_str()), (539, 3374, "ten"));
    assert_eq!(quote.lines[0].promotion_created_version, 4);
    assert_eq!(uuid::Uuid::parse_str(&quote.quote_id).unwrap().get_version_num(), 7);

    let body = json!({"currencyCode": "EUR", "jurisdiction": "DE", "lines": [{"sku": "mug", "quantity": "3"}]});
    let (status, content_type, answer) = node.quote_json(body.to_string().as_bytes());
    assert_eq!((status, content_type.as_str()), (200, "application/json"));
    assert_eq!((&answer["grossMinor"], &answer["lines"][0]["promotionId"]), (&"3374".into(), &"ten".into()));
    assert_eq!(answer["lines"][0]["promotionCreatedVersion"], "4");

    let events = events(&cluster, 2);
    let event = events.iter().find(|event| event.quote_id() == quote.quote_id).unwrap();
    assert_eq!((event.node_id.as_str(), event.priced.quote.as_ref()), ("node-1", Some(&quote)));
    let header = |name: &str| event.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    assert_eq!(header("ce_specversion"), Some("1.0"));
    assert_eq!(header("ce_id"), Some(quote.quote_id.as_str()));
    assert_eq!(header("ce_source"), Some("/hybrid/data-plane/node-1"));
    assert_eq!(header("ce_type"), Some("hybrid.pricing.quotes.priced.v1"));
    assert_eq!(header("ce_time"), Some(quote.priced_at.unwrap().to_string().as_str()));
    assert_eq!(header("content-type"), Some("application/protobuf"));
    // The caller's trace, its decision not to record, and a span of the quote's own.
    let traceparent = event.priced.traceparent.as_str();
    assert!(traceparent.starts_with(&TRACE[..35]) && traceparent.ends_with("-00"), "{traceparent}");
    assert_ne!(traceparent, TRACE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quote_waits_for_nobody_and_readiness_tells() {
    let control = ControlPlane::start().await.unwrap();
    let mut node = DataPlane::start(&control.url(), NOWHERE, &[("WORKER_THREADS", "1")]);
    let mut client = PricingServiceClient::new(node.channel().await);
    let mut health = HealthClient::new(node.channel().await);

    // Without a snapshot: alive, not ready, and it says why.
    let missing = client.quote(basket("mug", 1)).await.unwrap_err();
    assert_eq!(missing.code(), Code::Unavailable);
    assert_eq!(missing.get_details_error_info().unwrap().reason, "SNAPSHOT_MISSING");
    let (status, report) = node.ready();
    assert_eq!((status, &report["status"], &report["tasks"][0]["name"]), (503, &"pending".into(), &"snapshot".into()));
    assert_eq!(node.http("GET", "/livez", "", b"").0, 200);
    let check = health.check(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(check.status(), ServingStatus::NotServing);

    // With one, and still without Kafka: ready, and quotes are answered.
    let session = catalog(&control).await;
    let (status, report) = node.ready();
    assert_eq!((status, &report["status"]), (200, &"degraded".into()));
    assert_eq!((&report["snapshot"]["version"], &report["snapshot"]["stale"]), (&4.into(), &false.into()));
    assert_eq!(report["snapshot"]["discountsSuspended"], false);
    let check = health.check(HealthCheckRequest { service: "hybrid.pricing.v1.PricingService".into() });
    assert_eq!(check.await.unwrap().into_inner().status(), ServingStatus::Serving);
    assert_eq!(health.check(HealthCheckRequest { service: "x".into() }).await.unwrap_err().code(), Code::NotFound);
    for _ in 0..100 {
        client.quote(basket("mug", 1)).await.unwrap();
    }
    node.until("the outage of Kafka is reported", || {
        let kafka = node.ready().1["tasks"][1].clone();
        kafka["status"] == "pending" && kafka["detail"].as_str().unwrap().contains("100 events wait")
    });

    // The control plane goes: stale, which is degraded, and quotes are answered.
    drop(session);
    drop(control);
    node.until("it is stale", || node.ready().1["snapshot"]["stale"] == true);
    let (status, report) = node.ready();
    assert_eq!(
        (status, &report["status"], &report["tasks"][2]["status"]),
        (200, &"degraded".into(), &"pending".into())
    );
    assert_eq!(report["tasks"][2]["detail"], "nobody confirms that version 4 is the newest");
    client.quote(basket("mug", 1)).await.unwrap();
    assert!(node.terminate().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_are_typed_over_grpc() {
    let control = ControlPlane::start().await.unwrap();
    let node = DataPlane::start(&control.url(), NOWHERE, &[]);
    let _session = catalog(&control).await;
    let mut client = PricingServiceClient::new(node.channel().await);
    let with = |change: fn(&mut QuoteRequest)| {
        let mut request = basket("mug", 1);
        change(&mut request);
        request
    };
    for (request, code, reason, field) in [
        (with(|r| r.currency_code = "eur".into()), Code::InvalidArgument, "CURRENCY_INVALID", "currency_code"),
        (with(|r| r.currency_code = "USD".into()), Code::FailedPrecondition, "CURRENCY_MISMATCH", "lines[0].sku"),
        (with(|r| r.jurisdiction = "FR".into()), Code::NotFound, "TAX_RULE_UNKNOWN", "jurisdiction"),
        (with(|r| r.lines.clear()), Code::InvalidArgument, "LINES_INVALID", "lines"),
        (with(|r| r.lines[0].quantity = -1), Code::InvalidArgument, "QUANTITY_INVALID", "lines[0].quantity"),
        (with(|r| r.lines[0].sku = "\u{0}".into()), Code::InvalidArgument, "SKU_INVALID", "lines[0].sku"),
        (with(|r| r.lines[0].sku = "nope".into()), Code::NotFound, "SKU_UNKNOWN", "lines[0].sku"),
        (
            with(|r| r.coupons = vec!["ok".into(), String::new()]),
            Code::InvalidArgument,
            "COUPONS_INVALID",
            "coupons[1]",
        ),
    ] {
        let status = client.quote(request).await.unwrap_err();
        let info = status.get_details_error_info().unwrap();
        assert_eq!((status.code(), info.reason.as_str(), info.domain.as_str()), (code, reason, "hybrid.pricing"));
        assert_eq!(status.get_details_bad_request().unwrap().field_violations[0].field, field);
    }
    let huge = with(|r| r.coupons = vec!["x".repeat(1 << 20)]);
    assert_eq!(client.quote(huge).await.unwrap_err().code(), Code::ResourceExhausted);

    // On a stream an error ends only its own request, and answers keep their order.
    let requests = ["mug", "nope", "pen"]
        .map(|sku| QuoteStreamRequest { correlation_id: sku.into(), quote: Some(basket(sku, 1)) });
    let mut answers = client.quote_stream(tokio_stream::iter(requests)).await.unwrap().into_inner();
    let mut seen = Vec::new();
    while let Some(answer) = answers.message().await.unwrap() {
        let result = match answer.result.unwrap() {
            StreamResult::Quote(quote) => quote.lines[0].unit_price_minor.to_string(),
            StreamResult::Error(error) => error.reason,
        };
        seen.push((answer.correlation_id, result));
    }
    let expected = [("mug", "1050"), ("nope", "SKU_UNKNOWN"), ("pen", "199")];
    assert_eq!(seen, expected.map(|(id, result)| (id.to_owned(), result.to_owned())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quote_is_answered_however_it_comes() {
    const QUOTE: &str = "/hybrid.pricing.v1.PricingService/Quote";
    let control = ControlPlane::start().await.unwrap();
    let node = DataPlane::start(&control.url(), NOWHERE, &[]);
    let _session = catalog(&control).await;
    let message = basket("mug", 3).encode_to_vec();
    let framed = |flag: u8, message: &[u8]| {
        let mut frame = vec![flag];
        frame.extend_from_slice(&(message.len() as u32).to_be_bytes());
        frame.extend_from_slice(message);
        frame
    };
    let frame = framed(0, &message);
    let grpc = [("content-type", "application/grpc")];
    let cut: Vec<&[u8]> = frame.chunks(3).collect();
    let mut unknown_field = message.clone();
    unknown_field.extend_from_slice(&[15 << 3, 1]);
    let unknown_field = framed(0, &unknown_field);

    // In one frame, in many, with an empty one at its end, and with a field that is not known yet.
    for parts in [&[&frame[..]][..], &cut, &[&frame, &[]], &[&unknown_field]] {
        let answer = call(&node, QUOTE, &grpc, parts, false).await;
        assert_eq!((answer.status(), &answer.headers["content-type"]), ("0", &"application/grpc".parse().unwrap()));
        assert_eq!(answer.body[..5], framed(0, &answer.body[5..])[..5]);
        let quote = QuoteResponse::decode(&answer.body[5..]).unwrap();
        assert_eq!((quote.net_minor, quote.gross_minor, quote.lines[0].sku.as_str()), (2835, 3374, "mug"));
    }
    // What is no gRPC with protobuf is refused, and neither priced nor reported.
    for other in ["application/grpc-web", "application/grpc-web-text", "application/grpcfoo", "application/json", ""] {
        assert_eq!(call(&node, QUOTE, &[("content-type", other)], &[&frame], false).await.http, 415, "{other:?}");
    }
    for same in ["application/grpc+proto", "application/grpc;x=y"] {
        assert_eq!(call(&node, QUOTE, &[("content-type", same)], &[&frame], false).await.status(), "0", "{same:?}");
    }
    let kafka = node.ready().1["tasks"][1]["detail"].as_str().unwrap().to_owned();
    assert!(kafka.starts_with("6 events wait") || kafka.contains("; 6 events wait"), "{kafka}");
    // The status alone, where there is no answer.
    let no_lines = framed(0, &[]);
    let answer = call(&node, QUOTE, &grpc, &[&no_lines], false).await;
    assert_eq!((answer.status(), answer.body.len()), ("3", 0));

    let with = |name, value| [grpc[0], (name, value)];
    let answer = call(&node, QUOTE, &with("grpc-encoding", "gzip"), &[&framed(1, &message)], false).await;
    assert_eq!((answer.status(), answer.headers.contains_key("grpc-accept-encoding")), ("12", true));
    let garbage = framed(0, b"\xff\xff\xff");
    for body in [&garbage[..], &frame[..frame.len() - 1], &framed(1, &message)] {
        assert_eq!(call(&node, QUOTE, &grpc, &[body], false).await.status(), "13", "{body:?}");
    }
    let nowhere = "/hybrid.pricing.v1.PricingService/Nothing";
    assert_eq!(call(&node, nowhere, &grpc, &[&frame], false).await.status(), "12");
    // A deadline that passes before the request has ended, and one that does not.
    assert_eq!(call(&node, QUOTE, &with("grpc-timeout", "50m"), &[&frame[..5]], true).await.status(), "4");
    assert_eq!(call(&node, QUOTE, &with("grpc-timeout", "1H"), &[&frame], false).await.status(), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_are_problems_over_http() {
    let control = ControlPlane::start().await.unwrap();
    let node = DataPlane::start(&control.url(), NOWHERE, &[]);
    let _session = catalog(&control).await;
    let line = |line: &str| format!(r#"{{"currencyCode":"EUR","jurisdiction":"DE","lines":[{line}]}}"#).into_bytes();
    for (body, status, code, reason) in [
        (b"{".to_vec(), 400, "INVALID_ARGUMENT", "JSON_INVALID"),
        (b"\xff\xfe".to_vec(), 400, "INVALID_ARGUMENT", "JSON_INVALID"),
        (br#"{"currency":"EUR"}"#.to_vec(), 400, "INVALID_ARGUMENT", "JSON_INVALID"),
        (r#"{"currencyCode":"€"}"#.into(), 400, "INVALID_ARGUMENT", "CURRENCY_INVALID"),
        (line(r#"{"sku":"mug","quantity":99999999999999999999}"#), 400, "INVALID_ARGUMENT", "JSON_INVALID"),
        (line(r#"{"sku":"mug","quantity":-3}"#), 400, "INVALID_ARGUMENT", "QUANTITY_INVALID"),
        (line(r#"{"sku":"nope","quantity":1}"#), 404, "NOT_FOUND", "SKU_UNKNOWN"),
        (vec![b' '; (1 << 20) + 1], 413, "OUT_OF_RANGE", "BODY_TOO_LARGE"),
        (vec![b'['; 1 << 20], 400, "INVALID_ARGUMENT", "JSON_INVALID"),
    ] {
        let (got, content_type, problem) = node.quote_json(&body);
        assert_eq!((got, content_type.as_str()), (status, "application/problem+json"), "{problem}");
        assert_eq!((&problem["status"], &problem["code"]), (&status.into(), &code.into()));
        assert_eq!(problem["reason"], reason);
    }
    // What would be taken is said by the problem's header.
    let raw = |request: &str| {
        let mut stream = TcpStream::connect(node.http).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let gzip = raw(
        "POST /v1/quotes HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n{}",
    );
    assert!(gzip.starts_with("HTTP/1.1 415") && gzip.contains("\r\naccept-encoding: identity\r\n"), "{gzip}");
    // A page of another origin must not make a browser ask, and a query would be ignored.
    let quote = line(r#"{"sku":"mug","quantity":1}"#);
    for (path, headers, status, reason) in [
        ("/v1/quotes", "origin: https://example.org\r\n", 403, "CROSS_ORIGIN"),
        ("/v1/quotes", "sec-fetch-site: cross-site\r\ncontent-type: text/plain\r\n", 403, "CROSS_ORIGIN"),
        ("/v1/quotes?colour=red", "", 400, "QUERY_UNKNOWN"),
    ] {
        let (answered, _, problem) = node.http("POST", path, headers, &quote);
        assert_eq!((answered, problem["reason"].as_str()), (status, Some(reason)), "{path} {headers}");
    }
    assert_eq!(node.http("POST", "/v1/quotes", "origin: http://x\r\n", &quote).0, 200);
    let get = raw("GET /v1/quotes HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    assert!(get.starts_with("HTTP/1.1 405") && get.contains("\r\nallow: POST\r\n"), "{get}");
    let (_, _, problem) = node.quote_json(&line(r#"{"sku":"mug","quantity":0}"#));
    assert_eq!(problem["errors"][0]["field"], "lines[0].quantity");
    assert_eq!(node.http("GET", "/v1/quotes", "", b"").0, 405);
    assert_eq!(node.http("GET", "/nothing", "", b"").0, 404);
    assert_eq!(node.quote_json(&line(r#"{"sku":"mug","quantity":1}"#)).0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_drain_flushes_events_and_ends_streams() {
    let (control, cluster) = (ControlPlane::start().await.unwrap(), cluster());
    let mut node = DataPlane::start(&control.url(), &cluster.bootstrap_servers(), &[]);
    let _session = catalog(&control).await;
    let mut client = PricingServiceClient::new(node.channel().await);
    let (_requests, requests) = tokio::sync::mpsc::channel::<QuoteStreamRequest>(1);
    let mut open =
        client.quote_stream(tokio_stream::wrappers::ReceiverStream::new(requests)).await.unwrap().into_inner();
    for _ in 0..500 {
        client.quote(basket("mug", 1)).await.unwrap();
    }
    let _silent = TcpStream::connect(node.grpc).unwrap();
    let start = Instant::now();
    assert!(node.terminate().success());
    assert!(start.elapsed() < Duration::from_secs(8), "an idle stream, or a silent caller, holds up the drain");
    assert_eq!(open.message().await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(events(&cluster, 500).len(), 500);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delay_is_there_only_when_asked_for() {
    let control = ControlPlane::start().await.unwrap();
    let node = DataPlane::start(&control.url(), NOWHERE, &[("QUOTE_DELAY_US", "200000")]);
    let _session = catalog(&control).await;
    let mut client = PricingServiceClient::new(node.channel().await);
    let start = Instant::now();
    client.quote(basket("mug", 1)).await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(200));
}

#[test]
fn a_bad_environment_is_one_clear_line() {
    let (http, grpc, state) = (free_address(), free_address(), tempfile::tempdir().unwrap());
    let run = |variables: &[(&str, &str)]| {
        let mut command = command(http, grpc);
        command
            .env("STATE_DIR", state.path())
            .env("CONTROL_PLANE_GRPC", "http://127.0.0.1:1")
            .env("ConnectionStrings__kafka", NOWHERE)
            .envs(variables.iter().copied());
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for (variables, named) in [
        ([("NODE_ID", "")], "NODE_ID is not set"),
        ([("NODE_ID", "a b")], "NODE_ID must be"),
        ([("HTTP_PORT", "70000")], "HTTP_PORT cannot be"),
        ([("GRPC_PORT", port.as_str())], "GRPC_PORT: cannot listen on"),
        ([("CONTROL_PLANE_GRPC", "localhost")], "CONTROL_PLANE_GRPC must be"),
        ([("WORKER_THREADS", "0")], "WORKER_THREADS must be"),
        ([("HYBRID_BUDGET_MAX_STALENESS", "0")], "HYBRID_BUDGET_MAX_STALENESS must be"),
        ([("LOG_LEVEL", "loud")], "LOG_LEVEL must be"),
    ] {
        let (code, text) = run(&variables);
        assert_eq!((code, text.lines().count()), (Some(2), 1), "{text}");
        assert!(text.contains(named), "{text}");
    }
}

const SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const STATE: &str = "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE";

fn exporting(receiver: &Receiver) -> [(&'static str, String); 4] {
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url()),
        ("OTEL_BSP_SCHEDULE_DELAY", "20".into()),
        ("OTEL_BLRP_SCHEDULE_DELAY", "20".into()),
        ("OTEL_METRIC_EXPORT_INTERVAL", "50".into()),
    ]
}

/// The span of kind server with `name` and `status`, whose parent is the caller's.
fn server_span(receiver: &Receiver, name: &str, status: (&str, &str)) -> (Attributes, Attributes, Span) {
    let found = receiver.wait(|received| {
        let mut spans = received.spans.iter().map(|(resource, span)| (resource, attributes(&span.attributes), span));
        spans
            .find(|(_, attributes, span)| {
                (span.name.as_str(), span.kind) == (name, 2)
                    && attributes.get(status.0).is_some_and(|is| is == status.1)
            })
            .map(|(resource, attributes, span)| (resource.clone(), attributes, span.clone()))
    });
    found.unwrap_or_else(|missing| panic!("{name} {status:?}: {missing}"))
}

/// The unit of the histograms of `name`, once there is one for each of `values`.
fn histograms(received: &Received, name: &str, attribute: &str, values: &[&str]) -> Option<String> {
    let metric = received.metrics.get(&("node-1".to_owned(), name.to_owned()))?;
    let Some(Data::ExponentialHistogram(histogram)) = &metric.data else { return None };
    let has = |value: &&str| {
        let mut points = histogram.data_points.iter().map(|point| attributes(&point.attributes));
        points.any(|attributes| attributes.get(attribute).is_some_and(|is| is == value))
    };
    values.iter().all(has).then(|| metric.unit.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_have_the_spans_and_metrics_of_the_conventions() {
    let (control, receiver) = (ControlPlane::start().await.unwrap(), Receiver::start().unwrap());
    let variables = exporting(&receiver);
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let node = DataPlane::start(&control.url(), NOWHERE, &variables);
    let traced = format!("traceparent: {SAMPLED}\r\ntracestate: {STATE}\r\n");
    let body = br#"{"currencyCode":"EUR","jurisdiction":"DE","lines":[{"sku":"mug","quantity":3}]}"#;

    assert_eq!(node.http("POST", "/v1/quotes", &traced, body).0, 503);
    let _session = catalog(&control).await;
    node.until("it is ready", || node.ready().0 == 200);
    for (method, path, body, status) in [
        ("POST", "/v1/quotes", &body[..], 200),
        ("POST", "/v1/quotes", b"{", 400),
        ("POST", "/v1/quotes", &vec![b' '; (1 << 20) + 1], 413),
        ("GET", "/v1/quotes", b"", 405),
        ("BREW", "/v1/quotes", b"", 405),
        ("GET", "/nothing", b"", 404),
    ] {
        assert_eq!(node.http(method, path, &traced, body).0, status, "{method} {path}");
        let span = match (method, path) {
            ("BREW", _) => "HTTP /v1/quotes".to_owned(),
            (_, "/nothing") => method.to_owned(),
            _ => format!("{method} {path}"),
        };
        let status = status.to_string();
        let (resource, attributes, span) = server_span(&receiver, &span, ("http.response.status_code", &status));
        for (name, value) in [
            ("http.request.method", if method == "BREW" { "_OTHER" } else { method }),
            ("url.path", path),
            ("url.scheme", "http"),
            ("server.address", "x"),
        ] {
            assert_eq!(attributes.get(name).map(String::as_str), Some(value), "{name}: {attributes:?}");
        }
        assert_eq!(attributes.contains_key("http.route"), path != "/nothing");
        assert_eq!((attributes.get("error.type"), span.status.unwrap_or_default().code), (None, 0));
        assert_eq!((span.trace_state.as_str(), span.parent_span_id[0]), (STATE, 0xb7));
        assert_eq!(resource.get("service.instance.id").map(String::as_str), Some("node-1"));
    }
    let (_, given, span) = server_span(&receiver, "POST /v1/quotes", ("http.response.status_code", "503"));
    assert_eq!(given.get("error.type").map(String::as_str), Some("503"));
    assert_eq!(span.status.unwrap().code, 2);

    let mut client = PricingServiceClient::new(node.channel().await);
    let mut request = Request::new(basket("mug", 3));
    request.metadata_mut().insert("traceparent", SAMPLED.parse().unwrap());
    client.quote(request).await.unwrap();
    let method = "hybrid.pricing.v1.PricingService/Quote";
    let (_, given, _) = server_span(&receiver, method, ("rpc.response.status_code", "OK"));
    let port = node.grpc.port().to_string();
    for (name, value) in
        [("rpc.system.name", "grpc"), ("rpc.method", method), ("server.address", "127.0.0.1"), ("server.port", &port)]
    {
        assert_eq!(given.get(name).map(String::as_str), Some(value), "{name}: {given:?}");
    }
    // What tonic answers is counted as well.
    let mut compressed = Request::new(basket("mug", 3));
    compressed.metadata_mut().insert("grpc-encoding", "gzip".parse().unwrap());
    assert_eq!(client.quote(compressed).await.unwrap_err().code(), Code::Unimplemented);
    assert_eq!(client.quote(basket("nope", 3)).await.unwrap_err().code(), Code::NotFound);

    let statuses = ["200", "400", "404", "405", "413", "503"];
    let (name, attribute) = ("http.server.request.duration", "http.response.status_code");
    assert_eq!(receiver.wait(|received| histograms(received, name, attribute, &statuses)).unwrap(), "s");
    let (name, attribute) = ("rpc.server.call.duration", "rpc.response.status_code");
    let codes = ["OK", "NOT_FOUND", "UNIMPLEMENTED"];
    assert_eq!(receiver.wait(|received| histograms(received, name, attribute, &codes)).unwrap(), "s");
    // No broker answers, so the events of both quotes wait.
    receiver
        .wait(|received| {
            let metric = received.metrics.get(&("node-1".to_owned(), "hybrid.quotes.events.queue_depth".to_owned()))?;
            let Some(Data::Gauge(gauge)) = &metric.data else { return None };
            (gauge.data_points[0].value == Some(number_data_point::Value::AsDouble(2.0))).then_some(())
        })
        .unwrap();
}

/// Whether a call of the method has ended with the code.
fn is_counted(received: &Received, (method, code): (&str, &str)) -> Option<()> {
    let metric = received.metrics.get(&("node-1".to_owned(), "rpc.server.call.duration".to_owned()))?;
    let Some(Data::ExponentialHistogram(histogram)) = &metric.data else { return None };
    let is = |point: &Attributes, name: &str, value: &str| point.get(name).is_some_and(|is| is == value);
    let mut points = histogram.data_points.iter().map(|point| attributes(&point.attributes));
    points.any(|point| is(&point, "rpc.method", method) && is(&point, "rpc.response.status_code", code)).then_some(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_end_of_a_call_is_counted_by_its_code() {
    const QUOTE: &str = "hybrid.pricing.v1.PricingService/Quote";
    const STREAM: &str = "hybrid.pricing.v1.PricingService/QuoteStream";
    const CHECK: &str = "grpc.health.v1.Health/Check";
    const WATCH: &str = "grpc.health.v1.Health/Watch";
    let (control, receiver) = (ControlPlane::start().await.unwrap(), Receiver::start().unwrap());
    let variables = exporting(&receiver);
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut node = DataPlane::start(&control.url(), NOWHERE, &variables);
    let _session = catalog(&control).await;
    let framed = |message: &[u8]| [&[0][..], &(message.len() as u32).to_be_bytes(), message].concat();
    let unknown = framed(&HealthCheckRequest { service: "x".into() }.encode_to_vec());
    let (garbage, large) = (framed(b"\xff\xff"), [0, 0xff, 0xff, 0xff, 0xff]);
    let quote = framed(&basket("mug", 1).encode_to_vec());
    let (grpc, soon) = (("content-type", "application/grpc"), ("grpc-timeout", "100m"));
    let mut ended = Vec::new();
    for (method, headers, body, open, code) in [
        (STREAM, &[grpc, soon][..], &[][..], true, "DEADLINE_EXCEEDED"),
        (STREAM, &[grpc], &garbage, false, "INTERNAL"),
        (STREAM, &[grpc], &large, false, "RESOURCE_EXHAUSTED"),
        (CHECK, &[grpc], &unknown, false, "NOT_FOUND"),
        (CHECK, &[grpc], &framed(b""), false, "OK"),
        (CHECK, &[grpc], &garbage, false, "INTERNAL"),
        (WATCH, &[grpc, soon], &framed(b""), false, "DEADLINE_EXCEEDED"),
        (QUOTE, &[("content-type", "application/json")], &quote, false, "UNKNOWN"),
        (QUOTE, &[grpc, soon], &quote[..7], true, "DEADLINE_EXCEEDED"),
        ("hybrid.pricing.v1.PricingService/Nothing", &[grpc], &quote, false, "UNIMPLEMENTED"),
    ] {
        call(&node, &format!("/{method}"), headers, &[body], open).await;
        ended.push((if code == "UNIMPLEMENTED" { "_OTHER" } else { method }, code));
    }
    // Bodies that are not complete, until there is no room for another.
    let stream = tokio::net::TcpStream::connect(node.grpc).await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let mut halves = tokio::task::JoinSet::new();
    for _ in 0..5 {
        let head = http::Request::post(format!("http://node/{QUOTE}")).header(grpc.0, grpc.1).body(()).unwrap();
        let (answer, mut body) = client.clone().ready().await.unwrap().send_request(head, false).unwrap();
        body.send_data([&[0, 0, 0x10, 0, 0][..], &vec![0; (1 << 20) - 64]].concat().into(), false).unwrap();
        halves.spawn(async move { (answer.await.unwrap().headers()["grpc-status"].clone(), body) });
    }
    assert_eq!(halves.join_next().await.unwrap().unwrap().0, "8");
    drop(halves);
    ended.push((QUOTE, "RESOURCE_EXHAUSTED"));
    // The drain ends what is open.
    let mut client = PricingServiceClient::new(node.channel().await);
    let (_requests, requests) = tokio::sync::mpsc::channel::<QuoteStreamRequest>(1);
    let requests = tokio_stream::wrappers::ReceiverStream::new(requests);
    let mut open = client.quote_stream(requests).await.unwrap().into_inner();
    assert!(node.terminate().success());
    assert_eq!(open.message().await.unwrap_err().code(), Code::Unavailable);
    ended.push((STREAM, "UNAVAILABLE"));
    for ended in ended {
        receiver.wait(|received| is_counted(received, ended)).unwrap_or_else(|missing| panic!("{ended:?}: {missing}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_given_up_ends_at_once() {
    let (control, receiver) = (ControlPlane::start().await.unwrap(), Receiver::start().unwrap());
    let variables = exporting(&receiver);
    let mut variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    variables.push(("QUOTE_DELAY_US", "600000000"));
    let node = DataPlane::start(&control.url(), NOWHERE, &variables);
    let _session = catalog(&control).await;
    let channel = node.channel().await;
    let mut client = PricingServiceClient::new(channel.clone());
    let mut late = Request::new(basket("mug", 1));
    late.set_timeout(Duration::from_millis(100));
    assert!(client.quote(late).await.is_err());
    // The quote is sent first, and dropped when what was sent after it is answered.
    let mut health = HealthClient::new(channel);
    tokio::select! {
        biased;
        answer = client.quote(basket("mug", 1)) => panic!("{answer:?}"),
        answer = health.check(HealthCheckRequest::default()) => drop(answer.unwrap()),
    }

    let (name, attribute) = ("rpc.server.call.duration", "rpc.response.status_code");
    // Of a deadline both sides know, and either may be the first to act.
    let ended = |received: &Received| {
        let metric = received.metrics.get(&("node-1".to_owned(), name.to_owned()))?;
        let Some(Data::ExponentialHistogram(histogram)) = &metric.data else { return None };
        let quotes = histogram.data_points.iter().filter(|point| {
            attributes(&point.attributes).get("rpc.method").is_some_and(|method| method.ends_with("/Quote"))
        });
        let count: u64 = quotes.map(|point| point.count).sum();
        (count == 2).then_some(()).and_then(|()| histograms(received, name, attribute, &["CANCELLED"]))
    };
    assert_eq!(receiver.wait(ended).unwrap(), "s");
}

#[tokio::test(flavor = "multi_thread")]
async fn tracestate_goes_with_its_traceparent_and_bad_ones_are_dropped() {
    let (control, cluster) = (ControlPlane::start().await.unwrap(), cluster());
    let node = DataPlane::start(&control.url(), &cluster.bootstrap_servers(), &[]);
    let _session = catalog(&control).await;
    let mut client = PricingServiceClient::new(node.channel().await);
    let large = format!("a={}", "x".repeat(600));
    let mut expected = Vec::new();
    for (parent, state, kept) in [
        (Some(TRACE), Some(STATE), Some(STATE)),
        (Some(SAMPLED), Some(STATE), Some(STATE)),
        (Some(TRACE), None, None),
        (Some(TRACE), Some("not a state"), None),
        (Some(TRACE), Some(large.as_str()), None),
        (None, Some(STATE), None),
        (Some("nonsense"), Some(STATE), None),
    ] {
        let mut request = Request::new(basket("mug", 3));
        let headers = [("traceparent", parent), ("tracestate", state)];
        for (name, value) in headers.into_iter().filter_map(|(name, value)| Some((name, value?))) {
            request.metadata_mut().insert(name, value.parse().unwrap());
        }
        let continued = parent.is_some_and(|parent| parent != "nonsense");
        expected.push((client.quote(request).await.unwrap().into_inner().quote_id, continued, kept));
    }
    let body = br#"{"currencyCode":"EUR","jurisdiction":"DE","lines":[{"sku":"mug","quantity":3}]}"#;
    let traced = format!("traceparent: {TRACE}\r\ntracestate: a=1\r\ntracestate: b=2\r\n");
    let quote = node.http("POST", "/v1/quotes", &traced, body).2;
    expected.push((quote["quoteId"].as_str().unwrap().to_owned(), true, Some("a=1,b=2")));

    let events = events(&cluster, expected.len());
    for (quote_id, continued, state) in expected {
        let event = events.iter().find(|event| event.quote_id() == quote_id).unwrap();
        assert_eq!(event.priced.tracestate, state.unwrap_or_default());
        assert_eq!(event.priced.traceparent.starts_with(&TRACE[..35]), continued, "{}", event.priced.traceparent);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn telemetry_that_cannot_be_used_keeps_nobody_from_starting() {
    let control = ControlPlane::start().await.unwrap();
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://127.0.0.1:1"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/does/not/exist"),
        ("OTEL_TRACES_SAMPLER", "sometimes"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "soon"),
    ];
    let mut node = DataPlane::start(&control.url(), NOWHERE, &variables);
    assert_eq!(node.http("GET", "/livez", "", b"").0, 200);
    assert!(node.terminate().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_does_not_wait_for_what_is_in_flight() {
    let control = ControlPlane::start().await.unwrap();
    let mut node = DataPlane::start(&control.url(), NOWHERE, &[("QUOTE_DELAY_US", "60000000")]);
    let _session = catalog(&control).await;
    let mut client = PricingServiceClient::new(node.channel().await);
    let quote = tokio::spawn(async move { client.quote(basket("mug", 1)).await });
    node.until("it is ready", || node.ready().0 == 200);
    node.program.signal("TERM");
    node.until("it drains", || node.ready().1["status"] == "draining");
    let start = Instant::now();
    node.program.signal("TERM");
    assert_eq!(node.program.ended().code(), Some(1));
    assert!(start.elapsed() < Duration::from_secs(5), "the drain's deadline was waited for");
    assert!(quote.await.unwrap().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn quotes_are_served_during_the_drain_delay() {
    let (control, delay) = (ControlPlane::start().await.unwrap(), Duration::from_secs(2));
    let mut node = DataPlane::start(&control.url(), NOWHERE, &[("DRAIN_DELAY", "2")]);
    let _session = catalog(&control).await;
    let mut early = PricingServiceClient::new(node.channel().await);
    node.until("it is ready", || node.ready().0 == 200);
    let start = Instant::now();
    node.program.signal("TERM");
    node.until("it says that it drains", || node.ready().1["status"] == "draining");
    early.quote(basket("mug", 1)).await.unwrap();
    PricingServiceClient::new(node.channel().await).quote(basket("mug", 1)).await.unwrap();
    let body = br#"{"currencyCode":"EUR","jurisdiction":"DE","lines":[{"sku":"mug","quantity":1}]}"#;
    assert_eq!(node.quote_json(body).0, 200);
    assert!(start.elapsed() < delay, "too slow to show anything");
    assert!(node.program.ended().success() && start.elapsed() >= delay);

    let mut node = DataPlane::start(&control.url(), NOWHERE, &[("DRAIN_DELAY", "300")]);
    node.program.signal("TERM");
    node.until("it says that it drains", || node.ready().1["status"] == "draining");
    node.program.signal("TERM");
    assert_eq!(node.program.ended().code(), Some(1), "a second signal ends the delay");
}

#[tokio::test(flavor = "multi_thread")]
async fn health_checks_are_answered_throughout_the_drain() {
    let control = ControlPlane::start().await.unwrap();
    let variables = [("QUOTE_DELAY_US", "2000000"), ("WORKER_THREADS", "16")];
    let mut node = DataPlane::start(&control.url(), NOWHERE, &variables);
    let _session = catalog(&control).await;
    node.until("it is ready", || node.ready().0 == 200);
    let mut client = PricingServiceClient::new(node.channel().await);
    let quote = tokio::spawn(async move { client.quote(basket("mug", 1)).await });
    node.until("the quote has been sent", || node.ready().0 == 200);
    let asking = std::thread::scope(|scope| {
        let askers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let (mut draining, until) = (0, Instant::now() + Duration::from_secs(1));
                    while Instant::now() < until {
                        // Panics without an answer.
                        draining += usize::from(node.ready().1["status"] == "draining");
                    }
                    draining
                })
            })
            .collect();
        node.program.signal("TERM");
        askers.into_iter().map(|asker| asker.join().unwrap()).sum::<usize>()
    });
    assert!(asking > 0, "the drain was not seen");
    assert!(quote.await.unwrap().is_ok());
    assert!(node.program.ended().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_node_tells_when_kafka_is_away_or_hangs_and_when_it_is_back() {
    let (control, cluster) = (ControlPlane::start().await.unwrap(), cluster());
    let node = DataPlane::start(&control.url(), &cluster.bootstrap_servers(), &[]);
    let _session = catalog(&control).await;
    let state = || {
        let (code, report) = node.ready();
        let task = report["tasks"].as_array().unwrap().iter().find(|task| task["name"] == "kafka").unwrap();
        (code, report["status"].as_str().unwrap().to_owned(), task["status"].as_str().unwrap().to_owned())
    };
    let is = |status: &str, kafka: &str| (200, status.to_owned(), kafka.to_owned());
    node.until("Kafka answers", || state() == is("ready", "done"));
    for hangs in [false, true] {
        let left = Instant::now();
        match hangs {
            false => cluster.broker_down(1).unwrap(),
            true => cluster.delay_answers(1, 60_000).unwrap(),
        }
        node.until("it tells that no broker answers", || state() == is("degraded", "pending"));
        assert!(left.elapsed() < Duration::from_secs(10), "it took {:?}, hangs: {hangs}", left.elapsed());
        match hangs {
            false => cluster.broker_up(1).unwrap(),
            true => cluster.delay_answers(1, 0).unwrap(),
        }
        node.until("it tells that Kafka is back", || state() == is("ready", "done"));
    }
}
