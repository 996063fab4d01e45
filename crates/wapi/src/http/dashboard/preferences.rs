//! The reader's language and theme, kept as cookies.

use axum::body::Bytes;
use axum::http::{HeaderMap, header};
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};

use super::context::{LANGUAGE_COOKIE, PageLanguage, PageTheme, THEME_COOKIE};
use super::form::is_ours;
use super::login::cookies::preference_cookie;
use super::login::forms::{self, FormFields};
use crate::http::edge::CallerContext;
use crate::http::error::Problem;

/// `POST /dashboard/preferences`: sets language and theme, and returns to the page.
pub async fn set_preferences(
    visit: CallerContext,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    if !forms::is_same_origin(&headers, visit.peer.is_https) {
        return Err(Problem::ForeignForm);
    }
    let mut fields = FormFields::parse(&body);
    let language = PageLanguage::from_code(&fields.require("language")?)
        .ok_or_else(|| Problem::invalid_field("language", "must be en or ru"))?;
    let theme = PageTheme::from_code(&fields.require("theme")?)
        .ok_or_else(|| Problem::invalid_field("theme", "must be auto, light, or dark"))?;
    let back = fields.take(forms::BACK_FIELD).filter(|back| is_ours(back));
    let cookies = AppendHeaders([
        (
            header::SET_COOKIE,
            preference_cookie(LANGUAGE_COOKIE, language.code()),
        ),
        (
            header::SET_COOKIE,
            preference_cookie(THEME_COOKIE, theme.code()),
        ),
    ]);
    Ok((
        cookies,
        Redirect::to(back.as_deref().unwrap_or("/dashboard")),
    )
        .into_response())
}
