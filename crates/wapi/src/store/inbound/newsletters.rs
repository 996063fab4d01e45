//! Read positions of newsletters: the last post that was delivered of each.

use jiff::Timestamp;

use crate::store::db::{self, Connection};
use crate::store::writer::StoreChange;
use crate::store::{InboundStore, Life, StoreError};

impl InboundStore<'_> {
    /// Returns the number of the last delivered post of a newsletter; `None` when it is not
    /// followed yet. Earlier posts are never delivered.
    pub async fn newsletter_position(
        self,
        session: &Life,
        newsletter: &str,
    ) -> Result<Option<i64>, StoreError> {
        let sql = "SELECT place FROM newsletters WHERE session = $1 AND newsletter = $2";
        let query = db::query_scalar(sql).bind(session).bind(newsletter);
        Ok(query.fetch_optional(&self.store.readers).await?)
    }

    /// Records that all posts up to this one were delivered; never goes back.
    pub async fn set_newsletter_position(
        self,
        session: &Life,
        newsletter: &str,
        position: i64,
    ) -> Result<(), StoreError> {
        self.store
            .writer
            .apply_change(SetNewsletterPosition {
                session: session.clone(),
                newsletter: newsletter.to_owned(),
                position,
            })
            .await
    }

    /// Deletes the positions of newsletters that are no longer followed: if one is followed again,
    /// the posts in between are not delivered.
    pub async fn retain_newsletters(
        self,
        session: &Life,
        followed: &[String],
    ) -> Result<(), StoreError> {
        let sql = "SELECT newsletter FROM newsletters WHERE session = $1";
        let known = db::query(sql)
            .bind(session)
            .fetch_all(&self.store.readers)
            .await?;
        let known = known.iter().map(|row| row.get::<String, _>("newsletter"));
        let gone: Vec<_> = known
            .filter(|newsletter| !followed.contains(newsletter))
            .collect();
        if gone.is_empty() {
            Ok(())
        } else {
            self.forget_newsletters(session, gone).await
        }
    }

    /// Deletes the positions of these newsletters.
    pub async fn forget_newsletters(
        self,
        session: &Life,
        newsletters: Vec<String>,
    ) -> Result<(), StoreError> {
        self.store
            .writer
            .apply_change(ForgetNewsletters {
                session: session.clone(),
                newsletters,
            })
            .await
    }
}

struct SetNewsletterPosition {
    session: Life,
    newsletter: String,
    position: i64,
}

impl StoreChange for SetNewsletterPosition {
    type Answer = ();

    fn concerns_deliveries(_: &Self::Answer) -> bool {
        false
    }

    async fn write(&self, connection: &mut Connection, _now: Timestamp) -> Result<(), db::Error> {
        let sql = "INSERT INTO newsletters (session, newsletter, place) VALUES ($1, $2, $3) \
                   ON CONFLICT (session, newsletter) DO UPDATE SET place = max(newsletters.place, excluded.place)";
        db::query(sql)
            .bind(&self.session)
            .bind(&self.newsletter)
            .bind(self.position)
            .execute(connection)
            .await?;
        Ok(())
    }
}

struct ForgetNewsletters {
    session: Life,
    newsletters: Vec<String>,
}

impl StoreChange for ForgetNewsletters {
    type Answer = ();

    fn concerns_deliveries(_: &Self::Answer) -> bool {
        false
    }

    async fn write(&self, connection: &mut Connection, _now: Timestamp) -> Result<(), db::Error> {
        let sql = "DELETE FROM newsletters WHERE session = $1 AND newsletter = $2";
        for newsletter in &self.newsletters {
            db::query(sql)
                .bind(&self.session)
                .bind(newsletter)
                .execute(&mut *connection)
                .await?;
        }
        Ok(())
    }
}
