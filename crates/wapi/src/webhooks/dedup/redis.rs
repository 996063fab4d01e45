//! The connection to Redis.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, ErrorKind, IntoConnectionInfo, RedisError, SetExpiry, SetOptions,
    TlsCertificates,
};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::watch;

use crate::net::tls;
use crate::system::clock::Clock;
use crate::system::lifecycle::Lifecycle;

/// As long as the original remembered.
const REMEMBERED_FOR: Duration = Duration::from_secs(30 * 24 * 3600);
/// Longest wait of a message for Redis. After one timeout, no message waits until Redis is back.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
const START_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause between two attempts to reconnect.
const RECONNECT_PAUSE: Duration = Duration::from_secs(2);

/// A connection to Redis that reconnects by itself.
pub(crate) struct RedisConnection {
    inner: Arc<RedisInner>,
}

struct RedisInner {
    client: redis::Client,
    /// `None` while Redis is away. It is dialled again even if the old connection only hangs, which
    /// may last forever.
    open: watch::Sender<Option<NumberedConnection>>,
    /// Whether the last answer was an error; logged once, not for each message.
    has_refused: AtomicBool,
    clock: Clock,
    lifecycle: Lifecycle,
}

/// One connection, numbered so that a late error of an old one does not close its successor.
#[derive(Clone)]
struct NumberedConnection {
    number: u64,
    connection: MultiplexedConnection,
}

impl RedisConnection {
    pub async fn connect(
        address: &SecretString,
        clock: Clock,
        lifecycle: Lifecycle,
    ) -> Result<Self> {
        let problem = "WAPI_REDIS_HOST: Redis cannot be reached; start it, or leave the setting out to remember without it";
        let is_tls = address.expose_secret().starts_with("rediss:");
        let address = address
            .expose_secret()
            .into_connection_info()
            .context(problem)?;
        let address = address.set_tcp_settings(TcpSettings::default().set_nodelay(true));
        let client = match tls::bundled_pem() {
            pem if is_tls && !pem.is_empty() => {
                let certificates = TlsCertificates {
                    client_tls: None,
                    root_cert: Some(pem.into()),
                };
                redis::Client::build_with_tls(address, certificates)
            }
            _ => redis::Client::open(address),
        };
        let client = client.context(problem)?;
        let dialled = clock
            .timeout(START_TIMEOUT, dial_redis(&client))
            .await
            .context(problem)?;
        let connection = dialled.map_err(|error| match refusal_advice(&error) {
            Some(advice) => anyhow::Error::new(error).context(format!("WAPI_REDIS_HOST: {advice}")),
            None => anyhow::Error::new(error).context(problem),
        })?;
        let open = watch::Sender::new(Some(NumberedConnection {
            number: 0,
            connection,
        }));
        let inner = RedisInner {
            client,
            open,
            has_refused: AtomicBool::new(false),
            clock,
            lifecycle,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Whether one of these keys exists; `None` if Redis does not answer.
    pub async fn contains_any(&self, keys: &[String]) -> Option<bool> {
        let mut exists = redis::cmd("EXISTS");
        exists.arg(keys);
        Some(self.run_command::<u64>(&exists).await? > 0)
    }

    /// Sets the key for thirty days.
    pub async fn insert(&self, key: &str) {
        let options =
            SetOptions::default().with_expiration(SetExpiry::EX(REMEMBERED_FOR.as_secs()));
        let mut set = redis::cmd("SET");
        set.arg(key).arg(1).arg(options);
        self.run_command::<String>(&set).await;
    }

    async fn run_command<T: redis::FromRedisValue>(&self, command: &redis::Cmd) -> Option<T> {
        let inner = &self.inner;
        let NumberedConnection {
            number,
            mut connection,
        } = inner.open.borrow().clone()?;
        match inner
            .clock
            .timeout(ANSWER_TIMEOUT, command.query_async::<T>(&mut connection))
            .await
        {
            Ok(Ok(answer)) => {
                inner.has_refused.store(false, Ordering::Relaxed);
                return Some(answer);
            }
            Ok(Err(error)) if is_refusal(&error) => inner.log_once(&error),
            Ok(Err(error)) => RedisInner::drop_connection(inner, number, &error.to_string()),
            Err(timed_out) => RedisInner::drop_connection(inner, number, &timed_out.to_string()),
        }
        None
    }
}

impl RedisInner {
    /// Drops this connection and starts reconnecting, unless that has already been done.
    fn drop_connection(inner: &Arc<Self>, number: u64, problem: &str) {
        let is_ours = |open: &mut Option<NumberedConnection>| {
            open.take_if(|open| open.number == number).is_some()
        };
        if !inner.open.send_if_modified(is_ours) {
            return;
        }
        tracing::error!(
            problem,
            "Redis does not answer; only this process remembers forwarded messages for now"
        );
        let (seeker, lifecycle) = (Arc::clone(inner), inner.lifecycle.clone());
        inner.lifecycle.spawn(async move {
            // The end of the program ends the reconnecting.
            let _ = lifecycle
                .unless_stopping(seeker.reconnect_later(number + 1))
                .await;
        });
    }

    async fn reconnect_later(&self, number: u64) {
        loop {
            self.clock.sleep(RECONNECT_PAUSE).await;
            if let Ok(Ok(connection)) = self
                .clock
                .timeout(ANSWER_TIMEOUT, dial_redis(&self.client))
                .await
            {
                self.open
                    .send_replace(Some(NumberedConnection { number, connection }));
                tracing::warn!("Redis answers again");
                return;
            }
        }
    }

    fn log_once(&self, error: &RedisError) {
        if !self.has_refused.swap(true, Ordering::Relaxed) {
            let advice = refusal_advice(error).unwrap_or("its answer has the reason");
            tracing::error!(%error, advice, "Redis refuses; only this process remembers forwarded messages for now");
        }
    }
}

/// Connects, and waits for the answer to a first command.
async fn dial_redis(client: &redis::Client) -> Result<MultiplexedConnection, RedisError> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(ANSWER_TIMEOUT))
        .set_response_timeout(Some(ANSWER_TIMEOUT));
    let mut connection = client
        .get_multiplexed_async_connection_with_config(&config)
        .await?;
    redis::cmd("PING")
        .query_async::<String>(&mut connection)
        .await?;
    Ok(connection)
}

/// Whether Redis is reachable and refused: it is full, or loading, or a replica.
fn is_refusal(error: &RedisError) -> bool {
    !error.is_io_error() && !error.is_unrecoverable_error()
}

/// Returns advice on a refusal by Redis, which explains itself only to its own operators.
fn refusal_advice(error: &RedisError) -> Option<&'static str> {
    if error.kind() == ErrorKind::AuthenticationFailed {
        return Some(
            "Redis does not take the name or password in it; they are those before the @ of redis://NAME:PASSWORD@host:port",
        );
    }
    Some(match error.code()? {
        "NOAUTH" => "Redis asks for a password; put it there as redis://:PASSWORD@host:port",
        "WRONGPASS" => {
            "Redis does not take the name or password in it; they are those before the @ of redis://NAME:PASSWORD@host:port"
        }
        "NOPERM" => "Redis does not permit this user PING, SET, and EXISTS",
        "OOM" => "Redis is full; give it more memory, or let it evict keys (maxmemory-policy)",
        "READONLY" => "it is a read-only replica; name the primary",
        "LOADING" => "Redis reads its data and is not ready yet; wait until it is",
        "MISCONF" => "Redis cannot save to its disk; see its log",
        _ => return None,
    })
}
