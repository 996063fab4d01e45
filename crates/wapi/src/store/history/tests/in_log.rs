//! Tests of messages whose contents are in the log: whatever happens to them or to their events, they
//! are shown as they are.

use super::{ANN, GROUP, at, bodies, kept, message, step, text};
use crate::model::event::{
    DeletionRight, Event, EventData, MessageKey, MessageOrigin, Person, ReceivedMessage,
};
use crate::model::message::Message;
use crate::store::history::mutation::by_address;
use crate::store::history::*;
use crate::store::{EventFilter, Life, NewEvent, RetentionLimits, Store};

const BOB: &str = "1234@lid";

fn life() -> Life {
    Life::for_test(1, "shop")
}

/// Saves events of messages from others with these chats, senders, and texts, and returns what they do.
async fn receive(store: &Store, messages: &[(&str, &str, &str)]) -> Vec<HistoryMutation> {
    let before = store.events().newest_position();
    let event = |(number, (chat, from, body)): (i64, &(&str, &str, &str))| {
        let id = format!("M{number}");
        let data = EventData::MessageReceived(Box::new(ReceivedMessage {
            origin: MessageOrigin {
                session: "shop".to_owned(),
                id: id.clone(),
                chat: (*chat).to_owned(),
                from: by_address(from),
                from_me: false,
                timestamp: at(number),
                offline: false,
            },
            message: Message::from_text((*body).to_owned()),
        }));
        let key = MessageKey {
            chat: (*chat).to_owned(),
            sender: (*from).to_owned(),
            id,
        };
        NewEvent::for_message(&life(), chat, key, &Event::new(data, at(number)))
    };
    let events = (before + 1..).zip(messages).map(event).collect();
    store.events().append_events(events).await.unwrap();
    let mutation = |(number, (chat, from, body)): (i64, &(&str, &str, &str))| {
        let id = format!("M{number}");
        let new = NewHistoryMessage {
            is_in_log: true,
            ..text(chat, Some(from), &id, number, body)
        };
        message(number, new)
    };
    (before + 1..).zip(messages).map(mutation).collect()
}

/// Removes all events from the log.
async fn empty_log(store: &Store) {
    let cut = RetentionLimits {
        events: at(9_000_000_000),
        dead: at(9_000_000_000),
        dedup: at(0),
        now: at(9_000_000_000),
    };
    let events = store.events();
    events.remove_old_events(0, 1_000, cut).await.unwrap();
    let mut reader = events.open_reader(0, EventFilter::default());
    assert_eq!(reader.read_page(10).await.unwrap(), []);
}

async fn found(store: &Store, chat: &str, word: &str) -> Vec<String> {
    let (history, life) = (store.history(), life());
    let asked = history.search_messages(&life, Some(chat), word, None, 9);
    let (found, _) = asked.await.unwrap().unwrap();
    found.into_iter().map(|message| message.id).collect()
}

#[tokio::test]
async fn messages_outlive_their_events() {
    let (store, _folder) = kept().await;
    let steps = receive(
        &store,
        &[
            (ANN, ANN, "first"),
            (ANN, ANN, "second"),
            (ANN, ANN, "third"),
        ],
    )
    .await;
    store.history().write_all(&steps, 3).await.unwrap();
    let of = |id: &str| ChangeTarget {
        chat: ANN.to_owned(),
        id: id.to_owned(),
        by: Some(by_address(ANN)),
        at: at(50),
    };
    let edit = HistoryChange::Edited {
        of: of("M1"),
        content: Box::new(Message::from_text("changed".to_owned())),
    };
    let deletion = HistoryChange::Deleted {
        of: of("M2"),
        by: DeletionRight::Author,
    };
    for _ in 0..2 {
        let shown = bodies(&store, PageAnchor::Newest, 9).await;
        assert_eq!(shown, ["third", "second", "first"]);
        let size = store.history().size().await.unwrap();
        empty_log(&store).await;
        assert!(store.history().size().await.unwrap() >= size);
    }
    let steps = [step(4, edit.clone()), step(5, deletion.clone())];
    store.history().write_all(&steps, 5).await.unwrap();
    let shown = bodies(&store, PageAnchor::Newest, 9).await;
    assert_eq!(shown, ["third", "None", "changed"]);
    assert_eq!(found(&store, ANN, "first").await, [""; 0]);
    assert_eq!(found(&store, ANN, "changed").await, ["M1"]);
}

#[tokio::test]
async fn what_was_changed_is_not_what_the_event_had() {
    let (store, _folder) = kept().await;
    let mut steps = receive(&store, &[(ANN, ANN, "first"), (ANN, ANN, "second")]).await;
    let of = |id: &str| ChangeTarget {
        chat: ANN.to_owned(),
        id: id.to_owned(),
        by: Some(by_address(ANN)),
        at: at(50),
    };
    steps.push(step(
        3,
        HistoryChange::Edited {
            of: of("M1"),
            content: Box::new(Message::from_text("changed".to_owned())),
        },
    ));
    steps.push(step(
        4,
        HistoryChange::Deleted {
            of: of("M2"),
            by: DeletionRight::Author,
        },
    ));
    store.history().write_all(&steps, 4).await.unwrap();
    for _ in 0..2 {
        let shown = bodies(&store, PageAnchor::Newest, 9).await;
        assert_eq!(shown, ["None", "changed"]);
        assert_eq!(found(&store, ANN, "first").await, [""; 0]);
        assert_eq!(found(&store, ANN, "changed").await, ["M1"]);
        empty_log(&store).await;
    }
}

