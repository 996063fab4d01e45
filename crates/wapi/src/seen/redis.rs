//! The connection to Redis.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{SetExpiry, SetOptions};
use secrecy::{ExposeSecret, SecretString};

use crate::clock::Clock;

/// As long as the original remembered.
const REMEMBERED_FOR: Duration = Duration::from_secs(30 * 24 * 3600);
/// A message waits for Redis no longer than this.
const PATIENCE: Duration = Duration::from_secs(2);
const PATIENCE_AT_START: Duration = Duration::from_secs(5);

/// A connection to Redis that comes back by itself.
pub(super) struct Shared {
    connection: ConnectionManager,
    clock: Clock,
    /// Whether the last answer did not come; told once, not for each message.
    lost: AtomicBool,
}

impl Shared {
    pub async fn connect(address: &SecretString, clock: Clock) -> Result<Self> {
        let problem =
            "WAPI_REDIS_HOST: Redis cannot be reached; start it, or leave the setting out to remember without it";
        let client = redis::Client::open(address.expose_secret()).context(problem)?;
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(1)
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        let connect = async {
            let mut connection = ConnectionManager::new_with_config(client, config).await?;
            redis::cmd("PING").query_async::<String>(&mut connection).await?;
            Ok::<_, redis::RedisError>(connection)
        };
        let connection = clock.timeout(PATIENCE_AT_START, connect).await.context(problem)?.context(problem)?;
        Ok(Self { connection, clock, lost: AtomicBool::new(false) })
    }

    /// Whether the key is there; `None` when Redis does not answer.
    pub async fn contains(&self, key: &str) -> Option<bool> {
        let mut exists = redis::cmd("EXISTS");
        exists.arg(key);
        self.ask(&exists).await
    }

    /// Puts the key there for thirty days.
    pub async fn insert(&self, key: &str) {
        let options = SetOptions::default().with_expiration(SetExpiry::EX(REMEMBERED_FOR.as_secs()));
        let mut set = redis::cmd("SET");
        set.arg(key).arg(1).arg(options);
        self.ask::<String>(&set).await;
    }

    async fn ask<T: redis::FromRedisValue>(&self, command: &redis::Cmd) -> Option<T> {
        let mut connection = self.connection.clone();
        match self.clock.timeout(PATIENCE, command.query_async::<T>(&mut connection)).await {
            Ok(Ok(answer)) => {
                if self.lost.swap(false, Ordering::Relaxed) {
                    tracing::warn!("Redis answers again");
                }
                Some(answer)
            }
            Ok(Err(error)) => self.tell_once(&error.to_string()),
            Err(timed_out) => self.tell_once(&timed_out.to_string()),
        }
    }

    fn tell_once<T>(&self, problem: &str) -> Option<T> {
        if !self.lost.swap(true, Ordering::Relaxed) {
            tracing::error!(
                problem,
                "Redis does not answer; what was forwarded is remembered by this process alone for now"
            );
        }
        None
    }
}
