//! Calls that tonic answers.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Instant;

use bytes::Bytes;
use h2::SendStream;
use h2::server::SendResponse;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::{Body as _, Frame};
use tonic::body::Body;
use tonic::service::Routes;
use tonic::{Code, Status};
use tower::Service as _;

use super::answers::{Answers, Unsent, busy, trailers};
use super::deadline::past;
use super::{GRPC_DETAILS, GRPC_STATUS, Incoming};
use crate::grpc;

/// Lets tonic answer. Returns the code that the call has ended with.
pub(super) async fn forward(
    mut routes: Routes,
    request: Request<Incoming>,
    mut respond: SendResponse<Bytes>,
    answers: &Answers,
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
    // The connection has ended, or the caller has given up.
    send_all(respond, response, answers, deadline).await.unwrap_or(Code::Cancelled)
}

/// The code in the headers or trailers that end an answer.
fn code(headers: &HeaderMap) -> Code {
    headers.get(GRPC_STATUS).map_or(Code::Unknown, |status| Code::from_bytes(status.as_bytes()))
}

/// A message that is too large is RESOURCE_EXHAUSTED in gRPC, and OUT_OF_RANGE in tonic. A service's own OUT_OF_RANGE has details.
fn correct(headers: &mut HeaderMap) {
    const OUT_OF_RANGE: &str = "11";
    const RESOURCE_EXHAUSTED: HeaderValue = HeaderValue::from_static("8");
    if headers.get(GRPC_STATUS).is_some_and(|status| status == OUT_OF_RANGE) && !headers.contains_key(GRPC_DETAILS) {
        headers.insert(GRPC_STATUS, RESOURCE_EXHAUSTED);
    }
}

/// Sends an answer as it comes, and returns its code. The deadline ends it between two messages with a status, and within one with
/// a reset.
async fn send_all(
    mut respond: SendResponse<Bytes>,
    response: Response<Body>,
    answers: &Answers,
    deadline: Option<Instant>,
) -> Result<Code, h2::Error> {
    let (head, body) = response.into_parts();
    let (ends, in_head) = (body.is_end_stream(), code(&head.headers));
    let mut stream = respond.send_response(Response::from_parts(head, ()), ends)?;
    if ends {
        return Ok(in_head);
    }
    let end = |stream: &mut SendStream<Bytes>, status: Status| {
        stream.send_trailers(trailers(&status))?;
        Ok(status.code())
    };
    let (mut body, mut past) = (pin!(body), pin!(past(deadline)));
    loop {
        let next = poll_fn(|cx| match stream.poll_reset(cx)? {
            Poll::Ready(reason) => Poll::Ready(Err(reason.into())),
            Poll::Pending => body.as_mut().poll_frame(cx).map(Ok::<_, h2::Error>),
        });
        let frame = tokio::select! {
            biased;
            () = &mut past => return end(&mut stream, grpc::late()),
            frame = next => frame?,
        };
        match frame.map(|frame| frame.map(Frame::into_data)) {
            Some(Ok(Ok(data))) => tokio::select! {
                biased;
                sent = answers.send_part(&mut stream, data) => match sent {
                    Ok(()) => {}
                    Err(Unsent::NoRoom) => return end(&mut stream, busy()),
                    Err(Unsent::Ended(error)) => return Err(error),
                },
                () = &mut past => return Err(h2::Reason::CANCEL.into()),
            },
            Some(Ok(Err(frame))) => {
                let mut trailers = frame.into_trailers().unwrap_or_default();
                correct(&mut trailers);
                let code = code(&trailers);
                return stream.send_trailers(trailers).map(|()| code);
            }
            Some(Err(_)) => {
                stream.send_reset(h2::Reason::INTERNAL_ERROR);
                return Ok(Code::Internal);
            }
            None => return stream.send_data(Bytes::new(), true).map(|()| in_head),
        }
    }
}
