//! Logins: an API key is exchanged for a cookie, which stands for that key until either ends.

pub mod cookies;
pub mod forms;
mod key_confirmation;
mod link;
mod page;

use std::sync::Arc;
use std::time::Duration;

use axum::body::{self, Body, HttpBody};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::StreamExt;
use hmac::{Hmac, KeyInit, Mac};
use jiff::{SignedDuration, Timestamp};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::sync::watch;

use super::Dashboard;
use super::context::{HOME, PageContext};
use super::form::{SentForm, SentTexts};
use super::navigation::first_page;
use cookies::CookieTransport;
use forms::FormFields;
pub use key_confirmation::KeyConfirmation;
pub use link::create_first_link;
pub use page::{log_in, log_out, show_login};

use crate::http::Gateway;
use crate::http::access::api_keys::Caller;
use crate::http::access::auth::{self, FINAL_ANSWER_TIME};
use crate::http::access::unkeyed::{self, StrangerError};
use crate::http::edge::CallerContext;
use crate::http::error::{Problem, ProblemDocument};
use crate::http::monitoring::activity::PathParams;
use crate::http::request::extract::MAX_BODY;
use crate::http::request::layers::serve_known;
use crate::store::{LoginHash, StoreError, StoredLogin};

/// A login that nobody has used for so long has ended.
const IDLE_LIMIT: SignedDuration = SignedDuration::from_hours(12);
/// Every login ends after this.
const AGE_LIMIT: SignedDuration = SignedDuration::from_hours(7 * 24);
/// For so long after the key was typed, nothing asks for it again.
const FRESH_LIMIT: SignedDuration = SignedDuration::from_mins(15);
/// Interval at which uses are saved.
const USE_PRECISION: SignedDuration = SignedDuration::from_mins(1);
/// Interval at which long answers check that their login goes on.
const LOGIN_CHECK_INTERVAL: Duration = Duration::from_secs(15);
pub const LOGIN_PAGE: &str = "/dashboard/login";

/// The reader of a page.
#[derive(Debug, Clone)]
pub struct DashboardVisit {
    pub caller: Caller,
    /// The login; `None` on a gateway that requires no key.
    pub login: Option<LoginHash>,
    /// Carried by every form of this login.
    pub form_token: Arc<str>,
    /// Whether the key was typed lately, or none is required.
    pub is_fresh: bool,
    /// Whether the gateway talks to a simulated WhatsApp.
    pub is_sandbox: bool,
}

impl DashboardVisit {
    /// Returns a mark that distinguishes the logins of a key, and opens nothing.
    pub fn login_mark(&self) -> Option<String> {
        self.login.as_ref().map(mark_login)
    }
}

/// Returns the beginning of a login's hash.
fn mark_login(hash: &LoginHash) -> String {
    URL_SAFE_NO_PAD.encode(&hash[..6])
}

/// The secret of one login, as its browser holds it.
struct LoginToken(String);

impl LoginToken {
    /// Creates a token of 256 random bits.
    fn random() -> Self {
        Self(URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()))
    }

    fn hash(&self) -> LoginHash {
        Sha256::digest(&self.0).into()
    }
}

/// Why a browser may not enter.
enum EntryRefusal {
    NeedsLogin,
    Problem(Problem),
}

