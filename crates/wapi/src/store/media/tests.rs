use crate::model::event::MessageKey;
use crate::store::db::{self, LiteFile};
use crate::store::tests::{new_event, new_store};
use crate::store::{EventFact, Life, MediaFacts, MediaState, NewEvent, NewMedia};

fn with_file(event: NewEvent, id: &str) -> NewEvent {
    let key = MessageKey {
        chat: event.chat.clone(),
        ..event.message.clone().unwrap()
    };
    let media = NewMedia {
        id: id.to_owned(),
        session: Life::for_test(1, "shop"),
        message: Some((key, event.chat.clone())),
        kind: Some("image".to_owned()),
        facts: MediaFacts::default(),
        source: Some("{}".to_owned()),
        state: MediaState::Waiting,
    };
    NewEvent {
        facts: vec![EventFact::Media(media)],
        ..event
    }
}

#[tokio::test]
async fn the_record_of_a_file_is_there_exactly_when_the_event_is_that_names_it() {
    let (store, folder) = new_store().await;
    let path = folder.path().join("wapi.db");
    let mut other = LiteFile::new(&path).connect().await.unwrap();
    let sql = "CREATE TRIGGER refusal BEFORE INSERT ON events WHEN NEW.chat = 'refused' \
               BEGIN SELECT RAISE(ABORT, 'not this one'); END";
    db::query(sql).execute(&mut other).await.unwrap();

    let saved = with_file(new_event("a", "1"), "med_saved");
    store.events().append_events(vec![saved]).await.unwrap();
    let refused = with_file(new_event("refused", "2"), "med_refused");
    store
        .events()
        .append_events(vec![refused])
        .await
        .unwrap_err();

    let record = store
        .media()
        .find_media("med_saved")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(record.message.unwrap().id, "1");
    assert_eq!(store.media().find_media("med_refused").await.unwrap(), None);
}
