//! The route table: handlers, and the access each requires.

use axum::Router;
use axum::extract::{FromRequestParts, RawPathParams, Request};
use axum::handler::Handler;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use futures_util::future::BoxFuture;

use crate::http::Gateway;
use crate::http::access::api_keys::Caller;
use crate::http::error::Problem;
use crate::http::request::extract::NOT_TEXT;
use crate::model::access::Scope;

/// Access that a route requires of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteAccess {
    /// The scope that it requires, and that its requests count as in the activity.
    pub scope: Scope,
    narrowing: SessionNarrowing,
    is_for_any_key: bool,
}

impl RouteAccess {
    /// For routes that show each key what its scopes allow.
    pub const fn for_any_key(self) -> Self {
        Self {
            is_for_any_key: true,
            ..self
        }
    }

    /// Returns whether a caller may use a route without a session in its path.
    pub fn permits(self, caller: &Caller) -> bool {
        check_access(self, caller, None).is_ok()
    }
}

/// How a route treats session-restricted keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SessionNarrowing {
    /// It is for the session named in its path; without one, only for keys of all sessions.
    ByPath,
    /// The handler asks the [`Caller`] which sessions it may reach.
    ByHandler,
}

impl From<Scope> for RouteAccess {
    fn from(scope: Scope) -> Self {
        Self {
            scope,
            narrowing: SessionNarrowing::ByPath,
            is_for_any_key: false,
        }
    }
}

impl Scope {
    /// For routes whose handler checks the caller's sessions.
    pub const fn narrowed(self) -> RouteAccess {
        RouteAccess {
            scope: self,
            narrowing: SessionNarrowing::ByHandler,
            is_for_any_key: false,
        }
    }
}

/// One method of one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteRow {
    pub method: &'static str,
    pub path: &'static str,
    /// `None`: no key is required.
    pub access: Option<RouteAccess>,
}

impl RouteRow {
    pub fn scope(&self) -> Option<Scope> {
        self.access.map(|access| access.scope)
    }
}

/// Routes under construction, each with and without its trailing slash.
pub struct RouteTable {
    pub keyed: Router<Gateway>,
    pub open: Router<Gateway>,
    /// Routes whose path has a token, which is the key to them.
    pub tokened: Router<Gateway>,
    pub rows: Vec<RouteRow>,
}

impl RouteTable {
    pub fn new() -> Self {
        Self {
            keyed: Router::new(),
            open: Router::new(),
            tokened: Router::new(),
            rows: Vec::new(),
        }
    }

