use super::*;
use crate::testing::{WALL, millis, seconds, start};

#[test]
fn wall_clock_arithmetic_saturates() {
    assert_eq!(UnixMillis(5).saturating_add(millis(7)), UnixMillis(12));
    assert_eq!(
        UnixMillis(5).saturating_add(Duration::MAX),
        UnixMillis(u64::MAX)
    );
    assert_eq!(
        UnixMillis(u64::MAX).saturating_add(millis(1)),
        UnixMillis(u64::MAX)
    );
    assert_eq!(UnixMillis(5).saturating_sub(millis(7)), UnixMillis(0));
    assert_eq!(UnixMillis(5).since(UnixMillis(3)), millis(2));
    assert_eq!(UnixMillis(3).since(UnixMillis(5)), Duration::ZERO);
    assert_eq!(UnixMillis(u64::MAX).since(UnixMillis(0)), millis(u64::MAX));
}

#[test]
fn integers_that_javascript_rounds_are_refused() {
    let read = |text| serde_json::from_str::<UnixMillis>(text);
    assert_eq!(read("9007199254740991").unwrap(), UnixMillis((1 << 53) - 1));
    assert_eq!(read("0").unwrap(), UnixMillis(0));
    for text in [
        "9007199254740992",
        "18446744073709551615",
        "-1",
        "1.5",
        "1e3",
        "\"1\"",
        "null",
    ] {
        assert!(read(text).is_err(), "{text}");
    }
}

#[test]
fn an_instant_plus_anything_does_not_panic() {
    let now = start();
    assert_eq!(after(now, millis(5)), now + millis(5));
    assert!(after(now, Duration::MAX) > now + seconds(1000));
}

#[test]
fn a_life_is_what_it_was_signed_for_less_its_age() {
    let validity = Validity {
        issued: WALL,
        expires: WALL.saturating_add(seconds(120)),
    };
    let wall = |s: i64| match u64::try_from(s) {
        Ok(later) => WALL.saturating_add(seconds(later)),
        Err(_) => WALL.saturating_sub(seconds(s.unsigned_abs())),
    };
    // (the receiver's clock, against the signer's at signing; age; is it too new, too old; life)
    let table = [
        (0, 0, false, false, 120),
        (0, 50, false, false, 70),
        (0, 119, false, false, 1),
        (0, 120, false, false, 0),
        (0, 5000, false, false, 0),
        // Clocks that differ by less than ten minutes change nothing.
        (-600, 0, false, false, 120),
        (600, 0, false, false, 120),
        (600, 30, false, false, 90),
        (-601, 0, true, false, 120),
        // What is replayed shortly before it is refused gets no more than until then.
        (700, 0, false, false, 20),
        (720, 0, false, false, 0),
        (721, 0, false, true, 0),
        (1_000_000, 0, false, true, 0),
    ];
    for (clock, age, is_future, is_expired, life) in table {
        assert_eq!(
            validity.is_future(wall(clock)),
            is_future,
            "future at {clock}"
        );
        assert_eq!(
            validity.is_expired(wall(clock)),
            is_expired,
            "expired at {clock}"
        );
        assert_eq!(
            validity.life(seconds(age), wall(clock)),
            seconds(life),
            "{clock}, {age}"
        );
    }
}

#[test]
fn extreme_dates_saturate() {
    let backwards = Validity {
        issued: UnixMillis(u64::MAX),
        expires: UnixMillis(0),
    };
    assert_eq!(backwards.ttl(), Duration::ZERO);
    assert!(backwards.is_future(WALL));
    let endless = Validity {
        issued: UnixMillis(0),
        expires: UnixMillis(u64::MAX),
    };
    assert_eq!(endless.ttl(), millis(u64::MAX));
    assert!(!endless.is_expired(UnixMillis(u64::MAX)));
    assert_eq!(endless.life(Duration::MAX, WALL), Duration::ZERO);
}
