use proptest::prelude::*;

use super::*;
use crate::testing::peer;

proptest! {
    /// Whatever comes and goes, each is counted once, for one.
    #[test]
    fn what_everybody_has_brought_is_what_there_is(
        steps in prop::collection::vec((0_u8..4, 0_u16..8, 10_u16..14), 1..200)
    ) {
        let mut places = Places::default();
        for (step, member, by) in steps {
            let member = peer(member);
            match step {
                0 => places.take(member, peer(by)),
                1 => places.leave(&member),
                2 => places.connected(member),
                _ => places.disconnected(&member),
            }
            let brought: usize = places.brought.values().sum();
            prop_assert_eq!(brought, places.hearsay.len());
            prop_assert!(places.brought.values().all(|count| *count > 0));
            for known in places.hearsay.values() {
                prop_assert!(places.brought.contains_key(&known.by));
            }
            prop_assert!(places.connected.iter().all(|peer| places.has_met(peer)));
        }
    }
}
