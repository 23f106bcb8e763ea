//! The numbers of spans that the store gives out itself: each says where what it stands for is kept, so nothing has to be looked up.

use crate::store::Kind;

/// The fields of a number, from the lowest bit on. Above them, all bits are set: of the numbers of a registry, only those of its
/// three-thousandth thread and later ones can look like that.
const SLOT_BITS: u32 = 20;
const LIFE_BITS: u32 = 20;
const SHARD_BITS: u32 = 7;
const KIND_BITS: u32 = 2;

const LIFE: u32 = SLOT_BITS;
const SHARD: u32 = LIFE + LIFE_BITS;
const KIND: u32 = SHARD + SHARD_BITS;
const MARK: u32 = KIND + KIND_BITS;

/// The most shards that a number can tell apart.
pub(crate) const MOST_SHARDS: usize = 1 << SHARD_BITS;

/// The slot of what is not kept, because it did not say what it must or because there is no room.
const NOWHERE: u64 = (1 << SLOT_BITS) - 1;

/// Where something is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) kind: Kind,
    pub(crate) shard: usize,
    pub(crate) slot: usize,
}

impl Address {
    /// The number of this address for the `life`th entity of its kind and shard. It comes back after a million of them at the earliest.
    pub(crate) fn number(self, life: u64) -> u64 {
        let kind = match self.kind {
            Kind::Task => 0,
            Kind::Resource => 1,
            Kind::AsyncOp => 2,
        };
        let slot = (self.slot as u64).min(NOWHERE);
        let life = life & ((1 << LIFE_BITS) - 1);
        !0 << MARK | kind << KIND | (self.shard as u64) << SHARD | life << LIFE | slot
    }

    /// Whether something can be kept there.
    pub(crate) fn exists(self) -> bool {
        (self.slot as u64) < NOWHERE
    }

    /// The address of `number`, if it is one that the store gave out.
    #[inline]
    pub(crate) fn of(number: u64) -> Option<Self> {
        if !is_marked(number) {
            return None;
        }
        let bits = |from: u32, count: u32| usize::try_from(number >> from & ((1 << count) - 1)).unwrap_or_default();
        let kind = match bits(KIND, KIND_BITS) {
            0 => Kind::Task,
            1 => Kind::Resource,
            _ => Kind::AsyncOp,
        };
        Some(Self { kind, shard: bits(SHARD, SHARD_BITS), slot: bits(0, SLOT_BITS) })
    }
}

/// Whether a number looks as if the store had given it out.
#[inline]
pub(crate) fn is_marked(number: u64) -> bool {
    number >> MARK == !0 >> MARK
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_leads_back_to_its_address() {
        for kind in [Kind::Task, Kind::Resource, Kind::AsyncOp] {
            for (shard, slot) in [(0, 0), (MOST_SHARDS - 1, 0), (3, (1 << SLOT_BITS) - 2)] {
                let address = Address { kind, shard, slot };
                for life in [0, 1, 1 << 40] {
                    assert_eq!(Address::of(address.number(life)), Some(address));
                }
            }
        }
    }

    #[test]
    fn two_entities_of_a_slot_have_two_numbers() {
        let address = Address { kind: Kind::Task, shard: 1, slot: 2 };
        assert_ne!(address.number(7), address.number(8));
    }

    #[test]
    fn numbers_of_a_registry_are_not_taken_for_addresses() {
        assert_eq!(Address::of(1), None);
        assert_eq!(Address::of(0x7_0000_0000_0001), None);
    }

    #[test]
    fn what_has_no_room_is_nowhere() {
        let address = Address { kind: Kind::Task, shard: 0, slot: usize::MAX };
        assert!(!address.exists());
        assert!(!Address::of(address.number(0)).is_some_and(Address::exists));
    }
}
