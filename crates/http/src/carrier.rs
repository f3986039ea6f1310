//! How deliveries travel: in one answer, or in a body that goes on. A carrier knows no endpoint.

pub(crate) mod once;
pub(crate) mod streamed;
