//! Newsletters of the account's own: created, changed and deleted; posts read back, edited, deleted
//! and reacted to.

use image::ImageFormat;
use reqwest::Method;
use serde_json::{Value, json};
use wapi_simulator::Phone;

use crate::harness::{TestApp, shop};
use crate::profile::picture;

const NEWSLETTERS: &str = "/v1/sessions/shop/newsletters";

/// Creates a newsletter through the gateway.
async fn create(app: &TestApp, name: &str) -> String {
    let made = app.post(NEWSLETTERS, json!({"name": name})).await;
    made.expect(201).json()["id"].as_str().unwrap().to_owned()
}

async fn posts(app: &TestApp, newsletter: &str) -> Vec<Value> {
    let page = app
        .get(&format!("{NEWSLETTERS}/{newsletter}/messages"))
        .await
        .expect(200)
        .json();
    page["messages"].as_array().unwrap().clone()
}

/// The people of a newsletter, by number.
fn people(phone: &Phone, newsletter: &str) -> Vec<(String, String)> {
    let found = phone.find_newsletter(newsletter).unwrap();
    let person = |(number, role)| (number, format!("{role:?}"));
    found.people.into_iter().map(person).collect()
}

#[tokio::test]
async fn a_newsletter_is_created_changed_and_deleted() {
    shop(async |app, alice, bob| {
        let made = app
            .post(
                NEWSLETTERS,
                json!({"name": "Cakes", "description": "Fresh ones"}),
            )
            .await
            .expect(201)
            .json();
        let id = made["id"].as_str().unwrap().to_owned();
        assert_eq!(
            (
                &made["name"],
                &made["description"],
                &made["role"],
                &made["muted"]
            ),
            (
                &json!("Cakes"),
                &json!("Fresh ones"),
                &json!("owner"),
                &json!(false)
            )
        );
        let route = format!("{NEWSLETTERS}/{id}");
        assert_eq!(app.get(&route).await.expect(200).json(), made);
        let changed = app
            .patch(&route, json!({"name": "Pies", "description": ""}))
            .await;
        let changed = changed.expect(200).json();
        assert_eq!(
            (&changed["name"], &changed["description"]),
            (&json!("Pies"), &Value::Null)
        );
        let seen = alice.find_newsletter(&id).unwrap();
        assert_eq!(
            (seen.name.as_str(), seen.description.as_str()),
            ("Pies", "")
        );

        let png = picture(300, 200, [9, 9, 9], ImageFormat::Png);
        let call = app.request(Method::PUT, &format!("{route}/picture"));
        app.answer(call.header("content-type", "image/png").body(png))
            .await
            .expect(204);
        let jpeg = alice
            .find_newsletter(&id)
            .unwrap()
            .picture
            .expect("a picture");
        let shown = image::load_from_memory_with_format(&jpeg, ImageFormat::Jpeg).unwrap();
        assert_eq!((shown.width(), shown.height()), (200, 200));
        app.delete(&format!("{route}/picture")).await.expect(204);
        assert_eq!(alice.find_newsletter(&id).unwrap().picture, None);

        bob.follows_newsletter(&id).unwrap();
        app.delete(&route).await.expect(204);
        assert_eq!(
            app.get(&route).await.expect(404).code(),
            "newsletter_not_found"
        );
        alice.find_newsletter(&id).unwrap_err();
        let listed = app.get(NEWSLETTERS).await.expect(200).json();
        assert_eq!(listed, json!({"newsletters": []}));
    })
    .await;
}

#[tokio::test]
async fn only_admins_change_a_newsletter_and_only_well() {
    shop(async |app, alice, bob| {
        let theirs = bob.creates_newsletter("Bob's", "");
        alice.follows_newsletter(&theirs).unwrap();
        let route = format!("{NEWSLETTERS}/{theirs}");
        for refused in [
            app.patch(&route, json!({"name": "Mine"})).await,
            app.delete(&route).await,
            app.get(&format!("{route}/followers")).await,
            app.delete(&format!("{route}/picture")).await,
            app.put(&format!("{route}/owner"), json!({"contact": bob.number()}))
                .await,
            app.delete(&format!("{route}/admins/{}", bob.number()))
                .await,
        ] {
            assert_eq!(refused.expect(403).code(), "not_newsletter_admin");
        }
        for (body, fields) in [
            (json!({}), vec!["name"]),
            (json!({"name": "x".repeat(101)}), vec!["name"]),
            (
                json!({"name": "x", "description": "x".repeat(2049)}),
                vec!["description"],
            ),
            (json!({"name": "x", "title": "y"}), vec!["title"]),
        ] {
            for answer in [
                app.post(NEWSLETTERS, body.clone()).await,
                app.patch(&route, body.clone()).await,
            ] {
                assert_eq!(answer.expect(400).fields(), fields, "{body}");
            }
        }
        assert_eq!(bob.find_newsletter(&theirs).unwrap().name, "Bob's");
    })
    .await;
}

