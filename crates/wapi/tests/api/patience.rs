//! How long webhooks are waited for, and who waits with them.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{TestApp, TestReceiver, eventually, shop};

const HOUR: Duration = Duration::from_secs(3600);

/// Time passes in steps until `look` finds something; how much passed.
async fn pass_until<T>(
    app: &TestApp,
    step: Duration,
    mut look: impl AsyncFnMut() -> Option<T>,
) -> (T, Duration) {
    let mut passed = Duration::ZERO;
    let found = async || {
        let found = look().await;
        if found.is_none() {
            app.push_clock(step);
            passed += step;
        }
        found
    };
    let found = eventually(found, async || "it does not happen".to_owned()).await;
    (found, passed)
}

/// So many messages have come in. Before that only seconds may pass: a session is not online while hours fly by, and waits before it
/// connects again.
async fn received(app: &TestApp, count: usize) {
    let events = async || {
        app.get("/v1/events?types=message.received").await.json()["events"]
            .as_array()
            .unwrap()
            .len()
    };
    let all = async || (events().await >= count).then_some(());
    pass_until(app, Duration::from_secs(1), all).await;
}

async fn make(app: &TestApp, hook: &TestReceiver) -> String {
    let made = app
        .post(
            "/v1/webhooks",
            json!({"url": hook.base(), "types": ["message.received", "webhook.disabled"]}),
        )
        .await
        .expect(201)
        .json();
    format!("/v1/webhooks/{}", made["id"].as_str().unwrap())
}

fn text(post: &crate::harness::Delivery) -> &str {
    post.body["data"]["text"]["body"].as_str().unwrap()
}

#[tokio::test]
async fn an_event_that_is_never_taken_does_not_hold_the_only_chat_for_days() {
    shop(async |app, alice, bob| {
        app.webhook.poison("poison", 500);
        for text in ["poison", "one", "two"] {
            bob.sends_text(alice.number(), text).await.unwrap();
        }
        received(app, 3).await;
        let (first, passed) =
            pass_until(app, Duration::from_secs(10), async || app.webhook.taken(1)).await;
        assert_eq!(text(&first[0]), "one");
        assert!(passed < 12 * HOUR, "after {passed:?}");
        assert_eq!(text(&app.webhook.next().await), "one");
        assert_eq!(text(&app.webhook.next().await), "two");
        bob.sends_text(alice.number(), "three").await.unwrap();
        assert_eq!(text(&app.webhook.next().await), "three");
        app.webhook.poison("poison", 200);
        pass_until(app, HOUR, async || app.webhook.taken(4)).await;
        assert_eq!(text(&app.webhook.next().await), "poison");
    })
    .await;
}

#[tokio::test]
async fn an_event_that_fails_alone_does_not_hold_what_comes_later() {
    shop(async |app, alice, bob| {
        app.webhook.poison("poison", 500);
        bob.sends_text(alice.number(), "poison").await.unwrap();
        received(app, 1).await;
        // After these its next attempt is hours away.
        pass_until(app, 2 * HOUR, async || {
            (app.webhook.refused().len() >= 6).then_some(())
        })
        .await;
        bob.sends_text(alice.number(), "later").await.unwrap();
        received(app, 2).await;
        let (_, passed) =
            pass_until(app, Duration::from_secs(10), async || app.webhook.taken(1)).await;
        assert!(passed < 3 * HOUR, "after {passed:?}");
        assert_eq!(text(&app.webhook.next().await), "later");
    })
    .await;
}

