//! The page as a whole: its state, its frame and its columns.

use leptos::{mount::mount_to, prelude::*};
use wasm_bindgen::JsCast as _;
use web_sys::HtmlElement;

use crate::{
    actions,
    components::{
        connection::ConnectionPanel,
        direct::DirectView,
        frame::{Banner, Header, Tabs, Toast},
        join::JoinView,
        people::People,
        room::RoomView,
    },
    lifecycle,
    model::{App, Pane, Side, View},
    page, state,
};

/// Puts the page in place of what was shown while the program loaded, and starts the peer.
pub(crate) fn run() {
    let text = page::language().messages();
    let Some(root) = document()
        .get_element_by_id("app")
        .and_then(|root| root.dyn_into::<HtmlElement>().ok())
    else {
        // index.html has it; without it there is nowhere to say so but the console.
        return tracing::error!("the page has no element with the id `app`");
    };
    // The loading notice.
    root.set_inner_html("");
    mount_to(root, move || {
        let app = App::new(text);
        provide_context(app);
        actions::prefill(app);
        lifecycle::follow(app);
        state::start(app);
        view! { <Page /> }
    })
    .forget();
}

#[component]
fn Page() -> impl IntoView {
    let app = App::of_page();
    let pane = move || match app.pane.get() {
        Pane::People => "people",
        Pane::Talk => "talk",
        Pane::Side => "side",
    };
    let side = move || match app.side.get() {
        Side::Connection => "connection",
        Side::Direct(_) => "direct",
    };
    let middle = move || match app.view.get() {
        View::Join => view! { <JoinView /> }.into_any(),
        View::Room(topic) => match app.room(&topic) {
            Some(room) => view! { <RoomView room=room /> }.into_any(),
            None => view! { <JoinView /> }.into_any(),
        },
    };
    let right = move || match app.side.get() {
        Side::Connection => view! { <ConnectionPanel /> }.into_any(),
        Side::Direct(peer) => match app.direct(peer) {
            Some(direct) => view! { <DirectView direct=direct /> }.into_any(),
            None => view! { <ConnectionPanel /> }.into_any(),
        },
    };
    view! {
        <div class="page" data-pane=pane data-side=side>
            <Header />
            <Banner />
            <main class="columns">
                <section class="people" aria-label=app.text.people>
                    <People />
                </section>
                <div class="talk" id="talk" tabindex="-1">
                    {middle}
                </div>
                <section class="side" aria-labelledby="side-heading">
                    {right}
                </section>
            </main>
            <Tabs />
            <Toast />
            <p class="unseen" aria-live="polite">
                {move || {
                    app.announcement
                        .with(|(said, times)| match times {
                            0 | 1 => said.clone(),
                            _ => format!("{said} ({times})"),
                        })
                }}
            </p>
        </div>
    }
}