#[tokio::test]
async fn followers_are_listed_and_admins_come_and_go() {
    shop(async |app, alice, bob| {
        let news = create(app, "Cakes").await;
        let route = format!("{NEWSLETTERS}/{news}");
        bob.follows_newsletter(&news).unwrap();
        let carol = app.phone("Carol");
        carol.follows_newsletter(&news).unwrap();
        alice.makes_newsletter_admin(&news, &bob).unwrap();
        alice.makes_newsletter_admin(&news, &carol).unwrap();

        let listed = app
            .get(&format!("{route}/followers"))
            .await
            .expect(200)
            .json();
        let of = |phone: &Phone| {
            let all = listed["followers"].as_array().unwrap();
            let found = all.iter().find(|it| it["phone"] == phone.number());
            found.expect("they follow it").clone()
        };
        assert_eq!(of(&alice)["role"], "owner");
        let shown = of(&bob);
        assert_eq!(
            (&shown["role"], &shown["id"], &shown["name"]),
            (&json!("admin"), &json!(bob.jid()), &json!("Bob"))
        );

        app.delete(&format!("{route}/admins/{}", carol.number()))
            .await
            .expect(204);
        app.put(&format!("{route}/owner"), json!({"contact": bob.number()}))
            .await
            .expect(204);
        let role = |phone: &Phone| {
            let found = people(&alice, &news).into_iter();
            found
                .filter(|(number, _)| number == phone.number())
                .map(|(_, role)| role)
                .next()
        };
        assert_eq!(
            [role(&alice), role(&bob), role(&carol)].map(Option::unwrap),
            ["Admin", "Owner", "Subscriber"]
        );
        assert_eq!(app.get(&route).await.expect(200).json()["role"], "admin");
    })
    .await;
}

#[tokio::test]
async fn newsletters_are_found_in_the_directory_and_muted() {
    shop(async |app, alice, bob| {
        let news = bob.creates_newsletter("Cake news", "");
        bob.creates_newsletter("Weather", "");
        let found = app
            .get(&format!("{NEWSLETTERS}/search?q=cake"))
            .await
            .expect(200)
            .json();
        let ids: Vec<_> = found["newsletters"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| &it["id"])
            .collect();
        assert_eq!(ids, [&json!(news)]);
        for wrong in ["", "?q=%20", "?q=a&limit=51", "?question=a"] {
            app.get(&format!("{NEWSLETTERS}/search{wrong}"))
                .await
                .expect(400);
        }
        let route = format!("{NEWSLETTERS}/{news}");
        app.put(&format!("{route}/mute"), json!({}))
            .await
            .expect(404);
        app.put(&format!("{route}/follow"), json!({}))
            .await
            .expect(204);
        for _ in 0..2 {
            app.put(&format!("{route}/mute"), json!({}))
                .await
                .expect(204);
        }
        assert_eq!(bob.find_newsletter(&news).unwrap().muted, [alice.number()]);
        assert_eq!(app.get(&route).await.expect(200).json()["muted"], true);
        app.delete(&format!("{route}/mute")).await.expect(204);
        assert_eq!(app.get(&route).await.expect(200).json()["muted"], false);
    })
    .await;
}

