use std::time::{Instant, SystemTime};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Router, body};
use http_body::Body as _;
use http_body_util::LengthLimitError;
use lifecycle::Readiness;
use telemetry::{Histograms, Kind, Meter, Status};

use crate::answered::Answered;
use crate::grpc::{BODY_TIMEOUT, MAX_MESSAGE};
use crate::json;
use crate::metrics::{HttpRequest, http_requests};
use crate::origin::is_foreign;
use crate::problem::Problem;
use crate::quotes::Quotes;
use crate::room::Room;
use crate::trace::{Details, Parent, Trace, server_attributes};

const ROUTE: &str = "/v1/quotes";

#[derive(Clone)]
struct Endpoint {
    quotes: Quotes,
    /// What all connections of the process may hold together.
    room: Room,
    requests: Histograms<HttpRequest>,
}

/// `POST /v1/quotes`, `GET /livez`, `GET /readyz`.
pub(crate) fn routes(quotes: Quotes, room: Room, readiness: Readiness, meter: &Meter) -> Router {
    let requests = http_requests(meter);
    let health = lifecycle::routes(readiness).layer(middleware::from_fn_with_state(requests.clone(), count));
    Router::new()
        .route(ROUTE, post(quote).fallback(wrong_method))
        .fallback(not_found)
        .with_state(Endpoint { quotes, room, requests })
        .merge(health)
}

async fn quote(State(endpoint): State<Endpoint>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let exchange = Exchange::start(&endpoint, Some(ROUTE), &parts);
    let parent = Parent::read(&parts.headers);
    let trace = Trace::start(endpoint.quotes.tracer(), &parent);
    let answer = match parts.headers.get(header::CONTENT_ENCODING) {
        _ if is_foreign(&parts.headers) => Err(foreign()),
        _ if parts.uri.query().is_some_and(|query| !query.is_empty()) => Err(queried()),
        Some(encoding) if encoding != "identity" => Err(encoded()),
        _ => answer(&endpoint, &trace, body).await,
    };
    match answer {
        Ok((response, answered)) => exchange.finish(&trace, response, Ok(&answered)),
        Err(problem) => exchange.fail(&trace, problem),
    }
}

async fn answer(endpoint: &Endpoint, trace: &Trace<'_>, body: Body) -> Result<(Response, Answered), Problem> {
    let size = body.size_hint().upper().and_then(|size| usize::try_from(size).ok());
    let held = endpoint.room.take(size.map_or(MAX_MESSAGE, |size| size.min(MAX_MESSAGE))).ok_or_else(full)?;
    let received = tokio::time::timeout(BODY_TIMEOUT, body::to_bytes(body, MAX_MESSAGE)).await;
    let body = received.map_err(|_| slow())?.map_err(|error| unreadable(&error))?;
    drop(held);
    let request = json::parse_request(&body).map_err(|error| {
        Problem::new(StatusCode::BAD_REQUEST, "INVALID_ARGUMENT", "JSON_INVALID", error.to_string())
    })?;
    let (quote, answered) = endpoint.quotes.answer(request, trace).await?;
    let body = json::write_response(&quote)
        .map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", "INTERNAL", error.to_string()))?;
    Ok(((StatusCode::OK, [(header::CONTENT_TYPE, "application/json")], body).into_response(), answered))
}

async fn wrong_method(State(endpoint): State<Endpoint>, request: Request) -> Response {
    let detail = "use POST";
    let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "UNIMPLEMENTED", "METHOD_NOT_ALLOWED", detail)
        .with_header(header::ALLOW, "POST");
    refuse(&endpoint, Some(ROUTE), request, problem)
}

async fn not_found(State(endpoint): State<Endpoint>, request: Request) -> Response {
    let detail = "there is nothing at this path";
    refuse(&endpoint, None, request, Problem::new(StatusCode::NOT_FOUND, "NOT_FOUND", "PATH_UNKNOWN", detail))
}

fn refuse(endpoint: &Endpoint, route: Option<&'static str>, request: Request, problem: Problem) -> Response {
    let (parts, _) = request.into_parts();
    let exchange = Exchange::start(endpoint, route, &parts);
    let parent = Parent::read(&parts.headers);
    exchange.fail(&Trace::start(endpoint.quotes.tracer(), &parent), problem)
}

/// Health checks are counted but have no spans, because there are so many.
async fn count(State(requests): State<Histograms<HttpRequest>>, request: Request, next: Next) -> Response {
    let (start, method) = (Instant::now(), request.method().clone());
    let route = match request.uri().path() {
        "/livez" => Some("/livez"),
        "/readyz" => Some("/readyz"),
        _ => None,
    };
    let response = next.run(request).await;
    requests.record(&HttpRequest::new(&method, route, response.status()), start.elapsed());
    response
}

/// A request, from its start to its response.
struct Exchange<'a> {
    endpoint: &'a Endpoint,
    route: Option<&'static str>,
    request: &'a Parts,
    start: Instant,
    at: SystemTime,
}

impl<'a> Exchange<'a> {
    fn start(endpoint: &'a Endpoint, route: Option<&'static str>, request: &'a Parts) -> Self {
        Self { endpoint, route, request, start: Instant::now(), at: SystemTime::now() }
    }

    fn fail(self, trace: &Trace<'_>, problem: Problem) -> Response {
        let reason = problem.reason();
        self.finish(trace, problem.into_response(), Err(reason))
    }