    /// Adds a `GET` that requires no key.
    pub fn get_unkeyed<T: 'static>(
        mut self,
        path: &'static str,
        handler: impl Handler<T, Gateway>,
    ) -> Self {
        self.rows.push(RouteRow {
            method: "GET",
            path,
            access: None,
        });
        self.open = add_both_paths(self.open, path, on(MethodFilter::GET, handler));
        self
    }

    /// Adds a `GET` that requires no key, because its path has a token.
    pub fn get_tokened<T: 'static>(
        self,
        path: &'static str,
        handler: impl Handler<T, Gateway>,
    ) -> Self {
        self.add_tokened("GET", path, on(MethodFilter::GET, handler))
    }

    /// Adds a `POST` that requires no key, because its path has a token.
    pub fn post_tokened<T: 'static>(
        self,
        path: &'static str,
        handler: impl Handler<T, Gateway>,
    ) -> Self {
        self.add_tokened("POST", path, on(MethodFilter::POST, handler))
    }

    fn add_tokened(
        mut self,
        method: &'static str,
        path: &'static str,
        route: MethodRouter<Gateway>,
    ) -> Self {
        self.rows.push(RouteRow {
            method,
            path,
            access: None,
        });
        self.tokened = add_both_paths(self.tokened, path, route);
        self
    }

    pub fn get<T: 'static>(
        self,
        path: &'static str,
        need: impl Into<RouteAccess>,
        handler: impl Handler<T, Gateway>,
    ) -> Self {
        self.add_row(("GET", MethodFilter::GET), path, need.into(), handler)
    }

    pub fn post<T: 'static>(
        self,
        path: &'static str,
        need: impl Into<RouteAccess>,
        handler: impl Handler<T, Gateway>,
    ) -> Self {
        self.add_row(("POST", MethodFilter::POST), path, need.into(), handler)
    }

    pub fn put<T: 'static>(
        self,
        path: &'static str,
        need: impl Into<RouteAccess>,
        handler: impl Handler<T, Gateway>,
    ) -> Self {
        self.add_row(("PUT", MethodFilter::PUT), path, need.into(), handler)
    }

    pub fn patch<T: 'static>(
        self,
        path: &'static str,
        need: impl Into<RouteAccess>,
        handler: impl Handler<T, Gateway>,
    ) -> Self {
        self.add_row(("PATCH", MethodFilter::PATCH), path, need.into(), handler)
    }

    pub fn delete<T: 'static>(
        self,
        path: &'static str,
        need: impl Into<RouteAccess>,
        handler: impl Handler<T, Gateway>,
    ) -> Self {
        self.add_row(("DELETE", MethodFilter::DELETE), path, need.into(), handler)
    }

    fn add_row<T: 'static>(
        mut self,
        (method, filter): (&'static str, MethodFilter),
        path: &'static str,
        need: RouteAccess,
        handler: impl Handler<T, Gateway>,
    ) -> Self {
        self.rows.push(RouteRow {
            method,
            path,
            access: Some(need),
        });
        let guarded = on(filter, GuardedHandler { need, handler });
        self.keyed = add_both_paths(self.keyed, path, guarded);
        self
    }
}

fn add_both_paths(
    router: Router<Gateway>,
    path: &str,
    route: MethodRouter<Gateway>,
) -> Router<Gateway> {
    match path {
        "/" => router.route(path, route),
        _ => router
            .route(path, route.clone())
            .route(&format!("{path}/"), route),
    }
}

/// A handler behind the check that its caller may use the route. It is no layer, which would box
/// each request and its answer once more.
#[derive(Clone)]
struct GuardedHandler<H> {
    need: RouteAccess,
    handler: H,
}

impl<T: 'static, H: Handler<T, Gateway>> Handler<T, Gateway> for GuardedHandler<H> {
    type Future = BoxFuture<'static, Response>;

    fn call(self, request: Request, gateway: Gateway) -> Self::Future {
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            match check_route(self.need, &mut parts).await {
                Ok(()) => {
                    let request = Request::from_parts(parts, body);
                    self.handler.call(request, gateway).await
                }
                Err(problem) => problem.into_response(),
            }
        })
    }
}

async fn check_route(need: RouteAccess, parts: &mut Parts) -> Result<(), Problem> {
    let caller = Caller::from_request_parts(parts, &()).await?;
    let path = RawPathParams::from_request_parts(parts, &())
        .await
        .map_err(|_| Problem::invalid_field("session", NOT_TEXT))?;
    let session = path
        .iter()
        .find_map(|(name, value)| (name == "session").then_some(value));
    check_access(need, &caller, session)
}

fn check_access(need: RouteAccess, caller: &Caller, session: Option<&str>) -> Result<(), Problem> {
    if !need.is_for_any_key && !caller.has_scope(need.scope) {
        return Err(Problem::ScopeMissing(need.scope));
    }
    match (session, need.narrowing) {
        // The same answer whether the session exists or not.
        (Some(session), _) if !caller.can_reach(session) => Err(Problem::SessionNotAllowed),
        (None, SessionNarrowing::ByPath) if caller.allowed_sessions().is_some() => {
            Err(Problem::NotForAllSessions)
        }
        _ => Ok(()),
    }
}
