use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use contracts::grpc::health::v1::HealthCheckRequest;
use contracts::grpc::health::v1::health_client::HealthClient;
use contracts::hybrid::pricing::v1::pricing_service_client::PricingServiceClient;
use snapshot_client::Backoff;
use tokio::time::{self, timeout_at};
use tonic::{Code, Request, Status};

use crate::failure::Failure;
use crate::http1::Pool;
use crate::http2::Connection;
use crate::plan::{Call, Plan, Target};
use crate::report::{Amounts, Tally};

/// A target, the connections to it, and what became of its calls.
pub(crate) struct Lane {
    target: Target,
    connections: Connections,
    tally: Mutex<Tally>,
}

enum Connections {
    /// Each carries many calls at once.
    Http2(Vec<Connection>),
    /// Each carries one call after the other.
    Http1(Pool),
}

impl Lane {
    /// Begins to connect. Must be called in a runtime.
    pub(crate) fn new(target: &Target, plan: &Plan, backoff: &Backoff) -> Self {
        let connections = match plan.call {
            Call::Http(_) => Connections::Http1(Pool::new(target.clone(), plan.connections, backoff)),
            Call::Quote { .. } | Call::Health => Connections::Http2(
                (0..plan.connections).map(|_| Connection::new(target.clone(), plan.timeout, backoff.clone())).collect(),
            ),
        };
        Self { target: target.clone(), connections, tally: Mutex::new(Tally::new()) }
    }

    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    pub(crate) fn tally<T>(&self, change: impl FnOnce(&mut Tally) -> T) -> T {
        change(&mut self.tally.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns once the first attempt of each connection has ended, well or not.
    pub(crate) async fn attempted(&self, patience: Duration) {
        match &self.connections {
            Connections::Http1(pool) => pool.connect(patience).await,
            Connections::Http2(connections) => {
                for connection in connections {
                    connection.attempted().await;
                }
            }
        }
    }

    /// Makes the call number `n` of this target, and counts it. Returns whether it was answered.
    pub(crate) async fn call(&self, plan: &Plan, n: usize, measured: bool, due: Instant) -> bool {
        self.tally(|tally| tally.sent(measured, due, Instant::now()));
        let deadline = due + plan.timeout;
        let answer = timeout_at(time::Instant::from_std(deadline), self.send(&plan.call, n, deadline)).await;
        let latency = due.elapsed();
        let result = answer.unwrap_or_else(|_| Err(Code::DeadlineExceeded.into()));
        self.tally(|tally| tally.ended(measured, latency, result));
        result.is_ok()
    }

    async fn send(&self, call: &Call, n: usize, deadline: Instant) -> Result<Amounts, Failure> {
        match (&self.connections, call) {
            (Connections::Http1(pool), Call::Http(call)) => pool.send(call).await.map(|()| Amounts::default()),
            (Connections::Http2(connections), call) => {
                let connection = connections[n % connections.len()].clone();
                self.send_grpc(call, connection, deadline).await.map_err(|status| match status.code() {
                    // tonic's own timer races with the one above, and reports its expiry as CANCELLED.
                    Code::Cancelled if Instant::now() >= deadline => Code::DeadlineExceeded.into(),
                    code => code.into(),
                })
            }
            (Connections::Http1(_), _) => Err(Code::Internal.into()),
        }
    }

    async fn send_grpc(&self, call: &Call, connection: Connection, deadline: Instant) -> Result<Amounts, Status> {
        let origin = self.target.origin().clone();
        let timeout = deadline.saturating_duration_since(Instant::now());
        match call {
            Call::Quote { request, traceparent } => {
                let mut request = Request::new(request.clone());
                request.set_timeout(timeout);
                if let Some(traceparent) = traceparent {
                    request.metadata_mut().insert("traceparent", traceparent.clone());
                }
                let quote = PricingServiceClient::with_origin(connection, origin).quote(request).await?;
                Ok(Amounts::from(quote.get_ref()))
            }
            Call::Health => {
                let mut request = Request::new(HealthCheckRequest::default());
                request.set_timeout(timeout);
                HealthClient::with_origin(connection, origin).check(request).await?;
                Ok(Amounts::default())
            }
            Call::Http(_) => Err(Status::internal("not a gRPC call")),
        }
    }
}
