//! Tests of changed messages: edits, reactions, statuses and deletions.

use super::{ANN, at, body, kept, message, step, text};
use crate::model::event::DeletionRight;
use crate::model::message::Message;
use crate::store::Life;
use crate::store::history::mutation::by_address;
use crate::store::history::*;

fn about(id: &str, by: Option<&str>) -> ChangeTarget {
    ChangeTarget {
        chat: ANN.to_owned(),
        id: id.to_owned(),
        by: by.map(by_address),
        at: at(100),
    }
}

#[tokio::test]
async fn messages_show_what_was_done_to_them() {
    let (kept, _folder) = kept().await;
    let edit = |by: Option<&str>, id: &str| HistoryChange::Edited {
        of: about(id, by),
        content: Box::new(Message::from_text("second".to_owned())),
    };
    let react = |by: Option<&str>, emoji: Option<&str>| HistoryChange::Reaction {
        of: about("A", by),
        emoji: emoji.map(str::to_owned),
    };
    let status = |status| HistoryChange::Status {
        chat: ANN.to_owned(),
        id: "B".to_owned(),
        status,
    };
    let steps = [
        message(1, text(ANN, Some(ANN), "A", 1, "first")),
        message(2, text(ANN, None, "B", 2, "mine")),
        // Only the author edits a message.
        step(2, edit(None, "A")),
        step(2, react(Some(ANN), Some("👍"))),
        step(2, react(None, Some("❤️"))),
        step(2, react(Some(ANN), None)),
        step(3, status(MessageProgress::Read)),
        step(3, status(MessageProgress::Delivered)),
    ];
    kept.history().write_all(&steps, 3).await.unwrap();
    let found = kept
        .history()
        .list_messages(&Life::for_test(1, "shop"), ANN, PageAnchor::Newest, 9)
        .await
        .unwrap()
        .0;
    assert_eq!(
        (body(&found[1]), found[1].edited_at),
        ("first".to_owned(), None)
    );
    assert_eq!(
        found[1].reactions,
        [StoredReaction {
            by: None,
            emoji: "❤️".to_owned()
        }]
    );
    assert_eq!(
        (found[0].status, &found[0].from),
        (Some(MessageProgress::Read), &None)
    );
    kept.history()
        .write_all(&[step(4, edit(Some(ANN), "A"))], 4)
        .await
        .unwrap();
    let found = kept
        .history()
        .list_messages(&Life::for_test(1, "shop"), ANN, PageAnchor::Newest, 9)
        .await
        .unwrap()
        .0;
    assert_eq!(
        (body(&found[1]), found[1].edited_at),
        ("second".to_owned(), Some(at(100)))
    );
    let hits = async |asked| {
        kept.history()
            .search_messages(&Life::for_test(1, "shop"), None, asked, None, 9)
            .await
            .unwrap()
            .unwrap()
            .0
            .len()
    };
    assert_eq!((hits("first").await, hits("second").await), (0, 1));
    kept.history()
        .write_all(
            &[step(
                5,
                HistoryChange::Deleted {
                    of: about("A", Some(ANN)),
                    by: DeletionRight::Author,
                },
            )],
            5,
        )
        .await
        .unwrap();
    let found = kept
        .history()
        .list_messages(&Life::for_test(1, "shop"), ANN, PageAnchor::Newest, 9)
        .await
        .unwrap()
        .0;
    assert_eq!(
        (
            &found[1].message,
            found[1].deleted_at,
            found[1].reactions.len()
        ),
        (&None, Some(at(100)), 0)
    );
    assert_eq!(hits("second").await, 0);
}
