//! The context of a page: its reader's language, theme, and rights.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};

use super::form::FailedForm;
use super::login::cookies::find_cookie;
use super::login::{DashboardVisit, LOGIN_PAGE};
use super::navigation::first_page;
use super::texts::{PageText, problem_text};
use crate::http::access::api_keys::Caller;
use crate::http::error::ProblemDocument;
use crate::model::access::Scope;

pub const LANGUAGE_COOKIE: &str = "wapi_language";
pub const THEME_COOKIE: &str = "wapi_theme";
/// The address of the dashboard.
pub const HOME: &str = "/dashboard";

/// A language of the dashboard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageLanguage {
    English,
    Russian,
}

impl PageLanguage {
    pub const ALL: [(Self, &'static str); 2] =
        [(Self::English, "English"), (Self::Russian, "Русский")];

    pub const fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Russian => "ru",
        }
    }

    pub fn from_code(code: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter().map(|(language, _)| language);
        all.find(|language| language.code() == code)
    }

    /// Returns the first known language of `Accept-Language` with the highest weight.
    fn from_accepted(accepted: &str) -> Option<Self> {
        let mut best: Option<(Self, f32)> = None;
        for range in accepted.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let code = parts.next().unwrap_or_default().to_ascii_lowercase();
            let weight = parts
                .find_map(|part| part.strip_prefix("q=")?.parse().ok())
                .unwrap_or(1.0);
            let primary = code.split('-').next().unwrap_or_default();
            if let Some(language) = Self::from_code(primary)
                && weight > best.map_or(0.0, |(_, weight)| weight)
            {
                best = Some((language, weight));
            }
        }
        best.map(|(language, _)| language)
    }
}

/// Colours of the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageTheme {
    /// As the browser prefers.
    Auto,
    Light,
    Dark,
}

impl PageTheme {
    pub const ALL: [Self; 3] = [Self::Auto, Self::Light, Self::Dark];

    pub const fn code(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|theme| theme.code() == code)
    }
}

/// Everything about a request that shapes its page.
#[derive(Debug, Clone)]
pub struct PageContext {
    pub language: PageLanguage,
    pub theme: PageTheme,
    /// Path and query of the page; of a form that was sent, those of the form's page.
    pub path: String,
    /// The address that the form was sent to; empty on other pages.
    pub action: String,
    /// The form that failed, on the page that shows it again.
    pub failed: Option<Arc<FailedForm>>,
    /// `None` before the login.
    pub visit: Option<DashboardVisit>,
}

impl PageContext {
    /// Reads the context of a request whose caller is not known.
    pub fn before_login(headers: &HeaderMap, path: String) -> Self {
        let accepted = headers
            .get(header::ACCEPT_LANGUAGE)
            .and_then(|accepted| accepted.to_str().ok())
            .and_then(PageLanguage::from_accepted);
        let chosen = find_cookie(headers, LANGUAGE_COOKIE).and_then(PageLanguage::from_code);
        let theme = find_cookie(headers, THEME_COOKIE).and_then(PageTheme::from_code);
        Self {
            language: chosen.or(accepted).unwrap_or(PageLanguage::English),
            theme: theme.unwrap_or(PageTheme::Auto),
            path,
            action: String::new(),
            failed: None,
            visit: None,
        }
    }

    /// Returns the address that a form on this list leads back to: the list with the filter that it
    /// had.
    pub fn back_to(&self, list: &str) -> String {
        let query = self.path.strip_prefix(list);
        let is_of_list = query.is_some_and(|query| query.starts_with('?'));
        if is_of_list { &self.path } else { list }.to_owned()
    }

    /// Returns the text in the reader's language.
    pub const fn text(&self, text: PageText) -> &'static str {
        match self.language {
            PageLanguage::English => text.english,
            PageLanguage::Russian => text.russian,
        }
    }

    /// Returns the title of a problem in the reader's language.
    pub fn problem_title(&self, problem: &ProblemDocument) -> &'static str {
        self.text(problem_text(problem.code, problem.title))
    }

    pub fn caller(&self) -> Option<&Caller> {
        self.visit.as_ref().map(|visit| &visit.caller)
    }

    pub fn has_scope(&self, scope: Scope) -> bool {
        self.caller().is_some_and(|caller| caller.has_scope(scope))
    }

    /// Returns whether the reader may see what concerns the whole gateway.
    pub fn is_admin_of_all(&self) -> bool {
        self.caller().is_some_and(|caller| {
            caller.has_scope(Scope::Admin) && caller.allowed_sessions().is_none()
        })
    }

    /// Returns the page that the reader begins with.
    pub fn home(&self) -> &'static str {
        self.caller().map_or(HOME, first_page)
    }

    /// Returns whether there are simulated phones.
    pub fn is_sandbox(&self) -> bool {
        self.visit.as_ref().is_some_and(|visit| visit.is_sandbox)
    }

    /// Returns the token that the forms of this page carry.
    pub fn form_token(&self) -> &str {
        self.visit.as_ref().map_or("", |visit| &visit.form_token)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for PageContext {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        // After the login, the context is made with the login.
        if let Some(context) = parts.extensions.get::<Self>() {
            return Ok(context.clone());
        }
        let path = match parts.uri.path_and_query() {
            // There is nothing to load at the addresses of other forms.
            _ if !parts.method.is_safe() && parts.uri.path() != LOGIN_PAGE => HOME.to_owned(),
            Some(path) => path.to_string(),
            None => parts.uri.path().to_owned(),
        };
        Ok(Self::before_login(&parts.headers, path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_in_the_first_language_that_its_reader_prefers_and_it_knows() {
        for (accepted, expected) in [
            ("ru", Some(PageLanguage::Russian)),
            ("ru-RU,ru;q=0.9,en;q=0.8", Some(PageLanguage::Russian)),
            ("de, en;q=0.5, ru;q=0.4", Some(PageLanguage::English)),
            ("en;q=0.4, ru;q=0.5", Some(PageLanguage::Russian)),
            ("ru;q=0, en;q=0.1", Some(PageLanguage::English)),
            ("de", None),
            ("", None),
        ] {
            assert_eq!(
                PageLanguage::from_accepted(accepted),
                expected,
                "{accepted}"
            );
        }
    }
}
