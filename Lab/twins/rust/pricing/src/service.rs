use std::pin::Pin;
use std::sync::Arc;
use std::time::SystemTime;

use contracts::QuoteRequest;
use contracts::hybrid::pricing::v1::pricing_service_server::PricingService;
use contracts::hybrid::pricing::v1::{PricedLine, QuoteResponse, QuoteStreamRequest, QuoteStreamResponse};
use pricing::{Instant, QuoteError};
use prost_types::Timestamp;
use snapshot_client::Snapshots;
use tonic::codegen::tokio_stream::Stream;
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_types::{ErrorDetails, StatusExt};
use uuid::Uuid;

use crate::events::Events;

const DOMAIN: &str = "hybrid.pricing";

/// `hybrid.pricing.v1.PricingService`, without `QuoteStream`.
pub(crate) struct Pricing {
    snapshots: Snapshots,
    events: Arc<Events>,
}

impl Pricing {
    pub(crate) fn new(snapshots: Snapshots, events: Arc<Events>) -> Self {
        Self { snapshots, events }
    }

    fn price(&self, request: QuoteRequest) -> Result<QuoteResponse, QuoteError> {
        let snapshot = self.snapshots.load();
        let snapshot = snapshot.as_deref().ok_or(QuoteError::SnapshotMissing)?;
        let at = Timestamp::from(SystemTime::now());
        let basket = pricing::Request {
            currency_code: &request.currency_code,
            jurisdiction: &request.jurisdiction,
            lines: request.lines.iter().map(|line| (line.sku.as_str(), line.quantity)),
            coupons: &request.coupons,
        };
        let quote = pricing::quote(snapshot, basket, Instant { seconds: at.seconds, nanos: at.nanos })?;
        let priced = quote.lines.into_iter().zip(request.lines).map(|(line, asked)| PricedLine {
            sku: asked.sku,
            quantity: asked.quantity,
            unit_price_minor: line.unit_price_minor,
            discount_minor: line.discount_minor,
            net_minor: line.net_minor,
            tax_minor: line.tax_minor,
            gross_minor: line.gross_minor,
            tax_rate_ppm: line.tax_rate_ppm,
            promotion_id: line.promotion_id.unwrap_or_default().into(),
            promotion_created_version: line.promotion_created_version,
        });
        Ok(QuoteResponse {
            quote_id: Uuid::now_v7().to_string(),
            snapshot_version: quote.snapshot_version,
            priced_at: Some(at),
            lines: priced.collect(),
            currency_code: request.currency_code,
            jurisdiction: request.jurisdiction,
            discount_minor: quote.totals.discount_minor,
            net_minor: quote.totals.net_minor,
            tax_minor: quote.totals.tax_minor,
            gross_minor: quote.totals.gross_minor,
        })
    }
}

#[tonic::async_trait]
impl PricingService for Pricing {
    async fn quote(&self, request: Request<QuoteRequest>) -> Result<Response<QuoteResponse>, Status> {
        let (call, _, request) = request.into_parts();
        let quote = self.price(request).map_err(|error| status(&error))?;
        self.events.publish(&quote, &call);
        Ok(Response::new(quote))
    }

    type QuoteStreamStream = Pin<Box<dyn Stream<Item = Result<QuoteStreamResponse, Status>> + Send>>;

    async fn quote_stream(
        &self,
        _: Request<Streaming<QuoteStreamRequest>>,
    ) -> Result<Response<Self::QuoteStreamStream>, Status> {
        Err(Status::unimplemented("the twins have no streams of quotes"))
    }
}

fn status(error: &QuoteError) -> Status {
    let (message, field) = (error.to_string(), error.field());
    let mut details = ErrorDetails::with_error_info(error.reason(), DOMAIN, []);
    if !field.is_empty() {
        details.add_bad_request_violation(field, &message);
    }
    Status::with_error_details(Code::from_i32(error.code() as i32), message, details)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_carries_its_details() {
        let status = status(&QuoteError::SkuUnknown { line: 3 });
        let details = status.get_error_details();
        let info = details.error_info().map(|info| (info.reason.as_str(), info.domain.as_str()));
        assert_eq!((status.code(), info), (Code::NotFound, Some(("SKU_UNKNOWN", DOMAIN))));
        assert_eq!(details.bad_request().map(|bad| bad.field_violations[0].field.as_str()), Some("lines[3].sku"));
    }
}
