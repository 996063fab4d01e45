//! Contacts, groups, and files of a session.

use serde_json::json;
use wapi_simulator::{FileKind, MediaFile};

use super::browser::Browser;
use super::chats::{posts, until};
use super::{KEY, locked};
use crate::harness::shop;

#[tokio::test]
async fn a_group_is_made_managed_and_left_on_its_page() {
    shop(async |app, _, bob| {
        let (carol, dan) = (app.phone("Carol"), app.phone("Dan"));
        let mut browser = Browser::at(app);
        let groups = "/dashboard/sessions/shop/groups";
        browser.get(groups).await.expect(200).shows("in no group");
        let fields = [("subject", "<Club>"), ("participants", bob.number())];
        let made = browser.send(groups, groups, &fields).await;
        let group = made.leads_to().to_owned();
        let page = browser.get(&group).await.expect(200);
        page.shows("&lt;Club&gt;");
        page.shows("founder");
        page.shows(bob.number());
        browser
            .get(groups)
            .await
            .expect(200)
            .shows(&format!("href=\"{group}\""));

        let fields = [("participants", carol.number())];
        let added = browser
            .send(&group, &format!("{group}/members"), &fields)
            .await;
        added.expect(200).shows("added");
        let address = browser.get(&group).await.expect(200);
        address.shows(carol.number());

        let fields = [("participant", bob.number()), ("action", "promote")];
        browser
            .send(&group, &format!("{group}/member"), &fields)
            .await
            .leads_to();
        browser.get(&group).await.expect(200).shows(">admin<");
        let fields = [("participant", carol.number()), ("action", "remove")];
        let member = format!("{group}/member");
        let question = browser.send(&group, &member, &fields).await;
        question.shows(&format!("<a href=\"{group}\">Cancel</a>"));
        browser.get(&group).await.expect(200).shows(carol.number());
        browser.confirms(question, &member).await.leads_to();
        browser.get(&group).await.expect(200).hides(carol.number());

        let invite = format!("{group}/invite");
        let page = browser.get(&invite).await.expect(200);
        page.shows("<svg");
        let link = |text: &str| {
            let (_, rest) = text.split_once("https://chat.whatsapp.com/").unwrap();
            rest.split('<').next().unwrap().to_owned()
        };
        let code = link(&page.text);
        let question = browser.send(&invite, &invite, &[]).await;
        let same = browser.get(&invite).await.expect(200);
        assert_eq!(link(&same.text), code);
        assert_eq!(browser.confirms(question, &invite).await.leads_to(), invite);
        let code_again = link(&browser.get(&invite).await.expect(200).text);
        assert_ne!(code, code_again);

        let change = format!("{group}/change");
        browser
            .send(&group, &change, &[("approval", "yes")])
            .await
            .leads_to();
        assert!(!dan.joins_by_code(&code_again).unwrap());
        let page = browser.get(&group).await.expect(200);
        let (_, request) = page.text.split_once("id=\"requests\"").expect("a request");
        let (_, person) = request.split_once("name=\"participant\" value=\"").unwrap();
        let person = person.split('"').next().unwrap();
        let fields = [("participant", person), ("decision", "approve")];
        browser
            .send(&group, &format!("{group}/requests"), &fields)
            .await
            .expect(200);
        let page = browser.get(&group).await.expect(200);
        page.hides("id=\"requests\"");
        page.shows("Members (3)");

        let fields = [("subject", "Club 2"), ("description", "of <all>")];
        browser.send(&group, &change, &fields).await.leads_to();
        let page = browser.get(&group).await.expect(200);
        page.shows("Club 2");
        page.shows("of &lt;all&gt;");
        let leave = format!("{group}/leave");
        let refused = browser
            .send(&group, &leave, &[("typed_subject", "Club")])
            .await;
        refused.expect(400).shows("not the subject");
        let left = browser
            .send(&group, &leave, &[("typed_subject", "Club 2")])
            .await;
        assert_eq!(left.leads_to(), groups);
        browser
            .get(&group)
            .await
            .expect(404)
            .shows("group_not_found");
    })
    .await;
}

