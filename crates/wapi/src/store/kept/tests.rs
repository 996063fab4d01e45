//! What is kept, asked as callers ask.

use jiff::Timestamp;

use super::step::by_address;
use super::*;
use crate::event::{ChatChange, Person, Right};
use crate::message::{Content, Media, Message};
use crate::store::Life;

const ANN: &str = "375440000001@s.whatsapp.net";
const GROUP: &str = "120363025246125486@g.us";

async fn kept() -> (Kept, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let kept = Kept::open(&folder.path().join("history.db")).await.unwrap();
    (kept, folder)
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn said(chat: &str, from: Option<&str>, id: &str, second: i64, message: Message) -> NewKept {
    let from = from.map(by_address);
    NewKept {
        chat: chat.to_owned(),
        id: id.to_owned(),
        from,
        at: at(second),
        message,
        status: None,
        reactions: vec![],
    }
}

fn text(chat: &str, from: Option<&str>, id: &str, second: i64, body: &str) -> NewKept {
    said(chat, from, id, second, Message::text(body.to_owned()))
}

fn about(id: &str, by: Option<&str>) -> About {
    About {
        chat: ANN.to_owned(),
        id: id.to_owned(),
        by: by.map(by_address),
        at: at(100),
    }
}

fn step(seq: i64, change: Change) -> Step {
    Step {
        seq,
        session: Life::test(1, "shop"),
        change,
    }
}

fn message(seq: i64, new: NewKept) -> Step {
    step(seq, Change::Message(Box::new(new)))
}

fn body(found: &Found) -> String {
    match found.message.as_ref().map(|message| &message.content) {
        Some(Content::Text { text }) => text.body.clone(),
        other => format!("{other:?}"),
    }
}

async fn bodies(kept: &Kept, side: Side, limit: u32) -> Vec<String> {
    kept.messages(&Life::test(1, "shop"), ANN, side, limit)
        .await
        .unwrap()
        .0
        .iter()
        .map(body)
        .collect()
}

async fn unread(kept: &Kept, chat: &str) -> u32 {
    kept.chat(&Life::test(1, "shop"), chat)
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
    kept.write(&steps, 2).await.unwrap();
    kept.write(&steps, 2).await.unwrap();
    assert_eq!(
        (
            bodies(&kept, Side::Newest, 10).await,
            unread(&kept, ANN).await
        ),
        (vec!["there".into(), "hi".into()], 2)
    );
    // The same after the place was lost.
    kept.start_over().await.unwrap();
    kept.write(&steps, 2).await.unwrap();
    assert_eq!(
        (
            bodies(&kept, Side::Newest, 10).await.len(),
            unread(&kept, ANN).await
        ),
        (2, 2)
    );
    assert_eq!(kept.progress().await.unwrap(), 2);
}

#[tokio::test]
async fn pages_stay_where_they_are_while_messages_come() {
    let (kept, _folder) = kept().await;
    let many = |from: i64, to: i64| -> Vec<Step> {
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
    kept.write(&many(1, 11), 10).await.unwrap();
    let first = kept
        .messages(&Life::test(1, "shop"), ANN, Side::Newest, 4)
        .await
        .unwrap()
        .0;
    assert_eq!(first.iter().map(body).collect::<String>(), "10987");
    kept.write(&many(11, 15), 14).await.unwrap();
    let cursor: Cursor = first[3].cursor.to_string().parse().unwrap();
    assert_eq!(
        bodies(&kept, Side::Before(cursor), 4).await,
        ["6", "5", "4", "3"]
    );
    assert_eq!(
        bodies(&kept, Side::After(first[0].cursor), 2).await,
        ["12", "11"]
    );
    for wrong in ["", "7", ".", "a.1", "1.b", "1-2"] {
        assert!(wrong.parse::<Cursor>().is_err(), "{wrong:?}");
    }
}

#[tokio::test]
async fn unread_messages_are_counted_until_the_chat_is_seen() {
    let (kept, _folder) = kept().await;
    let read = |up_to: Option<&str>| {
        let change = ChatChange {
            unread: Some(false),
            read_up_to: up_to.map(str::to_owned),
            ..ChatChange::default()
        };
        Change::Chat {
            chat: by_address(ANN),
            change,
        }
    };
    let came = |seq, id: &str| message(seq, text(ANN, Some(ANN), id, seq, "hi"));
    kept.write(&[came(1, "A"), came(2, "B"), came(3, "C")], 3)
        .await
        .unwrap();
    assert_eq!(unread(&kept, ANN).await, 3);
    kept.write(&[step(4, read(Some("B")))], 4).await.unwrap();
    assert_eq!(unread(&kept, ANN).await, 1);
    // In one batch, in order.
    kept.write(&[came(5, "D"), step(6, read(None)), came(7, "E")], 7)
        .await
        .unwrap();
    assert_eq!(unread(&kept, ANN).await, 1);
    let echo = [
        message(8, text(ANN, None, "F", 8, "mine")),
        step(
            8,
            Change::Seen {
                chat: ANN.to_owned(),
            },
        ),
    ];
    kept.write(&echo, 8).await.unwrap();
    assert_eq!(unread(&kept, ANN).await, 0);
    let marked = ChatChange {
        unread: Some(true),
        pinned: Some(true),
        ..ChatChange::default()
    };
    kept.write(
        &[step(
            9,
            Change::Chat {
                chat: by_address(ANN),
                change: marked,
            },
        )],
        9,
    )
    .await
    .unwrap();
    let chat = kept
        .chat(&Life::test(1, "shop"), ANN)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (chat.unread, chat.marked_unread, chat.pinned, chat.archived),
        (0, true, true, false)
    );
    kept.write(&[step(10, read(None))], 10).await.unwrap();
    assert!(
        !kept
            .chat(&Life::test(1, "shop"), ANN)
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
            Change::Chat {
                chat: by_address(ANN),
                change: ChatChange {
                    up_to: Some(at(2)),
                    ..change
                },
            },
        )
    };
    kept.write(
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
    kept.write(
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
        kept.write(&[change(seq, gone)], seq).await.unwrap();
        assert_eq!(bodies(&kept, Side::Newest, 10).await, ["four", "three"]);
        assert_eq!(unread(&kept, ANN).await, 2);
    }
    let found = async |word: &str| {
        kept.search(&Life::test(1, "shop"), Some(ANN), word, None, 10)
            .await
            .unwrap()
            .unwrap()
            .0
            .len()
    };
    assert_eq!((found("two").await, found("three").await), (0, 1));
    // Of all there is, if nothing came after it.
    let deleted = ChatChange {
        deleted: Some(true),
        up_to: Some(at(4)),
        ..ChatChange::default()
    };
    kept.write(
        &[step(
            8,
            Change::Chat {
                chat: by_address(ANN),
                change: deleted,
            },
        )],
        8,
    )
    .await
    .unwrap();
    assert_eq!(kept.chat(&Life::test(1, "shop"), ANN).await.unwrap(), None);
}

#[tokio::test]
async fn reading_counts_by_time_though_older_messages_are_kept_later() {
    let (kept, _folder) = kept().await;
    let chat = ImportedChat {
        chat: by_address(ANN),
        unread: 2,
        ..ImportedChat::default()
    };
    let told = |from: i64, to: i64| {
        (from..to)
            .map(|n| text(ANN, Some(ANN), &format!("M{n}"), n, "hi"))
            .collect()
    };
    kept.import(
        &Life::test(1, "shop"),
        &Imports {
            chats: vec![chat],
            contacts: vec![],
            messages: told(50, 60),
        },
    )
    .await
    .unwrap();
    kept.import(
        &Life::test(1, "shop"),
        &Imports {
            messages: told(0, 50),
            ..Imports::default()
        },
    )
    .await
    .unwrap();
    // What is told later is older: also where the time does not say so.
    let found = kept
        .search(&Life::test(1, "shop"), None, "hi", None, 100)
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
        .messages(
            &Life::test(1, "shop"),
            ANN,
            Side::Before(found[55].cursor),
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
        .unread_among(&Life::test(1, "shop"), &ids)
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
    kept.write(
        &[step(
            1,
            Change::Chat {
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

#[tokio::test]
async fn messages_show_what_was_done_to_them() {
    let (kept, _folder) = kept().await;
    let edit = |by: Option<&str>, id: &str| Change::Edited {
        of: about(id, by),
        content: Box::new(Message::text("second".to_owned())),
    };
    let react = |by: Option<&str>, emoji: Option<&str>| Change::Reaction {
        of: about("A", by),
        emoji: emoji.map(str::to_owned),
    };
    let status = |status| Change::Status {
        chat: ANN.to_owned(),
        id: "B".to_owned(),
        status,
    };
    let steps = [
        message(1, text(ANN, Some(ANN), "A", 1, "first")),
        message(1, text(ANN, None, "B", 2, "mine")),
        // Only its author edits a message.
        step(2, edit(None, "A")),
        step(2, react(Some(ANN), Some("👍"))),
        step(2, react(None, Some("❤️"))),
        step(2, react(Some(ANN), None)),
        step(3, status(KeptStatus::Read)),
        step(3, status(KeptStatus::Delivered)),
    ];
    kept.write(&steps, 3).await.unwrap();
    let found = kept
        .messages(&Life::test(1, "shop"), ANN, Side::Newest, 9)
        .await
        .unwrap()
        .0;
    assert_eq!(
        (body(&found[1]), found[1].edited_at),
        ("first".to_owned(), None)
    );
    assert_eq!(
        found[1].reactions,
        [FoundReaction {
            by: None,
            emoji: "❤️".to_owned()
        }]
    );
    assert_eq!(
        (found[0].status, &found[0].from),
        (Some(KeptStatus::Read), &None)
    );
    kept.write(&[step(4, edit(Some(ANN), "A"))], 4)
        .await
        .unwrap();
    let found = kept
        .messages(&Life::test(1, "shop"), ANN, Side::Newest, 9)
        .await
        .unwrap()
        .0;
    assert_eq!(
        (body(&found[1]), found[1].edited_at),
        ("second".to_owned(), Some(at(100)))
    );
    let hits = async |asked| {
        kept.search(&Life::test(1, "shop"), None, asked, None, 9)
            .await
            .unwrap()
            .unwrap()
            .0
            .len()
    };
    assert_eq!((hits("first").await, hits("second").await), (0, 1));
    kept.write(
        &[step(
            5,
            Change::Deleted {
                of: about("A", Some(ANN)),
                by: Right::Author,
            },
        )],
        5,
    )
    .await
    .unwrap();
    let found = kept
        .messages(&Life::test(1, "shop"), ANN, Side::Newest, 9)
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

#[tokio::test]
async fn words_of_any_script_are_found() {
    let (kept, _folder) = kept().await;
    let document = Media {
        filename: Some("Счёт-фактура 2026.pdf".into()),
        caption: Some("wie besprochen".into()),
        ..Media::default()
    };
    let texts = [
        ("ru", "Привет! Ёлка уже стоит, приезжай в Минск"),
        ("ar", "السلام عليكم، كِتَابٌ جديد"),
        ("zh", "我们明天去北京吃烤鸭"),
        ("ja", "明日は東京タワーへ行きます"),
        ("th", "สวัสดีครับ พรุ่งนี้เจอกัน"),
        ("hi", "नमस्ते, हिन्दी में"),
        ("ko", "안녕하세요 서울에서 만나요"),
        ("he", "שָׁלוֹם לכולם"),
        ("emoji", "ok 👍🏽 see you ❤️"),
        ("fr", "Déjà vu à la crème brûlée"),
        ("odd", "a NEAR b AND \"quoted\" text: c* OR NOT d"),
    ];
    let mut steps: Vec<Step> = (1..)
        .zip(texts)
        .map(|(n, (id, body))| message(n, text(ANN, Some(ANN), id, n, body)))
        .collect();
    let document = Message::new(Content::Document { document });
    steps.push(message(99, said(GROUP, Some(ANN), "doc", 99, document)));
    kept.write(&steps, 99).await.unwrap();
    for (asked, expected) in [
        ("привет", "ru"),
        ("ПРИВ", "ru"),
        ("елка", "ru"),
        ("минск приезжай", "ru"),
        ("كتاب", "ar"),
        ("北京", "zh"),
        ("烤", "zh"),
        ("京吃", "zh"),
        ("東京タワー", "ja"),
        ("タワ", "ja"),
        ("พรุ่งนี้", "th"),
        ("हिन्दी", "hi"),
        ("नमस्ते", "hi"),
        ("서울", "ko"),
        ("שלום", "he"),
        ("👍", "emoji"),
        ("👍🏽", "emoji"),
        ("❤", "emoji"),
        ("ok", "emoji"),
        ("deja", "fr"),
        ("brulee", "fr"),
        ("crème", "fr"),
        ("near", "odd"),
        ("\"quoted\"", "odd"),
        ("text:", "odd"),
        ("фактура", "doc"),
        ("2026.pdf", "doc"),
        ("besprochen", "doc"),
        ("счет-фактура", "doc"),
    ] {
        let found = kept
            .search(&Life::test(1, "shop"), None, asked, None, 9)
            .await
            .unwrap()
            .unwrap()
            .0;
        assert_eq!(
            found
                .iter()
                .map(|found| found.id.as_str())
                .collect::<Vec<_>>(),
            [expected],
            "{asked}"
        );
    }
    for nothing in ["ривет", "京北", "👎", "vu deja xyz", "scope", "s c1"] {
        assert_eq!(
            kept.search(&Life::test(1, "shop"), None, nothing, None, 9)
                .await
                .unwrap()
                .unwrap()
                .0,
            [],
            "{nothing}"
        );
    }
    for no_question in ["", " ", "!?", "\"", "*", "()", "\u{fe0f}"] {
        assert_eq!(
            kept.search(&Life::test(1, "shop"), None, no_question, None, 9)
                .await
                .unwrap(),
            None,
            "{no_question:?}"
        );
    }
    for syntax in [
        "a AND",
        "NEAR(a b",
        "said:a",
        "\"a",
        "a*",
        "-a",
        "^a",
        "{said} : a",
        "a\0b",
        "' OR 1=1 --",
        "%_",
    ] {
        kept.search(&Life::test(1, "shop"), None, syntax, None, 9)
            .await
            .unwrap();
    }
    assert_eq!(
        kept.search(&Life::test(1, "shop"), Some(ANN), "besprochen", None, 9)
            .await
            .unwrap()
            .unwrap()
            .0,
        []
    );
    assert_eq!(
        kept.search(&Life::test(1, "shop"), Some(GROUP), "besprochen", None, 9)
            .await
            .unwrap()
            .unwrap()
            .0
            .len(),
        1
    );
    assert_eq!(
        kept.search(&Life::test(2, "bar"), None, "besprochen", None, 9)
            .await
            .unwrap()
            .unwrap()
            .0,
        []
    );
}

#[tokio::test]
async fn what_a_phone_tells_of_before_makes_nothing_poorer() {
    let (kept, _folder) = kept().await;
    let ann = Person {
        name: Some("Ann".into()),
        ..by_address(ANN)
    };
    let steps = [
        step(1, Change::Contact(ann)),
        message(1, text(ANN, Some(ANN), "A", 5, "hi")),
        message(
            1,
            NewKept {
                status: Some(KeptStatus::Read),
                ..text(ANN, None, "B", 6, "mine")
            },
        ),
    ];
    kept.write(&steps, 1).await.unwrap();
    let group = Person {
        id: GROUP.into(),
        name: Some("Team".into()),
        ..Person::default()
    };
    let imports = Imports {
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
            NewKept {
                status: Some(KeptStatus::Sent),
                ..text(ANN, None, "B", 6, "other")
            },
            text(ANN, Some(ANN), "0", 1, "older"),
        ],
    };
    for _ in 0..2 {
        kept.import(&Life::test(1, "shop"), &imports).await.unwrap();
        assert_eq!(
            bodies(&kept, Side::Newest, 9).await,
            ["mine", "hi", "older"]
        );
        let chats = kept.chats(&Life::test(1, "shop"), None, 9).await.unwrap();
        let seen: Vec<_> = chats
            .iter()
            .map(|chat| (chat.chat.id.as_str(), chat.unread, chat.archived))
            .collect();
        assert_eq!(seen, [(ANN, 1, false), (GROUP, 2, false)]);
        assert_eq!(chats[1].chat.name.as_deref(), Some("Team"));
        let ann = kept
            .contact(&Life::test(1, "shop"), ANN)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (ann.lid.as_deref(), ann.name.as_deref()),
            (Some("1@lid"), Some("Ann"))
        );
        let mine = kept
            .messages(&Life::test(1, "shop"), ANN, Side::Newest, 1)
            .await
            .unwrap()
            .0
            .remove(0);
        assert_eq!(mine.status, Some(KeptStatus::Read));
    }
}

#[tokio::test]
async fn a_deleted_session_leaves_nothing_and_its_name_can_be_taken_again() {
    let (kept, _folder) = kept().await;
    kept.write(&[message(1, text(ANN, Some(ANN), "A", 1, "hi"))], 1)
        .await
        .unwrap();
    kept.forget(&Life::test(1, "shop"), 3).await.unwrap();
    // Events of before that were not read yet.
    kept.write(
        &[
            message(2, text(ANN, Some(ANN), "B", 2, "late")),
            message(4, text(ANN, Some(ANN), "C", 4, "new")),
        ],
        4,
    )
    .await
    .unwrap();
    assert_eq!(bodies(&kept, Side::Newest, 9).await, ["new"]);
    assert_eq!(
        kept.search(&Life::test(1, "shop"), None, "hi", None, 9)
            .await
            .unwrap()
            .unwrap()
            .0,
        []
    );
    assert_eq!(
        (
            kept.remove_forgotten(9).await.unwrap(),
            kept.remove_forgotten(9).await.unwrap()
        ),
        (1, 0)
    );
    assert_eq!(bodies(&kept, Side::Newest, 9).await, ["new"]);
    assert_eq!(kept.remove_before(at(4), 9).await.unwrap(), 0);
    assert_eq!(kept.remove_before(at(5), 9).await.unwrap(), 1);
    assert_eq!(
        kept.chat(&Life::test(1, "shop"), ANN)
            .await
            .unwrap()
            .unwrap()
            .last_message,
        None
    );
}

#[tokio::test]
async fn a_write_that_was_given_up_is_undone() {
    let (kept, _folder) = kept().await;
    let mut open = kept.begin().await.unwrap();
    sqlx::query("UPDATE progress SET seq = 99")
        .execute(open.connection())
        .await
        .unwrap();
    drop(open);
    assert_eq!(kept.progress().await.unwrap(), 99, "it is still open");
    kept.write(&[message(1, text(ANN, Some(ANN), "A", 1, "hi"))], 1)
        .await
        .unwrap();
    assert_eq!(
        (kept.progress().await.unwrap(), unread(&kept, ANN).await),
        (1, 1)
    );
}
