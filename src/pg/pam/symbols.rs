//! Hides this library's entries for libpam from other modules of PAM.
//!
//! PostgreSQL loads a library into the global scope of the process. There `pam_sm_authenticate` and
//! its like come before those of every other library, and a module that calls one of its own
//! through the table of its calls to other libraries (pam_access, pam_succeed_if, pam_listfile and
//! more do) would call this library's: a rule about accounts would be asked of this library
//! instead, in services that have nothing to do with it.
//!
//! ELF has a kind of symbol that dlsym() finds, as libpam looks for its entries, and a call through
//! a procedure linkage table does not: one that is undefined and has a value all the same (System V
//! ABI, AMD64 supplement, "Function Addresses"; glibc and musl heed it on every architecture). That
//! is how distributions build such modules; one built with -fno-plt, or which takes its own
//! function's address, would still find this library's. No linker makes one in a library, so the
//! entries are made such in the memory of this library, before any backend is forked. No other
//! library's memory is written to.

use std::ffi::{CStr, c_char, c_void};
use std::mem::size_of;
use std::ops::Range;

use libc::{Elf64_Ehdr, Elf64_Phdr, Elf64_Sym};

/// How the names of the entries begin that libpam looks for.
const PREFIX: &[u8] = b"pam_sm_";

const SHN_UNDEF: u16 = 0;

/// Tags of the dynamic section (elf.h).
const DT_STRTAB: i64 = 5;
const DT_SYMTAB: i64 = 6;
const DT_GNU_HASH: i64 = 0x6fff_fef5;

/// An entry of the dynamic section.
#[repr(C)]
struct Dyn {
    tag: i64,
    value: u64,
}

/// The table of this library's symbols.
struct Table {
    symbols: *mut Elf64_Sym,
    names: *const c_char,
    count: usize,
}

/// Hides the entries. In the postmaster only, while it loads its libraries.
///
/// # Errors
/// Says why they stay visible.
pub(crate) fn conceal() -> Result<(), &'static str> {
    let base = base().ok_or("the library does not find itself in memory")?;
    let table = table(base)?;
    let range = table.bytes();
    let segment = segment_of(base, &range).ok_or("the library's symbols lie in no segment")?;
    if segment.p_flags & (libc::PF_W | libc::PF_X) != 0 {
        return Err("the library's symbols lie beside its code");
    }
    let pages = pages_of(&range);
    protect(&pages, libc::PROT_READ | libc::PROT_WRITE)?;
    let concealed = table.conceal();
    protect(&pages, libc::PROT_READ)?;
    if concealed == 0 { Err("the library has no entries for PAM") } else { Ok(()) }
}

/// Returns where this library begins in memory.
#[expect(unsafe_code, reason = "asks the dynamic linker")]
fn base() -> Option<usize> {
    // SAFETY: an address within this library, and a structure to fill.
    unsafe {
        let mut found: libc::Dl_info = std::mem::zeroed();
        let here = conceal as fn() -> Result<(), &'static str> as *const c_void;
        (libc::dladdr(here, &raw mut found) != 0).then_some(found.dli_fbase as usize)
    }
}

/// Returns the segments, as the program headers list them.
#[expect(unsafe_code, reason = "reads this library's own image")]
fn segments(base: usize) -> &'static [Elf64_Phdr] {
    // SAFETY: a loaded object begins with its ELF header, and the program headers are loaded with
    // it, as the dynamic linker needs them; the library is never unloaded.
    unsafe {
        let header = &*(base as *const Elf64_Ehdr);
        let place = base + usize::try_from(header.e_phoff).unwrap_or(0);
        std::slice::from_raw_parts(place as *const Elf64_Phdr, usize::from(header.e_phnum))
    }
}

fn within(base: usize, segment: &Elf64_Phdr) -> Range<usize> {
    let start = base + usize::try_from(segment.p_vaddr).unwrap_or(0);
    start..start + usize::try_from(segment.p_memsz).unwrap_or(0)
}