#[tokio::test]
async fn a_contact_is_listed_blocked_and_let_in_again() {
    shop(async |app, alice, bob| {
        bob.sends_text(alice.number(), "hello").await.unwrap();
        posts(app, 1).await;
        let mut browser = Browser::at(app);
        let list = "/dashboard/sessions/shop/contacts";
        let page = until(&mut browser, list, "<bdi>Bob</bdi>").await;
        let contact = format!("{list}/{}", bob.jid());
        page.shows(&format!("href=\"{contact}\""));
        let page = browser.get(&contact).await.expect(200);
        page.shows(bob.number());
        // The page asks WhatsApp for the picture only when its reader wants it.
        page.hides("<img");
        let page = browser
            .get(&format!("{contact}?picture=yes"))
            .await
            .expect(200);
        page.shows(&format!("<img src=\"{contact}/picture\""));
        let blocked = browser
            .send(&contact, &format!("{contact}/block"), &[])
            .await;
        assert_eq!(blocked.leads_to(), contact);
        assert_eq!(alice.blocked_numbers(), [bob.number()]);
        browser
            .send(&contact, &format!("{contact}/unblock"), &[])
            .await
            .leads_to();
        assert!(alice.blocked_numbers().is_empty());
    })
    .await;
}

#[tokio::test]
async fn files_are_listed_by_state_and_removed() {
    shop(async |app, alice, bob| {
        for name in ["<one>.txt", "two.txt", "three.txt"] {
            let file = MediaFile {
                name: Some(name.to_owned()),
                ..MediaFile::new(FileKind::Document, name.as_bytes().to_vec(), "text/plain")
            };
            bob.sends_file(alice.number(), file).await.unwrap();
        }
        let mut ids = Vec::new();
        for _ in 0..3 {
            let told = app.webhook.next().await.body["data"].clone();
            ids.push(told["document"]["id"].as_str().unwrap().to_owned());
        }
        let content = format!("/v1/media/{}/content", ids[0]);
        app.get(&content).await.expect(200);
        let first = app
            .get("/v1/sessions/shop/media?limit=2")
            .await
            .expect(200)
            .json();
        let next = first["next"].as_str().unwrap();
        let rest = format!("/v1/sessions/shop/media?limit=2&before={next}");
        let rest = app.get(&rest).await.expect(200).json();
        assert_eq!(rest["next"], json!(null));
        let listed = [&first["media"], &rest["media"]]
            .into_iter()
            .flat_map(|page| {
                page.as_array()
                    .unwrap()
                    .iter()
                    .map(|file| file["id"].clone())
            });
        let mut listed: Vec<_> = listed.collect();
        let mut all: Vec<_> = ids.iter().map(|id| json!(id)).collect();
        listed.sort_by_key(ToString::to_string);
        all.sort_by_key(ToString::to_string);
        assert_eq!(listed, all);
        for (query, field) in [("status=lost", "status"), ("before=x", "before")] {
            let wrong = app.get(&format!("/v1/sessions/shop/media?{query}")).await;
            assert_eq!(wrong.expect(400).json()["errors"][0]["field"], field);
        }

        let mut browser = Browser::at(app);
        let list = "/dashboard/sessions/shop/media";
        let page = browser.get(list).await.expect(200);
        page.shows("&lt;one&gt;.txt");
        let stored = format!("{list}?status=stored");
        let page = browser.get(&stored).await.expect(200);
        let remove = format!("/dashboard/media/{}/remove", ids[0]);
        page.shows(&format!("action=\"{remove}\""));
        let question = browser.send(&stored, &remove, &[]).await;
        browser.get(&stored).await.expect(200).shows(&remove);
        let after = browser.confirms(question, &remove).await;
        assert_eq!(after.leads_to(), stored, "the list is as it was chosen");
        browser.get(&stored).await.expect(200).hides(&remove);
        let gone = app.get(&format!("/v1/media/{}", ids[0])).await.expect(200);
        assert_eq!(gone.json()["status"], "removed");
    })
    .await;
}

