//! Which bootstrap nodes to use.

use leptos::prelude::*;

use crate::{actions, i18n::source_problem, model::App, page, settings, state};

/// The list of bootstrap nodes, checked before it is used.
#[component]
pub(crate) fn SettingsForm() -> impl IntoView {
    let app = App::of_page();
    let text = app.text;
    let overridden = state::sources_overridden();
    let list = RwSignal::new(page::stored(state::SOURCES_KEY).unwrap_or_default());
    let problems = RwSignal::new(Vec::<String>::new());
    let save = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let wanted = list.get_untracked();
        let checked = settings::check_list(&wanted, page::context());
        problems.set(
            checked
                .refused
                .iter()
                .map(|refused| source_problem(text, refused))
                .collect(),
        );
        if checked.refused.is_empty() {
            actions::use_sources(app, &wanted);
        } else {
            page::focus_soon("#sources");
        }
    };
    let use_default = move |_| {
        list.set(String::new());
        problems.set(Vec::new());
        actions::use_sources(app, "");
    };
    view! {
        <section class="settings" aria-labelledby="settings-heading">
            <h3 id="settings-heading">{text.settings}</h3>
            {overridden.then(|| view! { <p class="hint">{text.sources_overridden}</p> })}
            <form on:submit=save novalidate>
                <div class="field">
                    <label for="sources">{text.sources_label}</label>
                    <textarea
                        id="sources"
                        data-testid="sources-input"
                        class="code"
                        rows="3"
                        maxlength=settings::LIST_LENGTH_MAX.to_string()
                        spellcheck="false"
                        autocapitalize="off"
                        autocomplete="off"
                        disabled=overridden
                        aria-describedby="sources-problems sources-hint"
                        aria-invalid=move || (!problems.with(Vec::is_empty)).to_string()
                        prop:value=list
                        on:input=move |event| list.set(event_target_value(&event))
                    />
                    <div class="refusal" id="sources-problems" role="alert">
                        {move || {
                            let problems = problems.get().into_iter();
                            problems.map(|problem| view! { <p>{problem}</p> }).collect_view()
                        }}
                    </div>
                    <p class="hint" id="sources-hint">
                        {text.sources_hint}
                    </p>
                </div>
                <div class="buttons">
                    <button
                        type="submit"
                        class="button"
                        data-testid="sources-save"
                        disabled=overridden
                    >
                        {text.sources_save}
                    </button>
                    <button
                        type="button"
                        class="button quiet"
                        disabled=overridden
                        on:click=use_default
                    >
                        {text.sources_default}
                    </button>
                </div>
            </form>
        </section>
    }
}
