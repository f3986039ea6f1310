//! A node over the in-memory log with a real listener, and a client that speaks HTTP byte by byte.
#![allow(dead_code, reason = "each test program uses its own part of this")]

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use halley_env::Env;
use halley_http::{HttpConfig, HttpServer};
use halley_hub::{Hub, HubConfig};
use halley_log::{MemoryConfig, MemoryLog, Publisher, ShardLog};
use halley_shard::{ClusterId, Retention, Settings, ShardCount};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// What no answer of a working node takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A node.
pub(crate) struct Node {
    pub(crate) server: HttpServer,
    pub(crate) hub: Hub,
    pub(crate) address: SocketAddr,
    log: Arc<MemoryLog>,
}

impl Node {
    /// With the contract's settings and one shard.
    pub(crate) async fn start() -> Self {
        Self::with(HttpConfig::default(), 1, Settings::default()).await
    }

    /// That keeps only the newest `events` of a channel.
    pub(crate) async fn keeping(events: u32) -> Self {
        let retention = Retention {
            events_max: events,
            ..Retention::default()
        };
        let settings = Settings {
            retention,
            ..Settings::default()
        };
        Self::with(HttpConfig::default(), 1, settings).await
    }

    /// With settings of its own.
    pub(crate) async fn configured(config: HttpConfig) -> Self {
        Self::with(config, 1, Settings::default()).await
    }

    /// With everything of its own.
    pub(crate) async fn with(config: HttpConfig, shards: u16, settings: Settings) -> Self {
        let env = Env::system();
        let memory = MemoryConfig {
            cluster: ClusterId::new(0xabc),
            shards: ShardCount::new(shards).expect("a test's shard count"),
            settings,
        };
        let log = MemoryLog::start(memory, env.clone());
        let shared: Arc<dyn ShardLog> = log.clone();
        let hub = Hub::start(Arc::clone(&shared), env.clone(), HubConfig::default());
        let publisher = Publisher::new(shared, env.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let server = HttpServer::start(listener, hub.clone(), publisher, config, env);
        let address = server.local_addr();
        Self {
            server,
            hub,
            address,
            log,
        }
    }

    /// A connection.
    pub(crate) async fn connect(&self) -> Client {
        Client::to(self.address).await
    }

    /// One request on a connection of its own.
    pub(crate) async fn request(&self, request: &str) -> Answer {
        let mut client = self.connect().await;
        client.send(request.as_bytes()).await;
        client.answer().await
    }

    /// A GET with more header lines (each ending in CRLF).
    pub(crate) async fn get(&self, target: &str, headers: &str) -> Answer {
        self.request(&format!(
            "GET {target} HTTP/1.1\r\nhost: a\r\n{headers}\r\n"
        ))
        .await
    }

    /// A POST.
    pub(crate) async fn post(&self, target: &str, headers: &str, body: &str) -> Answer {
        let length = body.len();
        self.request(&format!(
            "POST {target} HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
        ))
        .await
    }

    /// Publishes JSON; the result's cursor.
    pub(crate) async fn publish(&self, channel: &str, data: &str) -> String {
        let answer = self.post(&format!("/v1/publish{channel}"), "", data).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["cursor"]
            .as_str()
            .expect("a result names its cursor")
            .to_owned()
    }
}

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("bodies are UTF-8")
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// The code of a problem; empty for anything else.
    pub(crate) fn code(&self) -> String {
        if self.header("content-type") != "application/problem+json" {
            return String::new();
        }
        let problem = self.json();
        assert_eq!(problem["status"], self.status);
        assert!(problem["title"].is_string() && problem["detail"].is_string());
        let code = problem["type"]
            .as_str()
            .and_then(|urn| urn.strip_prefix("urn:halley:error:"));
        code.expect("a problem has a type").to_owned()
    }

    /// Offsets of a poll's events.
    pub(crate) fn offsets(&self) -> Vec<u64> {
        let json = self.json();
        let events = json["events"].as_array().expect("a poll has events").iter();
        events
            .map(|event| event["offset"].as_u64().expect("an offset"))
            .collect()
    }
}

