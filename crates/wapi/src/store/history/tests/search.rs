//! Tests of the search: words of any script are found, and no syntax breaks a query.

use super::{ANN, GROUP, at, by_address, kept, message, said, step, text};
use crate::model::message::{MediaContent, Message, MessageContent};
use crate::store::db;
use crate::store::history::*;
use crate::store::{Life, Store};

#[tokio::test]
async fn words_of_any_script_are_found() {
    let (kept, _folder) = kept().await;
    let document = MediaContent {
        filename: Some("Счёт-фактура 2026.pdf".into()),
        caption: Some("wie besprochen".into()),
        ..MediaContent::default()
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
    let mut steps: Vec<HistoryMutation> = (1..)
        .zip(texts)
        .map(|(n, (id, body))| message(n, text(ANN, Some(ANN), id, n, body)))
        .collect();
    let document = Message::new(MessageContent::Document { document });
    steps.push(message(99, said(GROUP, Some(ANN), "doc", 99, document)));
    kept.history().write_all(&steps, 99).await.unwrap();
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
            .history()
            .search_messages(&Life::for_test(1, "shop"), None, asked, None, 9)
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
            kept.history()
                .search_messages(&Life::for_test(1, "shop"), None, nothing, None, 9)
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
            kept.history()
                .search_messages(&Life::for_test(1, "shop"), None, no_question, None, 9)
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
        kept.history()
            .search_messages(&Life::for_test(1, "shop"), None, syntax, None, 9)
            .await
            .unwrap();
    }
    assert_eq!(
        kept.history()
            .search_messages(&Life::for_test(1, "shop"), Some(ANN), "besprochen", None, 9)
            .await
            .unwrap()
            .unwrap()
            .0,
        []
    );
    assert_eq!(
        kept.history()
            .search_messages(
                &Life::for_test(1, "shop"),
                Some(GROUP),
                "besprochen",
                None,
                9
            )
            .await
            .unwrap()
            .unwrap()
            .0
            .len(),
        1
    );
    assert_eq!(
        kept.history()
            .search_messages(&Life::for_test(2, "bar"), None, "besprochen", None, 9)
            .await
            .unwrap()
            .unwrap()
            .0,
        []
    );
}

/// Returns the ids of all pages of two messages that say `text`, the newest first.
async fn pages(kept: &Store, chat: Option<&str>, text: &str) -> Vec<String> {
    let (life, history) = (Life::for_test(1, "shop"), kept.history());
    let (mut ids, mut before) = (Vec::new(), None);
    loop {
        let found = history.search_messages(&life, chat, text, before, 2).await;
        let (page, next) = found.unwrap().unwrap();
        assert!(page.len() == 2 || next.is_none());
        ids.extend(page.into_iter().map(|message| message.id));
        match next {
            Some(_) => before = next,
            None => return ids,
        }
    }
}

/// Returns the number of parts, and of their tables.
async fn parts(kept: &Store) -> (i64, i64) {
    let sql = "SELECT (SELECT count(*) FROM history_word_parts), \
               (SELECT count(*) FROM sqlite_schema WHERE sql LIKE 'CREATE VIRTUAL TABLE%history_words%')";
    let counts = db::query_as(sql).fetch_one(&kept.background).await;
    counts.unwrap()
}

#[tokio::test]
async fn a_search_goes_through_the_parts_of_the_index_from_the_newest_on() {
    let (kept, _folder) = kept().await;
    let part = 131_072;
    let places = [1, 2, part - 1, part, part + 1, 3 * part, 3 * part + 5];
    let steps: Vec<HistoryMutation> = places
        .iter()
        .map(|place| {
            let chat = if *place == part { GROUP } else { ANN };
            message(
                *place,
                text(chat, Some(ANN), &place.to_string(), *place, "an order"),
            )
        })
        .collect();
    kept.history().write_all(&steps, 4 * part).await.unwrap();
    let told = |n: i64| text(ANN, Some(ANN), &format!("told{n}"), 0, "ordered before");
    let import = HistoryImport {
        messages: (0..3).map(told).collect(),
        ..HistoryImport::default()
    };
    let life = Life::for_test(1, "shop");
    kept.history().import_history(&life, &import).await.unwrap();
    let mut expected: Vec<String> = places.iter().rev().map(ToString::to_string).collect();
    expected.extend(["told2", "told1", "told0"].map(str::to_owned));
    assert_eq!(pages(&kept, None, "order").await, expected);
    assert_eq!(pages(&kept, Some(GROUP), "order").await, [part.to_string()]);
    assert_eq!(parts(&kept).await, (4, 4));

    // What is edited stays in its part, and an edit of a message of the past as well.
    let of = |id: &str| ChangeTarget {
        chat: ANN.to_owned(),
        id: id.to_owned(),
        by: Some(by_address(ANN)),
        at: at(9),
    };
    let edit = |of| HistoryChange::Edited {
        of,
        content: Box::new(Message::from_text("an invoice".to_owned())),
    };
    let steps = [
        step(4 * part + 1, edit(of("2"))),
        step(4 * part + 2, edit(of("told1"))),
    ];
    kept.history()
        .write_all(&steps, 4 * part + 2)
        .await
        .unwrap();
    assert_eq!(pages(&kept, None, "invoice").await, ["2", "told1"]);
    expected.retain(|id| id != "2" && id != "told1");
    assert_eq!(pages(&kept, None, "order").await, expected);
    assert_eq!(parts(&kept).await, (4, 4));

    // A part goes with the last of its messages.
    let before = at(part);
    while kept.history().remove_before(before, 2).await.unwrap() > 0 {}
    expected.retain(|id| !id.starts_with("told") && id.parse::<i64>().unwrap() >= part);
    assert_eq!(pages(&kept, None, "order").await, expected);
    assert_eq!(pages(&kept, None, "invoice").await, [""; 0]);
    assert_eq!(parts(&kept).await, (2, 2));
    kept.history().forget_all().await.unwrap();
    while kept.history().remove_forgotten(2).await.unwrap() > 0 {}
    assert_eq!(parts(&kept).await, (0, 0));
    let again = message(5 * part, text(ANN, Some(ANN), "again", 1, "an order"));
    kept.history().write_all(&[again], 5 * part).await.unwrap();
    assert_eq!(pages(&kept, None, "order").await, ["again"]);
}

#[tokio::test]
async fn as_many_matches_of_another_account_are_passed_over_whatever_parts_they_are_in() {
    let (kept, _folder) = kept().await;
    let (former, ours, part) = (1, 2, 131_072);
    let new = |seq: i64, life| HistoryMutation {
        seq,
        session: Life::for_test(life, "shop"),
        change: HistoryChange::Message(Box::new(text(ANN, Some(ANN), &seq.to_string(), 1, "hi"))),
    };
    // 3,000 in each of two parts, after one of ours.
    let mut steps = vec![new(1, ours)];
    steps.extend((2..3_002).map(|seq| new(seq, former)));
    steps.extend((part..part + 3_000).map(|seq| new(seq, former)));
    kept.history().write_all(&steps, 2 * part).await.unwrap();
    let search = async |before| {
        let life = Life::for_test(ours, "shop");
        let found = kept.history().search_messages(&life, None, "hi", before, 9);
        let (page, next) = found.await.unwrap().unwrap();
        let ids = page.into_iter().map(|message| message.id);
        (Vec::from_iter(ids), next)
    };
    let (page, next) = search(None).await;
    // All of the newer part, and 2,000 of the other.
    assert_eq!((page, next.unwrap().row_id), (vec![], 1_002));
    assert_eq!(search(next).await, (vec!["1".to_owned()], None));
}