#[tokio::test]
async fn posts_are_read_back_page_by_page() {
    shop(async |app, _, bob| {
        let news = bob.creates_newsletter("News", "");
        let mut ids = Vec::new();
        for count in 0..5 {
            ids.push(
                bob.sends_text(&news, &format!("post {count}"))
                    .await
                    .unwrap(),
            );
        }
        bob.reacts_to_post(&news, 104, "👍").unwrap();
        bob.edits_post(&news, &ids[3], "post three").unwrap();
        bob.deletes_post(&news, &ids[2]).unwrap();
        let route = format!("{NEWSLETTERS}/{news}/messages?limit=3");
        let page = app.get(&route).await.expect(200).json();
        let posts = page["messages"].as_array().unwrap();
        let time = posts[0]["timestamp"].as_str().unwrap();
        assert_eq!(
            posts[0],
            json!({
                "id": ids[4], "post": 104, "timestamp": time, "from_me": false, "type": "text",
                "text": {"body": "post 4"}, "reactions": [{"emoji": "👍", "count": 1}], "views": 0,
            })
        );
        assert_eq!(posts[1]["text"]["body"], "post three");
        assert!(posts[1]["edited_at"].is_string(), "{page}");
        assert_eq!(
            (&posts[2]["id"], &posts[2]["type"]),
            (&json!(ids[2]), &Value::Null)
        );
        assert_eq!(page["before"], 102);
        let older = app
            .get(&format!("{route}&before=102"))
            .await
            .expect(200)
            .json();
        let older_ids: Vec<_> = older["messages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| &it["id"])
            .collect();
        assert_eq!(older_ids, [&json!(ids[1]), &json!(ids[0])]);
        assert_eq!(older["before"], Value::Null);
        app.get(&format!("{route}&before=x")).await.expect(400);
        app.get(&format!(
            "{NEWSLETTERS}/120363999999999999@newsletter/messages"
        ))
        .await
        .expect(404);
    })
    .await;
}

#[tokio::test]
async fn own_posts_are_edited_deleted_and_reacted_to() {
    shop(async |app, alice, bob| {
        let news = create(app, "Cakes").await;
        bob.follows_newsletter(&news).unwrap();
        let id = app
            .accepted("shop", json!({"to": news, "text": {"body": "fresh"}}))
            .await;
        let other = app
            .accepted("shop", json!({"to": news, "text": {"body": "old"}}))
            .await;
        let listed = posts(app, &news).await;
        assert_eq!(
            (&listed[1]["id"], &listed[1]["from_me"]),
            (&json!(id), &json!(true))
        );
        let number = listed[1]["post"].as_u64().unwrap();
        let route = format!("{NEWSLETTERS}/{news}/messages");

        app.patch(
            &format!("{route}/{number}"),
            json!({"text": {"body": "fresher"}}),
        )
        .await
        .expect(204);
        app.put(&format!("{route}/{id}/reaction"), json!({"emoji": "🎂"}))
            .await
            .expect(204);
        let shown = posts(app, &news).await[1].clone();
        assert_eq!(
            (&shown["text"]["body"], &shown["reactions"]),
            (&json!("fresher"), &json!([{"emoji": "🎂", "count": 1}]))
        );
        app.delete(&format!("{route}/{id}/reaction"))
            .await
            .expect(204);
        assert_eq!(posts(app, &news).await[1]["reactions"], json!([]));
        app.delete(&format!("{route}/{other}")).await.expect(204);
        let left = alice.find_newsletter(&news).unwrap().posts;
        assert_eq!(
            left.iter().map(|post| post.id.as_str()).collect::<Vec<_>>(),
            [id.as_str()]
        );

        for missing in ["1", "99999999999999999999", "3EB0", other.as_str()] {
            let answer = app.delete(&format!("{route}/{missing}")).await.expect(404);
            assert_eq!(answer.code(), "message_not_found", "{missing}");
        }
        for body in [
            json!({}),
            json!({"text": "x"}),
            json!({"text": {"body": ""}}),
            json!({"text": {"body": "x"}, "y": 1}),
        ] {
            app.patch(&format!("{route}/{id}"), body).await.expect(400);
        }
        app.put(&format!("{route}/{id}/reaction"), json!({"emoji": "ok"}))
            .await
            .expect(400);
        let theirs = bob.creates_newsletter("Bob's", "");
        bob.sends_text(&theirs, "mine").await.unwrap();
        let refused = app
            .delete(&format!("{NEWSLETTERS}/{theirs}/messages/100"))
            .await;
        assert_eq!(refused.expect(403).code(), "not_newsletter_admin");
    })
    .await;
}

#[tokio::test]
async fn edits_deletions_and_counts_of_posts_are_told() {
    shop(async |app, alice, bob| {
        let news = bob.creates_newsletter("News", "");
        alice.follows_newsletter(&news).unwrap();
        let id = bob.sends_text(&news, "frsh").await.unwrap();
        app.webhook.next().await;
        let watched = app.put(&format!("{NEWSLETTERS}/{news}/counts"), json!({})).await;
        assert!(watched.expect(200).json()["expires_at"].is_string());
        bob.reacts_to_post(&news, 100, "👍").unwrap();
        let told = app.events("newsletter.counts", 1).await;
        assert_eq!(
            told[0]["data"],
            json!({"session": "shop", "newsletter": news, "posts": [{"post": 100, "reactions": [{"emoji": "👍", "count": 1}]}]})
        );
        bob.edits_post(&news, &id, "fresh").unwrap();
        let told = app.events("message.edited", 1).await;
        assert_eq!((&told[0]["data"]["message_id"], &told[0]["data"]["text"]["body"]), (&json!(id), &json!("fresh")));
        bob.deletes_post(&news, &id).unwrap();
        let told = app.events("message.deleted", 1).await;
        let data = &told[0]["data"];
        assert_eq!(
            (&data["message_id"], &data["chat"], &data["from"]["name"]),
            (&json!(id), &json!(news), &json!("News"))
        );
    })
    .await;
}

#[tokio::test]
async fn a_request_that_whatsapp_has_changed_is_told_as_such() {
    shop(async |app, _, _| {
        app.simulator.faults().forget_queries(true);
        for answer in [
            app.post(NEWSLETTERS, json!({"name": "Cakes"})).await,
            app.get(&format!("{NEWSLETTERS}/search?q=a")).await,
            app.get(&format!("{NEWSLETTERS}/120363000000000001@newsletter"))
                .await,
            app.get(NEWSLETTERS).await,
        ] {
            assert_eq!(answer.expect(502).code(), "whatsapp_changed");
        }
        app.simulator.faults().forget_queries(false);
        create(app, "Cakes").await;
    })
    .await;
}