impl From<Problem> for EntryRefusal {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

/// Lets a request through if its browser is logged in, and records the caller of that login's key.
/// Long answers end with the login, and with its key. Requests that change something must come
/// from a form of this very login.
pub async fn require_login(
    State(gateway): State<Gateway>,
    visit: CallerContext,
    path: PathParams,
    mut request: Request,
    next: Next,
) -> Response {
    let reader = match enter(&gateway, &visit, request.headers(), request.uri()).await {
        Ok(reader) => reader,
        Err(refusal) => {
            visit.record_refusal();
            return match refusal {
                EntryRefusal::NeedsLogin => ask_for_login(&request),
                // A link on another page leads here: the next request is one of ours.
                EntryRefusal::Problem(Problem::Stranger(StrangerError::OtherSite))
                    if request.method() == Method::GET && is_followed_link(request.headers()) =>
                {
                    page::ask_again(request.headers(), &target_path(&request))
                }
                EntryRefusal::Problem(problem) => problem.into_response(),
            };
        }
    };
    if request.method() == Method::GET && request.uri().path().trim_end_matches('/') == HOME {
        let first = first_page(&reader.caller);
        if first != HOME {
            return Redirect::to(first).into_response();
        }
    }
    let caller = reader.caller.clone().for_request();
    if !visit.record_key(caller.shared_id(), caller.allowed_sessions().is_some()) {
        return Problem::TooManyRequests("with this key").into_response();
    }
    let mut sent = None;
    let mut checked = Ok(());
    if !request.method().is_safe() {
        if !forms::is_same_origin(request.headers(), visit.peer.is_https) {
            return Problem::ForeignForm.into_response();
        }
        if forms::has_file(request.headers()) {
            // Its handler reads the fields along with the file; other handlers find none.
            sent = Some(SentForm::keep(&request, &mut FormFields::default()));
        } else {
            let mut fields;
            (request, fields) = match read_form(request).await {
                Ok(form) => form,
                Err(problem) => return problem.into_response(),
            };
            let shown = fields.take(forms::TOKEN_FIELD).unwrap_or_default();
            checked = check_form_token(&reader.form_token, &shown);
            sent = Some(SentForm::keep(&request, &mut fields));
            request.extensions_mut().insert(fields);
        }
    }
    let page = sent.as_ref().map(|sent| sent.page().to_owned());
    let context = PageContext {
        visit: Some(reader.clone()),
        action: sent.as_ref().map_or("", SentForm::action).to_owned(),
        ..PageContext::before_login(
            request.headers(),
            page.unwrap_or_else(|| target_path(&request)),
        )
    };
    let head = (request.headers().clone(), request.uri().clone());
    request.extensions_mut().insert(context.clone());
    request.extensions_mut().insert(caller.clone());
    request.extensions_mut().insert(reader.clone());
    let shown_out = async {
        await_visit_end(&gateway, &reader).await;
        gateway.clock.sleep(FINAL_ANSWER_TIME).await;
    };
    let answering = async {
        let answer = match checked {
            Ok(()) => serve_known(&gateway, visit.clone(), caller, path, request, next).await,
            Err(problem) => problem.into_response(),
        };
        match sent {
            Some(sent) => show_failed_form(&gateway, &visit, sent, &head, answer).await,
            None => answer,
        }
    };
    let mut response = tokio::select! {
        biased;
        response = answering => response,
        () = shown_out => return Redirect::to(LOGIN_PAGE).into_response(),
    };
    response.extensions_mut().insert(context);
    if response.body().size_hint().exact().is_some() {
        // The whole body is in memory.
        return response;
    }
    let ended = Box::pin(async move { await_visit_end(&gateway, &reader).await });
    response.map(|body| Body::from_stream(body.into_data_stream().take_until(ended)))
}

async fn enter(
    gateway: &Gateway,
    visit: &CallerContext,
    headers: &HeaderMap,
    target: &Uri,
) -> Result<DashboardVisit, EntryRefusal> {
    if auth::is_open(gateway) {
        let (access, hosts) = (&gateway.access, &gateway.hosts);
        unkeyed::check_unkeyed(access, hosts, &visit.peer, headers, target)
            .map_err(Problem::Stranger)?;
        return Ok(DashboardVisit {
            caller: Caller::without_key(),
            login: None,
            form_token: gateway.dashboard.open_form_token(),
            is_fresh: true,
            is_sandbox: gateway.dashboard.simulator().is_some(),
        });
    }
    let transport = CookieTransport::from_peer(&visit.peer, gateway.dashboard.allows_plain_http());
    let token = cookies::find_token(headers, transport, gateway.dashboard.cookie_mark())
        .map(|token| LoginToken(token.to_owned()))
        .ok_or(EntryRefusal::NeedsLogin)?;
    let found = find_login(gateway, &token).await.map_err(login_problem)?;
    found.ok_or(EntryRefusal::NeedsLogin)
}

/// Returns the reader of a login that goes on, and records its use.
async fn find_login(
    gateway: &Gateway,
    token: &LoginToken,
) -> Result<Option<DashboardVisit>, StoreError> {
    let (hash, now) = (token.hash(), gateway.clock.now());
    let logins = gateway.store.logins();
    let Some(login) = logins
        .find_login(&hash)
        .await?
        .filter(|it| goes_on(it, now))
    else {
        return Ok(None);
    };
    let Some(caller) = gateway.keys.find_login_caller(&login, token.0.as_bytes()) else {
        return Ok(None);
    };
    if now.duration_since(login.seen_at) >= USE_PRECISION {
        // A full disk must not close the page that shows it.
        if let Err(error) = logins.record_login_use(hash, now).await {
            tracing::warn!(%error, "failed to record the use of a login");
        }
    }
    Ok(Some(DashboardVisit {
        caller,
        login: Some(hash),
        form_token: derive_form_token(token.0.as_bytes()),
        is_fresh: now.duration_since(login.shown_at) < FRESH_LIMIT,
        is_sandbox: gateway.dashboard.simulator().is_some(),
    }))
}

fn goes_on(login: &StoredLogin, now: Timestamp) -> bool {
    now.duration_since(login.seen_at) < IDLE_LIMIT
        && now.duration_since(login.created_at) < AGE_LIMIT
}

/// Creates a login for a key that was shown, and returns its token.
async fn create_login(
    gateway: &Gateway,
    caller: &Caller,
    shown: &[u8],
) -> Result<LoginToken, StoreError> {
    let (token, now) = (LoginToken::random(), gateway.clock.now());
    let binding = gateway.keys.bind_login(shown, token.0.as_bytes());
    save_login(gateway, &token, caller, binding, now).await?;
    Ok(token)
}

/// Saves a login. `shown_at` is when its key was typed.
async fn save_login(
    gateway: &Gateway,
    token: &LoginToken,
    caller: &Caller,
    binding: LoginHash,
    shown_at: Timestamp,
) -> Result<(), StoreError> {
    let now = gateway.clock.now();
    let login = StoredLogin {
        key_id: caller.id().to_owned(),
        binding,
        created_at: now,
        shown_at,
        seen_at: now,
    };
    let logins = gateway.store.logins();
    logins
        .add_login(token.hash(), login, now - AGE_LIMIT, now - IDLE_LIMIT)
        .await
}

/// Completes when this reader would no longer be let in.
async fn await_visit_end(gateway: &Gateway, reader: &DashboardVisit) {
    let login_ends = async {
        let Some(hash) = &reader.login else {
            return std::future::pending().await;
        };
        let mut logouts = gateway.dashboard.watch_logouts();
        loop {
            tokio::select! {
                // The sender lives as long as the gateway.
                _ = logouts.changed() => {}
                () = gateway.clock.sleep(LOGIN_CHECK_INTERVAL) => {}
            }
            let found = gateway.store.logins().find_login(hash).await;
            // A database that fails for a moment ends no login.
            if found.is_ok_and(|found| !found.is_some_and(|it| goes_on(&it, gateway.clock.now()))) {
                return;
            }
        }
    };
    tokio::select! {
        () = auth::await_key_end(gateway, &reader.caller) => {}
        () = login_ends => {}
    }
}

/// Reads the form of a request.
async fn read_form(request: Request) -> Result<(Request, FormFields), Problem> {
    let (parts, body) = request.into_parts();
    let body = body::to_bytes(body, MAX_BODY)
        .await
        .map_err(|error| Problem::from_body_error(&error))?;
    let fields = FormFields::parse(&body);
    Ok((Request::from_parts(parts, Body::empty()), fields))
}

/// Returns the page of a form that has failed, with everything that was typed; every other answer
/// as it is.
async fn show_failed_form(
    gateway: &Gateway,
    visit: &CallerContext,
    mut sent: SentForm,
    (headers, target): &(HeaderMap, Uri),
    mut answer: Response,
) -> Response {
    let Some(problem) = answer.extensions().get::<ProblemDocument>().cloned() else {
        return answer;
    };
    if let Some(texts) = answer.extensions_mut().remove::<SentTexts>() {
        sent.add_texts(texts);
    }
    // The key may have been typed with this form.
    let Ok(reader) = enter(gateway, visit, headers, target).await else {
        return answer;
    };
    let shown = sent.show_again(gateway, reader, visit.clone(), problem);
    shown.await.unwrap_or(answer)
}

/// Checks that a form is of this login.
pub fn check_form_token(form_token: &str, shown: &str) -> Result<(), Problem> {
    if bool::from(shown.as_bytes().ct_eq(form_token.as_bytes())) {
        Ok(())
    } else {
        Err(Problem::StaleForm)
    }
}

/// Leads a browser to the login, and back afterwards.
fn ask_for_login(request: &Request) -> Response {
    let headers = request.headers();
    let wants_stream = headers
        .get(header::ACCEPT)
        .is_some_and(|accept| accept == "text/event-stream");
    if wants_stream {
        return Problem::Unauthorized.into_response();
    }
    let path = target_path(request);
    if request.method() == Method::GET && is_from_elsewhere(headers) {
        // A browser that follows a link of another site shows no cookie; it does when the page
        // itself asks again.
        return page::ask_again(headers, &path);
    }
    let next = if request.method() == Method::GET {
        path.as_str()
    } else {
        "/dashboard"
    };
    let next = utf8_percent_encode(next, NON_ALPHANUMERIC);
    Redirect::to(&format!("{LOGIN_PAGE}?next={next}")).into_response()
}

fn target_path(request: &Request) -> String {
    let path = request.uri().path_and_query();
    path.map_or_else(|| "/dashboard".to_owned(), ToString::to_string)
}

/// Returns whether a person follows a link of another site. Such a page shows nothing in a frame.
fn is_followed_link(headers: &HeaderMap) -> bool {
    let wanted = headers.get("sec-fetch-dest");
    is_from_elsewhere(headers) && wanted.is_some_and(|wanted| wanted == "document")
}

fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    headers
        .get("sec-fetch-site")
        .is_some_and(|site| site == "cross-site" || site == "same-site")
}

/// Returns the token of the forms of a login. It follows from the login's own, so that it holds for
/// as long, and everywhere.
fn derive_form_token(secret: &[u8]) -> Arc<str> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("a key may have any length");
    mac.update(b"forms of the dashboard");
    URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()).into()
}

fn login_problem(error: StoreError) -> Problem {
    tracing::error!(%error, "logins of the dashboard cannot be read or changed");
    Problem::Internal
}

impl Dashboard {
    /// Returns the token of the forms on a gateway that requires no key. It is another one in each
    /// run.
    fn open_form_token(&self) -> Arc<str> {
        derive_form_token(&*self.open_secret)
    }

    fn watch_logouts(&self) -> watch::Receiver<()> {
        self.logouts.subscribe()
    }
}
