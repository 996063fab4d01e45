//! Forms that fail come back with everything that was typed, and with what is wrong beside its field.

use serde_json::json;

use super::browser::{Browser, Page};
use super::{KEY, locked};
use crate::harness::{TestApp, gateway, shop};

/// Checks that a page shows a form again as it was sent, and what is wrong beside one field.
#[track_caller]
fn comes_back(page: &Page, action: &str, typed: &[(&str, &str)], wrong: &str) {
    page.shows("id=\"failed\"");
    let form = page.form(action);
    for (name, value) in typed {
        let is_there = form
            .iter()
            .any(|(given, kept)| given == name && kept.trim() == *value);
        assert!(is_there, "{name} of {action} is lost: {form:?}");
    }
    let (_, rest) = page
        .text
        .split_once(&format!("action=\"{action}\""))
        .unwrap();
    let shown = rest.split("</form>").next().unwrap();
    assert!(shown.contains(wrong), "{wrong} is not in {shown}");
}

/// Sends each form of a session's page with something wrong in it.
async fn fails(
    browser: &mut Browser,
    page: &str,
    action: &str,
    typed: &[(&str, &str)],
    wrong: &str,
) {
    let failed = browser.send(page, action, typed).await;
    assert!(failed.status >= 400, "{action}: {}", failed.status);
    // The address is that of the form; the page is another one.
    failed.shows(&format!("data-page=\"{page}\""));
    failed.shows(&format!("name=\"back\" value=\"{page}\""));
    comes_back(&failed, action, typed, wrong);
}

#[tokio::test]
async fn every_form_of_a_session_comes_back_with_what_was_typed() {
    shop(async |app, _, bob| {
        let mut browser = Browser::at(app);
        let list = "/dashboard/sessions";
        let one = "/dashboard/sessions/shop";
        let wrong = [("id", "a".repeat(201))];
        let wrong = [("id", &*wrong[0].1)];
        fails(&mut browser, list, list, &wrong, "id=\"id-fault\"").await;
        let wrong = [
            ("min_gap", "soon"),
            ("jitter", "7"),
            ("per_day", "12"),
            ("typing", "yes"),
        ];
        let pacing = format!("{one}/pacing");
        fails(&mut browser, one, &pacing, &wrong, "id=\"min_gap-fault\"").await;
        let wrong = [("typed_name", "sho")];
        for action in ["unlink", "remove"] {
            let (action, fault) = (
                format!("{one}/{action}"),
                format!("id=\"name-{action}-fault\""),
            );
            fails(&mut browser, one, &action, &wrong, &fault).await;
        }
        // It is linked already, which is the fault of no field.
        let code = [("phone", "+375 44 703-48-10")];
        fails(
            &mut browser,
            one,
            &format!("{one}/pairing-code"),
            &code,
            "+375 44",
        )
        .await;

        let groups = format!("{one}/groups");
        let wrong = [
            ("subject", "Club"),
            ("description", "of <us>"),
            ("participants", "not a number"),
        ];
        fails(
            &mut browser,
            &groups,
            &groups,
            &wrong,
            "id=\"people-fault\"",
        )
        .await;
        let wrong = [("code", "https://example.com/x")];
        fails(
            &mut browser,
            &groups,
            &format!("{groups}/join"),
            &wrong,
            "example.com",
        )
        .await;

        let chat = format!("{one}/chats/{}", bob.jid());
        let long = "x".repeat(70_000);
        let wrong = [("text", &*long), ("reply_to", "3EB0")];
        fails(
            &mut browser,
            &chat,
            &format!("{chat}/send"),
            &wrong,
            "id=\"text-fault\"",
        )
        .await;
        let wrong = [
            ("question", "Tea?"),
            ("options", "yes"),
            ("max_selections", "x"),
        ];
        fails(
            &mut browser,
            &chat,
            &format!("{chat}/poll"),
            &wrong,
            "id=\"most-fault\"",
        )
        .await;
    })
    .await;
}

#[tokio::test]
async fn forms_of_operators_come_back_without_secrets() {
    locked()
        .gateway(async |app| {
            let mut browser = Browser::logged_in(app, KEY).await;
            let keys = "/dashboard/keys";
            let wrong = [
                ("name", "board"),
                ("scopes", "read"),
                ("sessions", "shop"),
                ("expires_at", "tomorrow"),
            ];
            fails(&mut browser, keys, keys, &wrong, "id=\"expires_at-fault\"").await;
            let wrong = [("name", "board"), ("expires_at", "2040-01-31T12:00:00Z")];
            fails(&mut browser, keys, keys, &wrong, "id=\"scopes-fault\"").await;
            let hooks = "/dashboard/webhooks";
            let secret = "Authorization: Bearer of-the-shop";
            let typed = [
                ("url", "gopher://example.com"),
                ("session", "shop"),
                ("types", "message.received"),
            ];
            let mut all = typed.to_vec();
            all.extend([("headers", secret), ("confirming_key", KEY)]);
            let failed = browser.send(hooks, hooks, &all).await.expect(400);
            comes_back(&failed, hooks, &typed, "id=\"url-fault\"");
            failed.hides("of-the-shop");
            failed.hides(KEY);
            failed.shows("Secrets are not shown again");
            let wrong = [
                ("url", "https://a:pass-of-the-shop@example.com/"),
                ("session", "shop"),
            ];
            let failed = browser
                .send(hooks, hooks, &[wrong[0], ("types", "nonsense")])
                .await;
            failed.hides("pass-of-the-shop");
        })
        .await;
}

