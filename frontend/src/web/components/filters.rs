use gloo_timers::callback::Timeout;
use leptos::html;
use leptos::prelude::*;

use crate::web::list_query::ListQuery;

/// Time between the last letter and the search.
const LIVE_MS: u32 = 250;

/// Filter bar above a list. Each filter changes the address of the page.
#[component]
pub(in crate::web) fn Filters(
    query: ListQuery,
    /// Whether any filter is set.
    is_filtered: Signal<bool>,
    children: Children,
) -> impl IntoView {
    view! {
        <form class="filters" role="search" on:submit=|event| event.prevent_default()>
            {children()}
            <Show when=move || is_filtered.get()>
                <button type="button" class="button button-quiet" on:click=move |_| query.clear()>
                    "Clear filters"
                </button>
            </Show>
        </form>
    }
}

/// Text filter, applied on Enter, on blur, and with `is_live` while the user types.
#[component]
pub(in crate::web) fn SearchField(
    query: ListQuery,
    /// Name of the query parameter.
    name: &'static str,
    label: &'static str,
    #[prop(default = "")] hint: &'static str,
    /// ID of a `<datalist>` with suggestions.
    #[prop(optional)]
    list: Option<&'static str>,
    /// Receives the text while the user types.
    #[prop(optional)]
    typed: Option<RwSignal<String>>,
    #[prop(optional)] is_live: bool,
) -> impl IntoView {
    let id = format!("filter-{name}");
    let input = NodeRef::<html::Input>::new();
    // The field shows the address, except while it is ahead of it.
    let applied = StoredValue::new(query.get_untracked(name));
    let timer = StoredValue::new_local(None::<Timeout>);
    Effect::new(move |_| {
        let value = query.get(name);
        if let Some(input) = input.get()
            && applied.get_value() != value
        {
            input.set_value(&value);
            applied.set_value(value);
        }
    });
    let apply = move |is_final: bool| {
        let Some(input) = input.try_get_untracked().flatten() else {
            return;
        };
        let value = input.value().trim().to_owned();
        applied.set_value(value.clone());
        // A word is one entry of the browser's history, not each letter.
        let replace = !is_final && !query.get_untracked(name).is_empty();
        query.set_all(&[(name, &value)], replace);
    };
    let on_input = move |event| {
        if let Some(typed) = typed {
            typed.set(event_target_value(&event));
        }
        if is_live {
            let timeout = Timeout::new(LIVE_MS, move || {
                // Deferred to a task: a timer must not be dropped in its own callback.
                leptos::task::spawn_local(async move {
                    if timer.try_set_value(None).is_none() {
                        apply(false);
                    }
                });
            });
            timer.set_value(Some(timeout));
        }
    };
    on_cleanup(move || timer.set_value(None));
    view! {
        <div class="filter filter-search">
            <label for=id.clone()>{label}</label>
            <input
                id=id
                node_ref=input
                class="input"
                type="search"
                maxlength="200"
                autocapitalize="none"
                spellcheck="false"
                placeholder=hint
                list=list
                value=query.get_untracked(name)
                on:input=on_input
                on:change=move |_| {
                    timer.set_value(None);
                    apply(true);
                }
            />
        </div>
    }
}

/// Filter by one of several values.
#[component]
pub(in crate::web) fn Choice(
    query: ListQuery,
    /// Name of the query parameter.
    name: &'static str,
    label: &'static str,
    /// Label of the option without restriction; `None` if `choices` contains one.
    #[prop(optional)]
    all: Option<&'static str>,
    #[prop(into)] choices: Signal<Vec<(String, String)>>,
) -> impl IntoView {
    let id = format!("filter-{name}");
    let options = move || {
        let all = all.map(|text| (String::new(), text.to_owned()));
        let choices = choices.get();
        // A value of the address that is none of the choices is listed as well.
        let now = query.get(name);
        let is_known = now.is_empty() || choices.iter().any(|(value, _)| *value == now);
        let other = (!is_known).then(|| (now.clone(), now));
        all.into_iter()
            .chain(other)
            .chain(choices)
            .map(|(value, text)| {
                let is_selected = {
                    let value = value.clone();
                    move || query.get(name) == value
                };
                // Set as attributes instead of text, so that a text search in the page does not find options. Screen
                // readers ignore `label` alone.
                view! { <option value=value label=text.clone() aria-label=text prop:selected=is_selected></option> }
            })
            .collect_view()
    };
    view! {
        <div class="filter">
            <label for=id.clone()>{label}</label>
            <select id=id class="input" on:change=move |event| query.set(name, &event_target_value(&event))>
                {options}
            </select>
        </div>
    }
}

/// Filter by a local date.
#[component]
pub(in crate::web) fn DayField(
    query: ListQuery,
    /// Name of the query parameter.
    name: &'static str,
    label: &'static str,
) -> impl IntoView {
    let id = format!("filter-{name}");
    view! {
        <div class="filter">
            <label for=id.clone()>{label}</label>
            <input
                id=id
                class="input"
                type="date"
                prop:value=move || query.get(name)
                on:change=move |event| query.set(name, &event_target_value(&event))
            />
        </div>
    }
}
