//! A gateway with something on every page, and the pages that a reader finds by their links.

use std::collections::{BTreeSet, VecDeque};

use serde_json::{Value, json};
use wapi_simulator::{Author, FileKind, MediaFile, Phone};

use super::reader::PageReader;
use super::{KEY, locked, posts};
use crate::harness::{PATIENCE, Setup, TestApp, TestReceiver, within};

/// Kinds of pages that links lead to on a gateway with something of everything.
const LEAST_PAGES: usize = 25;

/// A session that waits for a phone.
const UNLINKED: &str = "branch";

/// A gateway that requires a key, and may post to webhooks on this machine all the same.
pub fn furnished() -> Setup {
    locked().set("WAPI_ALLOW_PRIVATE_TARGETS", "all")
}

/// Links Alice's account as `shop`, and lets somebody of this name write a bit of everything to it.
pub async fn furnish(app: &TestApp, name: &str) {
    let admin = app.with_key(KEY);
    let (alice, bob) = (app.phone("Alice"), app.phone(name));
    admin.pair("shop", &alice).await;
    let new = json!({"id": UNLINKED});
    admin.post("/v1/sessions", new).await.expect(201);
    // A webhook that has failed, and one delivery that was given up on.
    let receiver = TestReceiver::start().await;
    receiver.answer(503);
    let wish = json!({"url": receiver.base(), "types": ["message.received"]});
    admin.post("/v1/webhooks", wish).await.expect(201);
    let wish = json!({"name": "board", "scopes": ["read"], "sessions": ["shop"]});
    admin.post("/v1/api-keys", wish).await.expect(201);
    write_everything(&alice, &bob, name).await;
    posts(app, 7).await;
    receiver.refusals(1).await;
    let answer = json!({"to": bob.jid(), "text": {"body": "Until six."}});
    admin.accepted("shop", answer).await;
    bob.next_message(PATIENCE).await.unwrap();
    let path = format!("/v1/sessions/shop/chats/{}/messages", bob.jid());
    let kept = async || {
        let page = admin.get(&path).await.json();
        let count = page["messages"].as_array().map_or(0, Vec::len);
        (count >= 7).then_some(())
    };
    within(PATIENCE, kept).await.expect("the history has it");
}

async fn write_everything(alice: &Phone, bob: &Phone, name: &str) {
    let to = alice.number();
    let first = bob.sends_text(to, name).await.unwrap();
    bob.reacts_to_message(to, &first, Author::Me, "🙏").unwrap();
    bob.sends_location(to, 53.9, -27.5, name).unwrap();
    let card = format!("BEGIN:VCARD\nFN:{name}\nTEL:+375 44 703-48-10\nEND:VCARD");
    bob.sends_contacts(to, &[(name, &card)]).unwrap();
    bob.sends_poll(to, name, &[name, "Coffee"], 1).unwrap();
    let view = MediaFile {
        caption: Some(name.to_owned()),
        ..MediaFile::new(FileKind::Image, picture(), "image/png")
    };
    bob.sends_file(to, view).await.unwrap();
    let list = MediaFile {
        caption: Some(name.to_owned()),
        name: Some(name.to_owned()),
        ..MediaFile::new(FileKind::Document, b"tea".to_vec(), "text/html")
    };
    bob.sends_file(to, list).await.unwrap();
    let subject: String = name.chars().take(100).collect();
    let group = bob.creates_group(&subject, &[alice]).unwrap();
    // Else the page of its invite link is an error.
    bob.promotes_members(&group, &[alice]).unwrap();
    bob.sends_text(&group, name).await.unwrap();
}

fn picture() -> Vec<u8> {
    let view = image::RgbImage::from_fn(320, 180, |x, y| {
        image::Rgb([(x / 2) as u8, 90 + (y / 2) as u8, 140])
    });
    let mut file = std::io::Cursor::new(Vec::new());
    view.write_to(&mut file, image::ImageFormat::Png).unwrap();
    file.into_inner()
}

/// Follows the links to all kinds of pages, one each, and looks at every page on the way.
pub async fn visit_pages(reader: &PageReader, mut look: impl AsyncFnMut(&str)) {
    let mut kinds = BTreeSet::new();
    // Of the sessions, the one with chats is looked at first.
    let first = ["/dashboard", "/dashboard/sessions/shop"].map(str::to_owned);
    let mut waiting = VecDeque::from(first);
    while let Some(path) = waiting.pop_front() {
        if !kinds.insert(page_kind(&path)) {
            continue;
        }
        reader.opens(&path).await;
        let links = "[...document.querySelectorAll('a[href^=\"/dashboard\"]')].map((it) => it.getAttribute('href'))";
        let links = reader.window.evaluate(links).await;
        let links = links.as_array().expect("a list").iter();
        let pages = links.filter_map(Value::as_str).filter(|link| is_page(link));
        waiting.extend(pages.map(|link| link.split('#').next().unwrap_or_default().to_owned()));
        look(&path).await;
    }
    let count = kinds.len();
    assert!(count >= LEAST_PAGES, "links lead to {count} pages only");
}

fn is_page(link: &str) -> bool {
    !link.starts_with("/dashboard/media/") && !link.starts_with("/dashboard/assets/")
}

/// The address without what names the things on the page.
fn page_kind(path: &str) -> String {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let path = path.split('#').next().unwrap_or_default();
    let mut kind = String::new();
    let mut is_name = false;
    if path.ends_with(UNLINKED) {
        return path.to_owned();
    }
    for part in path.split('/').skip(1) {
        let of_chat = part.rsplit_once('@').map_or("*", |(_, server)| server);
        kind.push('/');
        kind.push_str(if is_name { of_chat } else { part });
        is_name = !is_name
            && matches!(
                part,
                "sessions"
                    | "chats"
                    | "messages"
                    | "webhooks"
                    | "groups"
                    | "contacts"
                    | "phones"
                    | "try"
            );
    }
    for parameter in query.split('&').filter(|it| !it.is_empty()) {
        kind.push('&');
        kind.push_str(parameter.split('=').next().unwrap_or_default());
    }
    kind
}
