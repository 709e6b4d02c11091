use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Response;
use http_body_util::BodyExt;
use http_body_util::combinators::MapFrame;
use hyper::body::{Bytes, Frame};
use tokio::time::{Instant, sleep_until};
use tonic::body::Body;
use tonic::transport::Channel;
use tower::ServiceExt;
use tower::util::MapResponse;

/// When the other side was last heard. A piece of a message counts, so that a large message on a slow link is no silence.
#[derive(Clone)]
pub(crate) struct Heard(Arc<Mutex<Instant>>);

pub(crate) type Mark = Box<dyn FnMut(Frame<Bytes>) -> Frame<Bytes> + Send>;

impl Heard {
    /// Heard just now.
    pub(crate) fn now() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    /// Returns once nothing has been heard for `silence`.
    pub(crate) async fn nothing_for(&self, silence: Duration) {
        loop {
            let until = self.last() + silence;
            if until <= Instant::now() {
                return;
            }
            sleep_until(until).await;
        }
    }

    fn last(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn mark(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

/// The channel, with every piece of its responses marked as heard.
pub(crate) fn listening(
    channel: Channel,
    heard: Heard,
) -> MapResponse<Channel, impl FnOnce(Response<Body>) -> Response<MapFrame<Body, Mark>> + Clone> {
    channel.map_response(move |response: Response<Body>| {
        heard.mark();
        let mark: Mark = Box::new(move |frame| {
            heard.mark();
            frame
        });
        response.map(|body| body.map_frame(mark))
    })
}
