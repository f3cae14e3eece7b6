//! Unfinished recordings on this device when their owner signs out.

use std::sync::Arc;

use futures_util::future::FutureExt;
use sortie_client::{DeviceCopies, device_copies};

use super::app_context::AppContext;
use super::components::Confirmation;
use crate::format;

/// Confirmation of a sign-out that deletes the user's unfinished recordings on this device; `None` without any.
pub(super) async fn confirm_sign_out(app: AppContext, owner: String) -> Option<Confirmation> {
    let copies = device_copies(Some(&owner), None).await;
    (copies.count() > 0).then(|| delete_copies(app, copies))
}

fn delete_copies(app: AppContext, copies: DeviceCopies) -> Confirmation {
    let subject = match copies.count() {
        1 => "1 unfinished recording".to_owned(),
        count => format!("{count} unfinished recordings"),
    };
    let consequence = format!(
        " ({}) on this device will be permanently deleted. To keep it, cancel, and upload it on the page Record first.",
        format::size(copies.size_bytes())
    );
    Confirmation {
        heading: "Sign out and delete unfinished recordings?".to_owned(),
        subject,
        consequence,
        action: "Delete and sign out",
        second: None,
        work: Arc::new(move |api, _| {
            // Only the counted recordings are deleted.
            let copies = copies.clone();
            async move {
                copies.remove().await;
                api.sign_out().await
            }
            .boxed_local()
        }),
        done: Arc::new(move || app.signed_out()),
    }
}
