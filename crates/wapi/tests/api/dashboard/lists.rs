//! Lists that are longer than a page: nothing of them is hidden, and a button leads back to its page.

use std::collections::BTreeSet;

use serde_json::json;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use super::browser::{Browser, Page};
use super::{KEY, locked};
use crate::harness::{PATIENCE, TestApp, shop, within};

/// Where a link of the page leads.
fn link(page: &Page, rel: &str) -> Option<String> {
    let named = format!("rel=\"{rel}\"");
    let tags = page.text.split("<a ").skip(1);
    let mut tags = tags.filter_map(|tag| tag.split('>').next());
    let (_, href) = tags
        .find(|tag| tag.contains(&named))?
        .split_once("href=\"")?;
    Some(href.split('"').next()?.replace("&amp;", "&"))
}

/// Changes the database of a gateway that stands still meanwhile. The text is a constant.
async fn change_database(app: &mut TestApp, sql: String) {
    let stopped = app.stop().await;
    let file = SqliteConnectOptions::new().filename(stopped.root().join("wapi.db"));
    let mut database = file.connect().await.unwrap();
    sqlx::query(sqlx::AssertSqlSafe(sql))
        .execute(&mut database)
        .await
        .unwrap();
    database.close().await.unwrap();
    stopped.start().await;
}

/// Adds deliveries to the original webhook that were taken.
async fn add_deliveries(app: &mut TestApp, count: usize) {
    let sql = format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) \
         INSERT INTO deliveries (event, endpoint, session, chat, state, created_at, settled_at) \
         SELECT (SELECT max(seq) FROM events), 'original', 'shop', 'a', 'delivered', 1, 1 FROM n"
    );
    change_database(app, sql).await;
}

#[tokio::test]
async fn a_delivery_that_waits_is_found_behind_thousands_that_do_not() {
    shop(async |app, alice, bob| {
        let wish = json!({"url": app.webhook.base(), "types": ["message.received"]});
        let made = app.post("/v1/webhooks", wish).await.expect(201).json();
        let id = made["id"].as_str().unwrap();
        let list = format!("/dashboard/webhooks/{id}/deliveries");
        let none = format!("{list}?status=waiting");
        let page = Browser::at(app).get(&none).await.expect(200);
        page.shows("There are no deliveries");
        let disable = format!("/dashboard/webhooks/{id}/disable");
        let mut browser = Browser::at(app);
        browser.send(&list, &disable, &[]).await.leads_to();
        bob.sends_text(alice.number(), "hello").await.unwrap();
        app.webhook.next().await;
        add_deliveries(app, 25_000).await;
        let page = Browser::at(app).get(&none).await.expect(200);
        page.shows("message.received");
        page.hides("There are no deliveries");
        add_deliveries(app, 200_000).await;
        let mut browser = Browser::at(app);
        let page = browser.get(&none).await.expect(200);
        page.shows("None among those looked through so far");
        page.hides("There are no deliveries");
        let older = link(&page, "next").expect("there may be older ones");
        let page = browser.get(&older).await.expect(200);
        page.shows("message.received");
        assert_eq!(link(&page, "next"), None);
        app.delete(&format!("/v1/webhooks/{id}")).await.expect(204);
    })
    .await;
}

