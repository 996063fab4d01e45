//! Tests of the history database through its queries.

mod amended;
mod in_log;
mod search;
mod unread;

use jiff::Timestamp;

use super::mutation::by_address;
use crate::model::event::Person;
use crate::model::message::{Message, MessageContent};
use crate::store::history::*;
use crate::store::{Life, NewEvent, Store};
use crate::system::clock::Clock;

const ANN: &str = "375440000001@s.whatsapp.net";
const GROUP: &str = "120363025246125486@g.us";

async fn kept() -> (Store, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wapi.db");
    let kept = Store::open(&file, Clock::system()).await.unwrap();
    (kept, folder)
}

impl HistoryStore<'_> {
    async fn write_all(self, steps: &[HistoryMutation], seq: i64) -> Result<(), StoreError> {
        self.write_mutations(steps.to_vec(), seq, std::future::ready(()))
            .await
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn said(
    chat: &str,
    from: Option<&str>,
    id: &str,
    second: i64,
    message: Message,
) -> NewHistoryMessage {
    let from = from.map(by_address);
    NewHistoryMessage {
        chat: chat.to_owned(),
        id: id.to_owned(),
        from,
        at: at(second),
        message,
        is_in_log: false,
        status: None,
        reactions: vec![],
    }
}

fn text(chat: &str, from: Option<&str>, id: &str, second: i64, body: &str) -> NewHistoryMessage {
    said(chat, from, id, second, Message::from_text(body.to_owned()))
}

fn step(seq: i64, change: HistoryChange) -> HistoryMutation {
    HistoryMutation {
        seq,
        session: Life::for_test(1, "shop"),
        change,
    }
}

fn message(seq: i64, new: NewHistoryMessage) -> HistoryMutation {
    step(seq, HistoryChange::Message(Box::new(new)))
}

fn body(found: &StoredMessage) -> String {
    match found.message.as_ref().map(|message| &message.content) {
        Some(MessageContent::Text { text }) => text.body.clone(),
        other => format!("{other:?}"),
    }
}

async fn bodies(kept: &Store, side: PageAnchor, limit: u32) -> Vec<String> {
    kept.history()
        .list_messages(&Life::for_test(1, "shop"), ANN, side, limit)
        .await
        .unwrap()
        .0
        .iter()
        .map(body)
        .collect()
}

async fn unread(kept: &Store, chat: &str) -> u32 {
    kept.history()
        .find_chat(&Life::for_test(1, "shop"), chat)
        .await
        .unwrap()
        .unwrap()
        .unread
}

#[tokio::test]
async fn a_batch_that_is_written_twice_changes_nothing() {
    let (kept, _folder) = kept().await;
    let steps = [
        message(1, text(ANN, Some(ANN), "A", 1, "hi")),
        message(2, text(ANN, Some(ANN), "B", 2, "there")),
    ];
    kept.history().write_all(&steps, 2).await.unwrap();
    kept.history().write_all(&steps, 2).await.unwrap();
    assert_eq!(
        (
            bodies(&kept, PageAnchor::Newest, 10).await,
            unread(&kept, ANN).await
        ),
        (vec!["there".into(), "hi".into()], 2)
    );
    assert_eq!(kept.history().processed_seq().await.unwrap(), 2);
}

#[tokio::test]
async fn pages_stay_where_they_are_while_messages_come() {
    let (kept, _folder) = kept().await;
    let many = |from: i64, to: i64| -> Vec<HistoryMutation> {
        // Three in each second: the time alone does not order them.
        (from..to)
            .map(|n| {
                message(
                    n,
                    text(ANN, Some(ANN), &format!("M{n}"), n / 3, &n.to_string()),
                )
            })
            .collect()
    };
    kept.history().write_all(&many(1, 11), 10).await.unwrap();
    let first = kept
        .history()
        .list_messages(&Life::for_test(1, "shop"), ANN, PageAnchor::Newest, 4)
        .await
        .unwrap()
        .0;
    assert_eq!(first.iter().map(body).collect::<String>(), "10987");
    kept.history().write_all(&many(11, 15), 14).await.unwrap();
    let cursor: HistoryCursor = first[3].cursor.to_string().parse().unwrap();
    assert_eq!(
        bodies(&kept, PageAnchor::Before(cursor), 4).await,
        ["6", "5", "4", "3"]
    );
    assert_eq!(
        bodies(&kept, PageAnchor::After(first[0].cursor), 2).await,
        ["12", "11"]
    );
    for wrong in ["", "7", ".", "a.1", "1.b", "1-2"] {
        assert!(wrong.parse::<HistoryCursor>().is_err(), "{wrong:?}");
    }
}

#[tokio::test]
async fn what_a_phone_tells_of_before_makes_nothing_poorer() {
    let (kept, _folder) = kept().await;
    let ann = Person {
        name: Some("Ann".into()),
        ..by_address(ANN)
    };
    let steps = [
        step(1, HistoryChange::Contact(ann)),
        message(1, text(ANN, Some(ANN), "A", 5, "hi")),
        message(
            2,
            NewHistoryMessage {
                status: Some(MessageProgress::Read),
                ..text(ANN, None, "B", 6, "mine")
            },
        ),
    ];
    kept.history().write_all(&steps, 2).await.unwrap();
    let group = Person {
        id: GROUP.into(),
        name: Some("Team".into()),
        ..Person::default()
    };
    let imports = HistoryImport {
        chats: vec![
            ImportedChat {
                chat: by_address(ANN),
                unread: 9,
                archived: true,
                ..ImportedChat::default()
            },
            ImportedChat {
                chat: group,
                unread: 2,
                active_at: Some(at(3)),
                ..ImportedChat::default()
            },
        ],
        contacts: vec![Person {
            lid: Some("1@lid".into()),
            name: Some("Anna".into()),
            ..by_address(ANN)
        }],
        messages: vec![
            NewHistoryMessage {
                status: Some(MessageProgress::Sent),
                ..text(ANN, None, "B", 6, "other")
            },
            text(ANN, Some(ANN), "0", 1, "older"),
        ],
    };
    for _ in 0..2 {
        kept.history()
            .import_history(&Life::for_test(1, "shop"), &imports)
            .await
            .unwrap();
        assert_eq!(
            bodies(&kept, PageAnchor::Newest, 9).await,
            ["mine", "hi", "older"]
        );
        let chats = kept
            .history()
            .list_chats(&Life::for_test(1, "shop"), None, 9)
            .await
            .unwrap();
        let seen: Vec<_> = chats
            .iter()
            .map(|chat| (chat.chat.id.as_str(), chat.unread, chat.archived))
            .collect();
        assert_eq!(seen, [(ANN, 1, false), (GROUP, 2, false)]);
        assert_eq!(chats[1].chat.name.as_deref(), Some("Team"));
        let ann = kept
            .history()
            .find_contact(&Life::for_test(1, "shop"), ANN)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (ann.lid.as_deref(), ann.name.as_deref()),
            (Some("1@lid"), Some("Ann"))
        );
        let mine = kept
            .history()
            .list_messages(&Life::for_test(1, "shop"), ANN, PageAnchor::Newest, 1)
            .await
            .unwrap()
            .0
            .remove(0);
        assert_eq!(mine.status, Some(MessageProgress::Read));
    }
}

