//! What each path does: reads its request, asks hub, publisher or log, and gives the answer.

pub(crate) mod channels;
pub(crate) mod history;
pub(crate) mod poll;
pub(crate) mod publish;
pub(crate) mod sse;
