//! Values that cannot be opened: the others do not suffer.

use super::*;

#[tokio::test]
async fn rows_that_are_damaged_stay_and_the_others_are_sealed() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, None).await;
    save_secrets(&store).await;
    let more = vec![put("dave"), put("eve")];
    let rows = store.engine_rows();
    rows.write(&shop(), more, Vec::new()).await.unwrap();
    store.close().await;
    execute(&folder, "UPDATE engine SET value = x'' WHERE key = 'bob'").await;
    let damage = "UPDATE media SET source = x'ff00' WHERE id = 'med_moved'";
    execute(&folder, damage).await;
    let store = open(&folder, Some(&keys(1, None))).await;
    store.close().await;
    let plain = "SELECT count(*) FROM engine WHERE substr(value, 1, 1) = x'00'";
    assert_eq!(count(&folder, plain).await, 0);
    let kept = "SELECT count(*) FROM engine WHERE value = x''";
    assert_eq!(count(&folder, kept).await, 1);
    // Nor do those that were sealed and damaged keep the seal on the others.
    let damage = "UPDATE engine SET value = substr(value, 1, 20) WHERE key IN ('carol', 'dave')";
    execute(&folder, damage).await;
    let store = open(&folder, Some(&unsealing(1))).await;
    store.finish_sealing(0).await.unwrap();
    store.close().await;
    assert_eq!(count(&folder, plain).await, 1);
    let kept = "SELECT count(*) FROM engine WHERE length(value) = 20";
    assert_eq!(count(&folder, kept).await, 2);
    let kept = "SELECT count(*) FROM media WHERE source = x'ff00'";
    assert_eq!(count(&folder, kept).await, 1);
    open(&folder, None).await.close().await;
}

#[tokio::test]
async fn messages_behind_damaged_ones_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, Some(&keys(1, None))).await;
    store.lives().ensure_life("shop");
    let key = |id: u8| MessageKey {
        id: id.to_string(),
        ..message()
    };
    let messages = (0..10).map(|id| (key(id), SECRET.as_bytes().to_vec()));
    let inbound = store.inbound();
    let life = shop();
    let saving = inbound.save_pending(&life, messages.collect());
    saving.await.unwrap();
    let damage = "UPDATE pending SET message = x'01' WHERE message_id < '7'";
    execute(&folder, damage).await;
    let (mut place, mut found) = (Some(PendingPlace::START), Vec::new());
    while let Some(after) = place {
        let page = inbound.find_pending_before(jiff::Timestamp::MAX, after, 3);
        let page = page.await.unwrap();
        found.extend(page.messages.into_iter().map(|message| message.key.id));
        assert_eq!(page.lost.len(), 0, "they are new");
        place = page.next;
    }
    assert_eq!(found, ["7", "8", "9"]);
    // They are asked for once more, and what comes takes their place.
    assert_eq!(inbound.find_pending(&life, &key(1)).await.unwrap(), None);
    let again = (0..10).map(|id| (key(id), b"again".to_vec())).collect();
    inbound.save_pending(&life, again).await.unwrap();
    for (id, text) in [(1, "again"), (6, "again"), (7, SECRET)] {
        let found = inbound.find_pending(&life, &key(id)).await.unwrap();
        assert_eq!(found.as_deref(), Some(text.as_bytes()), "{id}");
    }
    // Until nobody asks any more.
    let damage = "UPDATE pending SET message = x'01', created_at = 1 WHERE message_id < '7'";
    execute(&folder, damage).await;
    let page = inbound.find_pending_before(jiff::Timestamp::MAX, PendingPlace::START, 20);
    let lost = page.await.unwrap().lost;
    assert_eq!(lost.len(), 7);
    assert!(lost.contains(&(Life::from_parts(1, ""), key(1))));
    store.close().await;
    assert_eq!(count(&folder, "SELECT count(*) FROM pending").await, 10);
}

