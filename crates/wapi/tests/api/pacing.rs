//! The pace of a session: gaps between its messages, and the counts of a day.

use std::time::Duration;

use serde_json::{Value, json};
use wapi_simulator::{Addressing, Phone, PhoneActivity, TypingState};

use crate::harness::{PATIENCE, TestApp, eventually, shop};

const HOUR: Duration = Duration::from_secs(3_600);

async fn set_pacing(app: &TestApp, pacing: Value) -> Value {
    let body = json!({"pacing": pacing});
    let answer = app.patch("/v1/sessions/shop", body).await;
    answer.expect(200).json()["pacing"].take()
}

async fn sends(app: &TestApp, to: &Phone) -> String {
    let body = json!({"to": to.number(), "type": "text", "text": {"body": "hi"}});
    app.accepted("shop", body).await
}

/// Waits until a message is held for this reason; the message then.
async fn held(app: &TestApp, id: &str, reason: &str) -> Value {
    let look = async || {
        let message = app.message("shop", id).await;
        Some(message).filter(|message| message["queued_reason"] == reason)
    };
    eventually(look, async || {
        format!("not held: {}", app.message("shop", id).await)
    })
    .await
}

/// The gateway's clock runs on, an hour at a time, until a message is sent.
async fn until_sent_in_time(app: &TestApp, id: &str) {
    let look = async || {
        let message = app.message("shop", id).await;
        let is_sent = message["sent_at"].is_string();
        if !is_sent {
            app.push_clock(HOUR);
        }
        is_sent.then_some(())
    };
    eventually(look, async || {
        format!("not sent: {}", app.message("shop", id).await)
    })
    .await;
}

