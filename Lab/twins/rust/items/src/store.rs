use deadpool::managed::{self, BuildError, Metrics, Pool, PoolError, RecycleError, RecycleResult};
use thiserror::Error;
use tokio_postgres::{Client, Config, NoTls, Statement};

// The lock makes several twins on one database create the table in turn.
const CREATE_TABLE: &str = "
select pg_advisory_xact_lock(hashtext('lab_items'));
create table if not exists lab_items (
    id    bigint generated always as identity primary key,
    name  text not null,
    price double precision not null,
    tax   double precision not null
)";

const INSERT: &str = "insert into lab_items (name, price, tax) values ($1, $2, $3) returning id";

/// Stores items in the table `lab_items`.
#[derive(Clone)]
pub(crate) struct Store(Pool<Connections>);

#[derive(Debug, Error)]
pub(crate) enum StoreError {
    #[error("{0}")]
    Build(#[from] BuildError),
    #[error("no connection: {0}")]
    Pool(#[from] PoolError<tokio_postgres::Error>),
    #[error("{0}")]
    Postgres(#[from] tokio_postgres::Error),
}

/// Makes the connections of the pool.
struct Connections(Config);

/// A connection with its statement prepared.
struct Connection {
    client: Client,
    insert: Statement,
}

impl Store {
    /// Connects to a database with a pool of `size`, and creates the table where it is missing.
    pub(crate) async fn open(url: &str, size: usize) -> Result<Self, StoreError> {
        let config: Config = url.parse()?;
        // Sent as one simple query, it is one transaction.
        connect(&config).await?.batch_execute(CREATE_TABLE).await?;
        Ok(Self(Pool::builder(Connections(config)).max_size(size).build()?))
    }

    /// Stores an item and returns its id.
    pub(crate) async fn insert(&self, name: &str, price: f64, tax: f64) -> Result<i64, StoreError> {
        let connection = self.0.get().await?;
        let row = connection.client.query_one(&connection.insert, &[&name, &price, &tax]).await?;
        Ok(row.try_get(0)?)
    }
}

impl managed::Manager for Connections {
    type Type = Connection;
    type Error = tokio_postgres::Error;

    async fn create(&self) -> Result<Connection, Self::Error> {
        let client = connect(&self.0).await?;
        let insert = client.prepare(INSERT).await?;
        Ok(Connection { client, insert })
    }

    async fn recycle(&self, connection: &mut Connection, _: &Metrics) -> RecycleResult<Self::Error> {
        if connection.client.is_closed() {
            return Err(RecycleError::message("the connection is closed"));
        }
        Ok(())
    }
}

async fn connect(config: &Config) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::warn!(%error, "a connection to the database has ended");
        }
    });
    Ok(client)
}
