//! What was acknowledged, what a subscriber saw, and whether the two agree.

use std::collections::BTreeMap;

use serde_json::Value;

/// Acknowledged events: by channel, then offset, the payload.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger(BTreeMap<String, BTreeMap<u64, Value>>);

impl Ledger {
    /// Notes an acknowledgement.
    ///
    /// # Panics
    /// When the offset was given out before.
    pub(crate) fn note(&mut self, channel: &str, offset: u64, data: Value) {
        let before = self
            .0
            .entry(channel.into())
            .or_default()
            .insert(offset, data);
        assert!(
            before.is_none(),
            "offset {offset} of {channel} was given out twice"
        );
    }

    /// Events acknowledged.
    pub(crate) fn len(&self) -> usize {
        self.0.values().map(BTreeMap::len).sum()
    }

    /// Asserts that `seen` has exactly these events, each channel in order from 1 on.
    pub(crate) fn check(&self, who: &str, seen: &Seen) {
        for (channel, events) in &self.0 {
            let offsets: Vec<u64> = events.keys().copied().collect();
            let dense: Vec<u64> = (1..=offsets.len() as u64).collect();
            assert_eq!(offsets, dense, "acknowledged offsets of {channel}");
            let seen = seen.0.get(channel).map(Vec::as_slice).unwrap_or_default();
            let wanted: Vec<_> = events
                .iter()
                .map(|(offset, data)| (*offset, data.clone()))
                .collect();
            assert!(
                seen == wanted,
                "{who} on {channel}: {}",
                difference(seen, &wanted)
            );
        }
    }
}

/// What one subscriber saw: by channel, in the order of arrival.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen(BTreeMap<String, Vec<(u64, Value)>>);

impl Seen {
    /// Notes an envelope.
    ///
    /// # Panics
    /// When it is not the next of its channel: then it was lost, doubled or out of order.
    pub(crate) fn note(&mut self, who: &str, envelope: &Value) {
        let channel = envelope["channel"].as_str().expect("channel");
        let offset = envelope["offset"].as_u64().expect("offset");
        let events = self.0.entry(channel.into()).or_default();
        let last = events.last().map_or(0, |(last, _)| *last);
        assert_eq!(
            offset,
            last + 1,
            "{who} on {channel}: after {last} came {offset}"
        );
        events.push((offset, envelope["data"].clone()));
    }

    /// Events seen.
    pub(crate) fn len(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }
}

fn difference(seen: &[(u64, Value)], wanted: &[(u64, Value)]) -> String {
    match seen.iter().zip(wanted).find(|(a, b)| a != b) {
        Some((seen, wanted)) => format!("saw {seen:?} where {wanted:?} was acknowledged"),
        None => format!(
            "saw {} events, {} were acknowledged",
            seen.len(),
            wanted.len()
        ),
    }
}
