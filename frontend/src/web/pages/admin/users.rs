mod delete_user;

use gloo_net::http::Method;
use leptos::ev;
use leptos::prelude::*;
use sortie_api::{NewUser, Role, User, UserSource, UserUpdate};

use self::delete_user::DeleteUser;
use crate::list_page::Page;
use crate::query;
use crate::web::api::item_path;
use crate::web::components::{
    Cell, CheckField, Filters, FormActions, FormDialog, Glyph, Icon, LocalTime, PagedTable,
    RefreshButton, SearchField, TextField,
};
use crate::web::list_query::ListQuery;
use crate::web::pages::sign_ins::UserSignIns;
use crate::web::server_data::ServerData;
use crate::web::submission::Submission;

const ROUTE: &str = "/api/admin/users";

/// User that the form creates or edits.
#[derive(Clone)]
enum Subject {
    New,
    Existing(User),
}

/// Heading, which takes the focus when a row was deleted.
const HEADING: &str = "panel-heading";

/// List of users, with dialogs to create, edit and delete them.
#[component]
pub(super) fn UsersTab() -> impl IntoView {
    let query = ListQuery::here();
    let address = Memo::new(move |_| {
        let (search, cursor) = (query.get("q"), query.cursor());
        query::address(
            ROUTE,
            &[("limit", "50"), ("q", &search), ("cursor", &cursor)],
        )
    });
    let users = ServerData::list(address);
    let deleting = RwSignal::new(None::<User>);
    let subject = RwSignal::new(None::<Subject>);
    let row = move |user: User| view! { <UserRow user=user subject=subject deleting=deleting /> };
    view! {
        <div class="page-head">
            <h2 id=HEADING tabindex="-1">"Users"</h2>
            <div class="page-actions">
                <RefreshButton state=users.fetch_state() />
                <button type="button" class="button button-primary" on:click=move |_| subject.set(Some(Subject::New))>
                    "Add user"
                </button>
            </div>
        </div>
        <Filters query=query is_filtered=Signal::derive(move || query.is_filtered(&["q"]))>
            <SearchField query=query name="q" label="Search" hint="Name, mail, subject or external ID" />
        </Filters>
        <PagedTable
            query=query
            state=users.fetch_state()
            count=users.count()
            next=users.next()
            named_by=HEADING
            columns=&["Name", "Mail", "Role", "Sign-in", "Last seen", ""]
            rows=move || users.rows().into_iter().map(row).collect_view()
            empty="No users found"
        />
        <FormDialog
            is_open=Signal::derive(move || subject.with(Option::is_some))
            on_close=move |()| subject.set(None)
            named_by="user-heading"
        >
            {move || {
                subject.get().map(|about| view! { <UserForm about=about subject=subject users=users /> })
            }}
        </FormDialog>
        <FormDialog
            is_open=Signal::derive(move || deleting.with(Option::is_some))
            on_close=move |()| deleting.set(None)
            named_by="delete-user-heading"
        >
            {move || {
                deleting.get().map(|user| view! { <DeleteUser user=user deleting=deleting users=users /> })
            }}
        </FormDialog>
    }
}

#[component]
fn UserRow(
    user: User,
    subject: RwSignal<Option<Subject>>,
    deleting: RwSignal<Option<User>>,
) -> impl IntoView {
    let source = match user.source {
        UserSource::Local => "Password",
        UserSource::Oidc => "OpenID Connect",
        UserSource::Jwt => "Platform",
        UserSource::Proxy => "Proxy",
        UserSource::Other => "Other",
    };
    let role = if user.is_admin() {
        "Administrator"
    } else {
        "User"
    };
    let deleted_user = user.clone();
    let about = user.clone();
    view! {
        <tr role="row">
            <td role="cell" class="cell-name">
                <strong>{user.username.clone()}</strong>
                {user.disabled.then(|| view! { <span class="badge badge-failed">"Disabled"</span> })}
                <span class="quiet">{user.display_name.clone()}</span>
            </td>
            <Cell label="Mail">{user.email.clone().unwrap_or_else(|| "–".to_owned())}</Cell>
            <Cell label="Role">{role}</Cell>
            <Cell label="Sign-in">
                {source}
                <span class="quiet">{user.subject.clone()}</span>
                <span class="quiet">{user.external_id.clone()}</span>
            </Cell>
            <Cell label="Last seen">
                {match user.last_seen_at.clone() {
                    Some(at) => view! { <LocalTime at=at /> }.into_any(),
                    None => "Never".into_any(),
                }}
            </Cell>
            <td role="cell" class="number cell-actions">
                <button
                    type="button"
                    class="button button-quiet"
                    aria-label=format!("Edit {}", user.username)
                    on:click=move |_| subject.set(Some(Subject::Existing(about.clone())))
                >
                    "Edit"
                </button>
                <button
                    type="button"
                    class="button button-quiet"
                    aria-label=format!("Delete {}", user.username)
                    on:click=move |_| deleting.set(Some(deleted_user.clone()))
                >
                    <Icon glyph=Glyph::Trash />
                    "Delete"
                </button>
            </td>
        </tr>
    }
}

