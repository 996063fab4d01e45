//! Tests of the unread counters: messages after the chat was seen count, in any order of arrival.

use super::{ANN, at, bodies, kept, message, step, text, unread};
use crate::model::event::ChatChange;
use crate::store::Life;
use crate::store::history::mutation::by_address;
use crate::store::history::*;

#[tokio::test]
async fn unread_messages_are_counted_until_the_chat_is_seen() {
    let (kept, _folder) = kept().await;
    let read = |up_to: Option<&str>| {
        let change = ChatChange {
            unread: Some(false),
            read_up_to: up_to.map(str::to_owned),
            ..ChatChange::default()
        };
        HistoryChange::Chat {
            chat: by_address(ANN),
            change,
        }
    };
    let came = |seq, id: &str| message(seq, text(ANN, Some(ANN), id, seq, "hi"));
    kept.history()
        .write_all(&[came(1, "A"), came(2, "B"), came(3, "C")], 3)
        .await
        .unwrap();
    assert_eq!(unread(&kept, ANN).await, 3);
    kept.history()
        .write_all(&[step(4, read(Some("B")))], 4)
        .await
        .unwrap();
    assert_eq!(unread(&kept, ANN).await, 1);
    // In one batch, in order.
    kept.history()
        .write_all(&[came(5, "D"), step(6, read(None)), came(7, "E")], 7)
        .await
        .unwrap();
    assert_eq!(unread(&kept, ANN).await, 1);
    let echo = [
        message(8, text(ANN, None, "F", 8, "mine")),
        step(
            8,
            HistoryChange::Seen {
                chat: ANN.to_owned(),
            },
        ),
    ];
    kept.history().write_all(&echo, 8).await.unwrap();
    assert_eq!(unread(&kept, ANN).await, 0);
    let marked = ChatChange {
        unread: Some(true),
        pinned: Some(true),
        ..ChatChange::default()
    };
    kept.history()
        .write_all(
            &[step(
                9,
                HistoryChange::Chat {
                    chat: by_address(ANN),
                    change: marked,
                },
            )],
            9,
        )
        .await
        .unwrap();
    let chat = kept
        .history()
        .find_chat(&Life::for_test(1, "shop"), ANN)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (chat.unread, chat.marked_unread, chat.pinned, chat.archived),
        (0, true, true, false)
    );
    kept.history()
        .write_all(&[step(10, read(None))], 10)
        .await
        .unwrap();
    assert!(
        !kept
            .history()
            .find_chat(&Life::for_test(1, "shop"), ANN)
            .await
            .unwrap()
            .unwrap()
            .marked_unread
    );
}

#[tokio::test]
async fn what_comes_after_a_chat_was_read_cleared_or_deleted_stays() {
    let (kept, _folder) = kept().await;
    let came = |seq, id: &str| message(seq, text(ANN, Some(ANN), id, seq, id));
    let change = |seq, change: ChatChange| {
        step(
            seq,
            HistoryChange::Chat {
                chat: by_address(ANN),
                change: ChatChange {
                    up_to: Some(at(2)),
                    ..change
                },
            },
        )
    };
    kept.history()
        .write_all(
            &[
                came(1, "one"),
                came(2, "two"),
                came(3, "three"),
                came(4, "four"),
            ],
            4,
        )
        .await
        .unwrap();
    kept.history()
        .write_all(
            &[change(
                5,
                ChatChange {
                    unread: Some(false),
                    ..ChatChange::default()
                },
            )],
            5,
        )
        .await
        .unwrap();
    assert_eq!(unread(&kept, ANN).await, 2);
    for (seq, gone) in [
        (
            6,
            ChatChange {
                cleared: Some(true),
                ..ChatChange::default()
            },
        ),
        (
            7,
            ChatChange {
                deleted: Some(true),
                ..ChatChange::default()
            },
        ),
    ] {
        kept.history()
            .write_all(&[change(seq, gone)], seq)
            .await
            .unwrap();
        assert_eq!(
            bodies(&kept, PageAnchor::Newest, 10).await,
            ["four", "three"]
        );
        assert_eq!(unread(&kept, ANN).await, 2);
    }
    let found = async |word: &str| {
        kept.history()
            .search_messages(&Life::for_test(1, "shop"), Some(ANN), word, None, 10)
            .await
            .unwrap()
            .unwrap()
            .0
            .len()
    };
    assert_eq!((found("two").await, found("three").await), (0, 1));
    // All messages go, if none is later.
    let deleted = ChatChange {
        deleted: Some(true),
        up_to: Some(at(4)),
        ..ChatChange::default()
    };
    kept.history()
        .write_all(
            &[step(
                8,
                HistoryChange::Chat {
                    chat: by_address(ANN),
                    change: deleted,
                },
            )],
            8,
        )
        .await
        .unwrap();
    assert_eq!(
        kept.history()
            .find_chat(&Life::for_test(1, "shop"), ANN)
            .await
            .unwrap(),
        None
    );
}

#[tokio::test]
async fn reading_counts_by_time_though_older_messages_are_kept_later() {
    let (kept, _folder) = kept().await;
    let chat = ImportedChat {
        chat: by_address(ANN),
        unread: 2,
        ..ImportedChat::default()
    };
    let chunk = |from: i64, to: i64| {
        (from..to)
            .map(|n| text(ANN, Some(ANN), &format!("M{n}"), n, "hi"))
            .collect()
    };
    kept.history()
        .import_history(
            &Life::for_test(1, "shop"),
            &HistoryImport {
                chats: vec![chat],
                contacts: vec![],
                messages: chunk(50, 60),
            },
        )
        .await
        .unwrap();
    kept.history()
        .import_history(
            &Life::for_test(1, "shop"),
            &HistoryImport {
                messages: chunk(0, 50),
                ..HistoryImport::default()
            },
        )
        .await
        .unwrap();
    // A message added later is older, even if the times are equal.
    let found = kept
        .history()
        .search_messages(&Life::for_test(1, "shop"), None, "hi", None, 100)
        .await
        .unwrap()
        .unwrap()
        .0;
    assert!(
        found
            .iter()
            .map(|message| message.id.clone())
            .eq((0..60).rev().map(|n| format!("M{n}")))
    );
    let page = kept
        .history()
        .list_messages(
            &Life::for_test(1, "shop"),
            ANN,
            PageAnchor::Before(found[55].cursor),
            2,
        )
        .await
        .unwrap()
        .0;
    assert_eq!(page[0].cursor.to_string().parse(), Ok(page[0].cursor));
    assert_eq!(
        page.iter()
            .map(|message| message.id.as_str())
            .collect::<Vec<_>>(),
        ["M3", "M2"]
    );
    let ids = ["M3", "M58", "M59", "M40"].map(str::to_owned);
    let found = kept
        .history()
        .find_unread_chats(&Life::for_test(1, "shop"), &ids)
        .await
        .unwrap();
    assert_eq!(
        found.into_iter().map(|(_, id)| id).collect::<Vec<_>>(),
        ["M59"]
    );
    let read = ChatChange {
        unread: Some(false),
        read_up_to: Some("M58".to_owned()),
        ..ChatChange::default()
    };
    kept.history()
        .write_all(
            &[step(
                1,
                HistoryChange::Chat {
                    chat: by_address(ANN),
                    change: read,
                },
            )],
            1,
        )
        .await
        .unwrap();
    assert_eq!(unread(&kept, ANN).await, 1);
}
