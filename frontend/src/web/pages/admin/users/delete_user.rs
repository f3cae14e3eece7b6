use leptos::ev;
use leptos::prelude::*;
use sortie_api::User;

use super::{HEADING, ROUTE};
use crate::list_page::Page;
use crate::query;
use crate::web::api::item_path;
use crate::web::components::{Glyph, Icon};
use crate::web::dom;
use crate::web::server_data::ServerData;
use crate::web::submission::Submission;

/// Options for a deleted user's recordings: value of the query parameter and label.
const FATES: [(&str, &str); 3] = [
    ("keep", "Keep them; administrators can still find them"),
    ("transfer", "Transfer them to me"),
    ("delete", "Delete them permanently"),
];

/// Confirms the deletion of a user, shows the number of their recordings, and offers to keep, transfer or delete these.
#[component]
pub(super) fn DeleteUser(
    user: User,
    /// `None` closes the dialog.
    deleting: RwSignal<Option<User>>,
    users: ServerData<Page<User>>,
) -> impl IntoView {
    let submission = Submission::new();
    let fate = RwSignal::new("keep");
    let path = item_path(ROUTE, &user.id);
    let from = path.clone();
    let known = ServerData::new(move |api| {
        let from = from.clone();
        async move { api.get::<User>(&from).await }
    });
    known.load();
    let count = Memo::new(move |_| known.with(|user| user.recordings).flatten());
    let has_some = Memo::new(move |_| count.get().is_some_and(|count| count > 0));
    let text = move || match count.get() {
        None => String::new(),
        Some(0) => "They have no recordings.".to_owned(),
        Some(1) => "They have 1 recording.".to_owned(),
        Some(count) => format!("They have {count} recordings."),
    };
    let submit = move |event: ev::SubmitEvent| {
        event.prevent_default();
        let path = query::address(&path, &[("recordings", fate.get_untracked())]);
        submission.send(
            async move |api| api.remove(&path).await,
            move |()| {
                deleting.set(None);
                // The focused button is removed with its row. Deferred, because the closing dialog restores the focus
                // first.
                request_animation_frame(|| dom::focus(HEADING));
                users.load();
            },
        );
    };
    view! {
        <h2 id="delete-user-heading">"Delete this user?"</h2>
        <form class="form" on:submit=submit>
            <p>
                <strong class="filename">{user.username}</strong>
                " will lose access and their tokens stop working. "
                <span role="status">{text}</span>
            </p>
            <Show when=move || has_some.get()>
                <fieldset class="fates">
                    <legend>"Their recordings"</legend>
                    {FATES
                        .into_iter()
                        .map(|(word, label)| {
                            let id = format!("fate-{word}");
                            view! {
                                <div class="check">
                                    <input
                                        type="radio"
                                        name="fate"
                                        id=id.clone()
                                        prop:checked=move || fate.get() == word
                                        on:change=move |_| fate.set(word)
                                    />
                                    <label for=id>{label}</label>
                                </div>
                            }
                        })
                        .collect_view()}
                </fieldset>
            </Show>
            <p class="problem-text" role="alert">
                {move || submission.problem.get().or_else(|| known.problem().get())}
            </p>
            <div class="dialog-actions">
                <button type="button" class="button" on:click=move |_| deleting.set(None)>
                    "Cancel"
                </button>
                <button
                    type="submit"
                    class="button button-strong"
                    disabled=move || submission.is_busy.get() || count.with(Option::is_none)
                >
                    <Icon glyph=Glyph::Trash />
                    {move || {
                        if has_some.get() && fate.get() == "delete" {
                            "Delete user and recordings"
                        } else {
                            "Delete"
                        }
                    }}
                </button>
            </div>
        </form>
    }
}
