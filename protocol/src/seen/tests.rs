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

proptest! {
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
