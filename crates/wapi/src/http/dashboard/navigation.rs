//! The navigation: the pages that the reader's key may open.

use maud::{Markup, html};

use super::context::{HOME, PageContext};
use super::form::form_token;
use super::may_open;
use super::texts::{self, PageText};
use crate::http::access::api_keys::Caller;

/// The pages in the navigation.
const PAGES: [(&str, PageText); 9] = [
    (HOME, texts::OVERVIEW),
    ("/dashboard/sessions", texts::SESSIONS),
    ("/dashboard/events", texts::EVENTS),
    ("/dashboard/try", texts::TRY_IT),
    ("/dashboard/webhooks", texts::WEBHOOKS),
    ("/dashboard/keys", texts::KEYS),
    ("/dashboard/activity", texts::ACTIVITY),
    ("/dashboard/health", texts::HEALTH),
    (SANDBOX, texts::SANDBOX),
];
const SANDBOX: &str = "/dashboard/sandbox";

/// Returns the first page that a caller may open.
pub fn first_page(caller: &Caller) -> &'static str {
    let mut pages = PAGES.iter().map(|(page, _)| *page);
    pages.find(|page| may_open(caller, page)).unwrap_or(HOME)
}

/// Draws the navigation, and the end of the login.
pub fn draw_navigation(context: &PageContext) -> Markup {
    let path = context.path.split('?').next().unwrap_or_default();
    let is_here = |page: &str| path == page || (page != HOME && path.starts_with(page));
    let is_shown = |page: &str| {
        let is_there = page != SANDBOX || context.is_sandbox();
        let caller = context.caller();
        is_there && caller.is_some_and(|caller| may_open(caller, page))
    };
    html! {
        a.brand href=(context.home()) { "wapi" }
        @if let Some(visit) = &context.visit {
            nav {
                @for (page, text) in PAGES.iter().filter(|(page, _)| is_shown(page)) {
                    a href=(page) aria-current=[is_here(page).then_some("page")] {
                        (context.text(*text))
                    }
                }
            }
            @if visit.login.is_some() {
                form method="post" action="/dashboard/logout" {
                    (form_token(context))
                    button.plain type="submit" { (context.text(texts::LOG_OUT_OF_HERE)) }
                }
            }
        }
    }
}
