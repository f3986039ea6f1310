//! Appending events: the only place where offsets and revisions of events are born.

use std::{collections::BTreeSet, sync::Arc};

use crate::{
    Change, ChannelName, Content, Event, Floor, Lookup, Offset, Publication, Published, Refusal,
    Reply, Shard, dedupe::KeyId, state::News,
};

impl Shard {
    /// Publishes a batch, in order; after a channel's first refusal its later events are aborted.
    pub(crate) fn publish(&mut self, publications: Vec<Publication>, news: &mut News) -> Reply {
        let mut failed: BTreeSet<ChannelName> = BTreeSet::new();
        let mut results = Vec::with_capacity(publications.len());
        for publication in publications {
            if failed.contains(&publication.channel) {
                results.push(Err(Refusal::Aborted));
                continue;
            }
            let channel = publication.channel.clone();
            let result = self.publish_one(publication, news);
            if result.is_err() {
                failed.insert(channel);
            }
            results.push(result);
        }
        Reply::Published(results)
    }

    fn publish_one(
        &mut self,
        publication: Publication,
        news: &mut News,
    ) -> Result<Published, Refusal> {
        let Publication {
            channel,
            content,
            key,
        } = publication;
        let Some(key) = key else {
            return Ok(self.append(&channel, &content, news));
        };
        let id = KeyId::new(key, channel.clone());
        if let Some(published) = self.keys.find(&id, &content, self.time)? {
            return Ok(published);
        }
        self.keys.room_for(&id)?;
        let published = self.append(&channel, &content, news);
        self.keys.remember(id, &content, published);
        Ok(published)
    }

    fn append(&mut self, channel: &ChannelName, content: &Content, news: &mut News) -> Published {
        let (offset, first) = self.place(channel, news);
        let recreated = first && offset > Offset::new(1);
        if recreated {
            // The mark of a name used again stands right before its first event.
            self.take_revision();
        }
        let revision = self.take_revision();
        let event = Event::new(
            channel.clone(),
            offset,
            revision,
            self.time,
            recreated,
            content,
        );
        let event = Arc::new(event);
        if let Some(window) = self.windows.window(channel)
            && window.oldest().is_none()
        {
            self.empties.remove(window.floor().revision.get());
        }
        self.windows.push(Arc::clone(&event));
        news.0.push(Change::Event(event));
        self.bound_channel(channel, news);
        self.bound_bytes(news);
        Published {
            offset,
            revision,
            time: self.time,
            duplicate: false,
        }
    }

    /// The offset of the channel's next event, and whether the channel begins with it.
    fn place(&mut self, channel: &ChannelName, news: &mut News) -> (Offset, bool) {
        if let Some(window) = self.windows.window(channel) {
            return (window.next_offset(), false);
        }
        let floor = match self.windows.lookup(channel) {
            Lookup::Tombstone(floor) => floor,
            _ => Floor {
                offset: self.windows.forgotten().offset,
                ..Floor::default()
            },
        };
        self.make_room(1, news);
        self.windows.insert(channel.clone(), floor, Vec::new());
        news.0.push(Change::Opened {
            channel: channel.clone(),
            floor,
        });
        (floor.offset.next(), true)
    }
}