#[tokio::test]
async fn a_key_of_one_session_finds_no_page_of_another() {
    locked()
        .gateway(async |app| {
            let admin = app.with_key(KEY);
            let (alice, bob, carol) = (app.phone("Alice"), app.phone("Bob"), app.phone("Carol"));
            admin.pair("mine", &alice).await;
            admin.pair("theirs", &carol).await;
            let file = MediaFile::new(FileKind::Document, b"secret".to_vec(), "text/plain");
            let id = bob.sends_file(carol.number(), file).await.unwrap();
            let told = app.webhook.next().await.body["data"].clone();
            let media = told["document"]["id"].as_str().unwrap().to_owned();
            let group = bob.creates_group("Friends", &[&carol, &alice]).unwrap();
            let wish = json!({"name": "guest", "scopes": ["read", "send", "manage"], "sessions": ["mine"]});
            let made = admin.post("/v1/api-keys", wish).await.expect(201).json();
            let mut browser = Browser::logged_in(app, made["key"].as_str().unwrap()).await;
            let pages = |session: &str| {
                let base = format!("/dashboard/sessions/{session}");
                let chat = format!("{base}/chats/{}", bob.jid());
                [
                    format!("{base}/chats"),
                    chat.clone(),
                    format!("{chat}/messages/{id}"),
                    format!("{base}/contacts"),
                    format!("{base}/contacts/{}", bob.jid()),
                    format!("{base}/groups"),
                    format!("{base}/groups/{group}"),
                    format!("{base}/groups/{group}/invite"),
                    format!("{base}/media"),
                ]
            };
            for path in pages("theirs") {
                let refused = browser.get(&path).await.expect(403);
                refused.shows("session_not_allowed");
                refused.hides("Friends");
            }
            for path in pages("mine") {
                let page = browser.get(&path).await;
                page.hides("session_not_allowed");
                page.hides("secret");
            }
            let token = browser.get("/dashboard/sessions/mine/groups").await.token();
            for action in ["chats/1/send", "chats/1/poll", "chats/1/messages/1/delete", "groups/1@g.us/leave"] {
                let fields = [("form_token", &*token), ("text", "x"), ("for", "me")];
                let path = format!("/dashboard/sessions/theirs/{action}");
                browser.submit(&path, &fields).await.expect(403).shows("session_not_allowed");
            }
            browser.get(&format!("/dashboard/media/{media}")).await.expect(404);
            let remove = format!("/dashboard/media/{media}/remove");
            let fields = [("form_token", &*token)];
            browser.submit(&remove, &fields).await.expect(404);
            let kept = admin.get(&format!("/v1/media/{media}")).await.expect(200);
            assert_ne!(kept.json()["status"], "removed");
            // Readers see, and change nothing.
            let wish = json!({"name": "reader", "scopes": ["read"]});
            let made = admin.post("/v1/api-keys", wish).await.expect(201).json();
            let mut browser = Browser::logged_in(app, made["key"].as_str().unwrap()).await;
            let page = browser.get(&format!("/dashboard/sessions/mine/groups/{group}")).await;
            page.expect(200).hides("/change");
            let invite = format!("/dashboard/sessions/mine/groups/{group}/invite");
            browser.get(&invite).await.expect(403).shows("scope_missing");
            within_reach(&mut browser, &bob.jid()).await;
        })
        .await;
}

/// A contact's page has no buttons for readers.
async fn within_reach(browser: &mut Browser, contact: &str) {
    let path = format!("/dashboard/sessions/theirs/contacts/{contact}");
    let page = until(browser, &path, "Open the chat").await;
    page.hides("/block");
}