#[tokio::test]
async fn an_outage_keeps_the_order_of_a_chat_and_ends_for_all_at_once() {
    shop(async |app, alice, bob| {
        let carol = app.phone("Carol");
        app.webhook.answer(500);
        for number in 0..5 {
            bob.sends_text(alice.number(), &format!("bob {number}"))
                .await
                .unwrap();
        }
        received(app, 5).await;
        // Up to one that was tried in place of the first: after that nothing is posted until more time passes.
        let last = async || {
            app.webhook
                .refused()
                .last()
                .filter(|last| text(last) == "bob 1")
                .map(|_| ())
        };
        pass_until(app, HOUR / 4, async || {
            if app.webhook.refused().len() >= 12 {
                last().await
            } else {
                None
            }
        })
        .await;
        app.webhook.answer(200);
        // Bob's next attempt is hours away; Carol's message shows that the webhook is back.
        carol.sends_text(alice.number(), "carol").await.unwrap();
        // The session may have lost its connection while hours flew by, and waits before it connects.
        pass_until(app, Duration::from_secs(1), async || app.webhook.taken(6)).await;
        let mut told = Vec::new();
        for _ in 0..6 {
            told.push(text(&app.webhook.next().await).to_owned());
        }
        told.retain(|text| text != "carol");
        assert_eq!(told, ["bob 0", "bob 1", "bob 2", "bob 3", "bob 4"]);
    })
    .await;
}

#[tokio::test]
async fn a_webhook_that_hangs_holds_no_other() {
    shop(async |app, alice, bob| {
        let hanging = TestReceiver::start().await;
        hanging.hold(&bob.jid());
        make(app, &hanging).await;
        for number in 0..20 {
            bob.sends_text(alice.number(), &number.to_string())
                .await
                .unwrap();
        }
        for number in 0..20 {
            assert_eq!(text(&app.webhook.next().await), number.to_string());
        }
        hanging.let_go();
        for number in 0..20 {
            assert_eq!(text(&hanging.next().await), number.to_string());
        }
    })
    .await;
}

#[tokio::test]
async fn a_webhook_that_is_gone_is_disabled_at_once_and_goes_on_where_it_was() {
    shop(async |app, alice, bob| {
        let (gone, other) = (TestReceiver::start().await, TestReceiver::start().await);
        let path = make(app, &gone).await;
        gone.answer(410);
        bob.sends_text(alice.number(), "one").await.unwrap();
        let disabled = eventually(
            async || Some(app.get(&path).await.json()).filter(|it| it["enabled"] == false),
            async || "it is still enabled".to_owned(),
        )
        .await;
        assert_eq!(disabled["disabled"]["reason"], "gone");
        make(app, &other).await;
        bob.sends_text(alice.number(), "two").await.unwrap();
        for expected in ["one", "two"] {
            assert_eq!(text(&app.webhook.next().await), expected);
        }
        assert_eq!(text(&other.next().await), "two");
        let waiting = app
            .get(&format!("{path}/deliveries?status=waiting"))
            .await
            .expect(200)
            .json();
        assert_eq!(waiting["deliveries"].as_array().unwrap().len(), 2);
        let attempt = &waiting["deliveries"][1]["failed_attempts"][0];
        assert_eq!(attempt["status"], 410);
        assert_eq!(attempt["answer"], "no, thank you");
        let not_told = app.get("/v1/sessions/shop").await.json()["disabled_webhooks"].clone();
        assert_eq!(not_told[0]["id"], disabled["id"]);
        assert_eq!(not_told[0]["reason"], "gone");
        let told = app.get("/v1/events?types=webhook.disabled").await.json()["events"][0]["event"]
            ["data"]
            .clone();
        assert_eq!(told["id"], disabled["id"]);
        assert_eq!(told["reason"], "gone");
        assert_eq!(told["session"], json!(null));

        app.restart().await;
        gone.answer(200);
        app.push_clock(100 * HOUR);
        assert_eq!(app.get(&path).await.json()["enabled"], false);
        let enabled = app
            .post_raw(&format!("{path}/enable"), "")
            .await
            .expect(200)
            .json();
        assert_eq!(enabled["enabled"], true);
        assert_eq!(enabled["disabled"], json!(null));
        // Saved sessions are listed a moment after the start.
        eventually(
            async || {
                (app.get("/v1/sessions/shop").await.json()["disabled_webhooks"] == json!([]))
                    .then_some(())
            },
            async || "the session still tells of it".to_owned(),
        )
        .await;
        assert_eq!(text(&gone.next().await), "one");
        assert_eq!(text(&gone.next().await), "two");
    })
    .await;
}

