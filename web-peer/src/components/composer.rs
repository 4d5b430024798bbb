//! The line to write a message in.

use leptos::{ev, prelude::*};

use super::icons::{Drawn, Icon};
use crate::model::App;

/// The key code that browsers give to keys that an input method swallows (UI Events, 8.3).
const KEY_CODE_COMPOSING: u32 = 229;

/// An input for messages with its button. Enter sends; Shift+Enter starts a new line; an Enter that
/// only finishes a syllable or a word in an input method (Korean, Japanese, …) does not send.
#[component]
pub(crate) fn Composer(
    /// What is written here, and to whom.
    #[prop(into)]
    label: Signal<String>,
    /// What was written and not sent yet.
    draft: ArcRwSignal<String>,
    /// Called with the trimmed text, which is not empty.
    send: Callback<String>,
    input_testid: &'static str,
    button_testid: &'static str,
) -> impl IntoView {
    let text = App::of_page().text;
    let help = format!("{input_testid}-help");
    let shown = draft.clone();
    let typed = draft.clone();
    let submit = Callback::new(move |()| {
        let message = draft.with_untracked(|draft| draft.trim().to_owned());
        if !message.is_empty() {
            draft.set(String::new());
            send.run(message);
        }
    });
    let on_keydown = move |event: ev::KeyboardEvent| {
        let composing = event.is_composing() || event.key_code() == KEY_CODE_COMPOSING;
        if event.key() == "Enter" && !event.shift_key() && !composing {
            event.prevent_default();
            submit.run(());
        }
    };
    view! {
        <form
            class="composer"
            on:submit=move |event| {
                event.prevent_default();
                submit.run(());
            }
        >
            <textarea
                rows="1"
                data-testid=input_testid
                aria-label=label
                aria-describedby=help.clone()
                placeholder=text.write_here
                dir="auto"
                autocomplete="off"
                enterkeyhint="send"
                prop:value=move || shown.get()
                on:input=move |event| typed.set(event_target_value(&event))
                on:keydown=on_keydown
            />
            <button type="submit" class="button primary" data-testid=button_testid>
                <Drawn icon=Icon::Send />
                <span class="button-text">{text.send}</span>
            </button>
            <p class="composer-help" id=help>
                {text.input_help}
            </p>
        </form>
    }
}