#[tokio::test]
async fn a_session_shows_its_pace_across_restarts_until_it_is_turned_off() {
    shop(async |app, _, _| {
        let shown = async |app: &TestApp| app.session("shop").await.json()["pacing"].take();
        assert_eq!(shown(app).await, Value::Null);
        let pacing = set_pacing(app, json!({"min_gap": 2, "jitter": 1, "per_day": 9})).await;
        insta::assert_json_snapshot!(pacing, @r#"
        {
          "jitter": 1,
          "min_gap": 2,
          "new_chats_per_day": null,
          "per_day": 9,
          "typing": false
        }
        "#);
        app.restart().await;
        assert_eq!(shown(app).await, pacing);
        assert_eq!(set_pacing(app, Value::Null).await, Value::Null);

        let body = json!({"id": "slow", "pacing": {"typing": true}});
        let made = app.post("/v1/sessions", body).await.expect(201).json();
        assert_eq!(made["pacing"]["typing"], true);
    })
    .await;
}

#[tokio::test]
async fn a_pace_that_makes_no_sense_is_refused_by_field() {
    shop(async |app, _, _| {
        for (body, field) in [
            (json!({}), "pacing"),
            (json!({"pacing": 3}), "pacing"),
            (json!({"pacing": {"min_gap": -1}}), "pacing.min_gap"),
            (json!({"pacing": {"jitter": 3_601}}), "pacing.jitter"),
            (json!({"pacing": {"per_day": 0}}), "pacing.per_day"),
            (json!({"pacing": {"speed": 1}}), "pacing.speed"),
            (json!({"pacing": {}, "metadata": {}}), "metadata"),
        ] {
            let refused = app.patch("/v1/sessions/shop", body).await.expect(400);
            assert_eq!(refused.fields(), [field]);
        }
        let body = json!({"pacing": null});
        app.patch("/v1/sessions/nobody", body).await.expect(404);
    })
    .await;
}

#[tokio::test]
async fn messages_leave_with_a_gap_between_them() {
    shop(async |app, _, bob| {
        let carol = app.phone("Carol");
        set_pacing(app, json!({"min_gap": 3_600})).await;
        let first = sends(app, &bob).await;
        app.until_message("shop", &first, "delivered").await;
        let second = sends(app, &carol).await;
        let third = sends(app, &bob).await;
        held(app, &second, "min_gap").await;
        held(app, &third, "min_gap").await;
        app.while_time_passes(async || {
            let message = app.message("shop", &second).await;
            message["sent_at"].is_string().then_some(())
        })
        .await;
        held(app, &third, "min_gap").await;
        set_pacing(app, Value::Null).await;
        app.until_message("shop", &third, "delivered").await;
    })
    .await;
}

#[tokio::test]
async fn a_caller_who_does_not_queue_waits_for_a_short_gap_and_is_told_of_a_long_one() {
    shop(async |app, _, bob| {
        let carol = app.phone("Carol");
        let body =
            |text: &str| json!({"session_name": "shop", "chat_id": carol.jid(), "text": text});
        set_pacing(app, json!({"min_gap": 3_600})).await;
        let first = sends(app, &bob).await;
        app.until_message("shop", &first, "delivered").await;
        let refused = app.post("/send-message/", body("now")).await.expect(409);
        assert_eq!(refused.code(), "pace_held");
        // Nor does it leave when the gap is over.
        let second = sends(app, &bob).await;
        until_sent_in_time(app, &second).await;
        set_pacing(app, json!({"min_gap": 1})).await;
        // The session may have lost its connection while an hour flew by; without one nothing is sent.
        app.while_seconds_pass(async || {
            let answer = app.post("/send-message/", body("soon")).await;
            (answer.status == 200).then_some(())
        })
        .await;
        let received = carol.next_message(PATIENCE).await.unwrap();
        assert_eq!(received.text.as_deref(), Some("soon"));
    })
    .await;
}

#[tokio::test]
async fn the_messages_of_a_day_are_counted_across_restarts() {
    shop(async |app, _, bob| {
        let before = sends(app, &bob).await;
        app.until_message("shop", &before, "delivered").await;
        set_pacing(app, json!({"per_day": 2})).await;
        let second = sends(app, &bob).await;
        app.until_message("shop", &second, "delivered").await;
        let third = sends(app, &bob).await;
        let waiting = held(app, &third, "per_day").await;
        assert!(waiting["not_before"].is_string(), "{waiting}");
        let carol = app.phone("Carol");
        let body = json!({"session_name": "shop", "chat_id": carol.jid(), "text": "hi"});
        let refused = app.post("/send-message/", body).await.expect(409);
        assert_eq!(refused.code(), "pace_held");
        app.restart().await;
        held(app, &third, "per_day").await;
        until_sent_in_time(app, &third).await;
        assert_eq!(bob.received_messages().len(), 3);
    })
    .await;
}

#[tokio::test]
async fn the_new_contacts_of_a_day_are_counted_and_others_are_not() {
    shop(async |app, alice, bob| {
        let (carol, dave) = (app.phone("Carol"), app.phone("Dave"));
        bob.sends_text(alice.number(), "a question").await.unwrap();
        app.webhook.next().await;
        set_pacing(app, json!({"new_chats_per_day": 1})).await;
        let first = sends(app, &carol).await;
        app.until_message("shop", &first, "delivered").await;
        let waiting = sends(app, &dave).await;
        held(app, &waiting, "new_chats_per_day").await;
        for person in [&carol, &bob] {
            let id = sends(app, person).await;
            app.until_message("shop", &id, "delivered").await;
        }
        app.restart().await;
        held(app, &waiting, "new_chats_per_day").await;
        dave.sends_text(alice.number(), "a question").await.unwrap();
        app.webhook.next().await;
        app.until_message("shop", &waiting, "delivered").await;
    })
    .await;
}

#[tokio::test]
async fn who_has_written_is_no_new_contact_under_either_address() {
    shop(async |app, alice, bob| {
        let (carol, dave) = (app.phone("Carol"), app.phone("Dave"));
        // Then it is not the address that messages to Bob are kept under.
        bob.uses_addressing(Addressing::Lid);
        bob.sends_text(alice.number(), "a question").await.unwrap();
        app.webhook.next().await;
        for to in [bob.jid(), bob.lid()] {
            let body = json!({"to": to, "type": "text", "text": {"body": "hi"}});
            let id = app.accepted("shop", body).await;
            app.until_message("shop", &id, "delivered").await;
        }
        // Nobody counted new contacts until now.
        set_pacing(app, json!({"new_chats_per_day": 1})).await;
        let first = sends(app, &carol).await;
        app.until_message("shop", &first, "delivered").await;
        let second = sends(app, &dave).await;
        held(app, &second, "new_chats_per_day").await;
    })
    .await;
}

#[tokio::test]
async fn the_recipient_sees_the_account_type() {
    shop(async |app, _, bob| {
        set_pacing(app, json!({"typing": true})).await;
        let id = sends(app, &bob).await;
        bob.wait_until("the account types", PATIENCE, is_shown_typing)
            .await
            .unwrap();
        app.until_message("shop", &id, "delivered").await;
    })
    .await;
}

fn is_shown_typing(bob: &Phone) -> Option<()> {
    let shown = bob.shown_activity();
    let is_typing = |it: &PhoneActivity| {
        matches!(
            it,
            PhoneActivity::Typing {
                state: TypingState::Composing,
                ..
            }
        )
    };
    shown.iter().any(is_typing).then_some(())
}

#[tokio::test]
async fn a_message_that_is_being_typed_can_be_cancelled() {
    shop(async |app, _, bob| {
        set_pacing(app, json!({"typing": true})).await;
        let long = "a word ".repeat(100);
        let body = json!({"to": bob.number(), "type": "text", "text": {"body": long}});
        let id = app.accepted("shop", body).await;
        bob.wait_until("the account types", PATIENCE, is_shown_typing)
            .await
            .unwrap();
        let path = format!("/v1/sessions/shop/messages/{id}?wait=0");
        let taken = app.delete(&path).await.expect(200).json();
        assert_eq!(taken["messages"][0]["status"], "cancelled");
        let next = sends(app, &bob).await;
        app.until_message("shop", &next, "delivered").await;
        assert_eq!(bob.received_messages().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn the_gap_goes_on_over_a_restart_and_another_pace() {
    shop(async |app, _, bob| {
        let (carol, dave) = (app.phone("Carol"), app.phone("Dave"));
        set_pacing(app, json!({"min_gap": 3_000})).await;
        let first = sends(app, &bob).await;
        app.until_message("shop", &first, "delivered").await;
        let second = sends(app, &carol).await;
        held(app, &second, "min_gap").await;
        app.restart().await;
        held(app, &second, "min_gap").await;
        set_pacing(app, json!({"min_gap": 3_600})).await;
        let third = sends(app, &dave).await;
        held(app, &third, "min_gap").await;
        let waiting = held(app, &second, "min_gap").await;
        let left = &app.message("shop", &first).await["sent_at"];
        let at = |time: &Value| time.as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        let gap = at(&waiting["not_before"]).duration_since(at(left));
        assert!((3_590..=3_601).contains(&gap.as_secs()), "{gap:?}");
        app.while_time_passes(async || {
            let message = app.message("shop", &second).await;
            message["sent_at"].is_string().then_some(())
        })
        .await;
        held(app, &third, "min_gap").await;
    })
    .await;
}

#[tokio::test]
async fn a_contact_who_never_answered_counts_alike_before_and_after_a_restart() {
    shop(async |app, _, _| {
        let (carol, dave) = (app.phone("Carol"), app.phone("Dave"));
        let earlier = sends(app, &carol).await;
        app.until_message("shop", &earlier, "delivered").await;
        app.push_clock(25 * HOUR);
        set_pacing(app, json!({"new_chats_per_day": 1})).await;
        let again = sends(app, &carol).await;
        app.until_message("shop", &again, "delivered").await;
        let waiting = sends(app, &dave).await;
        held(app, &waiting, "new_chats_per_day").await;
        app.restart().await;
        held(app, &waiting, "new_chats_per_day").await;
    })
    .await;
}
