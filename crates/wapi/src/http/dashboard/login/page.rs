//! The page where a key is shown, once, and the end of a login.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use maud::{DOCTYPE, Markup, html};

use super::cookies::{CookieTransport, login_cookie};
use super::forms::{self, FormFields};
use super::{DashboardVisit, LoginToken, create_login, link, login_problem, mark_login};
use crate::http::Gateway;
use crate::http::access::api_keys::Caller;
use crate::http::access::auth;
use crate::http::dashboard::context::{HOME, PageContext};
use crate::http::dashboard::form::is_ours;
use crate::http::dashboard::layout::render_page;
use crate::http::dashboard::texts::{self, PageText};
use crate::http::edge::CallerContext;
use crate::http::error::Problem;
use crate::http::monitoring::activity::record_login;
use crate::http::request::query::QueryParameters;
use crate::store::ActivityOutcome;

const LOGGED_IN: ActivityOutcome = ActivityOutcome {
    status: 303,
    problem: None,
};
const UNAUTHORIZED: ActivityOutcome = ActivityOutcome {
    status: 401,
    problem: None,
};

/// `GET /dashboard/login`: the form for a key. A gateway that requires none leads on.
pub async fn show_login(
    State(gateway): State<Gateway>,
    visit: CallerContext,
    context: PageContext,
    mut query: QueryParameters,
) -> Result<Response, Problem> {
    let next = query.optional_text("next");
    query.finish()?;
    if auth::is_open(&gateway) {
        return Ok(Redirect::to(HOME).into_response());
    }
    let transport = CookieTransport::from_peer(&visit.peer, gateway.dashboard.allows_plain_http());
    let has_link = gateway.keys.has_first_key();
    let form = login_form(&context, transport, &read_next(next), has_link, None);
    Ok(render_page(&context, context.text(texts::LOG_IN), form))
}

/// `POST /dashboard/login`: exchanges a key for a cookie. The key is forgotten.
pub async fn log_in(
    State(gateway): State<Gateway>,
    visit: CallerContext,
    context: PageContext,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    if !forms::is_same_origin(&headers, visit.peer.is_https) {
        return Err(Problem::ForeignForm);
    }
    let mut fields = FormFields::parse(&body);
    let next = read_next(fields.take("next"));
    let transport = CookieTransport::from_peer(&visit.peer, gateway.dashboard.allows_plain_http());
    let has_link = gateway.keys.has_first_key();
    let refused = |reason| {
        let form = login_form(&context, transport, &next, has_link, Some(reason));
        let page = render_page(&context, context.text(texts::LOG_IN), form);
        (StatusCode::UNAUTHORIZED, page).into_response()
    };
    if auth::is_open(&gateway) {
        return Ok(Redirect::to(HOME).into_response());
    }
    // The key would be in other hands already.
    if transport == CookieTransport::Exposed {
        visit.record_refusal();
        return Ok(refused(texts::WRONG_KEY));
    }
    if let Some(link) = fields.take("link") {
        let opened = link::open_link(&gateway, &link).await;
        let Some((caller, token)) = opened.map_err(login_problem)? else {
            visit.record_refusal();
            record_login(&gateway, &visit, None, "", UNAUTHORIZED).await;
            return Ok(refused(texts::WRONG_LINK));
        };
        return Ok(enter(&gateway, &visit, &caller, &token, transport, HOME).await);
    }
    let shown = fields.take("key").unwrap_or_default();
    let caller = match auth::check_key(&gateway, &visit, shown.trim().as_bytes()).await {
        Ok(caller) => caller,
        Err(Problem::Unauthorized) => {
            visit.record_refusal();
            tracing::info!("a login to the dashboard was refused");
            record_login(&gateway, &visit, None, "", UNAUTHORIZED).await;
            return Ok(refused(texts::WRONG_KEY));
        }
        Err(problem) => return Err(problem),
    };
    let token = create_login(&gateway, &caller, shown.trim().as_bytes())
        .await
        .map_err(login_problem)?;
    Ok(enter(&gateway, &visit, &caller, &token, transport, &next).await)
}

