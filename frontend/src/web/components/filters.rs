use leptos::prelude::*;

use crate::web::list_query::ListQuery;

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

/// Text filter, applied on Enter and on blur.
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
) -> impl IntoView {
    let id = format!("filter-{name}");
    view! {
        <div class="filter filter-search">
            <label for=id.clone()>{label}</label>
            <input
                id=id
                class="input"
                type="search"
                maxlength="200"
                autocapitalize="none"
                spellcheck="false"
                placeholder=hint
                list=list
                prop:value=move || query.get(name)
                on:input=move |event| {
                    if let Some(typed) = typed {
                        typed.set(event_target_value(&event));
                    }
                }
                on:change=move |event| query.set(name, &event_target_value(&event))
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
