//! Calls that tonic answers.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use h2::SendStream;
use h2::server::SendResponse;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::{Body as _, Frame};
use tonic::Code;
use tonic::body::Body;
use tonic::service::Routes;
use tower::Service as _;

use super::deadline::past;
use super::{GRPC_DETAILS, GRPC_STATUS, Incoming};
use crate::grpc;

/// An answer that the caller's flow-control window has held up for this long is given up.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);

/// Lets tonic answer. Returns the code of a unary call.
pub(super) async fn forward(
    mut routes: Routes,
    request: Request<Incoming>,
    mut respond: SendResponse<Bytes>,
    deadline: Option<Instant>,
) -> Code {
    let call = routes.call(request.map(Body::new));
    let mut response = tokio::select! {
        biased;
        _ = poll_fn(|cx| respond.poll_reset(cx)) => return Code::Cancelled,
        Ok(response) = call => response,
        () = past(deadline) => grpc::late().into_http(),
    };
    correct(response.headers_mut());
    // An answer without a message has its status in the headers; one with a message is OK.
    let code = response.headers().get(GRPC_STATUS).map_or(Code::Ok, |status| Code::from_bytes(status.as_bytes()));
    match send_all(respond, response, deadline).await {
        Ok(()) => code,
        // The connection has ended, or the caller has given up.
        Err(_) => Code::Cancelled,
    }
}

/// A message that is too large is RESOURCE_EXHAUSTED in gRPC, and OUT_OF_RANGE in tonic. A service's own OUT_OF_RANGE has details.
fn correct(headers: &mut HeaderMap) {
    const OUT_OF_RANGE: &str = "11";
    const RESOURCE_EXHAUSTED: HeaderValue = HeaderValue::from_static("8");
    if headers.get(GRPC_STATUS).is_some_and(|status| status == OUT_OF_RANGE) && !headers.contains_key(GRPC_DETAILS) {
        headers.insert(GRPC_STATUS, RESOURCE_EXHAUSTED);
    }
}

/// Sends an answer as it comes. The deadline ends it between two messages with a status, and within one with a reset.
async fn send_all(
    mut respond: SendResponse<Bytes>,
    response: Response<Body>,
    deadline: Option<Instant>,
) -> Result<(), h2::Error> {
    let (head, body) = response.into_parts();
    let ends = body.is_end_stream();
    let mut stream = respond.send_response(Response::from_parts(head, ()), ends)?;
    if ends {
        return Ok(());
    }
    let (mut body, mut past) = (pin!(body), pin!(past(deadline)));
    loop {
        let next = poll_fn(|cx| match stream.poll_reset(cx)? {
            Poll::Ready(reason) => Poll::Ready(Err(reason.into())),
            Poll::Pending => body.as_mut().poll_frame(cx).map(Ok::<_, h2::Error>),
        });
        let frame = tokio::select! {
            biased;
            () = &mut past => {
                let mut trailers = HeaderMap::new();
                // It fails only for a status that is no header.
                let _ = grpc::late().add_header(&mut trailers);
                return stream.send_trailers(trailers);
            }
            frame = next => frame?,
        };
        match frame.map(|frame| frame.map(Frame::into_data)) {
            Some(Ok(Ok(data))) => tokio::select! {
                biased;
                sent = send_data(&mut stream, data) => sent?,
                () = &mut past => return Err(h2::Reason::CANCEL.into()),
            },
            Some(Ok(Err(frame))) => {
                let mut trailers = frame.into_trailers().unwrap_or_default();
                correct(&mut trailers);
                return stream.send_trailers(trailers);
            }
            Some(Err(_)) => {
                stream.send_reset(h2::Reason::INTERNAL_ERROR);
                return Ok(());
            }
            None => return stream.send_data(Bytes::new(), true),
        }
    }
}

/// Sends data as the caller's flow-control window allows.
async fn send_data(stream: &mut SendStream<Bytes>, mut data: Bytes) -> Result<(), h2::Error> {
    while data.has_remaining() {
        stream.reserve_capacity(data.len());
        match tokio::time::timeout(SEND_TIMEOUT, poll_fn(|cx| stream.poll_capacity(cx))).await {
            Ok(Some(room)) => stream.send_data(data.split_to(room?.min(data.len())), false)?,
            Ok(None) | Err(_) => return Err(h2::Reason::CANCEL.into()),
        }
    }
    Ok(())
}
