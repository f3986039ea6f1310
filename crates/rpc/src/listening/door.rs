//! Where connections come in: accepted, and through their TLS handshake if there is one.
//!
//! Invariant: a handshake that takes its time holds nobody else up, and takes at most its bound.

use std::{io, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use rustls::ServerConfig;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, TlsStream};
use tracing::{debug, info, warn};

use crate::{dial::in_words, limits, line::Line};

/// A listening socket and the handshakes under way at it; dropping it ends them.
pub(super) struct Door {
    name: &'static str,
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    handshakes: JoinSet<Option<Line>>,
}

impl Door {
    pub(super) fn new(
        name: &'static str,
        listener: TcpListener,
        tls: Option<Arc<ServerConfig>>,
    ) -> Self {
        Self {
            name,
            listener,
            tls: tls.map(TlsAcceptor::from),
            handshakes: JoinSet::new(),
        }
    }

    /// The next connection that is ready to be served.
    pub(super) async fn next(&mut self) -> Line {
        loop {
            let room = self.handshakes.len() < limits::TLS_ACCEPTS_MAX;
            tokio::select! {
                Some(done) = self.handshakes.join_next() => {
                    // One that panicked is one that failed.
                    if let Ok(Some(line)) = done {
                        return line;
                    }
                }
                (stream, from) = accept(&self.listener), if room => {
                    let Some(tls) = &self.tls else {
                        return Line::plain(stream);
                    };
                    self.handshakes.spawn(handshake(self.name, tls.clone(), stream, from));
                }
            }
        }
    }
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, from)) => {
                if let Err(error) = stream.set_nodelay(true) {
                    debug!(%error, "a connection without nodelay");
                }
                return (stream, from);
            }
            Err(error) => {
                warn!(%error, "accepting failed");
                tokio::time::sleep(limits::ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn handshake(
    listener: &'static str,
    tls: TlsAcceptor,
    stream: TcpStream,
    from: SocketAddr,
) -> Option<Line> {
    match timeout(limits::TLS_ACCEPT_WITHIN, tls.accept(stream)).await {
        Ok(Ok(stream)) => return Some(Line::tls(TlsStream::from(stream), Bytes::new())),
        // Whoever only looks whether somebody listens.
        Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
            debug!(listener, %from, "hung up before TLS");
        }
        Ok(Err(error)) => {
            let error = in_words(error);
            info!(listener, %from, %error, "refused: no TLS");
        }
        Err(_) => info!(listener, %from, "refused: no TLS in time"),
    }
    None
}
