//! Connecting to another node, through TLS or not.
//!
//! Invariant: a connection that was made is one that the other side has agreed to; a certificate refused there is
//! a connection never made.

use std::{io, time::Duration};

use bytes::Bytes;
use tokio::{
    io::AsyncReadExt,
    net::{TcpStream, lookup_host},
    time::timeout,
};
use tokio_rustls::{TlsConnector, TlsStream};

use crate::{limits, line::Line, tls::Trust};

/// Where to connect to, and how.
#[derive(Clone, Debug)]
pub(crate) struct Dial {
    address: String,
    trust: Option<Trust>,
    within: Duration,
}

impl Dial {
    /// To `address` (`host:port`), with at most `within` for TCP.
    pub(crate) fn new(address: &str, trust: Option<Trust>, within: Duration) -> Self {
        Self {
            address: address.to_owned(),
            trust,
            within,
        }
    }

    /// A connection.
    pub(crate) async fn connect(&self) -> io::Result<Line> {
        let stream = timeout(self.within, self.tcp()).await.map_err(|_| {
            let within = self.within.as_millis();
            timed_out(format!("no connection within {within} ms"))
        })??;
        stream.set_nodelay(true)?;
        let Some(trust) = &self.trust else {
            return Ok(Line::plain_out(stream));
        };
        let secured = timeout(limits::TLS_CONNECT_WITHIN, self.secure(trust, stream)).await;
        secured.map_err(|_| {
            let within = limits::TLS_CONNECT_WITHIN.as_millis();
            timed_out(format!("no TLS within {within} ms"))
        })?
    }

    /// The first of the host's addresses that answers; each has its share of the time.
    async fn tcp(&self) -> io::Result<TcpStream> {
        let addresses: Vec<_> = lookup_host(&self.address).await?.collect();
        let share = self.within / u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
        let mut failed = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
        for address in addresses {
            match timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => failed = error,
                Err(_) => failed = timed_out(format!("{address} does not answer")),
            }
        }
        Err(failed)
    }

    async fn secure(&self, trust: &Trust, stream: TcpStream) -> io::Result<Line> {
        let host = host(&self.address);
        let name = trust.name_of(host).map_err(io::Error::other)?;
        let connector = TlsConnector::from(std::sync::Arc::clone(&trust.config));
        let mut secured = connector.connect(name, stream).await.map_err(in_words)?;
        if secured.get_ref().1.alpn_protocol() != Some(b"h2") {
            return Err(io::Error::other("TLS without HTTP/2 there"));
        }
        // In TLS 1.3 the client is done before its certificate is looked at. An HTTP/2 server speaks first: once it
        // has, it has let us in.
        let mut early = vec![0; 1024];
        let read = secured.read(&mut early).await.map_err(in_words)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        early.truncate(read);
        Ok(Line::tls(TlsStream::from(secured), Bytes::from(early)))
    }
}

fn timed_out(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, text)
}

/// The host of `host:port`, an IPv6 address without its brackets.
pub(crate) fn host(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']')
}

/// What rustls means when the other side speaks no TLS.
pub(crate) fn in_words(error: io::Error) -> io::Error {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    match inner {
        Some(rustls::Error::InvalidMessage(reason)) => io::Error::new(
            io::ErrorKind::InvalidData,
            format!("the other side does not speak TLS: {reason:?}"),
        ),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_what_stands_before_the_port() {
        assert_eq!(host("n1.example:9092"), "n1.example");
        assert_eq!(host("10.0.0.1:9092"), "10.0.0.1");
        assert_eq!(host("[::1]:9092"), "::1");
    }
}
