//! Trying again: how long, how often, and where.

use std::time::Duration;

use halley_env::Env;
use tonic::{Request, Response, Status};

use crate::{
    ClientConfig, ClientError,
    endpoints::{Broker, Cluster, Endpoints, Stubs},
};

/// Time that the answer to an attempt may take longer than the attempt itself.
const RETURN: Duration = Duration::from_millis(250);

/// What all calls of a client share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) endpoints: Endpoints,
    pub(crate) config: ClientConfig,
    pub(crate) env: Env,
}

/// What a caller still may do within its deadline.
#[derive(Debug)]
pub(crate) struct Attempts<'a> {
    shared: &'a Shared,
    began: Duration,
    failures: u32,
    /// An attempt has ended without an answer: whatever comes now, the outcome may be that attempt's.
    unknown: bool,
}

impl Shared {
    /// `count` random 64-bit words as hexadecimal digits.
    pub(crate) fn random_hex(&self, count: usize) -> String {
        (0..count)
            .map(|_| format!("{:016x}", self.env.rng.next_u64()))
            .collect()
    }

    /// A jittered delay after `failures` failures in a row: up to the first bound doubled each time, at least a
    /// tenth of it.
    pub(crate) fn backoff(&self, failures: u32) -> Duration {
        let doubled = self
            .config
            .backoff_first
            .saturating_mul(1 << failures.min(16));
        let bound = doubled.min(self.config.backoff_last).as_millis();
        let bound = u64::try_from(bound).unwrap_or(u64::MAX).max(10);
        Duration::from_millis(bound / 10 + self.env.rng.below(bound - bound / 10))
    }

    pub(crate) fn attempts(&self) -> Attempts<'_> {
        Attempts {
            shared: self,
            began: self.env.clock.monotonic(),
            failures: 0,
            unknown: false,
        }
    }

    /// Calls until there is an answer that time will not change, or the deadline has passed.
    pub(crate) async fn call<M, T, F, A>(&self, message: M, call: F) -> Result<T, ClientError>
    where
        M: Clone,
        F: Fn(Broker, Request<M>) -> A,
        A: Future<Output = Result<Response<T>, Status>>,
    {
        self.call_any(message, |stubs, request| call(stubs.broker, request))
            .await
    }

    /// The same of the cluster service.
    pub(crate) async fn call_cluster<M, T, F, A>(
        &self,
        message: M,
        call: F,
    ) -> Result<T, ClientError>
    where
        M: Clone,
        F: Fn(Cluster, Request<M>) -> A,
        A: Future<Output = Result<Response<T>, Status>>,
    {
        self.call_any(message, |stubs, request| call(stubs.cluster, request))
            .await
    }

    async fn call_any<M, T, F, A>(&self, message: M, call: F) -> Result<T, ClientError>
    where
        M: Clone,
        F: Fn(Stubs, Request<M>) -> A,
        A: Future<Output = Result<Response<T>, Status>>,
    {
        let mut attempts = self.attempts();
        loop {
            match attempts.once_any(message.clone(), &call).await {
                Ok(answer) => return Ok(answer),
                Err(error) => attempts.after(error).await?,
            }
        }
    }
}

impl Attempts<'_> {
    fn left(&self) -> Duration {
        let elapsed = self.shared.env.clock.monotonic().saturating_sub(self.began);
        self.shared.config.deadline.saturating_sub(elapsed)
    }

    /// One attempt at the endpoint in use.
    pub(crate) async fn once<M, T, F, A>(&self, message: M, call: F) -> Result<T, ClientError>
    where
        F: Fn(Broker, Request<M>) -> A,
        A: Future<Output = Result<Response<T>, Status>>,
    {
        self.once_any(message, |stubs, request| call(stubs.broker, request))
            .await
    }

    async fn once_any<M, T, F, A>(&self, message: M, call: F) -> Result<T, ClientError>
    where
        F: Fn(Stubs, Request<M>) -> A,
        A: Future<Output = Result<Response<T>, Status>>,
    {
        let within = self.left().min(self.shared.config.attempt);
        let (index, client) = self.shared.endpoints.current_stubs();
        let mut request = Request::new(message);
        request.set_timeout(within);
        let answer = tokio::select! {
            answer = call(client, request) => answer.map_err(|status| ClientError::of_status(&status)),
            () = self.shared.env.clock.sleep(within + RETURN) => {
                Err(ClientError::no_answer(format!("none within {} ms", within.as_millis())))
            }
        };
        let answer = answer.map(Response::into_inner);
        if let Err(error) = &answer
            && error.is_of_this_endpoint()
        {
            self.shared.endpoints.move_on(index);
        }
        answer
    }

    /// Waits before the next attempt.
    ///
    /// # Errors
    /// What to tell the caller, when there is to be none.
    pub(crate) async fn after(&mut self, error: ClientError) -> Result<(), ClientError> {
        self.unknown |= matches!(error, ClientError::NoAnswer { .. });
        if !error.is_retryable() {
            return Err(error);
        }
        // The other endpoints are tried at once.
        let round = u32::try_from(self.shared.endpoints.count()).unwrap_or(u32::MAX);
        let pause = if error.is_of_this_endpoint() && self.failures + 1 < round {
            Duration::ZERO
        } else {
            self.shared
                .backoff(self.failures / round)
                .max(error.retry().unwrap_or_default())
        };
        self.failures += 1;
        if pause >= self.left() {
            return Err(self.last(error));
        }
        self.shared.env.clock.sleep(pause).await;
        Ok(())
    }

    /// The last error, as far as it is the whole truth.
    fn last(&self, error: ClientError) -> ClientError {
        match error {
            ClientError::Unreachable { detail } if self.unknown => ClientError::NoAnswer { detail },
            other => other,
        }
    }
}
