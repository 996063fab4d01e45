//! Chats: reading, answering, and what strangers may write.

use serde_json::json;
use wapi_simulator::{Author, FileKind, MediaFile, QuotedMessage, RichText};

use super::browser::{Browser, Page};
use super::{KEY, locked};
use crate::harness::{PATIENCE, TestApp, gateway, shop, within};

/// The page once it shows a text.
pub async fn until(browser: &mut Browser, path: &str, text: &str) -> Page {
    let mut last = String::new();
    let found = async || {
        let page = browser.get(path).await.expect(200);
        last.clone_from(&page.text);
        page.text.contains(text).then_some(page)
    };
    match within(PATIENCE, found).await {
        Some(page) => page,
        None => panic!("{text} is never on {path}: {last}"),
    }
}

/// Takes the posts off the webhook, which is not the subject of these tests.
pub async fn posts(app: &TestApp, count: usize) {
    for _ in 0..count {
        app.webhook.next().await;
    }
}

#[tokio::test]
async fn people_chat_on_the_page_in_both_directions_while_it_watches() {
    shop(async |app, alice, bob| {
        let first = bob.sends_text(alice.number(), "Is it open?").await.unwrap();
        posts(app, 1).await;
        let mut browser = Browser::at(app);
        let chats = until(
            &mut browser,
            "/dashboard/sessions/shop/chats",
            "Is it open?",
        )
        .await;
        chats.shows("<bdi>Bob</bdi>");
        let address = format!("/dashboard/sessions/shop/chats/{}", bob.jid());
        chats.shows(&format!("href=\"{address}#end\""));
        let page = until(&mut browser, &address, "Is it open?").await;
        let mut tab = browser.follow(&page.stream()).await;
        let fields = [("text", "Until six."), ("reply_to", &*first)];
        let sent = browser
            .send(&address, &format!("{address}/send"), &fields)
            .await;
        assert!(sent.leads_to().starts_with(&format!("{address}?sent=")));
        let received = bob.next_message(PATIENCE).await.unwrap().to_json();
        let text = &received["extended_text_message"];
        assert_eq!(text["text"], "Until six.");
        assert_eq!(text["context_info"]["stanza_id"], json!(first));
        let page = until(&mut browser, &address, "data-status=\"delivered\"").await;
        page.shows(&format!("href=\"#m-{first}\""));
        let second = bob.sends_text(alice.number(), "Thank you!").await.unwrap();
        let shown = tab.until(&format!("m-{second}"), "Thank you!").await;
        assert!(shown.starts_with("<li class=\"message\""), "{shown}");
        let fields = [("message_id", &*second), ("emoji", "👍")];
        let reacted = browser
            .send(&address, &format!("{address}/react"), &fields)
            .await;
        assert!(reacted.leads_to().ends_with("#end"));
        let reaction = bob.next_message(PATIENCE).await.unwrap().to_json();
        assert_eq!(reaction["reaction_message"]["text"], "👍");
        tab.until(&format!("m-{second}"), "class=\"reactions\"")
            .await;
        posts(app, 1).await;
    })
    .await;
}

#[tokio::test]
async fn a_form_that_a_browser_sends_twice_sends_one_message() {
    shop(async |app, alice, bob| {
        bob.sends_text(alice.number(), "Tea?").await.unwrap();
        posts(app, 1).await;
        let mut browser = Browser::at(app);
        let address = format!("/dashboard/sessions/shop/chats/{}", bob.jid());
        let action = format!("{address}/send");
        until(&mut browser, &address, "Tea?").await;
        for (text, times) in [("Yes", 2), ("Or coffee", 1)] {
            let page = browser.get(&address).await.expect(200);
            let fields = page.form(&action);
            let typed = fields.iter().map(|(name, value)| match &**name {
                "text" => ("text", text),
                name => (name, value.as_str()),
            });
            let typed: Vec<_> = typed.filter(|(_, value)| !value.is_empty()).collect();
            assert!(typed.contains(&("text", text)), "{typed:?}");
            for _ in 0..times {
                browser.submit(&action, &typed).await.leads_to();
            }
        }
        for text in ["Yes", "Or coffee"] {
            assert_eq!(
                bob.next_message(PATIENCE).await.unwrap().text.as_deref(),
                Some(text)
            );
        }
    })
    .await;
}

