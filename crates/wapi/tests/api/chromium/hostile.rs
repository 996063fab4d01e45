//! Names and texts of strangers, on every page and in every stream.

use super::KEY;
use super::furnished::{furnish, furnished, visit_pages};
use super::reader::{PageLook, PageReader};

/// Elements that pages of ours do not have, wherever a stranger's text would make them.
const INTRUDERS: &str = "iframe, object, embed, base, form[action*='evil'], main script, main style, main link, \
     [onerror], [onload], [onclick], [srcdoc], img:not([src^='/dashboard/']), a[href^='javascript']";

/// Fails on anything but text.
async fn stays_text(name: &str) {
    furnished()
        .gateway(async |app| {
            furnish(app, name).await;
            let Some(reader) = PageReader::logged_in(app, KEY).await else {
                return;
            };
            reader.looks(PageLook::new("phone", "en", "light").with_width(360)).await;
            let mut shown = 0;
            visit_pages(&reader, async |path| {
                // A dialog would fail every command; a request to another host, the console.
                let intruders = format!("document.querySelectorAll(\"{INTRUDERS}\").length");
                assert_eq!(reader.window.evaluate(&intruders).await, 0, "{path}");
                let foreign = "performance.getEntries().filter((it) => it.name.startsWith('http') && !it.name.startsWith(location.origin)).length";
                assert_eq!(reader.window.evaluate(foreign).await, 0, "{path}");
                reader.expect_no_sideways_scroll(path, "hostile").await;
                let unnamed = "[...document.querySelectorAll('main a')].filter((it) => it.querySelector('img') === null && it.textContent.replace(/[\\s\\p{Cf}]/gu, '') === '').length";
                assert_eq!(reader.window.evaluate(unnamed).await, 0, "a link without a text on {path}");
                let start: String = name.chars().take(40).collect();
                let found = format!("document.body.textContent.includes({})", serde_json::json!(start));
                shown += i32::from(reader.window.evaluate(&found).await == true);
            })
            .await;
            assert!(shown >= 4, "it is on {shown} pages only");
            reader.finish().await;
        })
        .await;
}

#[tokio::test]
async fn markup_in_names_is_text_in_a_browser() {
    stays_text(
        "\"'><img src=x onerror=alert(1)></bdi></li></p></pre></textarea><script>alert(2)</script>\
         <iframe srcdoc='<b>3</b>'></iframe><form action=//evil.example><a href=javascript:alert(4)>&lt;b&gt;",
    )
    .await;
}

#[tokio::test]
async fn invisible_and_turning_signs_in_names_break_no_page() {
    stays_text("\u{200b}\u{2060}\u{202e}\u{2066}\u{feff}").await;
}

#[tokio::test]
async fn ten_thousand_signs_without_a_space_break_no_page() {
    stays_text(&"Ж".repeat(10_000)).await;
}
