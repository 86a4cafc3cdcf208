//! The connection to Redis: made in the counters' own runtime, used from any, and replaced when it fails.

use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, ErrorKind, RedisError, ServerErrorKind, Value, cmd};
use tokio::time::{sleep, timeout};

use super::address::Address;
use super::script::Call;

/// How long an answer is waited for by those who are in no hurry, and by one whose caller has gone on without it.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(2);
/// How often a call follows a slot that has moved.
const MOVES: u32 = 4;
const AFTER_A_MOVE: Duration = Duration::from_millis(10);

pub struct Link {
    address: Address,
    connection: RwLock<Option<Connection>>,
}

#[derive(Clone)]
enum Connection {
    Server(MultiplexedConnection),
    Cluster(ClusterConnection),
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Failure {
    /// There is no connection: nothing was sent.
    Away,
    Redis(RedisError),
    Late,
    /// An answer that is not the script's.
    Odd,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Away => f.write_str("no connection"),
            Self::Redis(error) => write!(f, "{error}"),
            Self::Late => f.write_str("no answer in time"),
            Self::Odd => f.write_str("an answer that is not the script's"),
        }
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Link {
    pub fn new(address: Address) -> Self {
        Self { address, connection: RwLock::new(None) }
    }

    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Whether different slots may lie on different servers.
    pub fn is_cluster(&self) -> bool {
        matches!(
            &*self.connection.read().unwrap_or_else(PoisonError::into_inner),
            Some(Connection::Cluster(_))
        )
    }

    /// Makes a new connection in the place of the one there is. To be called in the counters' own runtime: that is
    /// where what drives the connection will live.
    pub async fn connect(&self) -> Result<(), Failure> {
        let connection = timeout(CONNECT * 2, self.open()).await.map_err(|_| Failure::Late)?;
        let connection = connection.map_err(Failure::Redis)?;
        *self.connection.write().unwrap_or_else(PoisonError::into_inner) = Some(connection);
        Ok(())
    }

    async fn open(&self) -> Result<Connection, RedisError> {
        if !self.address.cluster
            && let Some(node) = self.address.nodes.first()
        {
            let config = AsyncConnectionConfig::new()
                .set_connection_timeout(Some(CONNECT))
                .set_response_timeout(Some(PATIENCE));
            let client = Client::open(node.clone())?;
            let mut server = client.get_multiplexed_async_connection_with_config(&config).await?;
            // Where the command is forbidden, it is taken for what it was said to be.
            let about = server.send_packed_command(cmd("INFO").arg("cluster")).await;
            let clustered = about.is_ok_and(|about| match about {
                Value::BulkString(text) => text.windows(17).any(|part| part == b"cluster_enabled:1"),
                _ => false,
            });
            if !clustered {
                return Ok(Connection::Server(server));
            }
        }
        // A call that was sent may have been done: only the counters know when it may be sent again.
        let client = ClusterClient::builder(self.address.nodes.clone())
            .retries(0)
            .connection_timeout(CONNECT)
            .response_timeout(PATIENCE)
            .build()?;
        Ok(Connection::Cluster(client.get_async_connection().await?))
    }

    pub async fn run(&self, call: &Call) -> Result<Value, Failure> {
        let answer = self.send(&call.short()).await;
        match answer {
            Err(Failure::Redis(error)) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.send(&call.long()).await
            }
            answer => answer,
        }
    }

    /// Whether a key can be written.
    pub async fn probe(&self, key: &str) -> Result<(), Failure> {
        self.send(cmd("SET").arg(key).arg(1).arg("PX").arg(1000)).await.map(drop)
    }

    async fn send(&self, command: &Cmd) -> Result<Value, Failure> {
        let connection = self.connection.read().unwrap_or_else(PoisonError::into_inner).clone();
        match connection {
            None => Err(Failure::Away),
            Some(Connection::Server(mut server)) => answer(server.send_packed_command(command).await),
            Some(Connection::Cluster(mut cluster)) => {
                let mut moves = 0;
                loop {
                    let answer = answer(cluster.req_packed_command(command).await);
                    match answer {
                        Err(Failure::Redis(error)) if has_moved(&error) && moves < MOVES => moves += 1,
                        answer => return answer,
                    }
                    // The client asks for the new slots meanwhile.
                    sleep(AFTER_A_MOVE * moves).await;
                }
            }
        }
    }
}

/// Errors of the server are values at first.
fn answer(answer: Result<Value, RedisError>) -> Result<Value, Failure> {
    answer.and_then(Value::extract_error).map_err(Failure::Redis)
}

/// A server that is not the slot's has done nothing.
fn has_moved(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::Moved)
}
