//! The first line of a file that this library writes for its next start: a title, a version, and a
//! checksum of what follows.
//!
//! The checksum detects damage only; a process that can write the file can write the checksum too.

/// The title and the version of a sort of files.
pub(crate) struct Seal {
    /// The beginning of every version.
    pub(crate) title: &'static str,
    /// The version, which stands after it.
    pub(crate) version: &'static str,
}

/// The text after the version, before the checksum in eight hexadecimal digits and a newline.
const CHECKSUM: &str = ", crc32 ";

/// The reason why the content of a file is not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SealFault {
    /// It does not begin with the title.
    OtherTitle,
    /// It has another version.
    OtherVersion,
    /// Its checksum is wrong.
    Damaged,
}

impl Seal {
    /// Puts the first line before a content, which is not checked.
    pub(crate) fn put_on(&self, content: &[u8]) -> Vec<u8> {
        let Self { title, version } = self;
        let line = format!("{title}{version}{CHECKSUM}{:08x}\n", crc32(content));
        [line.as_bytes(), content].concat()
    }

    /// Returns the content after the first line, if that line is right.
    pub(crate) fn open<'b>(&self, bytes: &'b [u8]) -> Result<&'b [u8], SealFault> {
        let rest = bytes.strip_prefix(self.title.as_bytes()).ok_or(SealFault::OtherTitle)?;
        let rest = rest.strip_prefix(self.version.as_bytes()).ok_or(SealFault::OtherVersion)?;
        let rest = rest.strip_prefix(CHECKSUM.as_bytes()).ok_or(SealFault::OtherVersion)?;
        let (checksum, rest) = rest.split_at_checked(8).ok_or(SealFault::Damaged)?;
        let content = rest.strip_prefix(b"\n").ok_or(SealFault::Damaged)?;
        if checksum == format!("{:08x}", crc32(content)).as_bytes() {
            Ok(content)
        } else {
            Err(SealFault::Damaged)
        }
    }
}

/// Returns the CRC-32 of ISO 3309, which zlib and PNG use.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_usual_one() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }
}
