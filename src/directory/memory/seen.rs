//! The ids that the last look has found active, as a filter: an id that it does not have was not
//! among them; one that it has was, but for one in some hundred where 100,000 are linked. Views
//! show it; no login is decided by it.

use entra::Uuid;

use crate::pg::shmem::Locked;

/// A block of the filter: the bits of an id are all in one.
type Block = [u64; 8];

/// Number of blocks: with 100,000 ids there are 13 bits for each.
const BLOCKS: usize = 2_560;

/// Bits that are set for an id.
const BITS: u32 = 6;

/// What the filter takes.
pub(super) const BYTES: usize = BLOCKS * size_of::<Block>();

pub(super) static SEEN: Locked<(), Block> =
    Locked::with_slots(c"azure_ad_auth_directory_seen", || (), || BLOCKS, || [0; 8]);

/// A filter that is being made.
pub(in crate::directory) struct Filter(Vec<Block>);

impl Filter {
    /// Returns a filter without ids.
    pub(in crate::directory) fn new() -> Self {
        Self(vec![[0; 8]; BLOCKS])
    }

    /// Adds an id.
    pub(in crate::directory) fn add(&mut self, id: Uuid) {
        let (block, bits) = place(id);
        let words = self.0.get_mut(block).into_iter().flatten();
        words.zip(bits).for_each(|(word, bits)| *word |= bits);
    }

    /// Has it take the place of the one that is there.
    pub(in crate::directory) fn publish(&self) {
        let mut seen = SEEN.exclusive();
        let ((), blocks) = seen.parts();
        blocks.iter_mut().zip(&self.0).for_each(|(place, block)| *place = *block);
    }
}

/// Returns whether an id is, in all likelihood, among those that were added.
pub(in crate::directory) fn has(id: Uuid) -> bool {
    let (block, bits) = place(id);
    SEEN.share().slots().get(block).is_some_and(|block| is_in(block, bits))
}

fn is_in(block: &Block, bits: Block) -> bool {
    block.iter().zip(bits).all(|(word, bits)| word & bits == bits)
}

/// Returns the block of an id, and its bits there.
fn place(id: Uuid) -> (usize, Block) {
    let id = id.as_u128();
    let mixed = (id ^ id >> 67).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
    let mut bits = [0; 8];
    for number in 0..BITS {
        let bit = usize::try_from(mixed >> (16 + 9 * number) & 511).unwrap_or_default();
        if let Some(word) = bits.get_mut(bit / 64) {
            *word |= 1 << (bit % 64);
        }
    }
    (usize::try_from(mixed >> 112).unwrap_or_default() % BLOCKS, bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_was_added_is_found_and_few_others_are() {
        let id =
            |number: u128| Uuid::from_u128(number.wrapping_mul(0xDEAD_BEEF_0000_0001_0000_0001_1234_5677));
        let mut filter = Filter::new();
        (0..100_000).for_each(|number| filter.add(id(number)));
        let has = |id| {
            let (block, bits) = place(id);
            filter.0.get(block).is_some_and(|block| is_in(block, bits))
        };
        assert!((0..100_000).all(|number| has(id(number))));
        let wrong = (100_000..200_000).filter(|number| has(id(*number))).count();
        assert!(wrong < 1_500, "{wrong} of 100,000");
    }
}