#[tokio::test]
async fn a_button_of_a_filtered_list_leads_back_to_it() {
    shop(async |app, alice, bob| {
        bob.sends_text(alice.number(), "hello").await.unwrap();
        app.webhook.next().await;
        let mut browser = Browser::at(app);
        let list = "/dashboard/webhooks/original/deliveries";
        let filtered = format!("{list}?status=delivered");
        let delivered = async || {
            let page = browser.get(&filtered).await.expect(200);
            page.text.contains("/resend\"").then_some(page)
        };
        let page = within(PATIENCE, delivered).await;
        let page = page.expect("it is delivered");
        page.shows(&format!("name=\"page\" value=\"{filtered}\""));
        let (_, action) = page.text.split_once("action=\"").unwrap();
        let action = action.split('"').next().unwrap();
        assert!(action.ends_with("/resend"), "{action}");
        let mut browser = Browser::at(app);
        let token = browser.get(&filtered).await.expect(200).token();
        let injected = format!("{list}?a\r\nx:y");
        for (page, leads_to) in [
            (&*filtered, &*filtered),
            (list, list),
            ("/dashboard/keys?status=delivered", list),
            ("/dashboard/webhooks/original/deliveries2?a", list),
            (
                "//evil.example/dashboard/webhooks/original/deliveries?a",
                list,
            ),
            (&*injected, list),
            ("", list),
        ] {
            let fields = [("form_token", &*token), ("page", page)];
            let sent = browser.submit(action, &fields).await;
            assert_eq!(sent.leads_to(), leads_to, "{page}");
            app.webhook.next().await;
            // Until then it waits, and what waits is not posted twice.
            let delivered = async || {
                let page = browser.get(&filtered).await.expect(200);
                page.text.contains("/resend\"").then_some(())
            };
            within(PATIENCE, delivered).await.expect("it is delivered");
        }
        let resend = format!("{list}/resend-failed");
        let all = browser.send(&filtered, &resend, &[]).await.expect(200);
        all.shows(&format!("href=\"{filtered}\""));
    })
    .await;
}

/// The entries of each page of a list, from the first page to the last. A name stands between `mark`
/// and the next quote.
async fn pages_of(browser: &mut Browser, list: &str, mark: &str) -> Vec<Vec<String>> {
    let (mut pages, mut next) = (Vec::new(), Some(list.to_owned()));
    while let Some(path) = next {
        assert!(pages.len() < 10, "{list} has no end");
        let page = browser.get(&path).await.expect(200);
        let names = page.text.split(mark).skip(1);
        let names = names.map(|rest| rest.split('"').next().unwrap().to_owned());
        pages.push(names.collect());
        next = link(&page, "next");
    }
    pages
}

/// Checks how long the pages of a list are, and that it has each entry once.
#[track_caller]
fn are_whole(pages: &[Vec<String>], lengths: &[usize]) {
    let found: Vec<_> = pages.iter().map(Vec::len).collect();
    assert_eq!(found, lengths, "{pages:?}");
    let all: BTreeSet<_> = pages.iter().flatten().collect();
    assert_eq!(all.len(), lengths.iter().sum::<usize>(), "{pages:?}");
}

#[tokio::test]
async fn sessions_webhooks_and_keys_come_page_by_page_and_their_buttons_lead_back() {
    let app = locked().start().await;
    let admin = app.with_key(KEY);
    for number in 0..53 {
        let name = format!("session-{number:02}");
        let new = json!({"id": name});
        admin.post("/v1/sessions", new).await.expect(201);
        admin.order(&name, "stop").await.expect(200);
        let key = json!({"name": name, "scopes": ["read"]});
        admin.post("/v1/api-keys", key).await.expect(201);
        if number < 29 {
            let webhook = json!({"url": "https://example.com/hook", "types": ["chat.typing"]});
            admin.post("/v1/webhooks", webhook).await.expect(201);
        }
    }
    let mut browser = Browser::logged_in(&app, KEY).await;
    let mark = "<td data-label=\"Name\"><a href=\"/dashboard/sessions/";
    let sessions = pages_of(&mut browser, "/dashboard/sessions", mark).await;
    are_whole(&sessions, &[50, 3]);
    let mark = "<h2><a href=\"/dashboard/webhooks/";
    let webhooks = pages_of(&mut browser, "/dashboard/webhooks", mark).await;
    // The original one is the thirtieth.
    are_whole(&webhooks, &[25, 5]);
    let mark = "action=\"/dashboard/keys/";
    let keys = pages_of(&mut browser, "/dashboard/keys", mark).await;
    are_whole(&keys, &[50, 3]);

    let first = browser.get("/dashboard/keys").await.expect(200);
    let second = link(&first, "next").unwrap();
    let remove = format!("/dashboard/keys/{}", keys[1][0]);
    let question = browser.send(&second, &remove, &[]).await;
    let removed = browser.confirms(question, &remove).await;
    assert_eq!(removed.leads_to(), second);
    let first = browser.get("/dashboard/webhooks").await.expect(200);
    let second = link(&first, "next").unwrap();
    let id = &webhooks[1][0];
    let disable = format!("/dashboard/webhooks/{id}/disable");
    browser.send(&second, &disable, &[]).await.leads_to();
    let enable = format!("/dashboard/webhooks/{id}/enable");
    let enabled = browser.send(&second, &enable, &[]).await;
    assert_eq!(enabled.leads_to(), second);
    app.finish_without_events().await;
}

