use serde_json::json;

use crate::store::Store;
use crate::store::outbox::messages::*;
use crate::store::tests::new_store;

fn message(content: serde_json::Value) -> Message {
    serde_json::from_value(content).unwrap()
}

async fn accepted(store: &Store, session: &Life, message: &Message) -> MessageSeq {
    let request = SendRequest {
        session: session.clone(),
        to: ChatId::Phone("375440000001".to_owned()),
        message: message.clone(),
        send_at: None,
        expires_at: None,
        key: None,
    };
    let accepting = store
        .outbox()
        .accept_message(Arc::new(request), SendIntent::Unrecorded);
    let AcceptOutcome::New(accepted) = accepting.await.unwrap() else {
        panic!("it came without a key")
    };
    accepted.seq
}

#[tokio::test]
async fn what_the_next_run_has_to_fetch_is_what_the_message_asks_for_now() {
    let (store, _folder) = new_store().await;
    let session = store.lives().ensure_life("shop");
    let image = json!({"link": "http://a/b.png"});
    let kinds = [
        (json!({"type": "text", "text": {"body": "http://a"}}), false),
        (
            json!({"type": "text", "text": {"body": "http://a", "preview_url": true}}),
            true,
        ),
        (json!({"type": "image", "image": image}), true),
        (
            json!({"type": "location", "location": {"latitude": 1.0, "longitude": 2.0}}),
            false,
        ),
    ];
    for (content, needs_fetching) in &kinds {
        let seq = accepted(&store, &session, &message(content.clone())).await;
        let unsettled = store.outbox().unsettled_messages(&session).await.unwrap();
        let queued = unsettled.iter().find(|it| it.seq == seq).unwrap();
        assert_eq!(queued.needs_download, *needs_fetching, "{content}");
        // And after an edit.
        for (other, needs_fetching) in &kinds {
            assert_eq!(
                store
                    .outbox()
                    .edit_message(seq, message(other.clone()), None)
                    .await
                    .unwrap(),
                EditOutcome::Edited
            );
            let unsettled = store.outbox().unsettled_messages(&session).await.unwrap();
            let queued = unsettled.iter().find(|it| it.seq == seq).unwrap();
            assert_eq!(
                queued.needs_download, *needs_fetching,
                "{content}, then {other}"
            );
        }
    }
}

#[tokio::test]
async fn other_words_are_kept_with_the_key_they_came_under() {
    let (store, _folder) = new_store().await;
    let session = store.lives().ensure_life("shop");
    let text = |body: &str| message(json!({"type": "text", "text": {"body": body}}));
    let seq = accepted(&store, &session, &text("first")).await;
    let key = |request: &str| {
        let [caller, route, key, request] = ["me", "PATCH", "1", request].map(str::to_owned);
        Some(IdempotencyKey {
            caller,
            session: session.clone(),
            route,
            key,
            request,
        })
    };
    assert_eq!(
        store
            .outbox()
            .edit_message(seq, text("second"), key("a"))
            .await
            .unwrap(),
        EditOutcome::Edited
    );
    let again = store
        .outbox()
        .edit_message(seq, text("third"), key("a"))
        .await
        .unwrap();
    assert!(matches!(again, EditOutcome::Repeated(_)), "{again:?}");
    assert_eq!(
        store
            .outbox()
            .edit_message(seq, text("third"), key("b"))
            .await
            .unwrap(),
        EditOutcome::KeyTaken
    );
    assert_eq!(
        store
            .outbox()
            .edit_message(MessageSeq(seq.0 + 1), text("third"), None)
            .await
            .unwrap(),
        EditOutcome::TooLate
    );
    assert_eq!(
        store.outbox().message_content(seq).await.unwrap(),
        text("second")
    );
}