/// One connection.
pub(crate) struct Client {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Client {
    pub(crate) async fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address)
            .await
            .expect("the listener is there");
        stream.set_nodelay(true).expect("a socket");
        Self {
            stream,
            read: Vec::new(),
        }
    }

    /// Sends; a server that has answered and closed already is not this call's business.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    /// The next answer.
    pub(crate) async fn answer(&mut self) -> Answer {
        tokio::time::timeout(PATIENCE, self.read_answer())
            .await
            .expect("an answer in time")
    }

    /// The head of the next answer.
    pub(crate) async fn head(&mut self) -> Answer {
        let end = self.position(b"\r\n\r\n").await.expect("a head");
        let head: Vec<u8> = self.read.drain(..end + 4).collect();
        let head = String::from_utf8(head).expect("heads are ASCII");
        let mut lines = head.lines();
        let status = lines
            .next()
            .and_then(|line| line.split(' ').nth(1)?.parse().ok());
        let headers = lines.filter_map(|line| line.split_once(": "));
        let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()));
        let status = status.expect("a status");
        Answer {
            status,
            headers: headers.collect(),
            body: Vec::new(),
        }
    }

    async fn read_answer(&mut self) -> Answer {
        let mut answer = self.head().await;
        if answer.status == 204 || answer.status == 304 {
            return answer;
        }
        if answer.header("transfer-encoding") == "chunked" {
            while let Some(chunk) = self.chunk().await {
                answer.body.extend_from_slice(&chunk);
            }
        } else if let Ok(length) = answer.header("content-length").parse::<usize>() {
            while self.read.len() < length && self.more().await {}
            answer.body = self.read.drain(..length.min(self.read.len())).collect();
        } else {
            while self.more().await {}
            answer.body = std::mem::take(&mut self.read);
        }
        answer
    }

    /// The next chunk of a streamed body; `None` at its end.
    pub(crate) async fn chunk(&mut self) -> Option<Vec<u8>> {
        let end = self.position(b"\r\n").await?;
        let line: Vec<u8> = self.read.drain(..end + 2).collect();
        let length = std::str::from_utf8(&line[..end]).expect("a length");
        let length = usize::from_str_radix(length, 16).expect("a length");
        while self.read.len() < length + 2 {
            if !self.more().await {
                return None;
            }
        }
        let chunk: Vec<u8> = self.read.drain(..length).collect();
        self.read.drain(..2);
        (length > 0).then_some(chunk)
    }

    /// Whether the server has closed.
    pub(crate) async fn closed(&mut self) -> bool {
        let ended = async { while self.more().await {} };
        tokio::time::timeout(PATIENCE, ended).await.is_ok()
    }

    async fn position(&mut self, end: &[u8]) -> Option<usize> {
        loop {
            if let Some(at) = self
                .read
                .windows(end.len())
                .position(|window| window == end)
            {
                return Some(at);
            }
            if !self.more().await {
                return None;
            }
        }
    }

    async fn more(&mut self) -> bool {
        let mut buffer = vec![0; 64 * 1024];
        match self.stream.read(&mut buffer).await {
            Ok(0) | Err(_) => false,
            Ok(count) => {
                self.read.extend_from_slice(&buffer[..count]);
                true
            }
        }
    }
}

/// One block of an event stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) event: String,
    pub(crate) id: String,
    pub(crate) data: String,
    pub(crate) retry: String,
}

/// An event stream.
pub(crate) struct Stream {
    client: Client,
    text: String,
    pub(crate) head: Answer,
}

impl Stream {
    /// Opens one.
    pub(crate) async fn open(node: &Node, target: &str, headers: &str) -> Self {
        let mut client = node.connect().await;
        let request = format!("GET {target} HTTP/1.1\r\nhost: a\r\n{headers}\r\n");
        client.send(request.as_bytes()).await;
        let head = tokio::time::timeout(PATIENCE, client.head())
            .await
            .expect("a head in time");
        Self {
            client,
            text: String::new(),
            head,
        }
    }

    /// The next block; `None` at the end of the stream.
    pub(crate) async fn block(&mut self) -> Option<Block> {
        tokio::time::timeout(PATIENCE, self.read_block())
            .await
            .expect("a block in time")
    }

    async fn read_block(&mut self) -> Option<Block> {
        loop {
            if let Some(end) = self.text.find("\n\n") {
                let text: String = self.text.drain(..end + 2).collect();
                let mut block = Block::default();
                for line in text.lines() {
                    match line.split_once(": ") {
                        Some(("event", value)) => block.event = value.to_owned(),
                        Some(("id", value)) => block.id = value.to_owned(),
                        Some(("data", value)) => block.data += value,
                        Some(("retry", value)) => block.retry = value.to_owned(),
                        _ => {}
                    }
                }
                return Some(block);
            }
            let chunk = self.client.chunk().await?;
            self.text += std::str::from_utf8(&chunk).expect("streams are UTF-8");
        }
    }

    /// The next block that is neither a cursor nor the reconnection time.
    pub(crate) async fn news(&mut self) -> Block {
        loop {
            let block = self.block().await.expect("the stream goes on");
            if block.event != "cursor" && block.retry.is_empty() {
                return block;
            }
        }
    }
}

impl Stream {
    /// Whether the connection has ended.
    pub(crate) async fn block_at_end(&mut self) -> bool {
        self.client.closed().await
    }
}
