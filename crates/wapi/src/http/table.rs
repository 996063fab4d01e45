//! The route table: handlers, and the access each requires.

use axum::Router;
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, Request};
use axum::handler::Handler;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};

use super::Gateway;
use super::error::Problem;
use super::extract::NOT_TEXT;
use crate::keys::{Caller, Scope};

/// Access that a route requires of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    pub scope: Scope,
    narrowing: Narrowing,
}

/// How a route treats session-restricted keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Narrowing {
    /// It is for the session named in its path; without one, only for keys of all sessions.
    ByPath,
    /// The handler asks the [`Caller`] which sessions it may reach.
    ByHandler,
}

impl From<Scope> for Need {
    fn from(scope: Scope) -> Self {
        Self {
            scope,
            narrowing: Narrowing::ByPath,
        }
    }
}

impl Scope {
    /// For routes whose handler checks the caller's sessions.
    pub const fn narrowed(self) -> Need {
        Need {
            scope: self,
            narrowing: Narrowing::ByHandler,
        }
    }
}

/// One method of one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub method: &'static str,
    pub path: &'static str,
    /// `None`: no key is required.
    pub scope: Option<Scope>,
}

/// Parameters of a path, or the error that they cannot be read.
type Path = Result<RawPathParams, RawPathParamsRejection>;

/// Routes under construction, each with and without its trailing slash.
pub struct Table {
    pub keyed: Router<Gateway>,
    pub open: Router<Gateway>,
    pub rows: Vec<Row>,
}

impl Table {
    pub fn new() -> Self {
        Self {
            keyed: Router::new(),
            open: Router::new(),
            rows: Vec::new(),
        }
    }

    /// Adds a `GET` that requires no key.
    pub fn open<T: 'static>(
        mut self,
        path: &'static str,
        handler: impl Handler<T, Gateway>,
    ) -> Self {
        self.rows.push(Row {
            method: "GET",
            path,
            scope: None,
        });
        self.open = both(self.open, path, on(MethodFilter::GET, handler));
        self
    }

    pub fn get<T: 'static>(
        self,
        path: &'static str,
        need: impl Into<Need>,
        handler: impl Handler<T, Gateway>,
    ) -> Self {
        self.row("GET", path, need.into(), on(MethodFilter::GET, handler))
    }

    pub fn post<T: 'static>(
        self,
        path: &'static str,
        need: impl Into<Need>,
        handler: impl Handler<T, Gateway>,
    ) -> Self {
        self.row("POST", path, need.into(), on(MethodFilter::POST, handler))
    }

    pub fn put<T: 'static>(
        self,
        path: &'static str,
        need: impl Into<Need>,
        handler: impl Handler<T, Gateway>,
    ) -> Self {
        self.row("PUT", path, need.into(), on(MethodFilter::PUT, handler))
    }

    pub fn patch<T: 'static>(
        self,
        path: &'static str,
        need: impl Into<Need>,
        handler: impl Handler<T, Gateway>,
    ) -> Self {
        self.row("PATCH", path, need.into(), on(MethodFilter::PATCH, handler))
    }

    pub fn delete<T: 'static>(
        self,
        path: &'static str,
        need: impl Into<Need>,
        handler: impl Handler<T, Gateway>,
    ) -> Self {
        self.row(
            "DELETE",
            path,
            need.into(),
            on(MethodFilter::DELETE, handler),
        )
    }

    fn row(
        mut self,
        method: &'static str,
        path: &'static str,
        need: Need,
        route: MethodRouter<Gateway>,
    ) -> Self {
        self.rows.push(Row {
            method,
            path,
            scope: Some(need.scope),
        });
        let guarded = route.layer(from_fn(
            move |caller: Caller, path: Path, request: Request, next: Next| {
                guard(need, caller, path, request, next)
            },
        ));
        self.keyed = both(self.keyed, path, guarded);
        self
    }
}

fn both(router: Router<Gateway>, path: &str, route: MethodRouter<Gateway>) -> Router<Gateway> {
    match path {
        "/" => router.route(path, route),
        _ => router
            .route(path, route.clone())
            .route(&format!("{path}/"), route),
    }
}

async fn guard(need: Need, caller: Caller, path: Path, request: Request, next: Next) -> Response {
    let Ok(path) = path else {
        return Problem::field("session", NOT_TEXT).into_response();
    };
    let session = path
        .iter()
        .find_map(|(name, value)| (name == "session").then_some(value));
    match judge(need, &caller, session) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

fn judge(need: Need, caller: &Caller, session: Option<&str>) -> Result<(), Problem> {
    if !caller.has(need.scope) {
        return Err(Problem::ScopeMissing(need.scope));
    }
    match (session, need.narrowing) {
        // The same answer whether the session exists or not.
        (Some(session), _) if !caller.reaches(session) => Err(Problem::SessionNotAllowed),
        (None, Narrowing::ByPath) if caller.sessions().is_some() => Err(Problem::NotForAllSessions),
        _ => Ok(()),
    }
}
