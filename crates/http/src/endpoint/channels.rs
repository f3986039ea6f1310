//! `/v1/channels/…`: deleting a channel. Its offsets never restart.

use halley_wire::request::channel_in_path;
use hyper::StatusCode;

use crate::{
    answer::{Answer, empty},
    front::Front,
    reject::{Reject, rejection_of_publish},
};

/// Deletes the channel; one that does not exist is as good as deleted.
pub(crate) async fn delete(front: &Front, path: &str) -> Result<Answer, Reject> {
    let channel = channel_in_path(path)?;
    front.admit()?;
    let deleted = front
        .publisher()
        .delete(channel, front.config().publish_time)
        .await;
    deleted.map_err(|error| rejection_of_publish(&error))?;
    Ok(empty(StatusCode::NO_CONTENT))
}
