//! The user and the groups that this process has in the operating system.

/// Returns whether files of this user are as trustworthy as the server itself: root's, and those of
/// the user that the server runs as.
#[expect(unsafe_code, reason = "std has no wrapper for this")]
pub(crate) fn is_trusted_user(user: u32) -> bool {
    // SAFETY: always succeeds.
    user == 0 || user == unsafe { libc::geteuid() }
}

/// Returns whether a group is root's, or one that this process is in.
#[expect(unsafe_code, reason = "std has no wrapper for this")]
pub(crate) fn is_trusted_group(group: u32) -> bool {
    // SAFETY: always succeeds.
    if group == 0 || group == unsafe { libc::getegid() } {
        return true;
    }
    // SAFETY: a length of 0 only asks how many there are.
    let count = unsafe { libc::getgroups(0, std::ptr::null_mut()) };
    let mut groups = vec![0; usize::try_from(count).unwrap_or(0)];
    // SAFETY: there is room for as many as are announced.
    let count = unsafe { libc::getgroups(count, groups.as_mut_ptr()) };
    // Nothing was written if there are more by now: then none counts.
    usize::try_from(count).is_ok_and(|count| groups.iter().take(count).any(|own| *own == group))
}
