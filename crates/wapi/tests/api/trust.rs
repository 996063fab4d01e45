//! Accounts that WhatsApp keeps from starting new chats, and the tokens of those who trust them.

use image::ImageFormat;
use serde_json::json;
use wapi::system::clock::Clock;
use wapi_simulator::{AccountRestriction, Audience, Phone};

use crate::harness::{PATIENCE, Setup, TestApp, gateway, shop};
use crate::profile::picture;

/// A shop that sends into limits, to see what WhatsApp refuses.
#[track_caller]
fn sending_shop(story: impl AsyncFnOnce(&mut TestApp, Phone, Phone)) -> impl Future<Output = ()> {
    Setup::new().set("WAPI_NEW_CHATS", "send").shop(story)
}

/// For an hour.
fn no_new_chats() -> AccountRestriction {
    let now = u64::try_from(Clock::system().now().as_second()).unwrap();
    AccountRestriction::NewChats { until: now + 3600 }
}

/// The account's device has confirmed all that it was told.
async fn all_told(alice: &Phone) {
    let is_told = |alice: &Phone| {
        alice
            .linked_devices()
            .iter()
            .all(|device| device.queued == 0)
            .then_some(())
    };
    alice
        .wait_until("its device has heard everything", PATIENCE, is_told)
        .await
        .unwrap();
}

async fn refused_by_name(app: &TestApp, to: &Phone) {
    let body = json!({"to": to.number(), "type": "text", "text": {"body": "hi"}});
    let refused = app
        .post("/v1/sessions/shop/messages", body)
        .await
        .expect(502);
    assert_eq!(refused.code(), "whatsapp_refused");
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(
        detail.contains("463") && detail.contains("new contacts"),
        "{detail}"
    );
}

#[tokio::test]
async fn a_restricted_account_writes_to_those_who_wrote_to_it_and_is_refused_elsewhere() {
    sending_shop(async |app, alice, bob| {
        let carol = app.phone("Carol");
        alice.gets_restriction(no_new_chats());
        refused_by_name(app, &bob).await;
        bob.sends_text(alice.number(), "a question").await.unwrap();
        app.webhook.next().await;
        all_told(&alice).await;
        app.send("shop", bob.number(), "an answer")
            .await
            .expect(200);
        assert_eq!(
            bob.next_message(PATIENCE).await.unwrap().text.as_deref(),
            Some("an answer")
        );
        refused_by_name(app, &carol).await;
        assert_eq!(carol.received_messages(), []);
        alice.gets_restriction(AccountRestriction::None);
        app.send("shop", carol.number(), "free again")
            .await
            .expect(200);
        assert_eq!(
            carol.next_message(PATIENCE).await.unwrap().text.as_deref(),
            Some("free again")
        );
    })
    .await;
}

#[tokio::test]
async fn what_waited_over_a_restart_leaves_with_the_tokens_that_were_given_before() {
    shop(async |app, alice, bob| {
        bob.sends_text(alice.number(), "a question").await.unwrap();
        app.webhook.next().await;
        all_told(&alice).await;
        alice.gets_restriction(no_new_chats());
        let stopped = app.stop().await;
        stopped.simulator.faults().refuse_connections(true);
        stopped.start().await;
        let body = json!({"to": bob.number(), "type": "text", "text": {"body": "an answer"}});
        let id = app.accepted("shop", body).await;
        app.simulator.faults().refuse_connections(false);
        app.register("shop").await;
        // It is among the first words of the connection.
        app.until_message("shop", &id, "delivered").await;
        assert_eq!(
            bob.next_message(PATIENCE).await.unwrap().text.as_deref(),
            Some("an answer")
        );
    })
    .await;
}

#[tokio::test]
async fn whoever_is_written_to_is_given_a_token_and_another_when_its_time_is_over() {
    gateway(async |app| {
        let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
        // Each second is a time of its own.
        alice.sets_property(996, Some("1"));
        app.pair("shop", &alice).await;
        let given = || bob.token_from(alice.number()).unwrap();
        assert_eq!(given(), None);
        bob.gets_restriction(no_new_chats());
        app.send("shop", bob.number(), "hi").await.expect(200);
        let first = bob
            .wait_until("it has a token", PATIENCE, |_| given())
            .await
            .unwrap();
        bob.sends_text(alice.number(), "so I may answer")
            .await
            .unwrap();
        app.webhook.next().await;
        while given().as_ref() == Some(&first) {
            app.send("shop", bob.number(), "and again")
                .await
                .expect(200);
        }
    })
    .await;
}

#[tokio::test]
async fn what_people_show_to_those_they_trust_is_seen_when_they_have_written() {
    shop(async |app, alice, bob| {
        bob.shows_picture(picture(64, 64, [9, 9, 9], ImageFormat::Jpeg))
            .unwrap();
        bob.shows_picture_to(Audience::Trusted);
        bob.shows_presence_to(Audience::Trusted);
        let shown = format!("/v1/sessions/shop/contacts/{}/picture", bob.number());
        app.get(&shown).await.expect(404);
        app.put(
            &format!("/v1/sessions/shop/contacts/{}/presence", bob.number()),
            json!({}),
        )
        .await
        .expect(204);
        bob.sets_presence(true);
        bob.sends_text(alice.number(), "hi").await.unwrap();
        app.webhook.next().await;
        // Nothing was told before: it is the first.
        let told = app.events("presence.changed", 1).await;
        assert_eq!(told[0]["data"]["state"], "available");
        app.get(&shown).await.expect(200);
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_is_quicker_than_the_token_is_sent_again_when_the_token_is_there() {
    sending_shop(async |app, alice, bob| {
        alice.gets_restriction(no_new_chats());
        bob.gives_tokens(false);
        bob.sends_text(alice.number(), "a question").await.unwrap();
        app.webhook.next().await;
        let body = json!({"to": bob.number(), "type": "text", "text": {"body": "an answer"}});
        let id = app.accepted("shop", body).await;
        let refused = |alice: &Phone| (alice.refused_messages() == 1).then_some(());
        alice
            .wait_until("the answer is refused", PATIENCE, refused)
            .await
            .unwrap();
        bob.gives_token_to(alice.number()).unwrap();
        app.until_message("shop", &id, "delivered").await;
        assert_eq!(
            bob.next_message(PATIENCE).await.unwrap().text.as_deref(),
            Some("an answer")
        );
        assert_eq!(alice.refused_messages(), 1);
        assert_eq!(bob.received_messages().len(), 1);

        // Whoever trusts nobody is not written to twice.
        let carol = app.phone("Carol");
        refused_by_name(app, &carol).await;
        assert_eq!(alice.refused_messages(), 2);
    })
    .await;
}
