//! The form to join a topic.

use leptos::{ev, prelude::*, task::spawn_local};
use moim_peer::limits::{NAME_BYTES_MAX, TOPIC_BYTES_MAX};

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
    let submit = Callback::new(move |()| {
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
    });
    actions::focus_first_empty(app);
    let name_refusal = Memo::new(move |_| refusal.with(|refusal| refusal.name.clone()));
    let topic_refusal = Memo::new(move |_| refusal.with(|refusal| refusal.topic.clone()));
    view! {
        <section class="join" aria-labelledby="join-heading">
            <h2 id="join-heading">{text.join_heading}</h2>
            <p class="intro">{text.join_intro}</p>
            <form
                on:submit=move |event| {
                    event.prevent_default();
                    submit.run(());
                }
                novalidate
            >
                <Field
                    id="name"
                    label=text.name
                    hint=text.name_hint
                    value=app.join_name
                    max=NAME_BYTES_MAX
                    submit=submit
                    refusal=name_refusal
                    autocomplete="nickname"
                />
                <Field
                    id="topic"
                    label=text.topic
                    hint=text.topic_hint
                    value=app.join_topic
                    max=TOPIC_BYTES_MAX
                    submit=submit
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
    /// Bytes that are taken.
    max: usize,
    submit: Callback<()>,
    #[prop(into)] refusal: Signal<Option<String>>,
    autocomplete: &'static str,
) -> impl IntoView {
    let input_id = format!("{id}-field");
    let hint_id = format!("{id}-hint");
    let refusal_id = format!("{id}-refusal");
    let described = format!("{refusal_id} {hint_id}");
    // What is a little too long is cut by hand; beside a megabyte a browser takes seconds for each key.
    let length_max = 4 * max;
    // As in the composer: an Enter that ends a syllable may come without a key of its own.
    let on_beforeinput = move |event: ev::InputEvent| {
        if event.input_type() == "insertLineBreak" && !event.is_composing() {
            event.prevent_default();
            submit.run(());
        }
    };
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
                maxlength=length_max.to_string()
                aria-describedby=described
                aria-invalid=move || refusal.with(Option::is_some).to_string()
                prop:value=value
                on:input=move |event| value.set(event_target_value(&event))
                on:beforeinput=on_beforeinput
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