#[tokio::test]
async fn files_and_endpoints_beside_damaged_ones_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, Some(&keys(1, None))).await;
    save_secrets(&store).await;
    let endpoint = NewEndpoint {
        id: "whk_2".to_owned(),
        url: "https://example.com/".to_owned(),
        session: None,
        types: Vec::new(),
        headers: BTreeMap::new(),
        secret: SECRET.to_owned(),
    };
    let webhooks = store.webhooks();
    webhooks.create_endpoint(endpoint, None).await.unwrap();
    let damage = "UPDATE media SET source = 'sealed:BBBB' WHERE id = 'med_fact'";
    execute(&folder, damage).await;
    let damage = "UPDATE endpoints SET headers = 'sealed:BBBB' WHERE id = 'whk_1'";
    execute(&folder, damage).await;
    let (life, files) = (shop(), store.media());
    let due = files.due_downloads(&life, jiff::Timestamp::MAX, 9);
    let due = due.await.unwrap();
    let readable = due.iter().map(|file| (&*file.id, file.source.is_some()));
    let mut readable: Vec<_> = readable.collect();
    readable.sort_unstable();
    let expected = [
        ("med_event", true),
        ("med_fact", false),
        ("med_moved", true),
    ];
    assert_eq!(readable, expected);
    let listed = store.media().list_media(&shop(), None, None, 9).await;
    assert_eq!(listed.unwrap().len(), 3);
    let endpoints = webhooks.list_endpoints().await.unwrap();
    let ids: Vec<_> = endpoints.iter().map(|endpoint| &*endpoint.id).collect();
    assert_eq!(ids, ["whk_2"]);
    store.close().await;
}

#[tokio::test]
async fn a_former_secret_does_not_take_the_place_of_the_one_that_signs() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, Some(&keys(1, None))).await;
    save_secrets(&store).await;
    // The moment of its creation tells one secret from the other.
    let swap = "UPDATE endpoint_keys SET created_at = created_at - 5";
    execute(&folder, swap).await;
    let webhooks = store.webhooks();
    let told = webhooks.list_signing_keys("whk_1").await.unwrap_err();
    let told = told.to_string();
    let problem = "the table endpoint_keys cannot be opened";
    assert!(told.contains(problem), "{told}");
    // One that can be opened still signs.
    let rotated = webhooks.rotate_secret("whk_1", "next", jiff::Timestamp::MAX, None);
    assert!(rotated.await.unwrap());
    let secrets = webhooks.list_signing_keys("whk_1").await.unwrap();
    assert_eq!(secrets, [("next".to_owned(), None)]);
    store.close().await;
}

#[tokio::test]
async fn posts_do_not_become_unsigned_when_a_former_secret_expires() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, Some(&keys(1, None))).await;
    save_secrets(&store).await;
    let webhooks = store.webhooks();
    let rotated = webhooks.rotate_secret("whk_1", "next", jiff::Timestamp::MAX, None);
    assert!(rotated.await.unwrap());
    for damage in ["'sealed:BBBB'", "x'ff00'"] {
        let sql = format!("UPDATE endpoint_keys SET secret = {damage} WHERE expires_at IS NULL");
        execute(&folder, sql.leak()).await;
        let told = webhooks.list_signing_keys("whk_1").await;
        assert!(told.is_err(), "{damage}: {told:?}");
        // A new secret is the way out.
        let rotated = webhooks.rotate_secret("whk_1", damage, jiff::Timestamp::MAX, None);
        assert!(rotated.await.unwrap());
        let secrets = webhooks.list_signing_keys("whk_1").await.unwrap();
        assert_eq!(secrets[0], (damage.to_owned(), None));
    }
    store.close().await;
}

#[tokio::test]
async fn a_poll_whose_secret_is_damaged_is_there_without_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, Some(&keys(1, None))).await;
    save_secrets(&store).await;
    let inbound = store.inbound();
    for damage in ["substr(secret, 1, 20)", "x''"] {
        let sql = format!("UPDATE polls SET secret = {damage} WHERE id = 'poll'");
        execute(&folder, sql.leak()).await;
        let found = inbound.find_poll(&shop(), "poll").await.unwrap();
        let without = StoredPoll {
            secret: Vec::new(),
            ..poll()
        };
        assert_eq!(found, Some(without), "{damage}");
        let tally = inbound.tally_poll(&shop(), "poll").await.unwrap();
        assert!(tally.is_some(), "{damage}");
        // It is sent again with a secret that can be saved.
        let saved = inbound.save_poll(&shop(), "poll", poll()).await.unwrap();
        assert_eq!(saved, poll().secret, "{damage}");
        let found = inbound.find_poll(&shop(), "poll").await.unwrap();
        assert_eq!(found, Some(poll()), "{damage}");
    }
    store.close().await;
}

#[tokio::test]
async fn a_sent_message_that_is_damaged_is_no_longer_kept() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, Some(&keys(1, None))).await;
    save_secrets(&store).await;
    execute(&folder, "UPDATE payloads SET payload = x'01'").await;
    let found = store.outbox().find_payload(&shop(), "1@lid", "3EB1").await;
    assert_eq!(found.unwrap(), None);
    store.close().await;
}
