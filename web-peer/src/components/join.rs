//! The form to join a topic.

use leptos::{prelude::*, task::spawn_local};

use crate::{
    actions::{self, JoinRefusal},
    model::{App, Phase},
};

/// Topic and name, and what was wrong with them.
#[component]
pub(crate) fn JoinView() -> impl IntoView {
    let app = App::of_page();
    let text = app.text;
    let refusal = RwSignal::new(JoinRefusal::default());
    let busy = RwSignal::new(false);
    let ready = move || app.phase.get() == Phase::Running && !busy.get();
    let waiting = Memo::new(move |_| {
        app.snapshot.with(|snapshot| {
            snapshot
                .as_ref()
                .is_none_or(|snapshot| snapshot.status.word() != "connected")
        })
    });
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        if !ready() {
            return;
        }
        refusal.set(JoinRefusal::default());
        busy.set(true);
        spawn_local(async move {
            let result = actions::join(app).await;
            // Joined: this form is gone already.
            let Err(refused) = result else { return };
            let first = if refused.name.is_some() {
                "[data-testid=name-input]"
            } else {
                "[data-testid=topic-input]"
            };
            refusal.set(refused);
            busy.set(false);
            crate::page::focus_soon(first);
        });
    };
    actions::focus_first_empty(app);
    let name_refusal = Memo::new(move |_| refusal.with(|refusal| refusal.name.clone()));
    let topic_refusal = Memo::new(move |_| refusal.with(|refusal| refusal.topic.clone()));
    view! {
        <section class="join" aria-labelledby="join-heading">
            <h2 id="join-heading">{text.join_heading}</h2>
            <p class="intro">{text.join_intro}</p>
            <form on:submit=submit novalidate>
                <Field
                    id="name"
                    label=text.name
                    hint=text.name_hint
                    value=app.join_name
                    refusal=name_refusal
                    autocomplete="nickname"
                />
                <Field
                    id="topic"
                    label=text.topic
                    hint=text.topic_hint
                    value=app.join_topic
                    refusal=topic_refusal
                    autocomplete="off"
                />
                <button
                    type="submit"
                    class="button primary wide"
                    data-testid="join"
                    disabled=move || !ready()
                >
                    {text.join}
                </button>
                <p class="hint" role="status">
                    {move || (ready() && waiting.get()).then_some(text.join_while_connecting)}
                </p>
            </form>
        </section>
    }
}

#[component]
fn Field(
    id: &'static str,
    label: &'static str,
    hint: &'static str,
    value: RwSignal<String>,
    #[prop(into)] refusal: Signal<Option<String>>,
    autocomplete: &'static str,
) -> impl IntoView {
    let input_id = format!("{id}-field");
    let hint_id = format!("{id}-hint");
    let refusal_id = format!("{id}-refusal");
    let described = format!("{refusal_id} {hint_id}");
    view! {
        <div class="field">
            <label for=input_id.clone()>{label}</label>
            <input
                type="text"
                id=input_id
                data-testid=format!("{id}-input")
                dir="auto"
                autocomplete=autocomplete
                autocapitalize="off"
                spellcheck="false"
                required
                aria-describedby=described
                aria-invalid=move || refusal.with(Option::is_some).to_string()
                prop:value=value
                on:input=move |event| value.set(event_target_value(&event))
            />
            <p class="refusal" id=refusal_id role="alert">
                {refusal}
            </p>
            <p class="hint" id=hint_id>
                {hint}
            </p>
        </div>
    }
}
