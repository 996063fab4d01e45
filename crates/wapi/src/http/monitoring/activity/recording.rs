//! The recording of activity. A read never waits for it; the row of a change is on the disk
//! before its caller is answered.

use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::Duration;

use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{MatchedPath, RawPathParams, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;

use crate::http::access::api_keys::Caller;
use crate::http::dashboard::{self, DashboardVisit};
use crate::http::edge::{CallerContext, client_network};
use crate::http::error::ProblemDocument;
use crate::http::request::layers::RequestId;
use crate::http::{Gateway, routes};
use crate::model::access::Scope;
use crate::store::{ActivityActor, ActivityDoor, ActivityFacts, ActivityKind, ActivityOutcome};

/// How long the answer of a change waits for its row. A disk that hangs must not keep an operator
/// from stopping things.
const SAVE_TIMEOUT: Duration = Duration::from_secs(3);

/// The scope of each route and page.
static SCOPES: LazyLock<HashMap<(&'static str, &'static str), Scope>> = LazyLock::new(|| {
    let rows = routes::route_table().rows.into_iter();
    let all = rows.chain(dashboard::page_rows());
    all.filter_map(|row| Some(((row.method, row.path), row.scope()?)))
        .collect()
});

/// Parameters of a path, or the error that they cannot be read.
pub type PathParams = Result<RawPathParams, RawPathParamsRejection>;

/// A layer that records each request of a known caller, with its outcome.
pub async fn record_activity(
    State(gateway): State<Gateway>,
    visit: CallerContext,
    caller: Caller,
    path: PathParams,
    request: Request,
    next: Next,
) -> Response {
    record_request(&gateway, &visit, &caller, path, request, |request| {
        next.run(request)
    })
    .await
}

/// Answers a request of a known caller with `answer`, and records it with its outcome.
pub async fn record_request<A: Future<Output = Response>>(
    gateway: &Gateway,
    visit: &CallerContext,
    caller: &Caller,
    path: PathParams,
    request: Request,
    answer: impl FnOnce(Request) -> A,
) -> Response {
    let extensions = request.extensions();
    let (Some(route), Some(RequestId(id))) = (
        extensions.get::<MatchedPath>().map(MatchedPath::as_str),
        extensions.get::<RequestId>().cloned(),
    ) else {
        return answer(request).await;
    };
    let reader = extensions.get::<DashboardVisit>();
    let route = match route.trim_end_matches('/') {
        "" => "/",
        route => route,
    };
    let session = path.ok().and_then(|path| {
        path.iter()
            .find_map(|(name, value)| (name == "session").then(|| value.to_owned()))
    });
    let facts = ActivityFacts {
        kind: classify(request.method(), route),
        session: session.unwrap_or_default(),
        login: reader
            .and_then(DashboardVisit::login_mark)
            .unwrap_or_default(),
        door: match reader {
            Some(_) => ActivityDoor::Dashboard,
            None => ActivityDoor::Api,
        },
        ..facts_of(visit, caller, request.method(), route)
    };
    let activity = gateway.store.activity();
    let begun_at = gateway.clock.now();
    let is_change = matches!(facts.kind, ActivityKind::Change | ActivityKind::Login);
    // A session that is named in the body is known later.
    let is_counted = facts.kind == ActivityKind::Send && !facts.session.is_empty();
    if is_change {
        activity.note_beginning(&id, facts.clone(), begun_at);
    } else if is_counted {
        activity.count_beginning(facts.clone(), begun_at);
    }
    let response = answer(request).await;
    let (outcome, answered_at) = (outcome_of(&response), gateway.clock.now());
    let subject = caller.subject().unwrap_or_default();
    if is_change {
        activity.note_answer(&id, subject, outcome, answered_at);
        // What was refused has changed nothing; callers must not be able to force syncs by it.
        if !matches!(response.status().as_u16(), 403..=405) {
            save_now(gateway).await;
        }
    } else if is_counted {
        activity.count_answer(facts, outcome, answered_at);
    } else {
        let session = if facts.session.is_empty() {
            subject.to_owned()
        } else {
            facts.session
        };
        let facts = ActivityFacts { session, ..facts };
        activity.count_request(facts, outcome, answered_at);
    }
    response
}

/// Records a login to the dashboard, or the refusal of one.
pub async fn record_login(
    gateway: &Gateway,
    visit: &CallerContext,
    caller: Option<&Caller>,
    login: &str,
    outcome: ActivityOutcome,
) {
    let is_known = caller.is_some();
    let nobody = Caller::without_key();
    let known = facts_of(
        visit,
        caller.unwrap_or(&nobody),
        &Method::POST,
        "/dashboard/login",
    );
    let facts = ActivityFacts {
        kind: ActivityKind::Login,
        actor: if is_known {
            known.actor
        } else {
            ActivityActor::Stranger
        },
        address: match is_known {
            true => known.address.clone(),
            // A stranger has all the addresses of a network.
            false => client_network(visit.peer.address).to_string(),
        },
        login: login.to_owned(),
        door: ActivityDoor::Dashboard,
        ..known
    };
    let activity = gateway.store.activity();
    activity.count_request(facts, outcome, gateway.clock.now());
    // Strangers that guess keys cause no syncs.
    if is_known {
        save_now(gateway).await;
    }
}

/// Records a step that the owner of a phone takes on the page of a connect link.
pub fn record_connect_step(
    gateway: &Gateway,
    visit: &CallerContext,
    session: &str,
    response: &Response,
) {
    let nobody = Caller::without_key();
    let facts = ActivityFacts {
        actor: ActivityActor::ConnectLink,
        door: ActivityDoor::ConnectPage,
        session: session.to_owned(),
        ..facts_of(visit, &nobody, &Method::POST, "/connect/{token}")
    };
    let activity = gateway.store.activity();
    activity.count_request(facts, outcome_of(response), gateway.clock.now());
}

/// Returns the facts that are known of every request.
fn facts_of(visit: &CallerContext, caller: &Caller, method: &Method, route: &str) -> ActivityFacts {
    ActivityFacts {
        kind: ActivityKind::Change,
        actor: caller.actor(),
        key_id: caller.shared_id(),
        key_name: caller.shared_name(),
        login: String::new(),
        door: ActivityDoor::Api,
        method: method.to_string(),
        route: route.to_owned(),
        session: String::new(),
        address: visit.peer.address.to_string(),
    }
}

fn classify(method: &Method, route: &str) -> ActivityKind {
    if route == "/dashboard/logout" {
        return ActivityKind::Login;
    }
    if method.is_safe() {
        return ActivityKind::Read;
    }
    match SCOPES.get(&(method.as_str(), route)) {
        Some(Scope::Send | Scope::Ask | Scope::Read) => ActivityKind::Send,
        Some(Scope::Manage | Scope::Admin) | None => ActivityKind::Change,
    }
}

fn outcome_of(response: &Response) -> ActivityOutcome {
    let problem = response.extensions().get::<ProblemDocument>();
    ActivityOutcome {
        status: response.status().as_u16(),
        problem: problem.map(|problem| problem.code.to_string()),
    }
}

/// Saves the notes before the caller is answered.
pub(super) async fn save_now(gateway: &Gateway) {
    let saved = gateway.store.activity().save_notes();
    // They are kept, and every later commit tries again.
    match gateway.clock.timeout(SAVE_TIMEOUT, saved).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "failed to save activity; trying again later"),
        Err(_) => tracing::warn!("saving activity takes long; it goes on"),
    }
}
