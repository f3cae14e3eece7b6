//! Extractors: the caller, JSON and multipart bodies, query parameters, paging; bodies and streams whose caller is checked again.

pub(super) mod caller;
pub(super) mod checked_body;
pub(super) mod checked_stream;
pub(super) mod json;
pub(super) mod multipart;
pub(super) mod paging;
pub(super) mod query;
