//! Calls that tonic answers.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bytes::{Buf, Bytes};
use h2::SendStream;
use h2::server::SendResponse;
use http::{Request, Response};
use http_body::{Body as _, Frame};
use tonic::Code;
use tonic::body::Body;
use tonic::service::Routes;
use tower::Service as _;

use super::deadline::past;
use super::{GRPC_STATUS, Incoming};
use crate::grpc;

/// An answer that the caller's flow-control window has held up for this long is given up.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);

/// Lets tonic answer. Returns the code of a unary call.
pub(super) async fn forward(
    mut routes: Routes,
    request: Request<Incoming>,
    mut respond: SendResponse<Bytes>,
    deadline: Option<Duration>,
) -> Code {
    let call = routes.call(request.map(Body::new));
    let response = tokio::select! {
        biased;
        _ = poll_fn(|cx| respond.poll_reset(cx)) => return Code::Cancelled,
        Ok(response) = call => response,
        () = past(deadline) => grpc::late().into_http(),
    };
    // An answer without a message has its status in the headers; one with a message is OK.
    let code = response.headers().get(GRPC_STATUS).map_or(Code::Ok, |status| Code::from_bytes(status.as_bytes()));
    match send_all(respond, response).await {
        Ok(()) => code,
        // The connection has ended, or the caller has given up.
        Err(_) => Code::Cancelled,
    }
}

async fn send_all(mut respond: SendResponse<Bytes>, response: Response<Body>) -> Result<(), h2::Error> {
    let (head, body) = response.into_parts();
    let ends = body.is_end_stream();
    let mut stream = respond.send_response(Response::from_parts(head, ()), ends)?;
    if ends {
        return Ok(());
    }
    let mut body = pin!(body);
    loop {
        let frame = poll_fn(|cx| match stream.poll_reset(cx)? {
            Poll::Ready(reason) => Poll::Ready(Err(reason.into())),
            Poll::Pending => body.as_mut().poll_frame(cx).map(Ok::<_, h2::Error>),
        })
        .await?;
        match frame.map(|frame| frame.map(Frame::into_data)) {
            Some(Ok(Ok(data))) => send_data(&mut stream, data).await?,
            Some(Ok(Err(frame))) => return stream.send_trailers(frame.into_trailers().unwrap_or_default()),
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
