//! Dangerous things ask for the key of the login again, unless it was typed a moment ago.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use maud::{Markup, html};

use super::forms::FormFields;
use super::{DashboardVisit, login_problem};
use crate::http::Gateway;
use crate::http::access::auth;
use crate::http::dashboard::context::PageContext;
use crate::http::dashboard::texts::{self, PageText};
use crate::http::edge::CallerContext;
use crate::http::error::Problem;

/// Name of the field with the key.
const FIELD: &str = "confirming_key";

/// The means to ask for the key again.
pub struct KeyConfirmation {
    gateway: Gateway,
    visit: CallerContext,
    reader: DashboardVisit,
}

impl KeyConfirmation {
    /// Draws the field for the key into a form, where it will be asked for.
    pub fn draw_field(context: &PageContext, form: &str) -> Markup {
        draw_key(context, form, texts::KEY_AGAIN, true)
    }

    /// Draws the field into a form that does not always ask for the key, as the text says.
    pub fn draw_optional(context: &PageContext, form: &str, text: PageText) -> Markup {
        draw_key(context, form, text, false)
    }

    /// Takes the key out of a form, and fails if it is asked for and is not that of the login.
    pub async fn require(&self, fields: &mut FormFields) -> Result<(), Problem> {
        let shown = fields.take(FIELD);
        let Some(login) = self.reader.login.filter(|_| !self.reader.is_fresh) else {
            return Ok(());
        };
        let shown = shown.ok_or(Problem::KeyNotShown)?;
        let shown = shown.trim().as_bytes();
        match auth::check_key(&self.gateway, &self.visit, shown).await {
            Ok(caller) if caller.id() == self.reader.caller.id() => {}
            Ok(_) | Err(Problem::Unauthorized) => return Err(Problem::KeyNotShown),
            Err(problem) => return Err(problem),
        }
        let now = self.gateway.clock.now();
        let recorded = self.gateway.store.logins().record_shown_key(login, now);
        recorded.await.map_err(login_problem)
    }
}

fn draw_key(context: &PageContext, form: &str, text: PageText, is_required: bool) -> Markup {
    let is_fresh = context.visit.as_ref().is_none_or(|visit| visit.is_fresh);
    let id = format!("key-{form}");
    html! {
        @if !is_fresh {
            label for=(id) { (context.text(text)) }
            input id=(id) name=(FIELD) type="password" autocomplete="off" required[is_required];
            @if context.failed.as_ref().is_some_and(|failed| failed.lacks_key()) {
                p.fault { (context.text(texts::KEY_WRONG_OR_MISSING)) }
            }
        }
    }
}

impl FromRequestParts<Gateway> for KeyConfirmation {
    type Rejection = Problem;

    /// Present only on pages.
    async fn from_request_parts(parts: &mut Parts, gateway: &Gateway) -> Result<Self, Problem> {
        let visit = parts.extensions.get().cloned();
        let reader = parts.extensions.get().cloned();
        Ok(Self {
            gateway: gateway.clone(),
            visit: visit.ok_or(Problem::Internal)?,
            reader: reader.ok_or(Problem::Unauthorized)?,
        })
    }
}
