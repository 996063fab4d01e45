//! The frame of every page: head, navigation, language, theme, and the end of the login.

use axum::response::{Html, IntoResponse, Response};
use jiff::Timestamp;
use maud::{DOCTYPE, Markup, html};

use super::assets;
use super::context::{HOME, PageContext, PageLanguage, PageTheme};
use super::form::{draw_details, draw_dialog, draw_failure, form_token};
use super::login::forms::BACK_FIELD;
use super::navigation::draw_navigation;
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
    let shown_again = context.failed.as_ref().map(|_| &context.path);
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
            body data-stream=[stream] data-page=[shown_again] data-away=(context.text(texts::SERVER_AWAY))
                data-skipped=(context.text(texts::PARTS_SKIPPED)) {
                a.skip href="#main" { (context.text(texts::SKIP)) }
                header { (draw_navigation(context)) }
                p.banner id="away" role="status" hidden {}
                @if context.visit.as_ref().is_some_and(|visit| visit.login.is_none()) {
                    p.banner { (context.text(texts::OPEN_MODE)) }
                }
                main id="main" { (draw_failure(context)) (content) }
                footer { (preferences(context)) }
                @if context.visit.is_some() { (draw_dialog(context)) }
            }
        }
    };
    Html(page.into_string()).into_response()
}

fn preferences(context: &PageContext) -> Markup {
    let theme_text = |theme| match theme {
        PageTheme::Auto => texts::THEME_AUTO,
        PageTheme::Light => texts::THEME_LIGHT,
        PageTheme::Dark => texts::THEME_DARK,
    };
    html! {
        form method="post" action="/dashboard/preferences" {
            input type="hidden" name=(BACK_FIELD) value=(context.path);
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

/// Renders a button that does one thing.
pub fn action_button(context: &PageContext, address: &str, text: PageText) -> Markup {
    html! {
        form method="post" action=(address) {
            (form_token(context))
            button type="submit" { (context.text(text)) }
        }
    }
}

/// Renders a button for something that cannot be undone, which asks this question first.
pub fn asking_button(
    context: &PageContext,
    address: &str,
    text: PageText,
    question: PageText,
) -> Markup {
    html! {
        form method="post" action=(address) {
            (form_token(context))
            button.danger type="submit" data-question=(context.text(question)) { (context.text(text)) }
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

/// Renders the same with the day of the week, as the ends of a scale of times have it.
pub fn render_day_and_clock(moment: Timestamp) -> Markup {
    html! {
        time datetime=(format_timestamp(moment)) data-clock="day" { (moment.strftime("%a %H:%M UTC")) }
    }
}

/// Returns the words that lead to the reader's first page.
fn home_text(context: &PageContext) -> PageText {
    if context.home() == HOME {
        texts::HOME
    } else {
        texts::TRY_IT
    }
}

/// Renders a problem for people.
pub fn render_problem(context: &PageContext, problem: &ProblemDocument) -> Response {
    let content = html! {
        h1 { (context.text(texts::FAILED)) }
        section.card {
            h2 { (context.problem_title(problem)) }
            (draw_details(problem))
            p { a href=(context.home()) { (context.text(home_text(context))) } }
        }
    };
    let page = render_page(context, context.text(texts::FAILED), content);
    (problem.status_code(), page).into_response()
}
