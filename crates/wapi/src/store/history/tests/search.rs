//! Tests of the search: words of any script are found, and no syntax breaks a query.

use super::{ANN, GROUP, kept, message, said, text};
use crate::model::message::{MediaContent, Message, MessageContent};
use crate::store::Life;
use crate::store::history::*;

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
