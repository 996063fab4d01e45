//! Migration of a history recorded by session names: assigns each name's data to a life, once.

use jiff::SignedDuration;

use super::{History, steps};
use crate::store::kept::{Former, Kept, Settled, Step};
use crate::store::{Lived, Store, StoreError, Wanted};

/// Events read at a time.
const AT_ONCE: usize = 250;
/// Largest difference expected between WhatsApp's clock and ours.
const SLACK: SignedDuration = SignedDuration::from_mins(10);

/// Assigns the data of each name to a life. If the name has one life and no message is older than
/// it, the data belongs to that life. Otherwise the owner of each row cannot be determined: all of
/// it goes to a life that is over, and the events of the current life are read again.
pub(super) async fn settle(kept: &Kept, store: &Store) -> Result<(), StoreError> {
    let former = kept.former().await?;
    if former.is_empty() {
        return Ok(());
    }
    // The messages of deleted sessions still wait for removal.
    let settled: Vec<_> = former
        .into_iter()
        .filter(|it| !it.name.is_empty())
        .map(|it| settled(it, store))
        .collect();
    kept.settle_former(&settled).await
}

fn settled(Former { name, oldest }: Former, store: &Store) -> Settled {
    let lives = store.lives();
    let all = lives.of(&name);
    if let [life] = &all[..] {
        let is_older = |began| {
            oldest.is_some_and(|oldest| began > oldest.saturating_add(SLACK).unwrap_or(oldest))
        };
        if !is_older(lives.began(life)) {
            return Settled {
                life: life.clone(),
                name,
                read_again: None,
            };
        }
    }
    let read_again = lives.current(&name);
    // A session without remaining events has no life.
    let life = if all.is_empty() {
        lives.over(&name)
    } else {
        lives.of_untold(&name).unwrap_or_else(|| lives.over(&name))
    };
    Settled {
        name,
        life,
        read_again,
    }
}

impl History {
    /// Reads the events of the marked lives again, up to the position already reached.
    pub(super) async fn read_again(&self, kept: &Kept, upto: i64) -> Result<(), StoreError> {
        let store = &self.inner.store;
        for number in kept.unread_lives().await? {
            let lives = Lived::Of(store.lives().find(number).into_iter().collect());
            let wanted = Wanted {
                types: steps::TYPES.map(str::to_owned).to_vec(),
                lives,
                ..Wanted::default()
            };
            let mut place = 0;
            while place < upto {
                let (events, next, _) = store.events_after(place, &wanted, AT_ONCE).await?;
                let ours = events.iter().filter_map(steps::of_ours).collect::<Vec<_>>();
                let mut said = store.sent_contents(&ours).await?;
                let read = events.iter().filter(|event| event.seq <= upto);
                let steps: Vec<Step> = read
                    .flat_map(|event| steps::steps(event, &mut said))
                    .collect();
                kept.write_again(&steps).await?;
                place = next.max(place + 1);
            }
            kept.was_read(number).await?;
        }
        Ok(())
    }
}