#[tokio::test]
async fn chats_contacts_and_groups_come_page_by_page() {
    shop(async |app, alice, bob| {
        for number in 0..103 {
            alice
                .creates_group(&format!("Group {number}"), &[&bob])
                .unwrap();
        }
        for number in 0..54 {
            let person = app.phone(&format!("Person {number}"));
            person.sends_text(alice.number(), "hello").await.unwrap();
        }
        super::chats::posts(app, 54).await;
        let mut browser = Browser::at(app);
        let mark = "<a href=\"/dashboard/sessions/shop/groups/";
        let groups = pages_of(&mut browser, "/dashboard/sessions/shop/groups", mark).await;
        are_whole(&groups, &[100, 3]);
        let mark = "<a href=\"/dashboard/sessions/shop/chats/";
        let chats = "/dashboard/sessions/shop/chats";
        let all = async || {
            let pages = pages_of(&mut browser, chats, mark).await;
            // Groups are chats, too.
            (pages.iter().flatten().count() >= 157).then_some(pages)
        };
        let chats = within(PATIENCE, all).await.expect("all chats are there");
        are_whole(&chats, &[50, 50, 50, 7]);
        let contacts = "/dashboard/sessions/shop/contacts";
        let mark = "<a href=\"/dashboard/sessions/shop/contacts/";
        let contacts = pages_of(&mut browser, contacts, mark).await;
        are_whole(&contacts, &[50, 4]);
    })
    .await;
}

#[tokio::test]
async fn the_members_of_a_group_come_page_by_page_and_are_found_by_name_and_number() {
    shop(async |app, alice, bob| {
        bob.sends_text(alice.number(), "hello").await.unwrap();
        app.webhook.next().await;
        let mut members: Vec<_> = (0..119)
            .map(|number| app.phone(&format!("Member {number}")))
            .collect();
        members.push(bob.clone());
        let all: Vec<_> = members.iter().collect();
        let group = alice.creates_group("Crowd", &all).unwrap();
        let address = format!("/dashboard/sessions/shop/groups/{group}");
        let mut browser = Browser::at(app);
        let first = browser.get(&address).await.expect(200);
        first.shows("Members (121)");
        let (_, rows) = first.text.split_once("<tbody>").unwrap();
        let row = rows.split("</tr>").next().unwrap();
        assert!(
            row.contains("founder"),
            "whoever has a role is first: {row}"
        );
        let (mut seen, mut pages) = (BTreeSet::new(), Vec::new());
        let mut next = Some(address.clone());
        while let Some(path) = next {
            let page = browser.get(&path).await.expect(200);
            let people = page.text.split("name=\"participant\" value=\"").skip(1);
            let people: Vec<_> = people.map(|it| it.split('"').next().unwrap()).collect();
            pages.push(people.len());
            seen.extend(people.into_iter().map(str::to_owned));
            next = link(&page, "next");
        }
        assert_eq!(pages, [49, 50, 21], "the founder has no buttons");
        assert_eq!(seen.len(), 120);

        let number = members[60].number();
        let written = format!("+{} {}", &number[..3], &number[3..]);
        let names = super::chats::until(&mut browser, &format!("{address}?find=bOb"), "Bob").await;
        names.shows("<strong id=\"found\">1</strong>");
        let find = |text: &str| {
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            format!("{address}?{}", query.append_pair("find", text).finish())
        };
        let found = browser.get(&find(&written)).await.expect(200);
        found.shows("<strong id=\"found\">1</strong>");
        found.shows(number);
        found.hides(members[61].number());
        let none = browser.get(&find("<nobody>")).await.expect(200);
        none.shows("No member matches");
        none.shows("value=\"&lt;nobody&gt;\"");
        // A button leads back to the members that were found.
        let back = find(number);
        let fields = [("participant", number), ("action", "promote")];
        let action = format!("{address}/member");
        let promoted = browser.send(&back, &action, &fields).await;
        assert_eq!(promoted.leads_to(), back);
        browser.get(&back).await.expect(200).shows(">admin<");
    })
    .await;
}

