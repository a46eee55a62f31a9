//! Numbers that look random and follow from a seed.

/// A generator (splitmix64). The same seed gives the same numbers.
pub(crate) struct Random(u64);

impl Random {
    /// Returns the generator of one connection of a run.
    pub(crate) fn of(seed: u64, number: u64) -> Self {
        let mut random = Self(seed);
        let begin = random.next() ^ number.wrapping_mul(0xD134_2543_DE82_EF95);
        Self(begin)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).expect("a length");
        usize::try_from(self.next() % end).expect("a length")
    }

    /// Returns true so many times in a hundred.
    pub(crate) fn percent(&mut self, times: usize) -> bool {
        self.below(100) < times
    }

    /// Returns one of these.
    pub(crate) fn one<'t, T>(&mut self, of: &'t [T]) -> &'t T {
        &of[self.below(of.len())]
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.byte()).collect()
    }

    /// Returns text of an alphabet.
    pub(crate) fn text(&mut self, alphabet: &[u8], length: usize) -> Vec<u8> {
        (0..length).map(|_| *self.one(alphabet)).collect()
    }

    pub(crate) fn int(&mut self) -> i32 {
        let [a, b, c, d, ..] = self.next().to_le_bytes();
        i32::from_le_bytes([a, b, c, d])
    }

    /// Returns a length: short ones often, and those at which something ends.
    pub(crate) fn length(&mut self) -> usize {
        const ENDS: [usize; 14] =
            [0, 1, 23, 63, 64, 255, 256, 1_023, 4_096, 9_995, 10_000, 65_530, 65_535, 70_000];
        if self.percent(30) { *self.one(&ENDS) } else { self.below(400) }
    }
}
