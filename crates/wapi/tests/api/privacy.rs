//! The account's privacy settings, whichever device changes them.

use serde_json::{Value, json};
use wapi_simulator::{Addressing, Phone, SimulatorOptions};

use crate::harness::{Setup, TestApp, eventually, shop, steady};

const PRIVACY: &str = "/v1/sessions/shop/privacy";

async fn settings(app: &TestApp) -> Value {
    app.get(PRIVACY).await.expect(200).json()
}

#[tokio::test]
async fn privacy_settings_of_the_phone_are_shown_with_the_people_they_except() {
    shop(async |app, alice, bob| {
        alice.chooses_privacy("last", "none").unwrap();
        alice.chooses_privacy("online", "match_last_seen").unwrap();
        alice.excepts_from_privacy("profile", &[bob.number()]).unwrap();
        alice.sets_default_timer(86_400);
        let shown = settings(app).await;
        let (bob, number, lid) = (bob.jid(), bob.number().to_owned(), bob.lid());
        insta::assert_json_snapshot!(steady(&shown, &[(&bob, "[bob]"), (&number, "[number]"), (&lid, "[lid]")]), @r#"
        {
          "about": "all",
          "calls": "all",
          "defense": "off",
          "disappearing": 86400,
          "groups_add": "all",
          "last_seen": "none",
          "messages": "all",
          "online": "match_last_seen",
          "profile_picture": {
            "except": [
              {
                "id": "[bob]",
                "lid": "[lid]",
                "name": null,
                "phone": "[number]"
              }
            ]
          },
          "read_receipts": "all"
        }
        "#);
    })
    .await;
}

async fn changes_reach_the_account(app: &mut TestApp, alice: Phone, bob: Phone) {
    let carol = app.phone("Carol");
    let change = json!({
        "last_seen": {"except": [bob.number(), carol.number()]}, "profile_picture": "contacts",
        "about": "none", "groups_add": {"except": [carol.number()]}, "online": "match_last_seen",
        "read_receipts": "none", "calls": "known", "messages": "contacts", "defense": "on_standard",
        "disappearing": 604_800,
    });
    for _ in 0..2 {
        app.patch(PRIVACY, change.clone()).await.expect(204);
        for (setting, value) in [
            ("last", "contact_blacklist"),
            ("profile", "contacts"),
            ("status", "none"),
            ("groupadd", "contact_blacklist"),
            ("online", "match_last_seen"),
            ("readreceipts", "none"),
            ("calladd", "known"),
            ("messages", "contacts"),
            ("defense", "on_standard"),
        ] {
            assert_eq!(alice.privacy_setting(setting), Some(value), "{setting}");
        }
        let excepted = [bob.number(), carol.number()];
        assert_eq!(alice.privacy_exceptions("last"), excepted);
        assert_eq!(alice.privacy_exceptions("groupadd"), excepted[1..]);
        assert_eq!(alice.default_timer(), 604_800);
    }

    // The list is replaced, by either address; the rest stays.
    let change = json!({"last_seen": {"except": [carol.lid()]}});
    app.patch(PRIVACY, change).await.expect(204);
    assert_eq!(alice.privacy_exceptions("last"), [carol.number()]);
    let shown = settings(app).await;
    assert_eq!(shown["last_seen"]["except"][0]["id"], carol.jid());
    assert_eq!(
        (&shown["calls"], &shown["disappearing"]),
        (&json!("known"), &json!(604_800))
    );
}

#[tokio::test]
async fn privacy_settings_are_changed_for_the_whole_account_as_often_as_asked() {
    shop(changes_reach_the_account).await;
}

#[tokio::test]
async fn privacy_settings_are_changed_where_people_are_addressed_by_lid() {
    let options = SimulatorOptions {
        addressing: Addressing::Lid,
        ..SimulatorOptions::default()
    };
    Setup::new()
        .simulator(options)
        .shop(changes_reach_the_account)
        .await;
}

#[tokio::test]
async fn a_privacy_setting_that_cannot_be_changes_nothing() {
    shop(async |app, alice, bob| {
        let nobody = "375447034810";
        for (body, fields) in [
            (json!({}), vec!["last_seen"]),
            (json!({"last_seen": "nobody"}), vec!["last_seen"]),
            (json!({"last_seen": "contact_blacklist"}), vec!["last_seen"]),
            (
                json!({"last_seen": 7, "calls": "none"}),
                vec!["last_seen", "calls"],
            ),
            (
                json!({"online": "contacts", "about": "none"}),
                vec!["online"],
            ),
            (
                json!({"read_receipts": {"except": [bob.number()]}}),
                vec!["read_receipts"],
            ),
            (json!({"about": {"except": []}}), vec!["about.except"]),
            (json!({"about": {}}), vec!["about.except"]),
            (
                json!({"about": {"but": [bob.number()]}}),
                vec!["about.except", "about.but"],
            ),
            (
                json!({"about": {"except": ["120363000000000001@g.us"]}}),
                vec!["about.except"],
            ),
            (
                json!({"calls": "known", "about": {"except": [bob.number(), nobody]}}),
                vec!["about.except"],
            ),
            (
                json!({"calls": "known", "about": {"except": [alice.number()]}}),
                vec!["about.except"],
            ),
            (json!({"hats": "all", "calls": "known"}), vec!["hats"]),
            (
                json!({"disappearing": 5, "calls": "known"}),
                vec!["disappearing"],
            ),
        ] {
            let refused = app.patch(PRIVACY, body.clone()).await.expect(400);
            assert_eq!(refused.fields(), fields, "{body}");
        }
        for setting in ["last", "calladd", "status", "readreceipts"] {
            assert_eq!(alice.privacy_setting(setting), Some("all"), "{setting}");
        }
        assert_eq!(alice.privacy_exceptions("status"), Vec::<String>::new());
    })
    .await;
}

#[tokio::test]
async fn without_read_receipts_only_the_own_devices_learn_of_reading() {
    shop(async |app, alice, bob| {
        let first = bob.sends_text(alice.number(), "one").await.unwrap();
        app.webhook.next().await;
        app.patch(PRIVACY, json!({"read_receipts": "none"}))
            .await
            .expect(204);
        let route = format!("/v1/sessions/shop/chats/{}/read", bob.number());
        app.post(&route, json!({})).await.expect(200);
        app.patch(PRIVACY, json!({"read_receipts": "all"}))
            .await
            .expect(204);
        let second = bob.sends_text(alice.number(), "two").await.unwrap();
        app.webhook.next().await;
        app.post(&route, json!({})).await.expect(200);
        // Receipts keep their order, so the first would have come before the second.
        let read = || {
            let receipts = bob.receipts().into_iter().filter(|it| it.status == "read");
            receipts.map(|it| it.id).collect::<Vec<_>>()
        };
        let told = async || (!read().is_empty()).then_some(());
        eventually(told, async || format!("{:?}", bob.receipts())).await;
        assert_eq!(read(), [second], "{first}");
    })
    .await;
}
