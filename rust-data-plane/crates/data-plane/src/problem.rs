use axum::http::{HeaderName, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Response};
use pricing::{Code, QuoteError};
use serde_json::json;

/// An error response in the form of RFC 9457.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    code: &'static str,
    reason: &'static str,
    detail: String,
    field: String,
    header: Option<(HeaderName, &'static str)>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: &'static str, reason: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, reason, detail: detail.into(), field: String::new(), header: None }
    }

    /// With a header that says what would be taken.
    pub(crate) fn with_header(mut self, name: HeaderName, value: &'static str) -> Self {
        self.header = Some((name, value));
        self
    }

    pub(crate) fn reason(&self) -> &'static str {
        self.reason
    }
}

impl From<QuoteError> for Problem {
    fn from(error: QuoteError) -> Self {
        let status = match error.code() {
            Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => StatusCode::BAD_REQUEST,
            Code::NotFound => StatusCode::NOT_FOUND,
            Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        };
        let (code, reason) = (error.code().name(), error.reason());
        Self { status, code, reason, detail: error.to_string(), field: error.field(), header: None }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let errors = match self.field.is_empty() {
            true => json!([]),
            false => json!([{"field": self.field, "message": self.detail}]),
        };
        let body = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or_default(),
            "status": self.status.as_u16(),
            "detail": self.detail,
            "code": self.code,
            "reason": self.reason,
            "errors": errors,
        });
        let problem = [(header::CONTENT_TYPE, "application/problem+json")];
        (self.status, problem, AppendHeaders(self.header), body.to_string()).into_response()
    }
}
