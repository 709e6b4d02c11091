use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::Result;

/// How often a piece goes through.
const TICK: Duration = Duration::from_millis(20);

/// A link to a server that lets few bytes a second through towards the client. It needs the runtime that it was started in.
pub struct SlowLink {
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Drop for SlowLink {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl SlowLink {
    /// A link to the server at `to`.
    pub async fn start(to: SocketAddr, bytes_per_second: usize) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(|error| error.to_string())?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(socket) = TcpSocket::new_v4() else { return };
                // Little waits in the link itself.
                let _ = socket.set_recv_buffer_size(4 << 10);
                let Ok(server) = socket.connect(to).await else { continue };
                let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
                tokio::spawn(copy(from_client, to_server, usize::MAX));
                tokio::spawn(copy(from_server, to_client, bytes_per_second));
            }
        });
        Ok(Self { address, accepting })
    }

    /// For `CONTROL_PLANE_GRPC`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, bytes_per_second: usize) {
    let piece = (bytes_per_second / 50).clamp(1, 64 << 10);
    let mut bytes = vec![0; piece];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        if to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
        if bytes_per_second < usize::MAX {
            sleep(TICK).await;
        }
    }
}
