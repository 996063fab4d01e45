//! Admins of newsletters: invited, accepted, revoked; and what only admins see.

use serde_json::{Value, json};
use wapi_simulator::Phone;

use crate::harness::{PATIENCE, TestApp, shop};

const NEWSLETTERS: &str = "/v1/sessions/shop/newsletters";

async fn create(app: &TestApp, name: &str) -> String {
    let made = app.post(NEWSLETTERS, json!({"name": name})).await;
    made.expect(201).json()["id"].as_str().unwrap().to_owned()
}

/// The role of an account, as the simulator has it.
fn role(of: &Phone, newsletter: &str) -> Option<String> {
    let mut people = of.find_newsletter(newsletter).unwrap().people.into_iter();
    let found = people.find(|(number, _)| number == of.number());
    found.map(|(_, role)| format!("{role:?}"))
}

#[tokio::test]
async fn admins_are_invited_and_their_invitations_are_listed_and_revoked() {
    shop(async |app, alice, bob| {
        let carol = app.phone("Carol");
        let news = create(app, "Cakes").await;
        let invites = format!("{NEWSLETTERS}/{news}/invites");
        let none = app.get(&invites).await.expect(200).json();
        assert_eq!(none, json!({"invites": []}));
        let mut expires_at = Value::Null;
        for invited in [&bob, &carol] {
            let route = format!("{invites}/{}", invited.number());
            let made = app.put(&route, json!({})).await.expect(200).json();
            expires_at = made["expires_at"].clone();
            assert!(expires_at.is_string(), "{made}");
        }
        let listed = app.get(&invites).await.expect(200).json();
        let mut numbers: Vec<_> = listed["invites"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["phone"].as_str().unwrap())
            .collect();
        numbers.sort_unstable();
        let mut expected = [bob.number(), carol.number()];
        expected.sort_unstable();
        assert_eq!(numbers, expected);

        // The person learns of it from a message.
        let invite = json!({"newsletter": news, "name": "Cakes", "expires_at": expires_at});
        app.accepted(
            "shop",
            json!({"to": bob.number(), "newsletter_invite": invite}),
        )
        .await;
        let told = bob.next_message(PATIENCE).await.unwrap().to_json();
        let told = &told["newsletter_admin_invite_message"];
        assert_eq!(told["newsletter_jid"], news);
        bob.accepts_newsletter_invite(&news).unwrap();
        assert_eq!(role(&bob, &news).as_deref(), Some("Admin"));

        let carols = format!("{invites}/{}", carol.number());
        app.delete(&carols).await.expect(204);
        carol.accepts_newsletter_invite(&news).unwrap_err();
        let gone = app.delete(&carols).await.expect(404);
        assert_eq!(gone.code(), "invite_not_found");
        let left = app.get(&invites).await.expect(200).json();
        assert_eq!(left, json!({"invites": []}));
        assert_eq!(role(&alice, &news).as_deref(), Some("Owner"));
    })
    .await;
}

#[tokio::test]
async fn an_invitation_that_came_in_is_accepted_once() {
    shop(async |app, alice, bob| {
        let theirs = bob.creates_newsletter("Bob's", "");
        bob.sends_text(&theirs, "before").await.unwrap();
        let route = format!("{NEWSLETTERS}/{theirs}/invites/accept");
        let uninvited = app.post(&route, json!({})).await.expect(404);
        assert_eq!(uninvited.code(), "invite_not_found");
        bob.invites_newsletter_admin(&theirs, &alice).unwrap();
        let told = app.webhook.next().await.body["data"].clone();
        assert_eq!(told["type"], "newsletter_invite");
        let invite = &told["newsletter_invite"];
        assert_eq!(
            (&invite["newsletter"], &invite["name"]),
            (&json!(theirs), &json!("Bob's"))
        );
        assert!(invite["expires_at"].is_string(), "{invite}");
        let accepted = app.post(&route, json!({})).await.expect(200).json();
        assert_eq!(
            (&accepted["id"], &accepted["role"]),
            (&json!(theirs), &json!("admin"))
        );
        assert_eq!(role(&alice, &theirs).as_deref(), Some("Admin"));
        app.post(&route, json!({})).await.expect(404);
        // An admin posts, and reads what others post from now on.
        app.accepted("shop", json!({"to": theirs, "text": {"body": "mine"}}))
            .await;
        bob.sends_text(&theirs, "after").await.unwrap();
        let post = app.webhook.next().await.body["data"].clone();
        assert_eq!(post["text"]["body"], "after");
    })
    .await;
}