#[tokio::test]
async fn two_large_chats_become_one_with_all_that_was_said() {
    for was_interrupted in [false, true] {
        merge_large_chats(was_interrupted).await;
    }
}

async fn merge_large_chats(was_interrupted: bool) {
    let (store, _folder) = kept().await;
    let chats = [(BOB, BOB), (ANN, ANN), (GROUP, BOB)];
    let texts: Vec<String> = (0..900).map(|number| format!("word{number}x")).collect();
    let messages: Vec<_> = (0..)
        .zip(&texts)
        .map(|(number, text): (usize, _)| {
            let (chat, from) = chats[number % 3];
            (chat, from, text.as_str())
        })
        .collect();
    let mut steps = receive(&store, &messages).await;
    let reaction = |id: String| HistoryChange::Reaction {
        of: ChangeTarget {
            chat: ANN.to_owned(),
            id,
            by: Some(by_address(BOB)),
            at: at(2_000),
        },
        emoji: Some("!".to_owned()),
    };
    steps.extend((0..300).map(|number| step(901, reaction(format!("M{}", 3 * number + 2)))));
    let merged = || HistoryChange::Merged {
        old: BOB.to_owned(),
        new: ANN.to_owned(),
    };
    let contact = Person {
        lid: Some(BOB.to_owned()),
        ..by_address(ANN)
    };
    let later = message(903, text(ANN, Some(ANN), "later", 3_000, "later"));
    steps.push(step(902, merged()));
    steps.push(step(902, HistoryChange::Contact(contact)));
    steps.push(later);
    // As after an end in the middle.
    let before = steps.partition_point(|step| step.seq < 902);
    let history = store.history();
    history.write_all(&steps[..before], 901).await.unwrap();
    if was_interrupted {
        history.begin_merge(&life(), BOB, ANN).await.unwrap();
    }
    history.write_all(&steps, 903).await.unwrap();
    assert_eq!(history.processed_seq().await.unwrap(), 903);
    assert_eq!(history.find_chat(&life(), BOB).await.unwrap(), None);
    let chat = history.find_chat(&life(), ANN).await.unwrap().unwrap();
    assert_eq!(
        (chat.unread, chat.chat.lid.as_deref()),
        (601, Some(BOB)),
        "{chat:?}"
    );
    let listed = async |chat| {
        let life = life();
        let list = history.list_messages(&life, chat, PageAnchor::Newest, 1_000);
        list.await.unwrap().0
    };
    let shown = listed(ANN).await;
    assert_eq!(shown.len(), 601);
    let is_whole = |message: &StoredMessage| {
        let from = message.from.as_ref().map(|from| from.id.as_str());
        from == Some(ANN) && message.message.is_some()
    };
    assert!(shown.iter().all(is_whole));
    let reactions: Vec<_> = shown.iter().flat_map(|it| &it.reactions).collect();
    let by_ann = |reaction: &&&StoredReaction| reaction.by.as_ref().is_some_and(|by| by.id == ANN);
    assert_eq!(reactions.iter().filter(by_ann).count(), 300);
    assert_eq!(listed(GROUP).await.len(), 300);
    assert!(listed(GROUP).await.iter().all(is_whole));
    for number in [0, 1, 300, 897] {
        let id = format!("M{}", number + 1);
        let word = format!("word{number}x");
        assert_eq!(found(&store, ANN, &word).await, [id]);
    }
}

#[tokio::test]
async fn what_is_recorded_after_its_life_was_forgotten_goes_with_the_purge() {
    let (store, _folder) = kept().await;
    let life = store.lives().ensure_life("shop");
    assert_eq!(life.id(), 1);
    let steps = receive(&store, &[(ANN, ANN, "first")]).await;
    store
        .history()
        .forget_lives(std::slice::from_ref(&life))
        .await
        .unwrap();
    let late = receive(&store, &[(ANN, ANN, "late")]).await;
    let all = [steps, late].concat();
    store.history().write_all(&all, 2).await.unwrap();
    assert_eq!(bodies(&store, PageAnchor::Newest, 9).await, ["late"]);
    store.lives().end_life("shop");
    store
        .purge_lives(std::slice::from_ref(&life))
        .await
        .unwrap();
    assert_eq!(bodies(&store, PageAnchor::Newest, 9).await, [""; 0]);
    let contact = store.history().find_contact(&life, ANN).await.unwrap();
    assert_eq!(contact, None);
    assert_eq!(store.history().remove_forgotten(9).await.unwrap(), 1);
    assert_eq!(store.history().size().await.unwrap(), 0);
}
