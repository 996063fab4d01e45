//! The frame of every page: head, navigation, language, theme, and the end of the login.

use axum::response::{Html, IntoResponse, Response};
use jiff::Timestamp;
use maud::{DOCTYPE, Markup, html};

use super::assets;
use super::context::{PageContext, PageLanguage, PageTheme};
use super::login::forms::{BACK_FIELD, TOKEN_FIELD};
use super::texts::{self, PageText};
use crate::http::error::ProblemDocument;
use crate::model::timestamp::format_timestamp;

/// Renders a page that stays as it is.
pub fn render_page(context: &PageContext, title: &str, content: Markup) -> Response {
    render(context, title, None, &content)
}

/// Renders a page that follows a stream.
pub fn render_live_page(
    context: &PageContext,
    title: &str,
    stream: &str,
    content: Markup,
) -> Response {
    render(context, title, Some(stream), &content)
}

fn render(context: &PageContext, title: &str, stream: Option<&str>, content: &Markup) -> Response {
    let page = html! {
        (DOCTYPE)
        html lang=(context.language.code()) data-theme=(context.theme.code()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " · wapi" }
                link rel="stylesheet" href=(assets::asset_path("style.css"));
                link rel="icon" type="image/svg+xml" href=(assets::asset_path("icon.svg"));
                script type="module" src=(assets::asset_path("main.js")) {}
            }
            body data-stream=[stream] data-away=(context.text(texts::SERVER_AWAY))
                data-skipped=(context.text(texts::PARTS_SKIPPED)) {
                a.skip href="#main" { (context.text(texts::SKIP)) }
                header { (navigation(context)) }
                p.banner id="away" role="status" hidden {}
                @if context.visit.as_ref().is_some_and(|visit| visit.login.is_none()) {
                    p.banner { (context.text(texts::OPEN_MODE)) }
                }
                main id="main" { (content) }
                footer { (preferences(context)) }
            }
        }
    };
    Html(page.into_string()).into_response()
}

fn navigation(context: &PageContext) -> Markup {
    let path = context.path.split('?').next().unwrap_or_default();
    let link = |address: &str, text: PageText| {
        let is_here = path == address || (address != "/dashboard" && path.starts_with(address));
        html! {
            a href=(address) aria-current=[is_here.then_some("page")] { (context.text(text)) }
        }
    };
    html! {
        a.brand href="/dashboard" { "wapi" }
        @if context.visit.is_some() {
            nav {
                (link("/dashboard", texts::OVERVIEW))
                (link("/dashboard/sessions", texts::SESSIONS))
                (link("/dashboard/events", texts::EVENTS))
                (link("/dashboard/try", texts::TRY_IT))
                @if context.is_admin_of_all() {
                    (link("/dashboard/webhooks", texts::WEBHOOKS))
                    (link("/dashboard/keys", texts::KEYS))
                    (link("/dashboard/activity", texts::ACTIVITY))
                    (link("/dashboard/health", texts::HEALTH))
                    @if context.is_sandbox() { (link("/dashboard/sandbox", texts::SANDBOX)) }
                }
            }
            @if context.visit.as_ref().is_some_and(|visit| visit.login.is_some()) {
                form method="post" action="/dashboard/logout" {
                    (form_token(context))
                    button.plain type="submit" { (context.text(texts::LOG_OUT_OF_HERE)) }
                }
            }
        }
    }
}

fn preferences(context: &PageContext) -> Markup {
    let theme_text = |theme| match theme {
        PageTheme::Auto => texts::THEME_AUTO,
        PageTheme::Light => texts::THEME_LIGHT,
        PageTheme::Dark => texts::THEME_DARK,
    };
    html! {
        form method="post" action="/dashboard/preferences" {
            (back_field(context))
            label for="language" { (context.text(texts::LANGUAGE)) }
            select id="language" name="language" {
                @for (language, name) in PageLanguage::ALL {
                    option value=(language.code()) selected[language == context.language] { (name) }
                }
            }
            label for="theme" { (context.text(texts::THEME)) }
            select id="theme" name="theme" {
                @for theme in PageTheme::ALL {
                    option value=(theme.code()) selected[theme == context.theme] {
                        (context.text(theme_text(theme)))
                    }
                }
            }
            button.plain type="submit" { (context.text(texts::APPLY)) }
        }
        p {
            "wapi " (env!("CARGO_PKG_VERSION")) " · "
            a href="/docs" { (context.text(texts::DOCS)) }
        }
    }
}

/// Returns an address with these parameters; empty ones are left out.
pub fn address_with(path: &str, parameters: &[(&str, &str)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(parameters.iter().filter(|(_, value)| !value.is_empty()));
    match query.finish() {
        query if query.is_empty() => path.to_owned(),
        query => format!("{path}?{query}"),
    }
}

/// Renders the token that every form of a login carries.
pub fn form_token(context: &PageContext) -> Markup {
    html! { input type="hidden" name=(TOKEN_FIELD) value=(context.form_token()); }
}

/// Renders the field that leads back to this page, with its filter.
pub fn back_field(context: &PageContext) -> Markup {
    html! { input type="hidden" name=(BACK_FIELD) value=(context.path); }
}

/// Renders a button that does one thing to an entry of a list, and leads back to the list.
pub fn entry_button(context: &PageContext, address: &str, text: PageText) -> Markup {
    html! {
        form method="post" action=(address) {
            (form_token(context))
            (back_field(context))
            button type="submit" { (context.text(text)) }
        }
    }
}

/// Renders a button that does one thing.
pub fn action_button(context: &PageContext, address: &str, text: PageText) -> Markup {
    html! {
        form method="post" action=(address) {
            (form_token(context))
            button type="submit" { (context.text(text)) }
        }
    }
}

/// Renders a moment; a script shows it in the reader's own time.
pub fn render_time(moment: &str) -> Markup {
    let plain = moment
        .split('.')
        .next()
        .unwrap_or(moment)
        .trim_end_matches('Z')
        .replace('T', " ");
    html! { time datetime=(moment) { (plain) " UTC" } }
}

/// Renders the hour and minute of a moment, as a scale of times has them.
pub fn render_clock(moment: Timestamp) -> Markup {
    html! {
        time datetime=(format_timestamp(moment)) data-clock { (moment.strftime("%H:%M UTC")) }
    }
}

/// Renders a problem for people.
pub fn render_problem(context: &PageContext, problem: &ProblemDocument) -> Response {
    let content = html! {
        h1 { (context.text(texts::FAILED)) }
        section.card {
            h2 { (problem.title) }
            p { (problem.detail) }
            @if !problem.errors.is_empty() {
                ul {
                    @for error in &problem.errors {
                        li { code { (error.field) } " " (error.detail) }
                    }
                }
            }
            p { code { (problem.code) } }
            p { a href="/dashboard" { (context.text(texts::HOME)) } }
        }
    };
    let page = render_page(context, context.text(texts::FAILED), content);
    (problem.status_code(), page).into_response()
}
