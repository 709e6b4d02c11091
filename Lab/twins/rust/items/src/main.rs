//! The items twin in Rust: stock Axum, and tokio-postgres behind a pool. It has a twin in Go; Lab/twins/README.md says where the
//! two differ.

mod routes;
mod settings;
mod store;

use std::error::Error;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt;

use crate::settings::Settings;
use crate::store::Store;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    fmt().with_writer(std::io::stderr).with_max_level(LevelFilter::INFO).init();
    let settings = Settings::from_env()?;
    let store = match &settings.database_url {
        Some(url) => Some(Store::open(url, settings.pool_size).await?),
        None => None,
    };
    let mut terminate = signal(SignalKind::terminate())?;
    let listener = TcpListener::bind(&settings.listen).await?;
    tracing::info!(address = %listener.local_addr()?, "serving");
    axum::serve(listener, routes::router(store))
        .with_graceful_shutdown(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        })
        .await?;
    Ok(())
}
