use std::pin::Pin;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use contracts::grpc::health::v1::health_check_response::ServingStatus;
use contracts::grpc::health::v1::health_server::{Health, HealthServer};
use contracts::grpc::health::v1::{HealthCheckRequest, HealthCheckResponse};
use tokio_stream::wrappers::IntervalStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Status};

use crate::readiness::Readiness;

/// How often a watched status is checked.
const WATCH_EVERY: Duration = Duration::from_millis(250);
/// A request holds the name of a service.
const MAX_REQUEST: usize = 4 << 10;

/// `GET /livez` and `GET /readyz`.
pub fn routes(readiness: Readiness) -> Router {
    Router::new().route("/livez", get(livez)).route("/readyz", get(readyz)).with_state(readiness)
}

async fn livez() -> Response {
    json(StatusCode::OK, r#"{"status":"alive"}"#.into())
}

async fn readyz(State(readiness): State<Readiness>) -> Response {
    let (ready, report) = readiness.report();
    json(if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, report.to_string())
}

fn json(status: StatusCode, body: String) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// `grpc.health.v1` for the whole server and for each named service.
#[derive(Clone)]
pub struct GrpcHealth {
    readiness: Readiness,
    services: &'static [&'static str],
}

impl GrpcHealth {
    /// The service to be added to a server.
    pub fn server(readiness: Readiness, services: &'static [&'static str]) -> HealthServer<Self> {
        HealthServer::new(Self { readiness, services }).max_decoding_message_size(MAX_REQUEST)
    }

    fn status(&self, service: &str) -> ServingStatus {
        if !service.is_empty() && !self.services.contains(&service) {
            ServingStatus::ServiceUnknown
        } else if self.readiness.is_ready() {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        }
    }
}

#[tonic::async_trait]
impl Health for GrpcHealth {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<tonic::Response<HealthCheckResponse>, Status> {
        match self.status(&request.get_ref().service) {
            ServingStatus::ServiceUnknown => Err(Status::not_found("no such service")),
            status => Ok(tonic::Response::new(HealthCheckResponse { status: status.into() })),
        }
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<tonic::Response<Self::WatchStream>, Status> {
        let (health, service) = (self.clone(), request.into_inner().service);
        let mut last = None;
        // At the drain, after the last status, the stream ends: an open watch must not hold it up.
        let statuses = IntervalStream::new(tokio::time::interval(WATCH_EVERY)).map(move |_| {
            let ends = health.readiness.is_draining();
            (health.status(&service), ends)
        });
        let mut ended = false;
        let changes = statuses
            .take_while(move |(_, ends)| !std::mem::replace(&mut ended, *ends))
            .filter(move |(status, _)| last.replace(*status) != Some(*status))
            .map(|(status, _)| Ok(HealthCheckResponse { status: status.into() }));
        Ok(tonic::Response::new(Box::pin(changes)))
    }
}