#[tokio::test]
async fn a_webhook_that_takes_nothing_for_days_is_disabled_and_the_others_are_told() {
    shop(async |app, alice, bob| {
        let (down, other) = (TestReceiver::start().await, TestReceiver::start().await);
        let path = make(app, &down).await;
        make(app, &other).await;
        down.answer(500);
        bob.sends_text(alice.number(), "one").await.unwrap();
        app.webhook.next().await;
        other.next().await;
        let is_disabled =
            async || Some(app.get(&path).await.json()).filter(|it| it["enabled"] == false);
        let (disabled, passed) = pass_until(app, HOUR, is_disabled).await;
        assert_eq!(disabled["disabled"]["reason"], "failing");
        assert!(passed >= 72 * HOUR, "after {passed:?}");
        assert!(disabled["failures"].as_u64().unwrap() >= 10, "{disabled}");
        let told = other.next().await.body;
        assert_eq!(told["type"], "webhook.disabled");
        assert_eq!(told["data"]["id"], disabled["id"]);
        down.answer(200);
        app.patch(&path, json!({"enabled": true})).await.expect(200);
        assert_eq!(text(&down.next().await), "one", "it was not given up");
    })
    .await;
}

#[tokio::test]
async fn what_was_given_up_is_listed_and_can_be_sent_again() {
    shop(async |app, alice, bob| {
        app.webhook.poison("poison", 422);
        bob.sends_text(alice.number(), "poison").await.unwrap();
        received(app, 1).await;
        let dead = async || {
            let listed = app
                .get("/v1/webhooks/original/deliveries?status=dead")
                .await
                .expect(200)
                .json();
            listed["deliveries"].as_array().unwrap().first().cloned()
        };
        let (dead, passed): (Value, _) = pass_until(app, HOUR, dead).await;
        assert!(passed > 48 * HOUR, "after {passed:?}");
        assert_eq!(dead["attempts"], 11);
        assert_eq!(dead["failed_attempts"].as_array().unwrap().len(), 11);
        assert_eq!(dead["failed_attempts"][10]["answer"], "no, thank you");
        app.webhook.poison("poison", 200);
        let again = format!("/v1/webhooks/original/deliveries/{}/resend", dead["id"]);
        for _ in 0..2 {
            assert_eq!(
                app.post_raw(&again, "").await.expect(202).json()["status"],
                "waiting"
            );
            let post = app.webhook.next().await;
            assert_eq!(
                post.headers["webhook-id"],
                dead["event"]["id"].as_str().unwrap()
            );
            // While the post is under way, asking again is asking for what happens anyway.
            let settled = async || {
                let listed = app
                    .get("/v1/webhooks/original/deliveries?status=delivered")
                    .await
                    .expect(200)
                    .json();
                listed["deliveries"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .any(|delivery| delivery["id"] == dead["id"])
                    .then_some(())
            };
            eventually(settled, async || "the delivery is not settled".to_owned()).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_replay_tells_a_new_webhook_what_happened_before_it() {
    shop(async |app, alice, bob| {
        for text in ["one", "two", "three"] {
            bob.sends_text(alice.number(), text).await.unwrap();
            app.webhook.next().await;
        }
        let late = TestReceiver::start().await;
        let path = make(app, &late).await;
        let events = app.get("/v1/events?types=message.received").await.json();
        let second = &events["events"][1]["event"]["timestamp"];
        let told = app
            .post(&format!("{path}/replay"), json!({"from": second}))
            .await
            .expect(202)
            .json();
        assert_eq!(told["events"], 2);
        assert_eq!(text(&late.next().await), "two");
        assert_eq!(text(&late.next().await), "three");
        let nothing = app
            .post(
                &format!("{path}/replay"),
                json!({"from": second, "to": second}),
            )
            .await
            .expect(202)
            .json();
        assert_eq!(nothing["events"], 0);
        app.post(&format!("{path}/replay"), json!({"from": "yesterday"}))
            .await
            .expect(400);
    })
    .await;
}