#[tokio::test]
async fn who_may_not_administer_is_told_so() {
    shop(async |app, alice, bob| {
        let carol = app.phone("Carol");
        let theirs = bob.creates_newsletter("Bob's", "");
        alice.follows_newsletter(&theirs).unwrap();
        let route = format!("{NEWSLETTERS}/{theirs}");
        let carols = format!("{route}/invites/{}", carol.number());
        for refused in [
            app.get(&format!("{route}/invites")).await,
            app.put(&carols, json!({})).await,
            app.delete(&carols).await,
            app.get(&format!("{route}/insights")).await,
        ] {
            assert_eq!(refused.expect(403).code(), "not_newsletter_admin");
        }
        // An admin who is not the owner reads, and invites nobody.
        bob.makes_newsletter_admin(&theirs, &alice).unwrap();
        app.get(&format!("{route}/invites")).await.expect(200);
        app.put(&carols, json!({})).await.expect(403);
        assert_eq!(bob.find_newsletter(&theirs).unwrap().invited.len(), 0);

        let nowhere = format!("{NEWSLETTERS}/120363999999999999@newsletter");
        for unknown in [
            app.get(&format!("{nowhere}/invites")).await,
            app.put(&format!("{nowhere}/invites/{}", bob.number()), json!({}))
                .await,
            app.get(&format!("{nowhere}/insights")).await,
        ] {
            assert_eq!(unknown.expect(404).code(), "newsletter_not_found");
        }
        let wrong = app.put(&format!("{route}/invites/nobody"), json!({})).await;
        assert_eq!(wrong.expect(400).fields(), ["contact"]);

        app.simulator.faults().forget_queries(true);
        for changed in [
            app.get(&format!("{route}/invites")).await,
            app.put(&carols, json!({})).await,
            app.delete(&carols).await,
            app.post(&format!("{route}/invites/accept"), json!({}))
                .await,
            app.get(&format!("{route}/insights")).await,
        ] {
            assert_eq!(changed.expect(502).code(), "whatsapp_changed");
        }
    })
    .await;
}

#[tokio::test]
async fn statistics_count_followers_reach_and_growth() {
    shop(async |app, alice, bob| {
        let [carol, dave] = ["Carol", "Dave"].map(|name| app.phone(name));
        let news = create(app, "Cakes").await;
        for follower in [&bob, &carol] {
            follower.follows_newsletter(&news).unwrap();
        }
        alice.sends_text(&news, "fresh").await.unwrap();
        bob.views_posts(&news, &[100]).unwrap();
        dave.views_posts(&news, &[100]).unwrap();
        carol.unfollows_newsletter(&news).unwrap();
        let route = format!("{NEWSLETTERS}/{news}/insights");
        let insights = app.get(&route).await.expect(200).json();
        assert_eq!((&insights["available"], &insights["days"]), (&json!(true), &json!(30)));
        assert!(insights["updated_at"].is_string(), "{insights}");
        let followers = json!({"count": 2, "net_follows": 1, "countries": [{"country": "BY", "count": 2}]});
        assert_eq!(insights["followers"], followers);
        let reach = json!({
            "count": 2, "new": 2, "followers": 1, "guests": 1, "countries": [{"country": "BY", "count": 2}],
        });
        assert_eq!(insights["reach"], reach);
        // Midnight may lie between the follows and the unfollow.
        let growth = insights["growth"].as_array().unwrap().iter();
        let sum = |name: &str| growth.clone().filter_map(|day| day[name].as_i64()).sum::<i64>();
        assert_eq!((sum("follows"), sum("unfollows")), (2, 1), "{insights}");
        assert_eq!(app.get(&format!("{route}?days=7")).await.expect(400).fields(), ["days"]);
    })
    .await;
}
