//! Who asks, as extractors: they stand before path, query and body, so that authentication comes first.

use crate::{
    App, Problem,
    auth::{Principal, Scope},
    call::Call,
    headers,
    layers::{self, Correlation},
    rate::Asker,
};
use axum::{
    extract::{FromRef, FromRequestParts},
    http::{Method, request::Parts},
};
use circolo_domain::PersonId;
use std::{convert::Infallible, net::IpAddr, ops::Deref, sync::Arc};
use uuid::Uuid;

/// Put into the request by [`crate::layers::authenticate`] when a valid token came with it.
#[derive(Debug, Clone)]
pub(crate) struct SignedIn(pub Arc<Principal>);

/// Somebody with a valid token, registered or not.
#[derive(Debug, Clone)]
pub struct Authenticated(Call);

/// A registered person.
#[derive(Debug, Clone)]
pub struct Caller(Call);

/// Anybody, as far as the installation lets anonymous callers read.
#[derive(Debug, Clone)]
pub enum MaybeCaller {
    /// No token.
    Anonymous,
    /// A token whose owner has not registered.
    Unregistered,
    /// A registered person.
    Registered(Caller),
}

/// Somebody with the scope `operator`.
#[derive(Debug, Clone)]
pub struct Operator(pub Arc<Principal>);

/// Somebody with the scope `analyst` or `analyst:unmask`.
#[derive(Debug, Clone)]
pub struct Analyst {
    /// Who.
    pub principal: Arc<Principal>,
    /// From where, if there is a connection.
    pub address: Option<IpAddr>,
    /// What this belongs to.
    pub correlation: Uuid,
}

/// Put into the request by [`crate::layers::authenticate`]: where it comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CameFrom(pub IpAddr);

/// From where a request comes, if there is a connection.
#[derive(Debug, Clone, Copy)]
pub struct Whence(pub Option<IpAddr>);

impl<S: Send + Sync> FromRequestParts<S> for Whence {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(parts.extensions.get().map(|CameFrom(address)| *address)))
    }
}

impl Deref for Authenticated {
    type Target = Call;
    fn deref(&self) -> &Call {
        &self.0
    }
}

impl Deref for Caller {
    type Target = Call;
    fn deref(&self) -> &Call {
        &self.0
    }
}

impl MaybeCaller {
    /// The registered person, if it is one.
    pub fn person(&self) -> Option<PersonId> {
        match self {
            Self::Registered(caller) => Some(caller.person()),
            Self::Anonymous | Self::Unregistered => None,
        }
    }

    /// The call of a registered person, if it is one.
    pub fn call(&self) -> Option<&Call> {
        match self {
            Self::Registered(caller) => Some(caller),
            Self::Anonymous | Self::Unregistered => None,
        }
    }

    /// The person, for what only persons may read: 401 without a token, 403 `not_registered` without registration.
    pub fn needed(&self) -> Result<PersonId, Problem> {
        match self {
            Self::Registered(caller) => Ok(caller.person()),
            Self::Unregistered => Err(Problem::not_registered()),
            Self::Anonymous => Err(Problem::unauthenticated()),
        }
    }
}

fn signed_in(parts: &Parts) -> Option<Arc<Principal>> {
    parts.extensions.get::<SignedIn>().map(|SignedIn(principal)| principal.clone())
}

/// Before a read, and before a command that says so, the read models catch up.
async fn caught_up(parts: &Parts, app: &App, reader: Option<PersonId>) -> Result<(), Problem> {
    let wanted = headers::min_position(&parts.headers)?;
    app.caught_up(wanted, reader.filter(|_| reads(parts))).await
}

fn reads(parts: &Parts) -> bool {
    matches!(parts.method, Method::GET | Method::HEAD)
}

impl<S: Send + Sync> FromRequestParts<S> for Authenticated
where
    App: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let app = App::from_ref(state);
        let principal = signed_in(parts).ok_or_else(Problem::unauthenticated)?;
        caught_up(parts, &app, Some(principal.person)).await?;
        Call::read(parts, &app, principal).map(Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller
where
    App: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match MaybeCaller::of(parts, &App::from_ref(state)).await? {
            MaybeCaller::Registered(caller) => Ok(caller),
            MaybeCaller::Unregistered => Err(Problem::not_registered()),
            MaybeCaller::Anonymous => Err(Problem::unauthenticated()),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for MaybeCaller
where
    App: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let app = App::from_ref(state);
        match Self::of(parts, &app).await? {
            Self::Anonymous if !app.config().anonymous_reads => Err(Problem::unauthenticated()),
            caller => Ok(caller),
        }
    }
}

impl MaybeCaller {
    async fn of(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let Some(principal) = signed_in(parts) else {
            caught_up(parts, app, None).await?;
            return Ok(Self::Anonymous);
        };
        let (registered, whole) = app.is_known(principal.person).await?;
        // Nobody acts of whom it cannot be read what they are.
        if !registered || !reads(parts) {
            whole?;
        }
        if !registered {
            caught_up(parts, app, None).await?;
            return Ok(Self::Unregistered);
        }
        caught_up(parts, app, Some(principal.person)).await?;
        Call::read(parts, app, principal).map(|call| Self::Registered(Caller(call)))
    }
}

fn with_scope(parts: &Parts, scope: Scope) -> Result<Arc<Principal>, Problem> {
    let principal = signed_in(parts).ok_or_else(Problem::unauthenticated)?;
    if principal.scopes.contains(&scope) { Ok(principal) } else { Err(scope_needed(scope)) }
}

fn scope_needed(scope: Scope) -> Problem {
    Problem::forbidden("scope_needed", format_args!("the token needs the scope {}", scope.name()))
}

impl<S: Send + Sync> FromRequestParts<S> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        with_scope(parts, Scope::Operator).map(Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Analyst
where
    App: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let app = App::from_ref(state);
        let principal = with_scope(parts, Scope::Unmask).or_else(|_| with_scope(parts, Scope::Analyst))?;
        let address = parts.extensions.get().map(|CameFrom(address)| *address);
        let correlation = parts.extensions.get().map_or_else(|| app.fresh_id(), |Correlation(id)| *id);
        Ok(Self { principal, address, correlation })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Asker
where
    App: FromRef<S>,
{
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let at = || Self::at(layers::address(&App::from_ref(state), &parts.headers, &parts.extensions));
        Ok(signed_in(parts).map_or_else(at, |principal| Self::Person(principal.person.0)))
    }
}

impl Analyst {
    /// Refuses whoever may only read what is masked.
    pub fn may_unmask(&self) -> Result<(), Problem> {
        if self.principal.scopes.contains(&Scope::Unmask) { Ok(()) } else { Err(scope_needed(Scope::Unmask)) }
    }
}
