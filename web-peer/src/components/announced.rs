//! Words that are read out whenever they are set.

use leptos::prelude::*;

/// Words in a live region, in an element of their own each time: a text that is set to what it is already does not
/// change, and is not read out again.
#[component]
pub(crate) fn Announced(#[prop(into)] words: Signal<Option<String>>) -> impl IntoView {
    let times = StoredValue::new(0_u32);
    let each = move || {
        times.update_value(|times| *times = times.wrapping_add(1));
        words.get().map(|words| (times.get_value(), words))
    };
    view! {
        <For each=each key=|(number, _)| *number let((_, words))>
            <span>{words}</span>
        </For>
    }
}
