//! The way of one request through the room: limits, admission, endpoint, and the headers of every answer.

use std::{convert::Infallible, pin::Pin, sync::Arc};

use halley_env::Env;
use halley_hub::Hub;
use halley_log::{Publisher, ShardLog};
use hyper::{
    Method, Request, Version,
    body::Incoming,
    header::{CONNECTION, HeaderName, HeaderValue, ORIGIN},
    http::request::Parts,
};

use crate::{
    HttpConfig,
    answer::{self, Answer},
    body,
    cors::Cors,
    demo,
    drain::Drain,
    endpoint, head,
    meters::{self, Meters},
    pulse::Pulse,
    reject::Reject,
    route::{self, Route},
};

const NOSNIFF: HeaderName = HeaderName::from_static("x-content-type-options");

/// Everything that answers need; one of a listener, and a variant of it for connections beyond the bound.
#[derive(Clone, Debug)]
pub(crate) struct Front {
    hub: Hub,
    publisher: Publisher,
    config: Arc<HttpConfig>,
    cors: Arc<Cors>,
    meters: Meters,
    drain: Drain,
    env: Env,
    overloaded: bool,
}

impl Front {
    pub(crate) fn new(
        hub: Hub,
        publisher: Publisher,
        config: HttpConfig,
        drain: Drain,
        env: Env,
    ) -> Self {
        let cors = Arc::new(Cors::new(&config.cors_origins));
        let (config, meters) = (Arc::new(config), Meters::new());
        Self {
            hub,
            publisher,
            config,
            cors,
            meters,
            drain,
            env,
            overloaded: false,
        }
    }

    /// The same for connections beyond the bound: nothing is served, everybody is told to come back.
    pub(crate) fn refusing(&self) -> Self {
        Self {
            overloaded: true,
            ..self.clone()
        }
    }

    pub(crate) fn hub(&self) -> &Hub {
        &self.hub
    }

    pub(crate) fn log(&self) -> &dyn ShardLog {
        self.hub.log().as_ref()
    }

    pub(crate) fn publisher(&self) -> &Publisher {
        &self.publisher
    }

    pub(crate) fn config(&self) -> &HttpConfig {
        &self.config
    }

    pub(crate) fn meters(&self) -> &Meters {
        &self.meters
    }

    pub(crate) fn drain(&self) -> &Drain {
        &self.drain
    }

    pub(crate) fn env(&self) -> &Env {
        &self.env
    }

    /// Whether new work is taken on.
    pub(crate) fn admit(&self) -> Result<(), Reject> {
        if self.drain.begun() {
            return Err(Reject::draining());
        }
        if self.overloaded {
            return Err(Reject::overloaded(self.config.connections_max));
        }
        Ok(())
    }

    /// The answer to a request; refusals are answers too.
    pub(crate) async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Answer {
        let (parts, incoming) = request.into_parts();
        let is_api = route::is_api(parts.uri.path());
        let (label, answered) = self.dispatch(&parts, incoming).await;
        let mut answer = answered.unwrap_or_else(|reject| {
            meters::note_reject(reject.rejection.code.as_str());
            reject.answer(self.env.rng.as_ref())
        });
        meters::note_request(label, answer.status().as_u16());
        let headers = answer.headers_mut();
        if is_api {
            self.cors.apply(parts.headers.get(ORIGIN), headers);
        }
        headers.insert(NOSNIFF, HeaderValue::from_static("nosniff"));
        if parts.version >= Version::HTTP_2 {
            headers.remove(CONNECTION);
            if parts.method == Method::HEAD {
                return answer::head_only(answer);
            }
        } else if self.admit().is_err() {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        answer
    }

    async fn dispatch(
        self: &Arc<Self>,
        parts: &Parts,
        incoming: Incoming,
    ) -> (&'static str, Result<Answer, Reject>) {
        let path = parts.uri.path();
        let found = head::check_size(parts, &self.config)
            .and_then(|()| head::check_host(parts))
            .and_then(|()| Route::find(path));
        let (route, rest) = match found {
            Ok(found) => found,
            Err(reject) => return ("none", Err(reject)),
        };
        let answered = if route::is_api(path) && parts.method == Method::OPTIONS {
            Ok(self.cors.preflight(&parts.headers))
        } else {
            self.serve(route, rest, parts, incoming).await
        };
        (route.label(), answered)
    }

    async fn serve(
        self: &Arc<Self>,
        route: Route,
        rest: &str,
        parts: &Parts,
        incoming: Incoming,
    ) -> Result<Answer, Reject> {
        route.check(&parts.method)?;
        if route::is_api(parts.uri.path()) {
            head::check_token(parts)?;
        }
        match route {
            Route::Poll if parts.method == Method::POST => {
                let body = body::read(self, &parts.headers, incoming).await?;
                endpoint::poll::poll(self, parts, rest, Some(&body)).await
            }
            Route::Poll => endpoint::poll::poll(self, parts, rest, None).await,
            Route::Sse => endpoint::sse::sse(self, parts, rest).await,
            Route::Publish => {
                let body = body::read(self, &parts.headers, incoming).await?;
                match rest {
                    "" => endpoint::publish::json(self, &parts.headers, body).await,
                    _ => endpoint::publish::single(self, &parts.headers, rest, body).await,
                }
            }
            Route::History => endpoint::history::history(self, parts, rest).await,
            Route::Channels => endpoint::channels::delete(self, rest).await,
            Route::Demo => {
                self.admit()?;
                demo::page(&self.config, rest)
            }
            Route::Index => {
                self.admit()?;
                Ok(demo::index(&self.config))
            }
        }
    }
}

/// A connection's view of the front, as hyper calls it.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    pub(crate) front: Arc<Front>,
    pub(crate) pulse: Arc<Pulse>,
}

impl hyper::service::Service<Request<Incoming>> for Service {
    type Response = Answer;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let busy = Pulse::begin(&self.pulse);
        let front = Arc::clone(&self.front);
        Box::pin(async move { Ok(front.answer(request).await.map(|body| body.keeping(busy))) })
    }
}
