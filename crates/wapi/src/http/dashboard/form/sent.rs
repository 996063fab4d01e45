//! Forms that were sent. One that fails comes back on its page, with everything that was typed.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use tower_service::Service;
use url::Url;

use super::FailedForm;
use crate::http::Gateway;
use crate::http::dashboard::context::{HOME, PageContext};
use crate::http::dashboard::login::DashboardVisit;
use crate::http::dashboard::login::forms::FormFields;
use crate::http::dashboard::page_table;
use crate::http::edge::CallerContext;
use crate::http::error::ProblemDocument;

/// Name of the field with the address of a form's page.
pub const PAGE_FIELD: &str = "page";
/// Fields that are never shown again: keys, and headers of webhooks, which may hold keys.
const SECRETS: [&str; 2] = ["confirming_key", "headers"];
/// Headers that are about the body of a form.
const OF_THE_BODY: [header::HeaderName; 3] = [
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
];

/// A form, kept while its handler works.
pub struct SentForm {
    action: String,
    page: Option<String>,
    fields: FormFields,
    headers: HeaderMap,
}

/// The texts of a form with a file, which its handler leaves on the answer when it fails.
#[derive(Debug, Clone)]
pub struct SentTexts(pub FormFields);

impl SentForm {
    /// Keeps the form of a request. Its page is taken out of the fields.
    pub fn keep(request: &Request, fields: &mut FormFields) -> Self {
        let page = fields.take(PAGE_FIELD).filter(|page| is_ours(page));
        Self {
            action: request.uri().path().to_owned(),
            page,
            fields: fields.clone(),
            headers: request.headers().clone(),
        }
    }

    /// Returns the address of the form's page; the overview, if the form does not name it.
    pub fn page(&self) -> &str {
        self.page.as_deref().unwrap_or(HOME)
    }

    pub fn action(&self) -> &str {
        &self.action
    }

    /// Adds the texts of a form with a file.
    pub fn add_texts(&mut self, SentTexts(mut fields): SentTexts) {
        self.page = fields.take(PAGE_FIELD).filter(|page| is_ours(page));
        self.fields = fields;
    }

    /// Returns the page of a form that failed, with everything that was typed; `None` where it
    /// cannot be shown.
    pub async fn show_again(
        self,
        gateway: &Gateway,
        reader: DashboardVisit,
        connection: CallerContext,
        problem: ProblemDocument,
    ) -> Option<Response> {
        let page = self.page?;
        let status = problem.status_code();
        let mut request = Request::new(Body::empty());
        *request.method_mut() = Method::GET;
        *request.uri_mut() = page.parse().ok()?;
        *request.headers_mut() = self.headers;
        for name in OF_THE_BODY {
            request.headers_mut().remove(name);
        }
        let failed = FailedForm {
            action: self.action,
            fields: without_secrets(self.fields),
            problem,
        };
        let context = PageContext {
            visit: Some(reader.clone()),
            failed: Some(Arc::new(failed)),
            ..PageContext::before_login(request.headers(), page)
        };
        let known = request.extensions_mut();
        known.insert(reader.caller.clone().for_request());
        known.insert(reader);
        known.insert(connection);
        known.insert(context);
        let mut pages = page_table().keyed.with_state::<()>(gateway.clone());
        let mut shown = match Box::pin(pages.call(request)).await {
            Ok(shown) => shown,
            Err(never) => match never {},
        };
        let is_page = |kind: &HeaderValue| kind.as_bytes().starts_with(b"text/html");
        let kind = shown.headers().get(header::CONTENT_TYPE);
        if shown.status() != StatusCode::OK || !kind.is_some_and(is_page) {
            return None;
        }
        *shown.status_mut() = status;
        Some(shown)
    }
}

/// Returns whether an address is one of the dashboard's.
pub fn is_ours(address: &str) -> bool {
    let rest = address.strip_prefix(HOME);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
        && address
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'\\')
}

fn without_secrets(mut fields: FormFields) -> FormFields {
    for name in SECRETS {
        fields.take_all(name);
    }
    fields.retain(|value| !Url::parse(value).is_ok_and(|url| url.password().is_some()));
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_and_no_password_is_shown_again() {
        let typed = b"confirming_key=wapi_k&headers=Authorization:+Bearer+t&name=Ann\
            &url=https://a:secret@example.com/&event=https://example.com/";
        let kept = without_secrets(FormFields::parse(typed));
        assert_eq!(kept.find("name"), Some("Ann"));
        assert_eq!(kept.find("event"), Some("https://example.com/"));
        for name in ["confirming_key", "headers", "url"] {
            assert_eq!(kept.find(name), None, "{name}");
        }
    }
}
