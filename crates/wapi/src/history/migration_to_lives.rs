//! Migration of a history recorded by session names: assigns each name's data to a life, once.

use jiff::SignedDuration;

use super::{History, mutations};
use crate::store::history::{HistoryDb, HistoryMutation, NameAssignment, UnassignedName};
use crate::store::{EventFilter, LifeFilter, Store, StoreError};

/// Events read at a time.
const AT_ONCE: usize = 250;
/// Largest difference expected between WhatsApp's clock and ours.
const SLACK: SignedDuration = SignedDuration::from_mins(10);

/// Assigns the data of each name to a life. If the name has one life and no message is older than
/// it, the data belongs to that life. Otherwise the owner of each row cannot be determined: all of
/// it goes to a life that is over, and the events of the current life are read again.
pub(super) async fn migrate_names(kept: &HistoryDb, store: &Store) -> Result<(), StoreError> {
    let former = kept.unassigned_names().await?;
    if former.is_empty() {
        return Ok(());
    }
    // The messages of deleted sessions still wait for removal.
    let settled: Vec<_> = former
        .into_iter()
        .filter(|it| !it.name.is_empty())
        .map(|it| assign_name(it, store))
        .collect();
    kept.assign_names(&settled).await
}

fn assign_name(UnassignedName { name, oldest }: UnassignedName, store: &Store) -> NameAssignment {
    let lives = store.lives();
    let all = lives.lives_of(&name);
    if let [life] = &all[..] {
        let is_older = |began| {
            oldest.is_some_and(|oldest| began > oldest.saturating_add(SLACK).unwrap_or(oldest))
        };
        if !is_older(lives.began_at(life)) {
            return NameAssignment {
                life: life.clone(),
                name,
                read_again: None,
            };
        }
    }
    let read_again = lives.current_life(&name);
    // A session without remaining events has no life.
    let life = if all.is_empty() {
        lives.create_ended_life(&name)
    } else {
        lives
            .find_unknown_life(&name)
            .unwrap_or_else(|| lives.create_ended_life(&name))
    };
    NameAssignment {
        name,
        life,
        read_again,
    }
}

impl History {
    /// Reads the events of the marked lives again, up to the position already reached.
    pub(super) async fn reread_events(
        &self,
        kept: &HistoryDb,
        upto: i64,
    ) -> Result<(), StoreError> {
        let store = &self.inner.store;
        for number in kept.lives_to_reread().await? {
            let lives = LifeFilter::Listed(store.lives().find_life(number).into_iter().collect());
            let wanted = EventFilter {
                types: mutations::TYPES.map(str::to_owned).to_vec(),
                lives,
                ..EventFilter::default()
            };
            let mut position = 0;
            while position < upto {
                let (events, next, _) = store
                    .events()
                    .read_events_after(position, &wanted, AT_ONCE)
                    .await?;
                let ours = events
                    .iter()
                    .filter_map(mutations::own_message_key)
                    .collect::<Vec<_>>();
                let mut sent = store.events().find_sent_contents(&ours).await?;
                let read = events.iter().filter(|event| event.seq <= upto);
                let steps: Vec<HistoryMutation> = read
                    .flat_map(|event| mutations::event_mutations(event, &mut sent))
                    .collect();
                kept.write_reread(&steps).await?;
                position = next.max(position + 1);
            }
            kept.finish_reread(number).await?;
        }
        Ok(())
    }
}
