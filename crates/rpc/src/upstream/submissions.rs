//! All commands to one upstream on one stream, so that none overtakes another; answers by number.
//!
//! Invariant: whoever waits for an answer is told when the stream that its command was queued on ends.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use halley_env::{Spawn, Task, TokioSpawn};
use halley_log::{LogError, UpstreamError};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Status, transport::Channel};

use crate::{
    peer_status,
    proto::peer::{self, peer_client::PeerClient, submit_response::Outcome},
};

type Answer = Result<Bytes, UpstreamError>;

/// How much earlier than its caller stops listening the upstream is to answer, at most.
const RETURN_MAX: Duration = Duration::from_millis(100);

/// The commands of one node to one upstream; opens a stream when first used, and again when it has ended.
pub(super) struct Submissions {
    client: PeerClient<Channel>,
    stream: Mutex<Option<Stream>>,
}

/// One stream; dropping it ends it.
struct Stream {
    /// As bounded as the callers' submissions are.
    requests: mpsc::UnboundedSender<peer::SubmitRequest>,
    next_id: u64,
    waiting: Arc<Waiting>,
    _reader: Task,
}

/// Who waits for which answer; `None` once the stream has ended.
struct Waiting(Mutex<Option<BTreeMap<u64, oneshot::Sender<Answer>>>>);

impl Submissions {
    pub(super) fn new(client: PeerClient<Channel>) -> Self {
        Self {
            client,
            stream: Mutex::new(None),
        }
    }

    /// Sends a command and waits for its answer.
    pub(super) async fn submit(
        &self,
        target: peer::Target,
        command: Bytes,
        deadline: Duration,
    ) -> Answer {
        let left = deadline.saturating_sub(RETURN_MAX.min(deadline / 10));
        let within_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
        let request = peer::SubmitRequest {
            target: Some(target),
            command,
            id: 0,
            within_ms,
        };
        let (waiting, id, answer) = self.queue(request);
        match tokio::time::timeout(deadline, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(UpstreamError::NoAnswer("the stream has ended".to_owned())),
            Err(_) => {
                waiting.forget(id);
                Err(UpstreamError::NoAnswer(format!(
                    "none within {} ms",
                    deadline.as_millis()
                )))
            }
        }
    }

    /// Numbers and queues a request on the stream, on a new one if there is none.
    fn queue(
        &self,
        mut request: peer::SubmitRequest,
    ) -> (Arc<Waiting>, u64, oneshot::Receiver<Answer>) {
        let mut place = lock(&self.stream);
        loop {
            let stream = place.get_or_insert_with(|| self.open());
            let (told, answer) = oneshot::channel();
            request.id = stream.next_id;
            if stream.waiting.add(request.id, told) {
                stream.next_id += 1;
                let (waiting, id) = (Arc::clone(&stream.waiting), request.id);
                // The reader, which outlives the receiving end, has just said that it is there.
                let _ended = stream.requests.send(request);
                return (waiting, id, answer);
            }
            *place = None;
        }
    }

    fn open(&self) -> Stream {
        let (requests, queued) = mpsc::unbounded_channel();
        let waiting = Arc::new(Waiting(Mutex::new(Some(BTreeMap::new()))));
        let reading = read(self.client.clone(), queued, Arc::clone(&waiting));
        let reader = TokioSpawn.spawn("submissions to an upstream", Box::pin(reading));
        Stream {
            requests,
            next_id: 1,
            waiting,
            _reader: reader,
        }
    }
}

impl fmt::Debug for Submissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Submissions").finish_non_exhaustive()
    }
}

/// Opens the stream and hands its answers to whoever waits for them, until it ends.
async fn read(
    mut client: PeerClient<Channel>,
    queued: mpsc::UnboundedReceiver<peer::SubmitRequest>,
    waiting: Arc<Waiting>,
) {
    let ended = match client.submit(UnboundedReceiverStream::new(queued)).await {
        Ok(answers) => {
            let mut answers = answers.into_inner();
            loop {
                match answers.message().await {
                    Ok(Some(answer)) => waiting.tell(answer.id, to_answer(answer.outcome)),
                    Ok(None) => break Status::unavailable("the upstream ended the stream"),
                    Err(status) => break status,
                }
            }
        }
        Err(status) => status,
    };
    waiting.end(&peer_status::to_upstream_error(&ended));
}

fn to_answer(outcome: Option<Outcome>) -> Answer {
    match outcome {
        Some(Outcome::Reply(reply)) => Ok(reply),
        Some(Outcome::Error(error)) => Err(match LogError::decode(&error) {
            Ok(error) => UpstreamError::Log(error),
            Err(error) => UpstreamError::NoAnswer(error.to_string()),
        }),
        Some(Outcome::Refused(reason)) if reason == peer_status::OTHER_CLUSTER => {
            Err(UpstreamError::OtherCluster)
        }
        // Never handed to the log there.
        Some(Outcome::Refused(reason)) => Err(UpstreamError::Unreachable(reason)),
        None => Err(UpstreamError::NoAnswer(
            "an answer of a kind unknown here".to_owned(),
        )),
    }
}

impl Waiting {
    /// Whether the stream was there to be waited for.
    fn add(&self, id: u64, told: oneshot::Sender<Answer>) -> bool {
        lock(&self.0)
            .as_mut()
            .map(|waiting| waiting.insert(id, told))
            .is_some()
    }

    fn forget(&self, id: u64) {
        if let Some(waiting) = &mut *lock(&self.0) {
            waiting.remove(&id);
        }
    }

    fn tell(&self, id: u64, answer: Answer) {
        let told = lock(&self.0)
            .as_mut()
            .and_then(|waiting| waiting.remove(&id));
        if let Some(told) = told {
            // Whoever has stopped waiting does not want to know.
            let _unwanted = told.send(answer);
        }
    }

    fn end(&self, error: &UpstreamError) {
        let all = lock(&self.0).take();
        for told in all.into_iter().flat_map(BTreeMap::into_values) {
            let _unwanted = told.send(Err(error.clone()));
        }
    }
}

/// These locks hold over a few lines that cannot panic halfway.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
