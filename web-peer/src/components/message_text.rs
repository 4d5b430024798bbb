//! The text of a message: links and code as such, and long ones shown in part until they are opened.

use leptos::prelude::*;

use crate::{
    model::App,
    rich::{self, Piece},
};

/// A message's text.
#[component]
pub(crate) fn MessageText(text: String) -> impl IntoView {
    let words = App::of_page().text;
    let is_long = rich::is_long(&text);
    let open = RwSignal::new(!is_long);
    let pieces: Vec<_> = rich::pieces(&text).into_iter().map(show).collect();
    view! {
        <div class="message-text" dir="auto" data-open=move || open.get().to_string()>
            {pieces}
        </div>
        {is_long
            .then(|| {
                view! {
                    <button
                        type="button"
                        class="button small quiet"
                        aria-expanded=move || open.get().to_string()
                        on:click=move |_| open.update(|open| *open = !*open)
                    >
                        {move || if open.get() { words.show_less } else { words.show_all }}
                    </button>
                }
            })}
    }
}

fn show(piece: Piece<'_>) -> AnyView {
    match piece {
        Piece::Text(text) => text.to_owned().into_any(),
        // Another site learns neither the room, which stands in this page's address, nor gets a handle on the page.
        Piece::Link(address) => view! {
            <a href=address.to_owned() target="_blank" rel="noopener noreferrer">
                <bdi dir="ltr">{address.to_owned()}</bdi>
            </a>
        }
        .into_any(),
        Piece::Code(code) => view! { <code dir="auto">{code.to_owned()}</code> }.into_any(),
        Piece::Block(code) => view! {
            <pre tabindex="0" dir="ltr">
                <code>{code.to_owned()}</code>
            </pre>
        }
        .into_any(),
    }
}