#[tokio::test]
async fn a_file_is_sent_from_the_page_with_its_caption() {
    shop(async |app, alice, bob| {
        bob.sends_text(alice.number(), "the list?").await.unwrap();
        posts(app, 1).await;
        let mut browser = Browser::at(app);
        let address = format!("/dashboard/sessions/shop/chats/{}", bob.jid());
        let token = until(&mut browser, &address, "the list?").await.token();
        let form = |token: &str| {
            let field = |name: &str, value: &str| {
                format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
            };
            let head = "Content-Disposition: form-data; name=\"file\"; filename=\"list.txt\"";
            let file = format!("--x\r\n{head}\r\nContent-Type: text/plain\r\n\r\ntea\r\n--x--\r\n");
            field("form_token", token) + &field("caption", "For you") + &file
        };
        let action = format!("{address}/file");
        let stale = browser.upload(&action, form("of-somebody-else")).await;
        stale.expect(403).shows("stale_form");
        let sent = browser.upload(&action, form(&token)).await;
        assert!(sent.leads_to().starts_with(&address));
        let document = bob.next_message(PATIENCE).await.unwrap().to_json();
        let document = document.to_string();
        assert!(
            document.contains("list.txt") && document.contains("For you"),
            "{document}"
        );
        // A form with a file is no way around the token of the others.
        let other = browser
            .upload(&format!("{address}/send"), form(&token))
            .await;
        other.expect(403).shows("stale_form");
    })
    .await;
}

#[tokio::test]
async fn a_file_that_a_browser_sends_twice_is_one_message_and_one_file() {
    shop(async |app, alice, bob| {
        bob.sends_text(alice.number(), "the list?").await.unwrap();
        posts(app, 1).await;
        let mut browser = Browser::at(app);
        let address = format!("/dashboard/sessions/shop/chats/{}", bob.jid());
        let action = format!("{address}/file");
        until(&mut browser, &address, "the list?").await;
        let page = browser.get(&address).await.expect(200);
        let form = |page: &Page, content: &str| {
            let head = "--x\r\nContent-Disposition: form-data; name=";
            let fields = page.form(&action).into_iter();
            let texts = fields.filter(|(name, _)| name != "file");
            let texts: String = texts
                .map(|(name, value)| format!("{head}\"{name}\"\r\n\r\n{value}\r\n"))
                .collect();
            format!(
                "{texts}{head}\"file\"; filename=\"list.txt\"\r\nContent-Type: text/plain\r\n\r\n{content}\r\n--x--\r\n"
            )
        };
        // At once, as a double click does, and once more after a lost connection.
        let tea = form(&page, "tea");
        let mut other_tab = browser.clone();
        let (first, second) = tokio::join!(
            browser.upload(&action, tea.clone()),
            other_tab.upload(&action, tea.clone()),
        );
        let third = browser.upload(&action, tea).await;
        assert_eq!(first.leads_to(), second.leads_to());
        assert_eq!(first.leads_to(), third.leads_to());
        // Another file needs a form of its own, which the page that comes back has.
        let changed = browser.upload(&action, form(&page, "coffee")).await;
        let changed = changed.expect(409);
        changed.shows("idempotency_key_reused");
        browser.upload(&action, form(&changed, "coffee")).await.leads_to();
        for content in ["tea", "coffee"] {
            let media = bob.next_media(PATIENCE).await.unwrap();
            assert_eq!(media.bytes, content.as_bytes());
        }
    })
    .await;
}

