use proptest::prelude::*;

use super::*;

#[test]
fn the_oldest_is_forgotten_first() {
    let mut seen = SeenIds::new(2);
    assert!(seen.is_empty());
    assert!(seen.insert("a"));
    assert!(seen.insert("b"));
    // Seeing it again does not make it younger.
    assert!(!seen.insert("a"));
    assert!(seen.insert("c"));
    assert!(!seen.contains(&"a"));
    assert!(seen.contains(&"b") && seen.contains(&"c"));
    assert_eq!(seen.len(), 2);
}

#[test]
fn what_is_removed_is_new_again() {
    let mut seen = SeenIds::new(2);
    seen.insert(1);
    assert!(seen.remove(&1));
    assert!(!seen.remove(&1));
    assert!(seen.insert(1));
    assert!(seen.insert(2));
    assert_eq!(seen.len(), 2);
}

#[test]
fn nobody_makes_a_friend_forget() {
    const FRIEND: u32 = 0;
    const MEMBER: u32 = 1;
    let standing = |peer: &u32| match *peer {
        FRIEND => 2,
        MEMBER => 1,
        _ => 0,
    };
    let mut seen = SeenByPeer::new(100, 1_000);
    for key in 0..20 {
        assert!(seen.insert(FRIEND, key, standing));
        assert!(seen.insert(MEMBER, key, standing));
    }
    // Few with many, then many with one each.
    for stranger in 2..32 {
        (0..300).for_each(|key| assert!(seen.insert(stranger, key, standing)));
        assert!(seen.len() <= 1_000);
    }
    (100..3_000).for_each(|stranger| assert!(seen.insert(stranger, 0, standing)));
    for key in 0..20 {
        assert!(!seen.insert(FRIEND, key, standing), "{key}");
        assert!(!seen.insert(MEMBER, key, standing), "{key}");
    }
    assert_eq!(seen.len(), 1_000);
    // Of several who stand alike, whoever has most.
    (20..100).for_each(|key| assert!(seen.insert(FRIEND, key, |_| 0)));
    assert!(!seen.insert(MEMBER, 0, |_| 0));
    assert!(seen.insert(FRIEND, 0, |_| 0), "the oldest of the most");
}

proptest! {
    #[test]
    fn what_is_seen_of_many_is_bounded(inputs: Vec<(u8, u8)>) {
        let mut seen = SeenByPeer::new(4, 10);
        for (peer, key) in inputs {
            seen.insert(peer, key, |peer| peer % 3);
            prop_assert!(!seen.is_empty() && seen.len() <= 10);
            let len: usize = seen.of.values().map(SeenIds::len).sum();
            prop_assert_eq!(seen.len(), len);
            prop_assert!(seen.of.values().all(|seen| !seen.is_empty() && seen.len() <= 4));
        }
    }

    #[test]
    fn it_is_a_set_of_the_last_ones(capacity in 0_usize..20, keys: Vec<u8>) {
        let mut seen = SeenIds::new(capacity);
        let mut model: Vec<u8> = Vec::new();
        for key in keys {
            let is_new = !model.contains(&key);
            if is_new {
                model.push(key);
                if model.len() > capacity.max(1) {
                    model.remove(0);
                }
            }
            prop_assert_eq!(seen.insert(key), is_new);
            prop_assert_eq!(seen.len(), model.len());
            prop_assert!(model.iter().all(|key| seen.contains(key)));
        }
    }
}
