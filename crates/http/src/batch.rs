//! An answer given once, as it fills up: poll and history.
//!
//! Invariant: gaps of a channel stand before its events. What would break that, or the bound of an answer's
//! bytes, begins the next answer: the cursor given out then lies before it.

use halley_shard::{ChannelName, Event, Gap, Interest, limits::ANSWER_BYTES_MAX};
use halley_wire::{
    answer::{PayloadAnswer, PollAnswer},
    framing::{Framing, Json},
};

/// Events and gaps that fit into one answer.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    envelopes: PollAnswer,
    /// Beside the envelopes when payloads alone were asked for: a later gap still changes the form.
    payloads: Option<PayloadAnswer>,
    channels: Vec<ChannelName>,
    bytes: usize,
    events: usize,
    gaps: usize,
}

impl Batch {
    /// An empty answer.
    pub(crate) fn new(data_only: bool) -> Self {
        Self {
            payloads: data_only.then(PayloadAnswer::default),
            ..Self::default()
        }
    }

    /// Adds an event, `envelope` being its whole JSON; `false` when it belongs into the next answer.
    pub(crate) fn event(&mut self, event: &Event, envelope: &[u8]) -> bool {
        if !self.fits(envelope.len()) {
            return false;
        }
        self.envelopes.event(envelope);
        if let Some(payloads) = &mut self.payloads {
            payloads.event(event);
        }
        if !self.channels.contains(event.channel()) {
            self.channels.push(event.channel().clone());
        }
        self.events += 1;
        true
    }

    /// Adds a gap; `false` when it belongs into the next answer.
    pub(crate) fn gap(&mut self, gap: &Gap, cursor: &str) -> bool {
        let concerned = |channel: &ChannelName| match &gap.subject {
            Interest::Channel(name) => name == channel,
            Interest::Pattern(pattern) => pattern.matches(channel),
        };
        let json = Json.gap(gap, cursor);
        if self.channels.iter().any(concerned) || !self.fits(json.len()) {
            return false;
        }
        self.envelopes.gap(&json);
        self.gaps += 1;
        true
    }

    /// Whether nothing is in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.events + self.gaps == 0
    }

    /// Events in it.
    pub(crate) fn events(&self) -> usize {
        self.events
    }

    /// The body.
    pub(crate) fn finish(self, cursor: &str) -> Vec<u8> {
        match self.payloads {
            Some(payloads) if self.gaps == 0 => payloads.finish(),
            _ => self.envelopes.finish(cursor),
        }
    }

    /// Whether `bytes` more fit; the first item always does.
    fn fits(&mut self, bytes: usize) -> bool {
        let sum = self.bytes + bytes;
        let fits = self.is_empty() || sum <= ANSWER_BYTES_MAX;
        if fits {
            self.bytes = sum;
        }
        fits
    }
}
