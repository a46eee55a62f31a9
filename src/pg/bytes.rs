//! Texts of bounded length for shared memory, which has no pointers in it.

/// At most `N` bytes, in place.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Bytes<const N: usize> {
    length: u16,
    bytes: [u8; N],
}

impl<const N: usize> Bytes<N> {
    pub(crate) const EMPTY: Self = Self { length: 0, bytes: [0; N] };

    /// Returns a copy of `source`; none if it does not fit.
    pub(crate) fn new(source: &[u8]) -> Option<Self> {
        let mut copy = Self { length: u16::try_from(source.len()).ok()?, ..Self::EMPTY };
        copy.bytes.get_mut(..source.len())?.copy_from_slice(source);
        Some(copy)
    }

    /// Returns as much of `text` as fits, cut between characters.
    pub(crate) fn cut(text: &str) -> Self {
        let mut end = text.len().min(N);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.get(..end).and_then(|text| Self::new(text.as_bytes())).unwrap_or(Self::EMPTY)
    }

    pub(crate) fn get(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.length == 0
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(self.get()).into_owned()
    }
}