#[tokio::test]
async fn a_chat_is_read_for_its_senders_by_a_button_only() {
    shop(async |app, alice, bob| {
        let id = bob.sends_text(alice.number(), "hello").await.unwrap();
        posts(app, 1).await;
        let mut browser = Browser::at(app);
        let address = format!("/dashboard/sessions/shop/chats/{}", bob.jid());
        until(&mut browser, &address, "hello").await;
        browser
            .get("/dashboard/sessions/shop/chats")
            .await
            .expect(200)
            .shows("unread");
        // A marker behind which a receipt of the reading would have come.
        app.accepted("shop", json!({"to": bob.jid(), "text": {"body": "marker"}}))
            .await;
        bob.next_message(PATIENCE).await.unwrap();
        assert!(
            !bob.receipts()
                .iter()
                .any(|receipt| receipt.status == "read")
        );
        let led = browser
            .send(&address, &format!("{address}/read"), &[])
            .await;
        assert_eq!(led.leads_to(), address);
        bob.wait_for_receipt(&id, "read", PATIENCE).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn edits_deletions_quotes_and_every_kind_are_on_the_page() {
    shop(async |app, alice, bob| {
        let to = alice.number();
        let edited = bob.sends_text(to, "helo").await.unwrap();
        let deleted = bob.sends_text(to, "nonsense").await.unwrap();
        bob.edits_message(to, &edited, "hello there").unwrap();
        bob.deletes_message(to, &deleted).unwrap();
        bob.reacts_to_message(to, &edited, Author::Me, "🙏")
            .unwrap();
        bob.sends_location(to, 53.9, -27.5, "The quay").unwrap();
        bob.sends_contacts(to, &[("Ann", super::VCARD)]).unwrap();
        bob.sends_poll(to, "Tea or coffee?", &["Tea", "Coffee"], 1)
            .unwrap();
        let quoting = RichText {
            body: "as I said".to_owned(),
            mentions: Vec::new(),
            quotes: Some(QuotedMessage {
                id: edited.clone(),
                author: bob.jid(),
                picture_caption: Some("the caption of old".to_owned()),
            }),
            is_forwarded: true,
            expires_after: None,
        };
        bob.sends_rich_text(to, quoting).unwrap();
        let picture = MediaFile {
            caption: Some("a view".to_owned()),
            ..MediaFile::new(
                FileKind::Image,
                b"\xff\xd8\xff a picture".to_vec(),
                "image/jpeg",
            )
        };
        bob.sends_file(to, picture).await.unwrap();
        let document = MediaFile {
            name: Some("list.html".to_owned()),
            ..MediaFile::new(
                FileKind::Document,
                b"<script>1</script>".to_vec(),
                "text/html",
            )
        };
        bob.sends_file(to, document).await.unwrap();
        posts(app, 8).await;
        let mut browser = Browser::at(app);
        let address = format!("/dashboard/sessions/shop/chats/{}", bob.jid());
        until(&mut browser, &address, "🙏</span>").await;
        let page = until(&mut browser, &address, "list.html").await;
        for text in [
            "hello there",
            "class=\"edited\"",
            "This message was deleted.",
            "The quay",
            "53.9, -27.5",
            "Ann</bdi> <a href=\"/dashboard/sessions/shop/chats/375447034810\">+375 44 703-48-10</a>",
            "Tea or coffee?",
            "<li>Coffee ",
            "the caption of old",
            "forwarded",
            "a view",
            "<img src=\"/dashboard/media/",
        ] {
            page.shows(text);
        }
        page.hides("nonsense");
        let media = page
            .text
            .split("<a href=\"/dashboard/media/")
            .last()
            .unwrap();
        let file = format!("/dashboard/media/{}", media.split('"').next().unwrap());
        let file = browser.get(&file).await.expect(200);
        let header = |name: &str| file.headers[name].to_str().unwrap().to_owned();
        assert!(header("content-disposition").starts_with("attachment"));
        assert!(header("content-security-policy").starts_with("sandbox"));
        assert_eq!(header("x-content-type-options"), "nosniff");
    })
    .await;
}

#[tokio::test]
async fn older_messages_are_a_page_of_their_own() {
    shop(async |app, alice, bob| {
        for number in 0..60 {
            bob.sends_text(alice.number(), &format!("message {number:02}"))
                .await
                .unwrap();
        }
        posts(app, 60).await;
        let mut browser = Browser::at(app);
        let address = format!("/dashboard/sessions/shop/chats/{}", bob.jid());
        let page = until(&mut browser, &address, "message 59").await;
        page.shows("message 10");
        page.hides("message 09");
        let (_, older) = page
            .text
            .split_once("?before=")
            .expect("a link to older ones");
        let older = format!("{address}?before={}", older.split('"').next().unwrap());
        let page = browser.get(&older).await.expect(200);
        page.shows("message 09");
        page.shows("message 00");
        page.hides("message 10");
        page.hides("data-stream");
    })
    .await;
}

/// What strangers may call themselves and their files.
const HOSTILE: [&str; 8] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(2)>",
    "</bdi></li><svg/onload=alert(3)>",
    "</textarea><iframe srcdoc='<b>4</b>'>",
    "<!--<b>5",
    "</pre></details><form action=//evil.example>",
    "&lt;b&gt;6&#60;b>",
    "\u{202e}<a href=\"javascript:alert(7)\">",
];

/// The text inside of a JSON text.
fn in_json(text: &str) -> String {
    let quoted = serde_json::to_string(text).unwrap();
    quoted[1..quoted.len() - 1].to_owned()
}

/// The text as HTML shows it.
fn escaped(text: String) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[tokio::test]
async fn whatever_strangers_write_is_text_on_every_page_and_in_every_stream() {
    gateway(async |app| {
        let alice = app.phone("Alice");
        app.pair("shop", &alice).await;
        let to = alice.number();
        let mut browser = Browser::at(app);
        let events = browser.get("/dashboard/events").await.expect(200);
        let mut tail = browser.follow(&events.stream()).await;
        for name in HOSTILE {
            let mallory = app.phone(name);
            mallory.sends_text(to, name).await.unwrap();
            mallory.sends_location(to, 1.0, 2.0, name).unwrap();
            let card = format!("BEGIN:VCARD\nFN:{name}\nTEL:{name}\nEND:VCARD");
            mallory.sends_contacts(to, &[(name, &card)]).unwrap();
            mallory.sends_poll(to, name, &[name, "no"], 1).unwrap();
            let document = MediaFile {
                caption: Some(name.to_owned()),
                name: Some(name.to_owned()),
                ..MediaFile::new(FileKind::Document, b"a".to_vec(), name)
            };
            mallory.sends_file(to, document).await.unwrap();
            let group = mallory.creates_group(name, &[&alice]).unwrap();
            mallory.sends_text(&group, name).await.unwrap();
            posts(app, 6).await;
            let mut pages = vec![
                "/dashboard/sessions/shop/chats".to_owned(),
                "/dashboard/events".to_owned(),
            ];
            for chat in [mallory.jid(), group] {
                let address = format!("/dashboard/sessions/shop/chats/{chat}");
                until(&mut browser, &address, "class=\"message\"").await;
                pages.push(address);
            }
            for path in pages {
                let page = browser.get(&path).await.expect(200);
                page.hides(name);
                // Events are on their page as JSON.
                let is_json = path.ends_with("/events");
                page.shows(&escaped(if is_json {
                    in_json(name)
                } else {
                    name.to_owned()
                }));
            }
            let filter = url::form_urlencoded::byte_serialize(name.as_bytes()).collect::<String>();
            let page = browser
                .get(&format!("/dashboard/events?types={filter}"))
                .await;
            page.expect(400).hides(name);
            let page = browser
                .get(&format!("/dashboard/events?session={filter}"))
                .await;
            page.expect(200).hides(name);
        }
        // The stream says the same as the page.
        loop {
            let (_, data) = tail.next().await.expect("the stream goes on");
            for name in HOSTILE {
                assert!(!data.contains(&in_json(name)), "{data}");
            }
            if data.contains("javascript:alert(7)") {
                break;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_reader_has_no_composer_and_writes_nothing() {
    locked()
        .gateway(async |app| {
            let admin = app.with_key(KEY);
            let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
            admin.pair("shop", &alice).await;
            bob.sends_text(alice.number(), "hello").await.unwrap();
            posts(app, 1).await;
            let wish = json!({"name": "guest", "scopes": ["read"]});
            let made = admin.post("/v1/api-keys", wish).await.expect(201).json();
            let mut browser = Browser::logged_in(app, made["key"].as_str().unwrap()).await;
            let address = format!("/dashboard/sessions/shop/chats/{}", bob.jid());
            let page = until(&mut browser, &address, "hello").await;
            page.hides("<textarea");
            page.hides("/react");
            let fields = [("form_token", &*page.token()), ("text", "hi")];
            let refused = browser.submit(&format!("{address}/send"), &fields).await;
            refused.expect(403).shows("scope_missing");
        })
        .await;
}

#[tokio::test]
async fn a_file_is_the_same_on_the_page_as_over_the_api() {
    shop(async |app, alice, bob| {
        let picture = MediaFile::new(
            FileKind::Image,
            b"\xff\xd8\xff a picture".to_vec(),
            "image/jpeg",
        );
        bob.sends_file(alice.number(), picture).await.unwrap();
        let told = app.webhook.next().await.body["data"].clone();
        let id = told["image"]["id"].as_str().unwrap().to_owned();
        let mut browser = Browser::at(app);
        let file = browser
            .get(&format!("/dashboard/media/{id}"))
            .await
            .expect(200);
        assert_eq!(file.headers["content-type"], "image/jpeg");
        assert_eq!(file.headers["cache-control"], "no-store");
        let gone = browser.get("/dashboard/media/med_nothing").await;
        gone.expect(404).shows("media_not_found");
    })
    .await;
}

#[tokio::test]
async fn a_chat_in_which_nothing_was_written_yet_can_be_begun() {
    shop(async |app, _, bob| {
        let mut browser = Browser::at(app);
        let chat = format!("/dashboard/sessions/shop/chats/{}", bob.jid());
        let page = browser.get(&chat).await.expect(200);
        page.shows("There are no messages.");
        let text = [("text", "Hello")];
        let action = format!("{chat}/send");
        browser.send(&chat, &action, &text).await.leads_to();
        let first = bob.next_message(PATIENCE).await.unwrap();
        assert_eq!(first.text.as_deref(), Some("Hello"));
    })
    .await;
}
