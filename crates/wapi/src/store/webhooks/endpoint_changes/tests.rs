use crate::store::tests::{due_messages, new_event, new_store, soon};
use crate::store::webhooks::endpoint_changes::*;
use crate::store::{DeliveryOutcome, SettledDelivery};

fn new() -> NewEndpoint {
    NewEndpoint {
        id: "whk_1".to_owned(),
        url: "https://example.com/".to_owned(),
        session: Some("shop".to_owned()),
        types: vec!["message.received".to_owned()],
        headers: BTreeMap::from([("x-a".to_owned(), "b".to_owned())]),
        secret: "whsec_1".to_owned(),
    }
}

#[tokio::test]
async fn an_endpoint_is_as_it_was_made_and_changed() {
    let (store, _folder) = new_store().await;
    store.webhooks().create_endpoint(new(), None).await.unwrap();
    let made = store
        .webhooks()
        .find_endpoint("whk_1")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (made.url, made.session, made.types, made.headers),
        (new().url, new().session, new().types, new().headers)
    );
    let change = EndpointUpdate {
        session: Some(None),
        types: Some(Vec::new()),
        ..EndpointUpdate::default()
    };
    assert!(
        store
            .webhooks()
            .update_endpoint("whk_1", change, None)
            .await
            .unwrap()
    );
    let changed = store
        .webhooks()
        .find_endpoint("whk_1")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (changed.url, changed.session, changed.types),
        (new().url, None, vec![])
    );
    assert!(changed.version > made.version);
}

#[tokio::test]
async fn a_former_secret_lives_until_its_end_and_no_longer_for_another_rotation() {
    let (store, _folder) = new_store().await;
    store.webhooks().create_endpoint(new(), None).await.unwrap();
    let (sooner, later) = (soon(), soon() + jiff::SignedDuration::from_hours(1));
    assert!(
        store
            .webhooks()
            .rotate_secret("whk_1", "whsec_2", sooner, None)
            .await
            .unwrap()
    );
    assert!(
        store
            .webhooks()
            .rotate_secret("whk_1", "whsec_3", later, None)
            .await
            .unwrap()
    );
    let mut keys = store.webhooks().list_signing_keys("whk_1").await.unwrap();
    keys.sort();
    let expected = [
        ("whsec_1", Some(sooner)),
        ("whsec_2", Some(later)),
        ("whsec_3", None),
    ];
    let found: Vec<_> = keys
        .iter()
        .map(|(secret, end)| (secret.as_str(), end.map(|end| end.as_millisecond())))
        .collect();
    assert_eq!(
        found,
        expected.map(|(secret, end)| (secret, end.map(|end| end.as_millisecond())))
    );
    assert!(
        !store
            .webhooks()
            .rotate_secret("nobody", "whsec_4", later, None)
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn a_deleted_endpoint_is_told_nothing_and_what_waited_for_it_is_dropped() {
    let (store, _folder) = new_store().await;
    store.webhooks().create_endpoint(new(), None).await.unwrap();
    store
        .events()
        .append_events(vec![new_event("a", "1"), new_event("a", "2")])
        .await
        .unwrap();
    assert_eq!(due_messages(&store).await.len(), 2);
    assert!(
        store
            .webhooks()
            .delete_endpoint("whk_1", None)
            .await
            .unwrap()
    );
    assert!(
        !store
            .webhooks()
            .delete_endpoint("whk_1", None)
            .await
            .unwrap()
    );
    store
        .events()
        .append_events(vec![new_event("b", "1")])
        .await
        .unwrap();
    assert_eq!(due_messages(&store).await.len(), 2, "the other one's");
    let dropped = (
        store.webhooks().drop_abandoned_deliveries(1).await.unwrap(),
        store.webhooks().drop_abandoned_deliveries(9).await.unwrap(),
        store.webhooks().drop_abandoned_deliveries(9).await.unwrap(),
    );
    assert_eq!(dropped, (1, 1, 0));
    assert_eq!(store.webhooks().find_endpoint("whk_1").await.unwrap(), None);
    assert!(
        store
            .webhooks()
            .list_signing_keys("whk_1")
            .await
            .unwrap()
            .is_empty()
    );
}

/// A post may be under way while its endpoint is deleted.
#[tokio::test]
async fn an_outcome_for_a_deleted_endpoint_leaves_nothing_to_try() {
    let (store, _folder) = new_store().await;
    store
        .events()
        .append_events(vec![new_event("a", "1"), new_event("a", "2")])
        .await
        .unwrap();
    let due = store.deliveries().due_deliveries(soon(), 1).await.unwrap();
    assert!(
        store
            .webhooks()
            .delete_endpoint("hook", None)
            .await
            .unwrap()
    );
    let settled = SettledDelivery {
        delivery: due[0].delivery,
        outcome: DeliveryOutcome::Parked {
            error: "400".into(),
            due_at: soon(),
        },
    };
    store.deliveries().settle_delivery(settled).await.unwrap();
    let later = soon() + jiff::SignedDuration::from_secs(5);
    let left = store.deliveries().due_deliveries(later, 100).await.unwrap();
    assert_eq!(left, []);
}
