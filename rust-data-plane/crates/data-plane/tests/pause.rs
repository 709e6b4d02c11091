//! What callers gave up while this process was paused does not cost them their connection.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod node;

use fake_control_plane::ControlPlane;

use crate::node::{DataPlane, NOWHERE, catalog};

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_were_given_up_during_a_pause_leave_the_connection_alone() {
    let control = ControlPlane::start().await.unwrap();
    let node = DataPlane::start(&control.url(), NOWHERE, &[]);
    let _session = catalog(&control).await;
    let stream = tokio::net::TcpStream::connect(node.grpc).await.unwrap();
    let (client, mut connection) = h2::client::handshake(stream).await.unwrap();
    let mut pings = connection.ping_pong().unwrap();
    let driver = tokio::spawn(connection);
    // The node's limits have come.
    pings.ping(h2::Ping::opaque()).await.unwrap();
    node.program.signal("STOP");
    for _ in 0..1_000 {
        let mut client = client.clone().ready().await.unwrap();
        let request = http::Request::post(format!("http://{}/hybrid.pricing.v1.PricingService/Quote", node.grpc));
        let request = request.header("te", "trailers").header("content-type", "application/grpc").body(()).unwrap();
        let (_, mut body) = client.send_request(request, false).unwrap();
        body.send_reset(h2::Reason::CANCEL);
        tokio::task::yield_now().await;
    }
    node.program.signal("CONT");
    pings.ping(h2::Ping::opaque()).await.expect("the connection goes on");
    drop(client);
    driver.abort();
}