#[tokio::test]
async fn a_form_of_a_former_login_comes_back_with_a_token_of_this_one() {
    locked()
        .gateway(async |app| {
            let mut browser = Browser::logged_in(app, KEY).await;
            let list = "/dashboard/sessions";
            let stale = [
                ("form_token", "of a former login"),
                ("page", list),
                ("id", "shop"),
            ];
            let failed = browser.submit(list, &stale).await.expect(403);
            failed.shows("stale_form");
            comes_back(&failed, list, &[("id", "shop")], "form_token");
            let fields = failed.form(list);
            let fields: Vec<_> = fields
                .iter()
                .map(|(name, value)| (&**name, &**value))
                .collect();
            let made = browser.submit(list, &fields).await;
            assert_eq!(made.leads_to(), "/dashboard/sessions/shop");
        })
        .await;
}

/// A form with a file, whose parts the line `--x` separates.
fn with_file(fields: &[(&str, &str)]) -> String {
    let mut body = String::new();
    for (name, value) in fields {
        body +=
            &format!("--x\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    }
    body + "--x\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\ntea\r\n--x--\r\n"
}

#[tokio::test]
async fn a_form_with_a_file_comes_back_without_the_file() {
    shop(async |app, _, bob| {
        let mut browser = Browser::at(app);
        let chat = format!("/dashboard/sessions/shop/chats/{}", bob.jid());
        let token = browser.get(&chat).await.expect(200).token();
        let fields = [
            ("form_token", &*token),
            ("page", &chat),
            ("kind", "jigsaw"),
            ("caption", "For <you>"),
            ("reply_to", "3EB0"),
        ];
        let action = format!("{chat}/file");
        let failed = browser
            .upload(&action, with_file(&fields))
            .await
            .expect(400);
        comes_back(&failed, &action, &fields[3..], "name=\"file\"");
        failed.shows("is not a kind of file");
    })
    .await;
}

#[tokio::test]
async fn a_form_of_a_route_comes_back_with_its_fault() {
    gateway(async |app| {
        let mut browser = Browser::at(app);
        app.post("/v1/sessions", json!({"id": "shop"}))
            .await
            .expect(201);
        let page = "/dashboard/try/sendMessage?kind=location";
        let typed = [
            ("path:session", "shop"),
            ("body:to", "375447034810"),
            ("body:location/name", "Quay"),
            ("body:location/latitude", "north"),
        ];
        let mut all = vec![("kind", "location")];
        all.extend(typed);
        let action = "/dashboard/try/sendMessage";
        let failed = browser.send(page, action, &all).await.expect(400);
        comes_back(&failed, action, &typed, "-fault");
        failed.shows("is not a number");
    })
    .await;
}

/// Switches the language as the form of a page does.
async fn switched_to_russian(browser: &mut Browser, page: &Page) -> Page {
    let back = page.form("/dashboard/preferences");
    let (_, back) = back.iter().find(|(name, _)| name == "back").unwrap();
    let fields = [("back", &**back), ("language", "ru"), ("theme", "auto")];
    let led = browser.submit("/dashboard/preferences", &fields).await;
    browser.get(led.leads_to()).await
}

#[tokio::test]
async fn the_language_is_switched_on_every_page_that_a_form_leads_to() {
    gateway(async |app: &mut TestApp| {
        app.post("/v1/sessions", json!({"id": "shop"}))
            .await
            .expect(201);
        let one = "/dashboard/sessions/shop";
        for (page, action, fields) in [
            (one, "/dashboard/sessions/shop/connect-link", &[][..]),
            (one, "/dashboard/sessions/shop/check", &[]),
            (
                one,
                "/dashboard/sessions/shop/remove",
                &[("typed_name", "x")],
            ),
            (
                "/dashboard/try/listSessions",
                "/dashboard/try/listSessions/preview",
                &[],
            ),
            (
                "/dashboard/try/listSessions",
                "/dashboard/try/listSessions",
                &[],
            ),
            (
                "/dashboard/webhooks",
                "/dashboard/webhooks",
                &[("url", "x")],
            ),
        ] {
            let mut browser = Browser::at(app);
            let shown = browser.send(page, action, fields).await;
            let switched = switched_to_russian(&mut browser, &shown).await.expect(200);
            switched.shows("<html lang=\"ru\"");
            switched.shows(&format!("name=\"back\" value=\"{page}\""));
            // A program that sends no page is led to the overview.
            let token = browser.get(page).await.expect(200).token();
            let mut all = vec![("form_token", &*token)];
            all.extend(fields);
            let shown = browser.submit(action, &all).await;
            switched_to_russian(&mut browser, &shown).await.expect(200);
        }
    })
    .await;
}

#[tokio::test]
async fn problems_and_routes_have_titles_in_russian() {
    gateway(async |app| {
        let mut browser = Browser::at(app).with_header("accept-language", "ru");
        let page = browser.get("/dashboard/sessions/none").await.expect(404);
        page.shows("Сессия не найдена");
        page.hides("Session not found");
        let list = browser.get("/dashboard/try").await.expect(200);
        list.shows("Список чатов, сначала с новыми сообщениями");
        list.shows("<h2>Сообщества</h2>");
        list.hides("List chats");
        let form = browser.get("/dashboard/try/sendMessage").await.expect(200);
        form.shows("<h1>Отправить сообщение ровно один раз</h1>");
        form.shows("Голосовое сообщение");
    })
    .await;
}
