//! Every page on a phone and on a screen, light and dark, in both languages.

use super::KEY;
use super::furnished::{furnish, furnished, visit_pages};
use super::reader::{PageLook, PageReader};

const SCREEN: PageLook = PageLook::new("screen", "en", "light");
const DARK_SCREEN: PageLook = PageLook::new("dark-screen", "en", "dark");
const PHONE: PageLook = PageLook::new("phone", "en", "light").with_width(360);
const DARK_PHONE: PageLook = PageLook::new("dark-phone", "ru", "dark").with_width(360);

#[tokio::test]
async fn no_page_scrolls_sideways_on_a_light_phone_in_english() {
    fits_in_the_window(PHONE).await;
}

#[tokio::test]
async fn no_page_scrolls_sideways_on_a_dark_phone_in_russian() {
    fits_in_the_window(DARK_PHONE).await;
}

async fn fits_in_the_window(look: PageLook) {
    furnished()
        .gateway(async |app| {
            furnish(app, "Bob").await;
            let Some(reader) = PageReader::logged_in(app, KEY).await else {
                return;
            };
            let mut number = 0;
            reader.looks(look).await;
            visit_pages(&reader, async |path| {
                reader.expect_no_sideways_scroll(path, look.name).await;
                let said = reader
                    .window
                    .evaluate("document.documentElement.lang")
                    .await;
                assert_eq!(said, look.language, "{path}");
                reader
                    .keep_screenshots(number, &[look, SCREEN, DARK_SCREEN])
                    .await;
                number += 1;
            })
            .await;
            reader.finish().await;
        })
        .await;
}

#[tokio::test]
async fn the_scales_of_charts_are_readable_on_a_phone_in_both_themes() {
    furnished()
        .gateway(async |app| {
            let Some(reader) = PageReader::logged_in(app, KEY).await else {
                return;
            };
            for look in [PHONE, DARK_PHONE] {
                reader.looks(look).await;
                reader.opens("/dashboard").await;
                // In the reader's own time, as all others.
                reader
                    .until("[...document.querySelectorAll('.times time')].every((it) => !it.textContent.includes('UTC'))")
                    .await;
                let faults = reader.window.evaluate(UNREADABLE_SCALES).await;
                assert_eq!(faults, serde_json::json!([]), "{}", look.name);
            }
            reader.finish().await;
        })
        .await;
}

/// The labels of scales that are cut, small, or of less contrast than WCAG asks for, and those that stand on another.
const UNREADABLE_SCALES: &str = "(() => {
    const plots = [...document.querySelectorAll('.plot')];
    const labels = plots.flatMap((it) => [...it.querySelectorAll('.scale span, .times time')]);
    const isCut = (it) => it.scrollWidth > it.clientWidth + 1 && getComputedStyle(it).display !== 'inline';
    const isSmall = (it) => parseFloat(getComputedStyle(it).fontSize) < 12;
    const light = (color) => color.match(/[0-9.]+/g).slice(0, 3).map((it) => it / 255)
        .map((it) => it <= 0.04045 ? it / 12.92 : ((it + 0.055) / 1.055) ** 2.4)
        .reduce((sum, it, at) => sum + it * [0.2126, 0.7152, 0.0722][at], 0.05);
    const isPale = (it) => {
        const card = getComputedStyle(it.closest('.card')).backgroundColor;
        const [a, b] = [light(getComputedStyle(it).color), light(card)];
        return Math.max(a, b) / Math.min(a, b) < 4.5;
    };
    const meet = (one, other) => {
        const [a, b] = [one.getBoundingClientRect(), other.getBoundingClientRect()];
        return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
    };
    const bad = labels.filter((it) => isCut(it) || isSmall(it) || isPale(it)
        || labels.some((other) => other !== it && meet(it, other)));
    return [...(plots.length === 4 && labels.length === 24 ? [] : ['labels are missing']),
        ...bad.map((it) => it.outerHTML)];
})()";

/// Rules of WCAG 2.2, levels A and AA.
const RULES: &str = "{runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'], resultTypes: ['violations']}";

#[tokio::test]
async fn every_page_is_accessible_on_a_light_screen_in_english() {
    is_accessible(SCREEN).await;
}

#[tokio::test]
async fn every_page_is_accessible_on_a_dark_phone_in_russian() {
    is_accessible(DARK_PHONE).await;
}

async fn is_accessible(look: PageLook) {
    let Some(axe) = find_axe() else { return };
    furnished()
        .gateway(async |app| {
            furnish(app, "Bob").await;
            let Some(reader) = PageReader::logged_in(app, KEY).await else {
                return;
            };
            reader.inject(&axe).await;
            reader.looks(look).await;
            reader.opens("/dashboard").await;
            let fault =
                "document.getElementById('main').append(document.createElement('img')) || 1";
            reader.until(fault).await;
            let proof = find_violations(&reader).await;
            assert!(
                proof.iter().any(|it| it.starts_with("image-alt")),
                "{proof:?}"
            );
            let mut found = Vec::new();
            visit_pages(&reader, async |path| {
                let violations = find_violations(&reader).await.into_iter();
                found.extend(violations.map(|violation| format!("{path}: {violation}")));
            })
            .await;
            for path in ["/dashboard/sessions/none", "/dashboard/login"] {
                reader.opens(path).await;
                let violations = find_violations(&reader).await.into_iter();
                found.extend(violations.map(|violation| format!("{path}: {violation}")));
            }
            assert!(found.is_empty(), "{found:#?}");
            reader.forgives("404");
            reader.finish().await;
        })
        .await;
}

/// The script of axe-core, which `scripts/test` has installed.
fn find_axe() -> Option<String> {
    let Some(path) = std::env::var_os("WAPI_TESTS_AXE") else {
        return crate::harness::skipped("WAPI_TESTS_AXE names no axe.min.js");
    };
    Some(std::fs::read_to_string(path).expect("axe-core is there"))
}

async fn find_violations(reader: &PageReader) -> Vec<String> {
    let run = format!(
        "axe.run(document, {RULES}).then((it) => it.violations.map((v) => \
         v.id + ': ' + v.nodes.map((n) => n.html.slice(0, 200) + ' ' + n.failureSummary).join('; ')))"
    );
    let violations = reader.window.evaluate_promise(&run).await;
    serde_json::from_value(violations).expect("a list of texts")
}
