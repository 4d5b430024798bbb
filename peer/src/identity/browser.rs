//! The key in IndexedDB, and which of the browser's keys this tab may use.
//!
//! All tabs of one origin see one IndexedDB, but two running peers must not share an identity: the
//! DHT and the rooms would take them for one peer that contradicts itself. So a database holds
//! numbered *slots*, each with one key, and a tab takes a slot by a Web Lock (W3C Web Locks API)
//! that the browser keeps for it until the tab is closed, reloaded or crashes. The first tab gets
//! slot 1, a second one beside it slot 2, and so on. `sessionStorage` remembers the tab's slot, so
//! that a reload finds the same identity again even when other tabs came and went meanwhile.

use std::{cell::RefCell, future::Future, time::Duration};

use futures::{
    channel::oneshot,
    future::{Either, select},
};
use idb::{Database, DatabaseEvent as _, Factory, ObjectStoreParams, TransactionMode};
use js_sys::{Function, Object, Promise, Reflect, Uint8Array};
use libp2p::identity::Keypair;
use wasm_bindgen::{JsCast, JsValue, closure::Closure};
use wasm_bindgen_futures::JsFuture;

use super::{IdentityError, StorageFault};
use crate::platform;

/// Slots that are tried before a tab is told that there is none for it; more tabs than anybody
/// keeps open with this page, and few enough that trying all of them takes no noticeable time.
const SLOTS_MAX: u32 = 100;

/// How long a reloaded tab waits for its own slot: the lock of the page it replaces is released
/// only when that page is torn down, which may be a moment after this one runs.
const OWN_SLOT_WAIT: Duration = Duration::from_millis(1_000);

/// How long the browser's storage may take, all in all: it takes milliseconds, and [`OWN_SLOT_WAIT`] at most. A page
/// without an identity that is kept is better than one that is never there.
const STORAGE_TIMEOUT: Duration = Duration::from_secs(3);

/// The name of the error of a property that there is not.
const MISSING: &str = "Missing";

/// Pause between two attempts at the own slot.
const OWN_SLOT_RETRY: Duration = Duration::from_millis(50);

/// Version of the database's layout.
const DATABASE_VERSION: u32 = 1;

/// The object store: slot number → protobuf-encoded private key (libp2p-key) as `Uint8Array`.
const STORE: &str = "identities";

thread_local! {
    /// Slots that this page holds, by location: a second call finds its own lock taken.
    static HELD: RefCell<Vec<(String, u32)>> = const { RefCell::new(Vec::new()) };
}

/// Loads this tab's key from the IndexedDB database named `location`, or makes a new one and keeps
/// it there. The tab holds the key's slot from then on; further calls return the same key.
///
/// # Errors
/// [`IdentityError::Broken`] when the slot holds something that is no key, which stays as it is;
/// [`IdentityError::Storage`] when IndexedDB or Web Locks are missing or fail, as they do in some
/// private windows and, for Web Locks, in pages that came over plain `http` from another machine.
pub async fn load_or_create(location: &str) -> Result<Keypair, IdentityError> {
    in_time(location, load_or_create_unbounded(location)).await
}

/// What the browser's storage says, or that it does not answer: another tab may hold the database, or the browser's
/// own files be damaged.
async fn in_time(
    location: &str,
    asked: impl Future<Output = Result<Keypair, IdentityError>>,
) -> Result<Keypair, IdentityError> {
    let silent = || IdentityError::Storage {
        action: "read",
        location: format!("IndexedDB {location}"),
        source: StorageFault::Silent,
    };
    let answer = platform::within(STORAGE_TIMEOUT, asked).await;
    answer.unwrap_or_else(|| Err(silent()))
}

async fn load_or_create_unbounded(location: &str) -> Result<Keypair, IdentityError> {
    let failed = |action, place: String| {
        move |error: JsValue| IdentityError::Storage {
            action,
            location: place,
            source: fault(&error),
        }
    };
    let slot = take_slot(location)
        .await
        .map_err(failed("reserve", format!("IndexedDB {location}")))?;
    let place = format!("IndexedDB {location}, identity {slot}");
    let database = open(location)
        .await
        .map_err(failed("read", place.clone()))?;
    let keypair = match read(&database, slot)
        .await
        .map_err(failed("read", place.clone()))?
    {
        Some(stored) => decode(&stored).ok_or(IdentityError::Broken { location: place }),
        None => write(&database, slot, false)
            .await
            .map_err(failed("write", place)),
    };
    database.close();
    keypair
}

