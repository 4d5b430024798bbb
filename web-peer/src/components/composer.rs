//! The line to write a message in.

use leptos::{ev, prelude::*};
use moim_peer::limits::TEXT_BYTES_MAX;
use web_sys::HtmlTextAreaElement;

use super::{
    announced::Announced,
    icons::{Drawn, Icon},
};
use crate::{format, model::App};

/// Bytes that may stand in the line. More than a message may have, so that a text which is a little too long can be
/// cut by hand; a browser takes seconds for each key beside a megabyte.
pub(crate) const DRAFT_BYTES_MAX: usize = 4 * TEXT_BYTES_MAX;

/// The key code that browsers give to keys that an input method swallows (UI Events, 8.3).
const KEY_CODE_COMPOSING: u32 = 229;

/// An input for messages with its button. Enter sends; Shift+Enter starts a new line; an Enter that
/// only finishes a syllable or a word in an input method (Korean, Japanese, …) does not send, one that finishes
/// a syllable and breaks the line does.
#[component]
pub(crate) fn Composer(
    /// What is written here, and to whom.
    #[prop(into)]
    label: Signal<String>,
    /// What was written and not sent yet.
    draft: ArcRwSignal<String>,
    /// Why what was written was not taken, until more is written.
    refusal: ArcRwSignal<Option<String>>,
    /// Called with the trimmed text, which is not empty.
    send: Callback<String>,
    input_testid: &'static str,
    button_testid: &'static str,
) -> impl IntoView {
    let text = App::of_page().text;
    let help = format!("{input_testid}-help");
    let shown = draft.clone();
    let typed = draft.clone();
    let before = draft.clone();
    let direction = {
        let draft = draft.clone();
        Memo::new(move |_| draft.with(|draft| format::direction(draft)))
    };
    let submit = Callback::new(move |()| {
        let message = draft.with_untracked(|draft| draft.trim().to_owned());
        if !message.is_empty() {
            draft.set(String::new());
            send.run(message);
        }
    });
    let refused = refusal.clone();
    // Whether Shift was held with the key that was pressed last, and is held since that one was let go.
    let shifted = StoredValue::new(false);
    let on_keydown = move |event: ev::KeyboardEvent| {
        shifted.set_value(event.shift_key());
        let composing = event.is_composing() || event.key_code() == KEY_CODE_COMPOSING;
        if event.key() == "Enter" && !event.shift_key() && !composing {
            event.prevent_default();
            submit.run(());
        }
    };
    let on_beforeinput = move |event: ev::InputEvent| {
        let put_in = event.data().map_or(0, |data| data.len());
        let area: HtmlTextAreaElement = event_target(&event);
        let length = before.with_untracked(|draft| draft.len() + put_in - selected(&area, draft));
        if put_in > 0 && length > DRAFT_BYTES_MAX {
            event.prevent_default();
            return refused.set(Some((text.message_too_long)(length)));
        }
        if refused.with_untracked(Option::is_some) {
            refused.set(None);
        }
        // An Enter that ends a Hangul syllable comes with no key event but that of the syllable, and breaks the line
        // then. So does any Enter of some touch keyboards.
        if event.input_type() == "insertLineBreak" && !event.is_composing() && !shifted.get_value()
        {
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
            <p class="refusal" role="alert">
                <Announced words=refusal />
            </p>
            <textarea
                rows="1"
                data-testid=input_testid
                aria-label=label
                aria-describedby=help.clone()
                placeholder=text.write_here
                dir=direction
                autocomplete="off"
                enterkeyhint="send"
                prop:value=move || shown.get()
                on:input=move |event| typed.set(event_target_value(&event))
                on:keydown=on_keydown
                on:keyup=move |event| shifted.set_value(event.shift_key())
                on:beforeinput=on_beforeinput
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

/// How many bytes of `text`, which stands in `area`, are selected, and go when something is put in.
fn selected(area: &HtmlTextAreaElement, text: &str) -> usize {
    match (area.selection_start(), area.selection_end()) {
        (Ok(Some(start)), Ok(Some(end))) if start < end => format::bytes_between(text, start, end),
        _ => 0,
    }
}