#[tokio::test]
async fn a_deleted_session_leaves_nothing_and_its_name_can_be_taken_again() {
    let (kept, _folder) = kept().await;
    kept.history()
        .write_all(&[message(1, text(ANN, Some(ANN), "A", 1, "hi"))], 1)
        .await
        .unwrap();
    let event = |id: u8| NewEvent {
        id: format!("evt_{id}"),
        session: Life::for_test(1, "shop"),
        chat: String::new(),
        message: None,
        kind: "session.status",
        body: "{}".to_owned(),
        facts: Vec::new(),
    };
    let events = (1..=3).map(event).collect();
    kept.events().append_events(events).await.unwrap();
    kept.history()
        .forget_lives(&[Life::for_test(1, "shop")])
        .await
        .unwrap();
    // Events from before that were not read yet.
    kept.history()
        .write_all(
            &[
                message(2, text(ANN, Some(ANN), "B", 2, "late")),
                message(4, text(ANN, Some(ANN), "C", 4, "new")),
            ],
            4,
        )
        .await
        .unwrap();
    assert_eq!(bodies(&kept, PageAnchor::Newest, 9).await, ["new"]);
    assert_eq!(
        kept.history()
            .search_messages(&Life::for_test(1, "shop"), None, "hi", None, 9)
            .await
            .unwrap()
            .unwrap()
            .0,
        []
    );
    assert_eq!(
        (
            kept.history().remove_forgotten(9).await.unwrap(),
            kept.history().remove_forgotten(9).await.unwrap()
        ),
        (1, 0)
    );
    assert_eq!(bodies(&kept, PageAnchor::Newest, 9).await, ["new"]);
    assert_eq!(kept.history().remove_before(at(4), 9).await.unwrap(), 0);
    assert_eq!(kept.history().remove_before(at(5), 9).await.unwrap(), 1);
    assert_eq!(
        kept.history()
            .find_chat(&Life::for_test(1, "shop"), ANN)
            .await
            .unwrap()
            .unwrap()
            .last_message,
        None
    );
}
