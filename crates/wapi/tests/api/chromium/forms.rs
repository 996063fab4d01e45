//! Forms in a browser: one that fails, one that asks first, the link of a terminal, and the page of a connect link.

use serde_json::json;

use super::reader::PageReader;
use super::{KEY, locked};
use crate::harness::{gateway, read_qr, shop};

#[tokio::test]
async fn a_form_that_fails_is_mended_where_it_stands() {
    gateway(async |app| {
        let Some(reader) = PageReader::start(app).await else {
            return;
        };
        reader.opens("/dashboard/webhooks").await;
        reader.types("#url", "gopher://example.com").await;
        reader.types("#session", "shop").await;
        reader.clicks("main form.stack button[type=submit]").await;
        reader.until_shown("#failed", "url").await;
        // The address is one that can be loaded again.
        reader.until_path("/dashboard/webhooks").await;
        reader
            .until("document.getElementById('session').value === 'shop'")
            .await;
        reader.until_shown("#url-fault", "").await;
        let described = "document.getElementById('url').getAttribute('aria-describedby')";
        assert_eq!(reader.window.evaluate(described).await, "url-fault");
        reader.until("document.activeElement.id === 'failed'").await;
        reader.keep_view("form").await;
        reader.forgives("400");
        reader.finish().await;
    })
    .await;
}

#[tokio::test]
async fn a_message_is_deleted_once_the_dialog_is_answered() {
    shop(async |app, alice, bob| {
        bob.sends_text(alice.number(), "Is it open?").await.unwrap();
        super::posts(app, 1).await;
        let Some(reader) = PageReader::start(app).await else {
            return;
        };
        reader
            .opens(&format!("/dashboard/sessions/shop/chats/{}", bob.jid()))
            .await;
        reader.until_shown("#messages", "Is it open?").await;
        reader.clicks("#messages a[href*='/messages/']").await;
        reader.until_shown("#raw", "Is it open?").await;
        let button = "form[action$='/delete'] button[value=me]";
        reader.clicks(button).await;
        reader
            .until_shown("#question", "Delete this message for this account?")
            .await;
        reader.clicks("#question button[value='']").await;
        reader.until("!document.getElementById('question').open").await;
        reader.until_shown("#raw", "Is it open?").await;
        reader.clicks(button).await;
        reader.until("document.getElementById('question').open").await;
        reader.clicks("#question button.danger").await;
        reader
            .until("location.pathname.endsWith('s.whatsapp.net') && document.readyState === 'complete'")
            .await;
        reader.finish().await;
    })
    .await;
}

#[tokio::test]
async fn the_link_of_a_terminal_opens_the_dashboard_and_stays_in_no_address() {
    locked()
        .on_a_terminal()
        .gateway(async |app| {
            app.get("/health/live").await.expect(200);
            let console = app.console();
            let mut links = console
                .iter()
                .filter_map(|line| line.split_once("/dashboard/login#link="));
            let (_, link) = links.next().expect("a link");
            let Some(reader) = PageReader::start(app).await else {
                return;
            };
            reader.opens(&format!("/dashboard/login#link={link}")).await;
            reader.until_path("/dashboard").await;
            reader.until_live().await;
            reader.opens("/dashboard/sessions").await;
            // It opens nothing twice, in a tab that shows the login already.
            reader.clicks("header form button").await;
            reader.until_path("/dashboard/login").await;
            let again = format!("location.hash = 'link={link}'");
            reader.window.evaluate(&again).await;
            reader
                .until_shown("#refused", "This link is not valid")
                .await;
            reader
                .until("location.href.endsWith('/dashboard/login')")
                .await;
            reader.forgives("401");
            reader.finish().await;
        })
        .await;
}

#[tokio::test]
async fn the_page_of_a_connect_link_follows_each_step_by_itself() {
    locked()
        .gateway(async |app| {
            let alice = app.phone("Alice");
            let admin = app.with_key(KEY);
            let new = json!({"id": "shop"});
            admin.post("/v1/sessions", new).await.expect(201);
            let links = "/v1/sessions/shop/connect-links";
            let made = admin.post(links, json!({})).await.expect(201).json();
            let Some(reader) = PageReader::start(app).await else {
                return;
            };
            reader.resizes(360, 740).await;
            reader.opens(made["path"].as_str().unwrap()).await;
            reader.until("document.querySelector('.qr svg')").await;
            reader
                .expect_no_sideways_scroll("a connect link", "phone")
                .await;
            reader
                .until("window.left = Number(document.querySelector('[data-seconds]').textContent)")
                .await;
            reader
                .until("Number(document.querySelector('[data-seconds]').textContent) < window.left")
                .await;
            let scroll = "document.querySelector('.qr svg').scrollIntoView({block: 'center'}) || 1";
            reader.until(scroll).await;
            reader.keep_view("connect").await;
            let code = read_qr(&reader.window.screenshot().await);
            alice.scans_qr(&code).await.unwrap();
            reader.until_shown("main", "The phone is linked.").await;
            reader.keep_view("connect-linked").await;
            // The page itself was never loaded again.
            reader.until("window.left").await;
            reader.finish().await;
        })
        .await;
}