/// Answers with the cookie of a new login.
async fn enter(
    gateway: &Gateway,
    visit: &CallerContext,
    caller: &Caller,
    token: &LoginToken,
    transport: CookieTransport,
    next: &str,
) -> Response {
    tracing::info!(key = caller.id(), "logged in to the dashboard");
    let login = mark_login(&token.hash());
    record_login(gateway, visit, Some(caller), &login, LOGGED_IN).await;
    let mark = gateway.dashboard.cookie_mark();
    let cookie = [(
        header::SET_COOKIE,
        login_cookie(Some(&token.0), transport, mark),
    )];
    (cookie, Redirect::to(next)).into_response()
}

/// `POST /dashboard/logout`: ends the login, and all its open pages.
pub async fn log_out(
    State(gateway): State<Gateway>,
    visit: CallerContext,
    axum::Extension(reader): axum::Extension<DashboardVisit>,
    _: FormFields,
) -> Result<Response, Problem> {
    if let Some(hash) = reader.login {
        let removed = gateway.store.logins().remove_login(hash).await;
        removed.map_err(login_problem)?;
        gateway.dashboard.announce_logout();
    }
    let transport = CookieTransport::from_peer(&visit.peer, gateway.dashboard.allows_plain_http());
    let forget = [
        (
            header::SET_COOKIE,
            login_cookie(None, transport, gateway.dashboard.cookie_mark()),
        ),
        // Pages that a browser kept for its button "back".
        (
            HeaderName::from_static("clear-site-data"),
            HeaderValue::from_static("\"cache\""),
        ),
    ];
    Ok((forget, Redirect::to("/dashboard/login")).into_response())
}

/// Returns the page that makes a browser ask again, as a page of this site.
pub(super) fn ask_again(headers: &HeaderMap, path: &str) -> Response {
    let context = PageContext::before_login(headers, path.to_owned());
    let page = html! {
        (DOCTYPE)
        html lang=(context.language.code()) {
            head { meta charset="utf-8"; meta http-equiv="refresh" content={ "0;url=" (path) }; title { "wapi" } }
            body { a href=(path) { (context.text(texts::HOME)) } }
        }
    };
    Html(page.into_string()).into_response()
}

/// Returns the page to go to after the login: one of the dashboard, whatever the address says.
fn read_next(next: Option<String>) -> String {
    let is_page = |next: &String| is_ours(next) && !next.starts_with("/dashboard/login");
    next.filter(is_page).unwrap_or_else(|| HOME.to_owned())
}

fn login_form(
    context: &PageContext,
    transport: CookieTransport,
    next: &str,
    has_link: bool,
    refusal: Option<PageText>,
) -> Markup {
    html! {
        h1 { (context.text(texts::LOG_IN)) }
        @if transport == CookieTransport::Exposed {
            p.warning role="alert" { (context.text(texts::NEEDS_TLS)) }
        } @else {
            @if let Some(reason) = refusal {
                p.warning role="alert" id="refused" { (context.text(reason)) }
            }
            form.card method="post" action="/dashboard/login" {
                input type="hidden" name="next" value=(next);
                label for="key" { (context.text(texts::API_KEY)) }
                input id="key" name="key" type="password" autocomplete="off" required autofocus
                    aria-describedby="key-hint";
                p.hint id="key-hint" { (context.text(texts::KEY_HINT)) }
                button type="submit" { (context.text(texts::LOG_IN)) }
            }
            // A script puts the link of the page's address into it, and sends it.
            @if has_link {
                form.card method="post" action="/dashboard/login" id="link-form" {
                    label for="link" { (context.text(texts::LOGIN_LINK)) }
                    input id="link" name="link" type="password" autocomplete="off" required
                        aria-describedby="link-hint";
                    p.hint id="link-hint" { (context.text(texts::LINK_HINT)) }
                    button.plain type="submit" { (context.text(texts::LOG_IN)) }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_leads_to_pages_of_the_dashboard_only() {
        for (asked, led) in [
            (
                "/dashboard/sessions/shop?before=1",
                "/dashboard/sessions/shop?before=1",
            ),
            ("/dashboard", "/dashboard"),
            ("https://evil.example/", "/dashboard"),
            ("//evil.example/", "/dashboard"),
            ("/dashboardx", "/dashboard"),
            ("/dashboard\\evil", "/dashboard"),
            ("/dashboard/login?next=/dashboard", "/dashboard"),
            ("/dashboard/\r\nset-cookie: a=b", "/dashboard"),
            ("/v1/sessions", "/dashboard"),
        ] {
            assert_eq!(read_next(Some(asked.to_owned())), led, "{asked:?}");
        }
    }
}