#[component]
fn UserForm(
    about: Subject,
    subject: RwSignal<Option<Subject>>,
    users: ServerData<Page<User>>,
) -> impl IntoView {
    let submission = Submission::new();
    let existing = match about {
        Subject::New => None,
        Subject::Existing(user) => Some(user),
    };
    let is_new = existing.is_none();
    let of = |part: fn(&User) -> Option<String>| {
        RwSignal::new(existing.as_ref().and_then(part).unwrap_or_default())
    };
    let username = of(|user| Some(user.username.clone()));
    let display_name = of(|user| user.display_name.clone());
    let email = of(|user| user.email.clone());
    let password = RwSignal::new(String::new());
    let is_admin = RwSignal::new(existing.as_ref().is_some_and(User::is_admin));
    let is_disabled = RwSignal::new(existing.as_ref().is_some_and(|user| user.disabled));
    let has_password = existing
        .as_ref()
        .is_none_or(|user| user.source == UserSource::Local);
    let heading = match &existing {
        None => "Add user".to_owned(),
        Some(user) => format!("Edit {}", user.username),
    };
    let user_id = existing.as_ref().map(|user| user.id.clone());
    let path = existing.map(|user| item_path(ROUTE, &user.id));

    let submit = move |event: ev::SubmitEvent| {
        event.prevent_default();
        let text = |signal: RwSignal<String>| {
            Some(signal.get_untracked().trim().to_owned()).filter(|text| !text.is_empty())
        };
        let roles = if is_admin.get_untracked() {
            vec![Role::User, Role::Admin]
        } else {
            vec![Role::User]
        };
        let new = NewUser {
            username: text(username).unwrap_or_default(),
            password: password.get_untracked(),
            email: text(email),
            display_name: text(display_name),
            roles: Some(roles.clone()),
            external_id: None,
            metadata: None,
        };
        let update = UserUpdate {
            email: Some(text(email)),
            display_name: Some(text(display_name)),
            roles: Some(roles),
            password: Some(password.get_untracked()).filter(|password| !password.is_empty()),
            disabled: Some(is_disabled.get_untracked()),
            revoke_tokens: None,
            external_id: None,
            metadata: None,
        };
        let path = path.clone();
        submission.send(
            async move |api| match path {
                None => api.execute(Method::POST, ROUTE, &new).await,
                Some(path) => api.execute(Method::PATCH, &path, &update).await,
            },
            move |()| {
                subject.set(None);
                users.load();
            },
        );
    };
    let password_label = if is_new { "Password" } else { "New password" };
    let password_hint = if is_new {
        "At least 8 characters"
    } else {
        "Leave empty to keep the current password. A new password ends all sign-ins."
    };
    view! {
        <h2 id="user-heading">{heading}</h2>
        <form class="form" novalidate on:submit=submit>
            {is_new.then(|| view! { <TextField id="user-name" label="User name" value=username /> })}
            <TextField id="user-display" label="Full name" value=display_name />
            <TextField id="user-mail" label="Mail" kind="email" value=email />
            {has_password
                .then(|| {
                    view! {
                        <TextField
                            id="user-password"
                            label=password_label
                            kind="password"
                            autocomplete="new-password"
                            hint=password_hint
                            value=password
                        />
                    }
                })}
            <CheckField id="user-admin" label="Administrator" value=is_admin />
            {(!is_new)
                .then(|| view! { <CheckField id="user-disabled" label="Disabled" value=is_disabled /> })}
            {user_id.map(|user_id| view! { <UserSignIns user_id=user_id /> })}
            <FormActions
                submission=submission
                on_cancel=move |()| subject.set(None)
                action=if is_new { "Add user" } else { "Save" }
            />
        </form>
    }
}
