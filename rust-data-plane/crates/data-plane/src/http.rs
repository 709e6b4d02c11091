use std::time::Instant;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Router, body};
use lifecycle::Readiness;
use telemetry::{Meter, TraceContext};

use crate::grpc::MAX_MESSAGE;
use crate::json;
use crate::metrics::HttpRequests;
use crate::problem::Problem;
use crate::quotes::{Operation, Quotes};

const ROUTE: &str = "/v1/quotes";

#[derive(Clone)]
struct Endpoint {
    quotes: Quotes,
    requests: HttpRequests,
}

/// `POST /v1/quotes`, `GET /livez`, `GET /readyz`.
pub(crate) fn routes(quotes: Quotes, readiness: Readiness, meter: &Meter) -> Router {
    let endpoint = Endpoint { quotes, requests: HttpRequests::new(meter, ROUTE) };
    Router::new()
        .route(ROUTE, post(quote).fallback(wrong_method))
        .with_state(endpoint)
        .merge(lifecycle::routes(readiness))
        .fallback(not_found)
}

async fn quote(State(endpoint): State<Endpoint>, headers: HeaderMap, body: Body) -> Response {
    let start = Instant::now();
    let response = answer(&endpoint.quotes, &headers, body).await.unwrap_or_else(Problem::into_response);
    endpoint.requests.record(response.status().as_u16(), start.elapsed());
    response
}

async fn answer(quotes: &Quotes, headers: &HeaderMap, body: Body) -> Result<Response, Problem> {
    const OPERATION: Operation = Operation {
        name: "POST /v1/quotes",
        attributes: &[("http.request.method", "POST"), ("http.route", ROUTE), ("url.scheme", "http")],
    };
    let body = body::to_bytes(body, MAX_MESSAGE).await.map_err(|error| unreadable(&error))?;
    let request = json::parse_request(&body).map_err(|error| {
        Problem::new(StatusCode::BAD_REQUEST, "INVALID_ARGUMENT", "JSON_INVALID", error.to_string())
    })?;
    let parent = headers.get("traceparent").and_then(|value| TraceContext::parse(value.as_bytes()).ok());
    let quote = quotes.answer(request, parent, OPERATION).await?;
    let body = json::write_response(&quote)
        .map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", "INTERNAL", error.to_string()))?;
    Ok((StatusCode::OK, [(header::CONTENT_TYPE, "application/json")], body).into_response())
}

/// Too large, or cut off.
fn unreadable(error: &axum::Error) -> Problem {
    let too_large = std::error::Error::source(error).is_some_and(|source| source.to_string().contains("limit"));
    if too_large {
        let detail = "a body is at most 1 MiB";
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "OUT_OF_RANGE", "BODY_TOO_LARGE", detail)
    } else {
        let detail = "the body ended too early";
        Problem::new(StatusCode::BAD_REQUEST, "INVALID_ARGUMENT", "BODY_INVALID", detail)
    }
}

async fn wrong_method() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "UNIMPLEMENTED", "METHOD_NOT_ALLOWED", "use POST")
}

async fn not_found() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "NOT_FOUND", "PATH_UNKNOWN", "there is nothing at this path")
}
