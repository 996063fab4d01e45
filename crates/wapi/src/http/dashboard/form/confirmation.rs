//! Questions before what cannot be undone: in a dialog where scripts run, else on a page.

use axum::response::Response;
use maud::{Markup, html};

use super::form_token;
use crate::http::dashboard::context::PageContext;
use crate::http::dashboard::layout::render_page;
use crate::http::dashboard::login::forms::FormFields;
use crate::http::dashboard::texts::{self, PageText};

/// Name of the field that says that somebody was asked.
const CONFIRMED: &str = "confirmed";

/// Returns the page that asks, unless the form says that its sender was asked.
pub fn ask_first(
    context: &PageContext,
    fields: &mut FormFields,
    question: PageText,
) -> Option<Response> {
    if fields.take(CONFIRMED).is_some() {
        return None;
    }
    let title = context.text(question);
    let content = html! {
        h1 { (title) }
        form.card method="post" action=(context.action) {
            (form_token(context))
            @for (name, value) in fields.iter() { input type="hidden" name=(name) value=(value); }
            div.row {
                button.danger type="submit" name=(CONFIRMED) value="yes" { (context.text(texts::CONFIRM)) }
                a href=(context.path) { (context.text(texts::CANCEL)) }
            }
        }
    };
    Some(render_page(context, title, content))
}

/// Draws the dialog in which scripts ask the questions of buttons.
pub fn draw_dialog(context: &PageContext) -> Markup {
    html! {
        dialog id="question" aria-labelledby="question-text" {
            form method="dialog" {
                p id="question-text" {}
                div.row {
                    button.danger type="submit" value=(CONFIRMED) { (context.text(texts::CONFIRM)) }
                    button.plain type="submit" value="" autofocus { (context.text(texts::CANCEL)) }
                }
            }
        }
    }
}
