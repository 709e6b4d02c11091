use axum::Router;
use axum::extract::{DefaultBodyLimit, Json, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};

use crate::store::Store;

const MAX_BODY: usize = 64 << 10;
const TAX_RATE: f64 = 0.19;
const MAX_PRICE: f64 = 1e10;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewItem {
    name: String,
    price: f64,
}

#[derive(Serialize)]
struct Created {
    status: &'static str,
    tax: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<i64>,
}

enum Refusal {
    Invalid(&'static str),
    NoDatabase,
    NotStored,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Invalid(message) => (StatusCode::UNPROCESSABLE_ENTITY, message),
            Self::NoDatabase => (StatusCode::SERVICE_UNAVAILABLE, "there is no database"),
            Self::NotStored => (StatusCode::SERVICE_UNAVAILABLE, "the item was not stored"),
        }
        .into_response()
    }
}

impl NewItem {
    /// The tax of a valid item.
    fn tax(&self) -> Result<f64, Refusal> {
        if self.name.is_empty() {
            return Err(Refusal::Invalid("name must be given"));
        }
        if !(0.0..=MAX_PRICE).contains(&self.price) {
            return Err(Refusal::Invalid("price must be 0 to 10000000000"));
        }
        Ok(self.price * TAX_RATE)
    }
}

/// The routes of the twin. The store is `None` where there is no database.
pub(crate) fn router(store: Option<Store>) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok" }))
        .route("/plaintext", get(|| async { "Hello, World!" }))
        .route("/items", post(create))
        .route("/stored-items", post(store_item))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(store)
}

async fn create(Json(item): Json<NewItem>) -> Result<Json<Created>, Refusal> {
    Ok(Json(Created { status: "created", tax: item.tax()?, id: None }))
}

async fn store_item(State(store): State<Option<Store>>, Json(item): Json<NewItem>) -> Result<Json<Created>, Refusal> {
    let tax = item.tax()?;
    let id = store.ok_or(Refusal::NoDatabase)?.insert(&item.name, item.price, tax).await.map_err(|error| {
        tracing::error!(%error, "an item was not stored");
        Refusal::NotStored
    })?;
    Ok(Json(Created { status: "created", tax, id: Some(id) }))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::{Method, Request};
    use http_body_util::BodyExt;
    use serde_json::{Value, json};
    use tower::ServiceExt;

    use super::*;

    async fn send(method: Method, path: &str, kind: &str, body: &str) -> (StatusCode, Vec<u8>) {
        let request = Request::builder().method(method).uri(path).header("content-type", kind);
        let request = request.body(Body::from(body.to_owned())).expect("a request");
        let response = router(None).oneshot(request).await.expect("an answer");
        let status = response.status();
        (status, response.into_body().collect().await.expect("a body").to_bytes().to_vec())
    }

    async fn status(kind: &str, body: &str) -> u16 {
        send(Method::POST, "/items", kind, body).await.0.as_u16()
    }

    #[tokio::test]
    async fn the_text_is_plain() {
        let (status, body) = send(Method::GET, "/plaintext", "", "").await;
        assert_eq!((status, &*body), (StatusCode::OK, &b"Hello, World!"[..]));
    }

    #[tokio::test]
    async fn an_item_is_answered_with_its_tax() {
        let (status, body) = send(Method::POST, "/items", "application/json", r#"{"name":"a","price":100}"#).await;
        let body: Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!((status, body), (StatusCode::OK, json!({"status": "created", "tax": 19.0})));
    }

    #[tokio::test]
    async fn the_extractor_and_the_checks_refuse_bad_input() {
        for (body, expected) in [
            ("", 400),
            (r#"{"name":"#, 400),
            (r#"{"name":"a","price":1}{}"#, 400),
            (r#"{"price":1}"#, 422),
            (r#"{"name":"","price":1}"#, 422),
            (r#"{"name":"a","price":null}"#, 422),
            (r#"{"name":"a","price":"1"}"#, 422),
            (r#"{"name":"a","price":-0.01}"#, 422),
            (r#"{"name":"a","price":10000000000.01}"#, 422),
            (r#"{"name":"a","price":1,"more":1}"#, 422),
        ] {
            assert_eq!(status("application/json", body).await, expected, "{body}");
        }
        assert_eq!(status("text/plain", r#"{"name":"a","price":1}"#).await, 415);
        let large = format!(r#"{{"name":"{}","price":1}}"#, "a".repeat(MAX_BODY));
        assert_eq!(status("application/json", &large).await, 413);
    }

    #[tokio::test]
    async fn without_a_database_nothing_is_stored() {
        let (status, _) = send(Method::POST, "/stored-items", "application/json", r#"{"name":"a","price":1}"#).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    }
}
