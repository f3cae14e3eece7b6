//! Reads the bytes of a part that the server does not hold, as a file of their own.

use std::rc::Rc;

use web_sys::Blob;

use super::super::continued_file::FrontMatter;
use super::super::spawn;
use super::super::spool::Spool;
use super::core::Core;
use super::part::Part;
use crate::recorder::RestRequest;

/// Reads the rest of a part and hands its size to the state machine.
pub(super) fn read(core: &Core, part: Rc<Part>, request: RestRequest) {
    let core = core.weak();
    spawn(async move {
        let blobs = blobs(&part, request).await;
        let front = blobs.map(|blobs| {
            let rest = part.spool.end() - request.from;
            let front = Spool::of(0, blobs.iter().cloned()).end() - rest;
            part.rest.replace(Some(blobs));
            front
        });
        if let Some(core) = core.upgrade() {
            core.apply(|machine, now| machine.handle_rest(now, part.number, front));
        }
    });
}

async fn blobs(part: &Part, request: RestRequest) -> Option<Vec<Blob>> {
    let (from, end) = (request.from, part.spool.end());
    let rest = part.spool.slice(from, end, "").filter(|_| from < end)?;
    let head = part.front.borrow().clone().filter(|_| from > 0);
    let front = match head {
        Some(head) => FrontMatter::read(&head).await,
        None => None,
    };
    let Some(front) = front else {
        return Some(vec![rest]);
    };
    if request.may_be_picture && front.media_start(&rest).await.is_none() {
        return None;
    }
    Some(front.with(rest).await)
}
