//! One message on its page, and everything that the composer sends.

use serde_json::{Value, json};
use wapi_simulator::{AckFault, Author};

use super::browser::Browser;
use super::chats::{posts, until};
use crate::harness::{PATIENCE, shop};

#[tokio::test]
async fn a_message_is_edited_forwarded_and_deleted_on_its_page() {
    shop(async |app, alice, bob| {
        let carol = app.phone("Carol");
        bob.sends_text(alice.number(), "hello?").await.unwrap();
        posts(app, 1).await;
        let id = app
            .accepted(
                "shop",
                json!({"to": bob.number(), "text": {"body": "helo"}}),
            )
            .await;
        bob.next_message(PATIENCE).await.unwrap();
        let mut browser = Browser::at(app);
        let chat = format!("/dashboard/sessions/shop/chats/{}", bob.jid());
        until(&mut browser, &chat, ">helo<").await;
        let own = format!("{chat}/messages/{id}");
        let page = browser.get(&own).await.expect(200);
        page.shows("id=\"raw\"");
        page.shows("id=\"delivery\"");
        page.shows(&format!("?up_to={id}#m-{id}"));

        let fields = [("to", carol.number())];
        let led = browser.send(&own, &format!("{own}/forward"), &fields).await;
        assert!(
            led.leads_to().contains(carol.number()),
            "{}",
            led.leads_to()
        );
        let forwarded = carol.next_message(PATIENCE).await.unwrap();
        assert_eq!(forwarded.text.as_deref(), Some("helo"));

        let fields = [("kind", "text"), ("new_text", "hello")];
        let edited = browser.send(&own, &format!("{own}/edit"), &fields).await;
        assert!(edited.leads_to().starts_with(&chat));
        let edit = bob.next_message(PATIENCE).await.unwrap().to_json();
        assert!(edit.to_string().contains("hello"), "{edit}");
        until(&mut browser, &chat, "class=\"edited\"").await;

        let fields = [("message_id", &*id), ("emoji", "🎉")];
        browser.send(&own, &format!("{chat}/react"), &fields).await;
        let reaction = bob.next_message(PATIENCE).await.unwrap().to_json();
        assert_eq!(reaction["reaction_message"]["text"], "🎉");
        let page = until(&mut browser, &own, "🎉</span>").await;
        page.shows("title=\"you\"");
        let fields = [("message_id", &*id), ("emoji", "")];
        browser.send(&own, &format!("{chat}/react"), &fields).await;
        let reaction = bob.next_message(PATIENCE).await.unwrap().to_json();
        assert_eq!(
            reaction["reaction_message"]
                .get("text")
                .unwrap_or(&json!("")),
            ""
        );

        let fields = [("for", "everyone")];
        let delete = format!("{own}/delete");
        let question = browser.send(&own, &delete, &fields).await;
        question.shows("Delete this message for everyone?");
        browser
            .get(&own)
            .await
            .expect(200)
            .hides("This message was deleted.");
        let deleted = browser.confirms(question, &delete).await;
        assert!(deleted.leads_to().starts_with(&chat));
        bob.next_message(PATIENCE).await.unwrap();
        let page = until(&mut browser, &own, "This message was deleted.").await;
        page.hides("/forward");
        browser
            .get(&format!("{chat}/messages/nothing"))
            .await
            .expect(404)
            .shows("message_not_found");
    })
    .await;
}

