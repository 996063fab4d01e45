//! Read connections for API queries, apart from those of the gateway itself: a query ends when its
//! caller leaves.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::store::db::{self, Connection, Pool};

/// The interval of the check for the caller, in steps of SQLite's virtual machine: a few of them
/// take a microsecond.
const PROGRESS_STEPS: i32 = 1_000;

/// A pool of connections; callers wait until one is free. Cheap to clone.
#[derive(Clone)]
pub(super) struct ReadPool {
    pool: Pool,
    /// How many times [`STEPS`] were taken so far.
    #[cfg(test)]
    pub progress_calls: Arc<std::sync::atomic::AtomicU64>,
}

impl ReadPool {
    pub fn new(pool: Pool) -> Self {
        Self {
            pool,
            #[cfg(test)]
            progress_calls: Arc::default(),
        }
    }

    /// Returns a connection for one caller. If it is dropped in the middle of a statement, the
    /// statement ends, and the connection goes to the next caller; in a transaction, it is closed.
    pub async fn acquire(&self) -> Result<ReadConnection, db::Error> {
        let mut connection = self.pool.acquire().await?;
        let asker = Arc::new(AtomicBool::new(true));
        let is_there = Arc::clone(&asker);
        #[cfg(test)]
        let taken = Arc::clone(&self.progress_calls);
        let is_wanted = move || {
            #[cfg(test)]
            taken.fetch_add(1, Ordering::Relaxed);
            is_there.load(Ordering::Relaxed)
        };
        connection
            .check_while_running(PROGRESS_STEPS, is_wanted)
            .await?;
        Ok(ReadConnection {
            is_caller_present: asker,
            connection,
        })
    }

    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// A connection with a waiting caller.
pub(super) struct ReadConnection {
    /// False once the caller has left.
    is_caller_present: Arc<AtomicBool>,
    connection: Connection,
}

impl Drop for ReadConnection {
    fn drop(&mut self) {
        // The pool gets the connection back when the running statement has ended.
        self.is_caller_present.store(false, Ordering::Relaxed);
    }
}

impl Deref for ReadConnection {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl DerefMut for ReadConnection {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::store::db::LiteFile;
    use crate::store::read_pool::*;
    use crate::system::clock::Clock;

    #[tokio::test]
    async fn a_question_whose_asker_has_left_ends() {
        let clock = Clock::system();
        let questions = ReadPool::new(LiteFile::in_memory().pool(1));
        for _ in 0..3 {
            let mut question = questions.acquire().await.unwrap();
            let endless = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";
            let asked = db::query_scalar::<i64>(endless).fetch_one(&mut *question);
            clock
                .timeout(Duration::from_millis(20), asked)
                .await
                .unwrap_err();
            drop(question);
            let next = async {
                let mut question = questions.acquire().await.unwrap();
                db::query_scalar::<i64>("SELECT 1")
                    .fetch_one(&mut *question)
                    .await
                    .unwrap()
            };
            assert_eq!(
                clock
                    .timeout(Duration::from_secs(20), next)
                    .await
                    .expect("the next asker has its turn"),
                1
            );
        }
    }
}