/// Puts what this tab's slot holds aside, under another key of the same store, and makes a new key
/// there: the user's answer to [`IdentityError::Broken`]. Nothing is deleted.
///
/// # Errors
/// [`IdentityError::Storage`] as for [`load_or_create`].
pub async fn start_anew(location: &str) -> Result<Keypair, IdentityError> {
    in_time(location, start_anew_unbounded(location)).await
}

async fn start_anew_unbounded(location: &str) -> Result<Keypair, IdentityError> {
    let place = format!("IndexedDB {location}");
    let failed = |error: JsValue| IdentityError::Storage {
        action: "replace",
        location: place.clone(),
        source: fault(&error),
    };
    let slot = take_slot(location).await.map_err(failed)?;
    let database = open(location).await.map_err(failed)?;
    let keypair = write(&database, slot, true).await.map_err(failed);
    database.close();
    keypair
}

/// Takes a slot for the life of this page.
async fn take_slot(location: &str) -> Result<u32, JsValue> {
    if let Some(slot) = held_slot(location) {
        return Ok(slot);
    }
    let own = remembered_slot(location);
    if let Some(slot) = own {
        let mut waited = Duration::ZERO;
        loop {
            if lock(location, slot).await? {
                return Ok(hold(location, slot));
            }
            // Another tab has it for good: a duplicated tab starts with a copy of sessionStorage.
            if waited >= OWN_SLOT_WAIT {
                break;
            }
            n0_future::time::sleep(OWN_SLOT_RETRY).await;
            waited += OWN_SLOT_RETRY;
        }
    }
    for slot in (1..=SLOTS_MAX).filter(|slot| Some(*slot) != own) {
        if lock(location, slot).await? {
            return Ok(hold(location, slot));
        }
    }
    Err(js_sys::Error::new(&format!(
        "all {SLOTS_MAX} identities are in use by other tabs; close some"
    ))
    .into())
}

fn held_slot(location: &str) -> Option<u32> {
    HELD.with_borrow(|held| {
        held.iter()
            .find(|(name, _)| name == location)
            .map(|(_, slot)| *slot)
    })
}

fn hold(location: &str, slot: u32) -> u32 {
    HELD.with_borrow_mut(|held| held.push((location.to_owned(), slot)));
    remember_slot(location, slot);
    slot
}

/// Asks for the Web Lock of a slot without waiting. Once granted it is held until the page ends.
async fn lock(location: &str, slot: u32) -> Result<bool, JsValue> {
    // By reflection: web-sys has the Web Locks API only behind its unstable cfg, and `navigator`
    // differs between page and worker.
    let navigator = property(&js_sys::global(), "navigator")?;
    let locks = property(&navigator, "locks")?;
    let request: Function = property(&locks, "request")?.dyn_into()?;
    let options = Object::new();
    Reflect::set(&options, &"ifAvailable".into(), &JsValue::TRUE)?;

    let (answer, answered) = oneshot::channel();
    let callback = Closure::once_into_js(move |lock: JsValue| -> JsValue {
        let granted = !lock.is_null() && !lock.is_undefined();
        let _ = answer.send(granted);
        if granted {
            // The lock lasts as long as the promise that the callback returns: for ever.
            Promise::new(&mut |_, _| {}).into()
        } else {
            JsValue::UNDEFINED
        }
    });
    let requested: Promise = request
        .call3(
            &locks,
            &lock_name(location, slot).into(),
            &options,
            &callback,
        )?
        .dyn_into()?;
    // A refused request settles without calling back, a granted one calls back and never settles.
    match select(answered, JsFuture::from(requested)).await {
        Either::Left((granted, _)) => Ok(granted.unwrap_or(false)),
        Either::Right((Err(error), _)) => Err(error),
        Either::Right((Ok(_), answered)) => Ok(answered.await.unwrap_or(false)),
    }
}

/// Web Locks are shared by everything of one origin, hence the prefix.
fn lock_name(location: &str, slot: u32) -> String {
    format!("moim identity {location} {slot}")
}

fn remembered_slot(location: &str) -> Option<u32> {
    let storage = session_storage()?;
    let get: Function = property(&storage, "getItem").ok()?.dyn_into().ok()?;
    let slot = get
        .call1(&storage, &lock_name(location, 0).into())
        .ok()?
        .as_string()?;
    slot.parse()
        .ok()
        .filter(|slot| (1..=SLOTS_MAX).contains(slot))
}

