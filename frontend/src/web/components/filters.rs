use leptos::prelude::*;

use crate::web::list_query::ListQuery;

/// The line of filters above a list; each is in the address as soon as it is set.
#[component]
pub(in crate::web) fn Filters(
    /// Where in the list this is.
    query: ListQuery,
    /// Whether one of them restricts.
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

/// Text to look for. In force on Enter and on leaving the field.
#[component]
pub(in crate::web) fn SearchField(
    /// Where in the list this is.
    query: ListQuery,
    /// The filter.
    name: &'static str,
    /// What it is called.
    label: &'static str,
    /// What can be looked for.
    #[prop(default = "")]
    hint: &'static str,
    /// The id of the list of what is offered.
    #[prop(optional)]
    list: Option<&'static str>,
    /// What is typed, before it is in force.
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

/// One of several values, or all of them.
#[component]
pub(in crate::web) fn Choice(
    /// Where in the list this is.
    query: ListQuery,
    /// The filter.
    name: &'static str,
    /// What it is called.
    label: &'static str,
    /// What stands for no restriction, unless that is among the choices.
    #[prop(optional)]
    all: Option<&'static str>,
    /// Values and their words.
    #[prop(into)]
    choices: Signal<Vec<(String, String)>>,
) -> impl IntoView {
    let id = format!("filter-{name}");
    let options = move || {
        let all = all.map(|words| (String::new(), words.to_owned()));
        let choices = choices.get();
        // What the address restricts to is shown, also where it is none of the choices.
        let now = query.get(name);
        let is_known = now.is_empty() || choices.iter().any(|(value, _)| *value == now);
        let other = (!is_known).then(|| (now.clone(), now));
        all.into_iter()
            .chain(other)
            .chain(choices)
            .map(|(value, words)| {
                let is_selected = {
                    let value = value.clone();
                    move || query.get(name) == value
                };
                // Attributes, so that searching the page for a status finds recordings and not this. A label alone is
                // no accessible name.
                view! { <option value=value label=words.clone() aria-label=words prop:selected=is_selected></option> }
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

/// A day of the person's own time zone.
#[component]
pub(in crate::web) fn DayField(
    /// Where in the list this is.
    query: ListQuery,
    /// The filter.
    name: &'static str,
    /// What it is called.
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