fn segment_of(base: usize, range: &Range<usize>) -> Option<&'static Elf64_Phdr> {
    segments(base).iter().find(|segment| {
        let place = within(base, segment);
        segment.p_type == libc::PT_LOAD && place.start <= range.start && range.end <= place.end
    })
}

#[expect(unsafe_code, reason = "reads this library's own image")]
fn table(base: usize) -> Result<Table, &'static str> {
    let dynamic = segments(base).iter().find(|segment| segment.p_type == libc::PT_DYNAMIC);
    let dynamic = within(base, dynamic.ok_or("the library has no dynamic section")?);
    // SAFETY: the section is an array of such entries.
    let entries =
        unsafe { std::slice::from_raw_parts(dynamic.start as *const Dyn, dynamic.len() / size_of::<Dyn>()) };
    let find = |tag: i64| {
        let entry = entries.iter().take_while(|entry| entry.tag != 0).find(|entry| entry.tag == tag);
        let value = usize::try_from(entry.ok_or("the library has no table of symbols")?.value).unwrap_or(0);
        // glibc has added the base already, musl has not.
        Ok::<_, &'static str>(if value < base { base + value } else { value })
    };
    let hash = find(DT_GNU_HASH)? as *const u32;
    let (symbols, names) = (find(DT_SYMTAB)? as *mut Elf64_Sym, find(DT_STRTAB)? as *const c_char);
    // SAFETY: the table that this tag names.
    Ok(Table { symbols, names, count: unsafe { count_of(hash) } })
}

/// Returns how many symbols there are: one more than the last one in the last chain of the hash
/// table, which is the only place that says.
///
/// # Safety
/// A table of DT_GNU_HASH.
#[expect(unsafe_code, reason = "reads this library's own image")]
unsafe fn count_of(hash: *const u32) -> usize {
    // SAFETY: four words; a filter of 64-bit words; the buckets, each the first symbol of a chain;
    // the chains, one word for each symbol from `first` on, odd for the last of a chain.
    unsafe {
        let [buckets, first, filter] = [*hash, *hash.add(1), *hash.add(2)].map(|word| word as usize);
        let bucket = hash.add(4 + filter * 2);
        let chain = bucket.add(buckets);
        let mut last = (0..buckets).map(|n| *bucket.add(n) as usize).max().unwrap_or(0);
        if last < first {
            return first;
        }
        while *chain.add(last - first) & 1 == 0 {
            last += 1;
        }
        last + 1
    }
}

#[expect(unsafe_code, reason = "reads and writes this library's own image")]
impl Table {
    fn bytes(&self) -> Range<usize> {
        let start = self.symbols as usize;
        start..start + self.count * size_of::<Elf64_Sym>()
    }

    /// Hides the entries, and returns how many there were. The table must be writable.
    fn conceal(&self) -> usize {
        let mut concealed = 0;
        for n in 0..self.count {
            // SAFETY: within the table, whose names are offsets of C strings.
            unsafe {
                let symbol = self.symbols.add(n);
                let name = CStr::from_ptr(self.names.add((*symbol).st_name as usize));
                if name.to_bytes().starts_with(PREFIX) && (*symbol).st_shndx != SHN_UNDEF {
                    (*symbol).st_shndx = SHN_UNDEF;
                    concealed += 1;
                }
            }
        }
        concealed
    }
}

#[expect(unsafe_code, reason = "asks the kernel")]
fn pages_of(range: &Range<usize>) -> Range<usize> {
    // SAFETY: has no preconditions.
    let size = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4_096);
    range.start / size * size..range.end.div_ceil(size) * size
}

#[expect(unsafe_code, reason = "asks the kernel")]
fn protect(pages: &Range<usize>, how: i32) -> Result<(), &'static str> {
    // SAFETY: pages of one segment of this library, which is for reading only and in use by one
    // thread.
    let result = unsafe { libc::mprotect(pages.start as *mut c_void, pages.len(), how) };
    if result == 0 { Ok(()) } else { Err("the kernel does not allow it") }
}