    fn finish(self, trace: &Trace<'_>, response: Response, result: Result<&Answered, &'static str>) -> Response {
        let answered = HttpRequest::new(&self.request.method, self.route, response.status());
        self.endpoint.requests.record(&answered, self.start.elapsed());
        trace.finish(self.endpoint.quotes.tracer(), Kind::Server, self.at, || {
            let mut attributes = answered.attributes();
            attributes.extend(Answered::attributes(result));
            attributes.push(("url.path", self.request.uri.path().to_owned().into()));
            attributes.push(("network.protocol.version", "1.1".into()));
            let host = self.request.headers.get(header::HOST).and_then(|host| host.as_bytes().try_into().ok());
            attributes.extend(server_attributes(host.as_ref()));
            if answered.method == "_OTHER" {
                attributes.push(("http.request.method_original", self.request.method.to_string().into()));
            }
            let method = if answered.method == "_OTHER" { "HTTP" } else { answered.method };
            Details {
                name: self.route.map_or_else(|| method.into(), |route| format!("{method} {route}").into()),
                attributes,
                status: match result {
                    Err(reason) if answered.status.is_server_error() => Status::Error(reason.into()),
                    _ => Status::Unset,
                },
            }
        });
        response
    }
}

/// The problem of a request that a browser sends for a page of another origin.
fn foreign() -> Problem {
    let detail = "a web page of another origin must not ask for a quote";
    Problem::new(StatusCode::FORBIDDEN, "PERMISSION_DENIED", "CROSS_ORIGIN", detail)
}

/// The problem of a request with a query.
fn queried() -> Problem {
    let detail = "there are no query parameters here: everything is in the body";
    Problem::new(StatusCode::BAD_REQUEST, "INVALID_ARGUMENT", "QUERY_UNKNOWN", detail)
}

/// The problem of a body for which there is no room while it arrives.
fn full() -> Problem {
    let detail = "too many requests are incomplete";
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "RESOURCE_EXHAUSTED", "NODE_BUSY", detail)
        .with_header(header::CONNECTION, "close")
}

/// The problem of a body that takes too long.
fn slow() -> Problem {
    let detail = "the body did not arrive within 10 s";
    Problem::new(StatusCode::REQUEST_TIMEOUT, "DEADLINE_EXCEEDED", "BODY_TIMEOUT", detail)
        .with_header(header::CONNECTION, "close")
}

/// The problem of a body that is compressed.
fn encoded() -> Problem {
    let detail = "a body must not be encoded: send it without Content-Encoding";
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "INVALID_ARGUMENT", "CONTENT_ENCODING_UNSUPPORTED", detail)
        .with_header(header::ACCEPT_ENCODING, "identity")
}

/// The problem of a body that is too large or ended early.
fn unreadable(error: &axum::Error) -> Problem {
    let too_large = std::error::Error::source(error).is_some_and(<dyn std::error::Error>::is::<LengthLimitError>);
    if too_large {
        let detail = "a body is at most 1 MiB";
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "OUT_OF_RANGE", "BODY_TOO_LARGE", detail)
    } else {
        let detail = "the body ended too early";
        Problem::new(StatusCode::BAD_REQUEST, "INVALID_ARGUMENT", "BODY_INVALID", detail)
    }
}

#[cfg(test)]
mod tests {
    use fake_control_plane::{item, tax_rule};
    use lifecycle::Drain;
    use tower::Service as _;

    use super::*;
    use crate::in_process::Node;

    #[tokio::test]
    async fn a_body_without_room_is_refused_and_others_are_read() {
        let (node, drain) = (Node::start(vec![item("mug", 1050, 1), tax_rule("DE", 190_000, 2)]).await, Drain::new());
        const BODY: &str = r#"{"currencyCode":"EUR","jurisdiction":"DE","lines":[{"sku":"mug","quantity":1}]}"#;
        let room = Room::new(MAX_MESSAGE);
        let readiness = Readiness::new(drain.draining());
        let mut routes = routes(node.quotes.clone(), room.clone(), readiness, &Meter::default());
        let mut ask = async |body: Body| routes.call(Request::post(ROUTE).body(body).unwrap()).await.unwrap();
        let slow = || Body::from_stream(futures_util::stream::once(async { Ok::<_, std::io::Error>(BODY) }));
        assert_eq!(ask(slow()).await.status(), StatusCode::OK);
        let held = room.take(MAX_MESSAGE - BODY.len()).unwrap();
        assert_eq!(ask(Body::from(BODY)).await.status(), StatusCode::OK);
        // It does not say how large it is.
        assert_eq!(ask(slow()).await.status(), StatusCode::TOO_MANY_REQUESTS);
        drop(held);
        assert_eq!(ask(slow()).await.status(), StatusCode::OK);
        assert_eq!(room.left(), MAX_MESSAGE);
    }

    #[tokio::test]
    async fn a_body_is_too_large_by_its_size_and_not_by_a_word() {
        let large = body::to_bytes(Body::from(vec![0; 9]), 8).await.unwrap_err();
        assert_eq!(unreadable(&large).reason(), "BODY_TOO_LARGE");
        let broken = futures_util::stream::iter([Err::<Vec<u8>, _>(std::io::Error::other("a limit was exceeded"))]);
        let broken = body::to_bytes(Body::from_stream(broken), 8).await.unwrap_err();
        assert!(broken.to_string().contains("limit"), "{broken}");
        assert_eq!(unreadable(&broken).reason(), "BODY_INVALID");
    }
}