/// Remembering is a comfort: without it a reload still finds a slot, by counting from 1.
fn remember_slot(location: &str, slot: u32) {
    let Some(storage) = session_storage() else {
        return;
    };
    if let Ok(Ok(set)) = property(&storage, "setItem").map(JsCast::dyn_into::<Function>) {
        let _ = set.call2(
            &storage,
            &lock_name(location, 0).into(),
            &slot.to_string().into(),
        );
    }
}

/// `None` where there is none (workers) or where the browser forbids it.
fn session_storage() -> Option<JsValue> {
    property(&js_sys::global(), "sessionStorage").ok()
}

async fn open(location: &str) -> Result<Database, JsValue> {
    let factory = Factory::new().map_err(js_error)?;
    let mut request = factory
        .open(location, Some(DATABASE_VERSION))
        .map_err(js_error)?;
    request.on_upgrade_needed(|event| {
        // What fails here makes the request itself fail, which is reported below.
        if let Ok(database) = event.database() {
            let _ = database.create_object_store(STORE, ObjectStoreParams::new());
        }
    });
    request.await.map_err(js_error)
}

async fn read(database: &Database, slot: u32) -> Result<Option<JsValue>, JsValue> {
    let transaction = database
        .transaction(&[STORE], TransactionMode::ReadOnly)
        .map_err(js_error)?;
    let store = transaction.object_store(STORE).map_err(js_error)?;
    store
        .get(JsValue::from(slot))
        .map_err(js_error)?
        .await
        .map_err(js_error)
}

fn decode(stored: &JsValue) -> Option<Keypair> {
    let bytes = stored.dyn_ref::<Uint8Array>()?.to_vec();
    Keypair::from_protobuf_encoding(&bytes).ok()
}

/// Keeps a new key in a slot. What is there already is put aside if `replace`, else it makes the
/// write fail.
async fn write(database: &Database, slot: u32, replace: bool) -> Result<Keypair, JsValue> {
    let keypair = Keypair::generate_ed25519();
    let bytes = keypair
        .to_protobuf_encoding()
        .map_err(|error| js_sys::Error::new(&error.to_string()))?;
    let transaction = database
        .transaction(&[STORE], TransactionMode::ReadWrite)
        .map_err(js_error)?;
    let store = transaction.object_store(STORE).map_err(js_error)?;
    let key = JsValue::from(slot);
    if replace
        && let Some(old) = store
            .get(key.clone())
            .map_err(js_error)?
            .await
            .map_err(js_error)?
    {
        let aside = JsValue::from(format!("{slot}.broken-{:.0}", js_sys::Date::now()));
        store
            .add(&old, Some(&aside))
            .map_err(js_error)?
            .await
            .map_err(js_error)?;
        store
            .delete(key.clone())
            .map_err(js_error)?
            .await
            .map_err(js_error)?;
    }
    // `add` refuses to write over something, `put` would not.
    store
        .add(&Uint8Array::from(bytes.as_slice()), Some(&key))
        .map_err(js_error)?
        .await
        .map_err(js_error)?;
    // Only the end of the transaction says that the key is kept: a full disk shows here.
    let outcome = transaction
        .commit()
        .map_err(js_error)?
        .await
        .map_err(js_error)?;
    if outcome.is_committed() {
        Ok(keypair)
    } else {
        Err(js_sys::Error::new("the browser gave the write up; its storage may be full").into())
    }
}

fn property(object: &JsValue, name: &str) -> Result<JsValue, JsValue> {
    let value = Reflect::get(object, &name.into())?;
    if value.is_undefined() || value.is_null() {
        let error = js_sys::Error::new(name);
        error.set_name(MISSING);
        return Err(error.into());
    }
    Ok(value)
}

#[expect(clippy::needless_pass_by_value, reason = "fits map_err")]
fn js_error(error: idb::Error) -> JsValue {
    js_sys::Error::new(&error.to_string()).into()
}

/// What a thrown value means.
fn fault(error: &JsValue) -> StorageFault {
    tracing::debug!(?error, "the browser's storage");
    let name = Reflect::get(error, &"name".into()).ok();
    match name.and_then(|name| name.as_string()).as_deref() {
        Some(MISSING | "SecurityError") => StorageFault::Missing,
        _ => StorageFault::Refused,
    }
}