#[tokio::test]
async fn rare_events_are_found_behind_very_many_others() {
    let mut app = TestApp::start().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
    bob.sends_text(alice.number(), "a needle").await.unwrap();
    app.webhook.next().await;
    let sql = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 70000) \
         INSERT INTO events (id, session, name, chat, type, body, created_at) \
         SELECT 'evt_hay' || i, (SELECT life FROM lives WHERE session = 'shop'), 'shop', 'a', 'chat.typing', \
         json_object('type', 'chat.typing', 'timestamp', '2030-01-31T12:00:00.000Z', 'data', json_object()), 1 FROM n";
    change_database(&mut app, sql.to_owned()).await;
    // What the start brings is in the log before it is counted.
    app.until("shop", "online").await;
    let mut browser = Browser::at(&app);
    let page = browser.get("/dashboard/sessions/shop").await.expect(200);
    let (_, timeline) = page.text.split_once("id=\"timeline\"").unwrap();
    assert!(timeline.contains("session.paired"), "{timeline}");
    let page = browser
        .get("/dashboard/events?types=session.paired")
        .await
        .expect(200);
    page.shows("<strong>session.paired</strong>");
    let rare = "/dashboard/events?types=message.received";
    let page = browser.get(rare).await.expect(200);
    page.shows("No events match in this part of the log");
    let older = link(&page, "prev").expect("there are older ones");
    let page = browser.get(&older).await.expect(200);
    page.shows("a needle");
    page.hides("data-stream");
    let later = link(&page, "next").expect("there are later ones");
    browser.get(&later).await.expect(200).hides("a needle");
    // All that is in the log by now; a page of the feed ends where it has looked at much, too.
    let (mut after, mut saved) = (0, Vec::new());
    loop {
        let feed = format!("/v1/events?types=session.status,session.paired&after={after}");
        let part = app.get(&feed).await.expect(200).json();
        let events = part["events"].as_array().unwrap().iter();
        saved.extend(events.map(|event| event["seq"].as_u64().unwrap()));
        let next = part["next"].as_u64().unwrap();
        if next == after {
            break;
        }
        after = next;
    }
    // The pages have it once each, from its end to its beginning.
    let mut path = Some("/dashboard/events?types=session.status,session.paired".to_owned());
    let mut shown = Vec::new();
    while let Some(at) = path {
        let page = browser.get(&at).await.expect(200);
        let entries = page.text.split("<li id=\"e-").skip(1);
        let seqs = entries.map(|entry| entry.split('"').next().unwrap().parse::<u64>().unwrap());
        shown.extend(seqs.filter(|seq| *seq <= after));
        path = link(&page, "prev");
    }
    shown.sort_unstable();
    assert_eq!(shown, saved);
    for wrong in ["before=x", "before=-1", "after=1&before=2"] {
        let refused = browser.get(&format!("/dashboard/events?{wrong}")).await;
        refused.expect(400).shows("before");
    }
    app.finish_without_events().await;
}