#[tokio::test]
async fn every_form_that_sends_a_message_sends_it_once_however_often_it_is_sent() {
    shop(async |app, alice, bob| {
        let carol = app.phone("Carol");
        bob.sends_text(alice.number(), "hello?").await.unwrap();
        posts(app, 1).await;
        let text = |to: &str, body: &str| json!({"to": to, "text": {"body": body}});
        let id = app.accepted("shop", text(bob.number(), "helo")).await;
        bob.next_message(PATIENCE).await.unwrap();
        let mut browser = Browser::at(app);
        let chat = format!("/dashboard/sessions/shop/chats/{}", bob.jid());
        let own = format!("{chat}/messages/{id}");
        until(&mut browser, &chat, ">helo<").await;
        let poll = [("question", "Which?"), ("options", "Soup\nSalad")];
        for (page, action, typed) in [
            (&chat, format!("{chat}/poll"), &poll[..]),
            (&own, format!("{own}/forward"), &[("to", carol.number())]),
            (&own, format!("{own}/edit"), &[("new_text", "hello")]),
        ] {
            let form = browser.get(page).await.expect(200).form(&action);
            let fields = form.iter().map(|(name, value)| {
                let typed = typed.iter().find(|(field, _)| field == name);
                (
                    name.as_str(),
                    typed.map_or(value.as_str(), |(_, text)| text),
                )
            });
            let fields: Vec<_> = fields.collect();
            let first = browser.submit(&action, &fields).await;
            let again = browser.submit(&action, &fields).await;
            assert_eq!(first.leads_to(), again.leads_to(), "{action}");
        }
        for phone in [&bob, &carol] {
            app.accepted("shop", text(phone.number(), "the end")).await;
        }
        for (phone, expected) in [
            (&bob, &["Which?", "hello", "the end"][..]),
            (&carol, &["helo", "the end"]),
        ] {
            for text in expected {
                let message = phone.next_message(PATIENCE).await.unwrap().to_json();
                assert!(message.to_string().contains(text), "{text}: {message}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_poll_from_the_page_shows_its_votes_as_they_come() {
    shop(async |app, alice, bob| {
        bob.sends_text(alice.number(), "lunch?").await.unwrap();
        posts(app, 1).await;
        let mut browser = Browser::at(app);
        let chat = format!("/dashboard/sessions/shop/chats/{}", bob.jid());
        until(&mut browser, &chat, "lunch?").await;
        let fields = [
            ("question", "Which?"),
            ("options", "Soup\n\nSalad\n"),
            ("max_selections", "1"),
        ];
        browser.send(&chat, &format!("{chat}/poll"), &fields).await;
        let poll = bob.next_message(PATIENCE).await.unwrap();
        let page = until(&mut browser, &chat, "Which?").await;
        let mut tab = browser.follow(&page.stream()).await;
        bob.votes_on_poll(&alice.jid(), &poll.id, Author::Them, &["Salad"])
            .unwrap();
        let element = format!("m-{}", poll.id);
        let shown = tab.until(&element, "value=\"1\"").await;
        assert!(shown.contains("Salad <meter"), "{shown}");
        let read = app
            .get(&format!(
                "/v1/sessions/shop/chats/{}/messages?limit=1",
                bob.jid()
            ))
            .await
            .expect(200)
            .json();
        assert_eq!(
            read["messages"][0]["tally"],
            json!([
                {"option": "Soup", "votes": 0, "voters": []},
                {"option": "Salad", "votes": 1, "voters": [bob.jid()]},
            ])
        );
        let own = format!("{chat}/messages/{}", poll.id);
        let page = browser.get(&own).await.expect(200);
        page.shows("type=\"radio\" name=\"options\" value=\"Soup\"");
        let fields = [("message_id", &*poll.id), ("options", "Soup")];
        let voted = browser.send(&own, &format!("{chat}/vote"), &fields).await;
        voted.leads_to();
        tab.until(&element, "Soup <meter min=\"0\" max=\"2\" value=\"1\"")
            .await;
    })
    .await;
}

#[tokio::test]
async fn a_quote_of_long_ago_leads_to_its_message() {
    shop(async |app, alice, bob| {
        let first = bob.sends_text(alice.number(), "the first").await.unwrap();
        for number in 0..55 {
            bob.sends_text(alice.number(), &format!("number {number:02}"))
                .await
                .unwrap();
        }
        posts(app, 56).await;
        let reply = json!({"to": bob.jid(), "text": {"body": "about that"}, "context": {"message_id": first}});
        app.accepted("shop", reply).await;
        let mut browser = Browser::at(app);
        let chat = format!("/dashboard/sessions/shop/chats/{}", bob.jid());
        let page = until(&mut browser, &chat, "about that").await;
        page.hides(">the first</div>");
        let link = format!("{chat}?up_to={first}");
        page.shows(&format!("href=\"{link}#m-{first}\""));
        assert!(page.text.len() < 100 * 1024, "{} bytes", page.text.len());
        let old = browser.get(&link).await.expect(200);
        old.shows(&format!("id=\"m-{first}\""));
        old.hides("number 00");
        old.hides("data-stream");

        let list = format!("/v1/sessions/shop/chats/{}/messages", bob.jid());
        let read = async |query: &str| {
            let query = query.replace("FIRST", &first);
            app.get(&format!("{list}?{query}")).await
        };
        let page = read("up_to=FIRST").await.expect(200).json();
        assert_eq!(page["messages"].as_array().map(Vec::len), Some(1));
        assert_eq!(page["messages"][0]["id"], json!(first));
        assert_eq!(page["before"], Value::Null);
        let unknown = read("up_to=nothing").await.expect(404);
        assert_eq!(unknown.code(), "message_not_found");
        let both = read("up_to=FIRST&before=1.1").await.expect(400).json();
        assert_eq!(both["errors"][0]["field"], "up_to");
        let both = read("after=1.1&before=1.1").await.expect(400).json();
        assert_eq!(both["errors"][0]["field"], "after");
        bob.next_message(PATIENCE).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_message_that_whatsapp_refuses_is_seen_to_fail() {
    shop(async |app, alice, bob| {
        bob.sends_text(alice.number(), "hello").await.unwrap();
        posts(app, 1).await;
        let mut browser = Browser::at(app);
        let chat = format!("/dashboard/sessions/shop/chats/{}", bob.jid());
        until(&mut browser, &chat, "hello").await;
        app.simulator.faults().set_ack_fault(AckFault::Refuse(463));
        let fields = [("text", "can you hear me?")];
        let sent = browser.send(&chat, &format!("{chat}/send"), &fields).await;
        let (path, _) = sent.leads_to().split_once('#').unwrap();
        let page = until(&mut browser, path, "data-status=\"failed\"").await;
        page.shows("463");
        app.simulator.faults().set_ack_fault(AckFault::None);
    })
    .await;
}
