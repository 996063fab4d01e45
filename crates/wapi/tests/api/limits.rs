//! Limits that WhatsApp sets an account, and a queue that knows them.

use std::time::Duration;

use serde_json::{Value, json};
use wapi::system::clock::Clock;
use wapi_simulator::{AccountRestriction, NewChatCap, Phone};

use crate::harness::{PATIENCE, Setup, TestApp, eventually, shop};

/// The stored queries of the two limits.
const TIMELOCK: &str = "23983697327930364";
const QUOTA: &str = "24503548349331633";
/// Far beyond any test, in seconds since 1970.
const FAR: u64 = 4_000_000_000;

fn now() -> u64 {
    u64::try_from(Clock::system().now().as_second()).unwrap()
}

fn lock_until(until: u64) -> AccountRestriction {
    AccountRestriction::NewChats { until }
}

fn text(to: &Phone) -> Value {
    json!({"to": to.number(), "type": "text", "text": {"body": "hi"}})
}

async fn limits(app: &TestApp) -> Value {
    let answer = app.get("/v1/sessions/shop/limits").await;
    answer.expect(200).json()
}

/// Waits until the gateway has heard of a limit, or of its end.
async fn told(app: &TestApp, count: usize) -> Value {
    app.events("session.limits", count).await[count - 1]["data"].clone()
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

#[tokio::test]
async fn the_limits_of_an_account_are_asked_from_whatsapp() {
    shop(async |app, alice, _| {
        insta::assert_json_snapshot!(limits(app).await, @r#"
        {
          "new_chats": {
            "from": null,
            "of": null,
            "status": "none",
            "until": null,
            "used": null
          },
          "timelock": {
            "active": false,
            "kind": null,
            "known": true,
            "until": null
          }
        }
        "#);
        alice.gets_restriction(lock_until(FAR));
        alice.gets_cap(Some(NewChatCap {
            total: 10,
            used: 6,
            from: FAR - 100,
            until: FAR,
        }));
        insta::assert_json_snapshot!(limits(app).await, @r#"
        {
          "new_chats": {
            "from": "2096-10-02T07:05:00.000Z",
            "of": 10,
            "status": "first_warning",
            "until": "2096-10-02T07:06:40.000Z",
            "used": 6
          },
          "timelock": {
            "active": true,
            "kind": "default",
            "known": true,
            "until": "2096-10-02T07:06:40.000Z"
          }
        }
        "#);
    })
    .await;
}

#[tokio::test]
async fn a_limit_that_begins_or_ends_is_an_event() {
    shop(async |app, alice, _| {
        alice.gets_restriction(lock_until(FAR));
        insta::assert_json_snapshot!(told(app, 1).await, @r#"
        {
          "new_chats": {
            "from": null,
            "of": null,
            "status": null,
            "until": null,
            "used": null
          },
          "session": "shop",
          "timelock": {
            "active": true,
            "kind": "default",
            "known": true,
            "until": "2096-10-02T07:06:40.000Z"
          }
        }
        "#);
        alice.gets_restriction(AccountRestriction::None);
        assert_eq!(told(app, 2).await["timelock"]["active"], false);
        alice.gets_cap(Some(NewChatCap {
            total: 2,
            used: 2,
            from: 1,
            until: FAR,
        }));
        let capped = told(app, 3).await;
        assert_eq!(capped["new_chats"]["status"], "capped");
        let page = app.get("/metrics").await.expect(200).body;
        let page = String::from_utf8(page).unwrap();
        assert!(
            page.contains("sessions_limited{limit=\"new_chat_cap\"} 1"),
            "{page}"
        );
        assert!(
            page.contains("sessions_limited{limit=\"timelock\"} 0"),
            "{page}"
        );
    })
    .await;
}

#[tokio::test]
async fn a_query_that_whatsapp_has_withdrawn_is_named_as_changed() {
    shop(async |app, _, _| {
        for query in [TIMELOCK, QUOTA] {
            app.simulator.faults().withdraw_query(query, true);
            let refused = app.get("/v1/sessions/shop/limits").await.expect(502);
            assert_eq!(refused.code(), "whatsapp_changed");
            app.simulator.faults().withdraw_query(query, false);
        }
        limits(app).await;
    })
    .await;
}

#[tokio::test]
async fn a_message_to_a_new_contact_waits_while_the_account_is_locked() {
    shop(async |app, alice, bob| {
        alice.gets_restriction(lock_until(FAR));
        told(app, 1).await;
        let clock = Clock::system();
        let asked = clock.uptime();
        let answer = app
            .post("/v1/sessions/shop/messages?wait=60", text(&bob))
            .await
            .expect(202)
            .json();
        assert!(
            clock.uptime() < asked + PATIENCE / 2,
            "nobody waits in vain"
        );
        let message = &answer["messages"][0];
        assert_eq!(message["status"], "queued");
        assert_eq!(message["queued_reason"], "timelock");
        assert_eq!(message["not_before"], "2096-10-02T07:06:40.000Z");
        let id = message["id"].as_str().unwrap();
        let page = app.get("/metrics").await.expect(200).body;
        let page = String::from_utf8(page).unwrap();
        assert!(
            page.contains("held_messages{reason=\"timelock\"} 1"),
            "{page}"
        );

        alice.gets_restriction(AccountRestriction::None);
        let sent = app.until_message("shop", id, "delivered").await;
        assert_eq!(sent.get("queued_reason"), None);
        assert_eq!(alice.refused_messages(), 0);
    })
    .await;
}

#[tokio::test]
async fn a_person_who_writes_is_answered_during_the_lock() {
    shop(async |app, alice, bob| {
        alice.gets_restriction(lock_until(FAR));
        told(app, 1).await;
        let id = app.accepted("shop", text(&bob)).await;
        held(app, &id, "timelock").await;
        bob.sends_text(alice.number(), "a question").await.unwrap();
        app.webhook.next().await;
        app.until_message("shop", &id, "delivered").await;
    })
    .await;
}

#[tokio::test]
async fn a_lock_that_nobody_told_of_is_learnt_from_the_first_refusal() {
    shop(async |app, alice, bob| {
        alice.restricts_silently(lock_until(FAR));
        let id = app.accepted("shop", text(&bob)).await;
        held(app, &id, "timelock").await;
        assert_eq!(alice.refused_messages(), 1);
        alice.gets_restriction(AccountRestriction::None);
        app.until_message("shop", &id, "delivered").await;
        assert_eq!(alice.refused_messages(), 1);
    })
    .await;
}

#[tokio::test]
async fn the_quota_of_new_chats_lets_so_many_leave_and_holds_the_rest() {
    shop(async |app, alice, bob| {
        let people: Vec<Phone> = (0..4)
            .map(|number| app.phone(&format!("P{number}")))
            .collect();
        let cap = NewChatCap {
            total: 2,
            used: 0,
            from: 1,
            until: FAR,
        };
        alice.gets_cap(Some(cap));
        told(app, 1).await;
        let mut ids = Vec::new();
        for person in &people {
            ids.push(app.accepted("shop", text(person)).await);
        }
        held(app, &ids[2], "new_chat_cap").await;
        held(app, &ids[3], "new_chat_cap").await;
        app.until_message("shop", &ids[1], "delivered").await;
        bob.sends_text(alice.number(), "a question").await.unwrap();
        app.webhook.next().await;
        app.send("shop", bob.number(), "an answer")
            .await
            .expect(200);
        assert_eq!(alice.current_cap().unwrap().used, 2);
        assert_eq!(alice.refused_messages(), 0);
        alice.gets_cap(Some(NewChatCap {
            total: 9,
            used: 2,
            ..cap
        }));
        for id in &ids {
            app.until_message("shop", id, "delivered").await;
        }
    })
    .await;
}

#[tokio::test]
async fn the_quota_that_was_used_before_a_restart_is_used_after_it() {
    shop(async |app, alice, _| {
        let [carol, dave, erin] = ["Carol", "Dave", "Erin"].map(|name| app.phone(name));
        alice.gets_cap(Some(NewChatCap {
            total: 2,
            used: 0,
            from: 1,
            until: FAR,
        }));
        told(app, 1).await;
        let first = app.accepted("shop", text(&carol)).await;
        app.until_message("shop", &first, "delivered").await;
        // WhatsApp says nothing after the restart: only what was saved is left.
        for query in [TIMELOCK, QUOTA] {
            app.simulator.faults().withdraw_query(query, true);
        }
        app.order("shop", "stop").await.expect(200);
        let second = app.accepted("shop", text(&dave)).await;
        let third = app.accepted("shop", text(&erin)).await;
        app.restart().await;
        app.order("shop", "start").await.expect(200);
        // Both could leave at once, and only one of them may.
        app.until_message("shop", &second, "delivered").await;
        held(app, &third, "new_chat_cap").await;
        assert_eq!(alice.refused_messages(), 0);
        assert_eq!(alice.current_cap().unwrap().used, 2);
        for query in [TIMELOCK, QUOTA] {
            app.simulator.faults().withdraw_query(query, false);
        }
        alice.gets_cap(None);
        app.until_message("shop", &third, "delivered").await;
    })
    .await;
}

#[tokio::test]
async fn a_lock_of_which_whatsapp_has_said_nothing_is_not_known() {
    shop(async |app, alice, _| {
        let cap = NewChatCap {
            total: 9,
            used: 1,
            from: 1,
            until: FAR,
        };
        alice.gets_cap(Some(cap));
        let lock = json!({"active": false, "until": null, "kind": null, "known": false});
        assert_eq!(told(app, 1).await["timelock"], lock);
        assert_eq!(limits(app).await["timelock"]["known"], true);
        // That there is none is remembered.
        app.restart().await;
        app.until("shop", "online").await;
        alice.gets_cap(Some(NewChatCap { used: 2, ..cap }));
        assert_eq!(told(app, 2).await["timelock"]["known"], true);
    })
    .await;
}

#[tokio::test]
async fn a_held_message_expires_in_its_time() {
    shop(async |app, alice, bob| {
        alice.gets_restriction(lock_until(FAR));
        told(app, 1).await;
        let mut body = text(&bob);
        body["expires_in"] = 60.into();
        let id = app.accepted("shop", body).await;
        held(app, &id, "timelock").await;
        app.push_clock(Duration::from_secs(61));
        let failed = app.until_message("shop", &id, "failed").await;
        assert_eq!(failed["error"]["code"], "expired");
    })
    .await;
}

#[tokio::test]
async fn held_messages_wait_on_over_a_restart() {
    shop(async |app, alice, bob| {
        alice.gets_restriction(lock_until(FAR));
        told(app, 1).await;
        let id = app.accepted("shop", text(&bob)).await;
        held(app, &id, "timelock").await;
        app.restart().await;
        held(app, &id, "timelock").await;
        assert_eq!(alice.refused_messages(), 0);
        alice.gets_restriction(AccountRestriction::None);
        app.until_message("shop", &id, "delivered").await;
        assert_eq!(bob.received_messages().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_caller_who_does_not_queue_is_told_at_once() {
    shop(async |app, alice, bob| {
        alice.gets_restriction(lock_until(FAR));
        told(app, 1).await;
        let body = json!({"session_name": "shop", "chat_id": bob.jid(), "text": "hi"});
        let refused = app.post("/send-message/", body).await.expect(409);
        assert_eq!(refused.code(), "new_chats_held");
        assert_eq!(alice.refused_messages(), 0);
        assert_eq!(bob.received_messages().len(), 0);
    })
    .await;
}

#[tokio::test]
async fn an_operator_may_send_into_a_lock() {
    let setup = Setup::new().set("WAPI_NEW_CHATS", "send");
    setup
        .shop(async |app, alice, bob| {
            alice.gets_restriction(lock_until(FAR));
            told(app, 1).await;
            let refused = app.post("/v1/sessions/shop/messages", text(&bob)).await;
            assert_eq!(refused.expect(502).code(), "whatsapp_refused");
        })
        .await;
}

/// How long it takes until each of these people has one more message.
async fn time_to_reach(app: &TestApp, people: &[Phone]) -> Duration {
    let before: Vec<usize> = people
        .iter()
        .map(|it| it.received_messages().len())
        .collect();
    let clock = Clock::system();
    let started = clock.uptime();
    let sending = people
        .iter()
        .map(|person| app.accepted("shop", text(person)));
    futures_util::future::join_all(sending).await;
    for (person, before) in people.iter().zip(before) {
        let has_more = |it: &Phone| (it.received_messages().len() > before).then_some(());
        person
            .wait_until("another message", PATIENCE, has_more)
            .await
            .unwrap();
    }
    clock.uptime() - started
}

#[tokio::test]
async fn a_lock_holds_new_chats_alone_and_each_of_them_leaves_once_it_ends() {
    const EACH: usize = 200;
    shop(async |app, alice, _| {
        let phones = |kind: &str| -> Vec<Phone> {
            (0..EACH)
                .map(|number| app.phone(&format!("{kind} {number}")))
                .collect()
        };
        let (new, known) = (phones("New"), phones("Known"));
        for person in &known {
            person
                .sends_text(alice.number(), "a question")
                .await
                .unwrap();
        }
        for _ in &known {
            app.webhook.next().await;
        }
        // The first messages make the sessions with these people.
        time_to_reach(app, &known).await;
        let unlocked = time_to_reach(app, &known).await;

        alice.gets_restriction(lock_until(FAR));
        told(app, 1).await;
        let waiting = new.iter().map(|person| app.accepted("shop", text(person)));
        let ids = futures_util::future::join_all(waiting).await;
        let limit = Duration::from_secs(1).max(5 * unlocked);
        let mut locked = time_to_reach(app, &known).await;
        let mut rounds = 3;
        // The machine may have been busy with something else.
        while locked >= limit && rounds < 5 {
            locked = time_to_reach(app, &known).await;
            rounds += 1;
        }
        assert!(
            locked < limit,
            "{locked:?} with the lock, {unlocked:?} without"
        );
        for id in &ids {
            held(app, id, "timelock").await;
        }
        assert!(
            new.iter()
                .all(|person| person.received_messages().is_empty())
        );
        assert_eq!(alice.refused_messages(), 0);

        let clock = Clock::system();
        let ended = clock.uptime();
        alice.gets_restriction(AccountRestriction::None);
        for id in &ids {
            app.until_message("shop", id, "delivered").await;
        }
        assert!(
            clock.uptime() < ended + Duration::from_secs(60),
            "{:?}",
            clock.uptime() - ended
        );
        let each = |people: &[Phone], count: usize| {
            people
                .iter()
                .all(|person| person.received_messages().len() == count)
        };
        assert!(each(&new, 1) && each(&known, rounds), "none is sent twice");
        assert_eq!(alice.refused_messages(), 0);
    })
    .await;
}

#[tokio::test]
async fn a_lock_ends_by_itself_when_its_time_is_over() {
    shop(async |app, alice, bob| {
        alice.gets_restriction(lock_until(now() + 2));
        told(app, 1).await;
        let id = app.accepted("shop", text(&bob)).await;
        app.until_message("shop", &id, "delivered").await;
        assert_eq!(alice.refused_messages(), 0);
        assert_eq!(told(app, 2).await["timelock"]["active"], false);
    })
    .await;
}
