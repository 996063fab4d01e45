//! Gives what was kept by the names of sessions to one of their lives, once.

use jiff::SignedDuration;

use super::{History, steps};
use crate::store::kept::{Former, Kept, Settled, Step};
use crate::store::{Lived, Store, StoreError, Wanted};

/// Events read at a time.
const AT_ONCE: usize = 250;
/// WhatsApp's clock and ours may differ by so much.
const SLACK: SignedDuration = SignedDuration::from_mins(10);

/// What is of a name with one life is of that life. Of several nobody can tell what is of which; then all of it is of one that is over, and
/// what the events of the present one have brought is read once more.
pub(super) async fn settle(kept: &Kept, store: &Store) -> Result<(), StoreError> {
    let former = kept.former().await?;
    if former.is_empty() {
        return Ok(());
    }
    // Of those that were deleted, messages still wait to go.
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
    // None is left of a session whose events have all gone.
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
    /// Reads the events of some lives once more, up to the place that was reached.
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
