//! What the shared catalogs say about roles, read in ways that work before a database is selected.
//!
//! During a login only these may be read: pg_authid by name or oid, pg_auth_members by member, pg_shseclabel by object.
//! Their relations are nailed in the relation cache for that purpose. Anything else works while the caches are warm, and
//! after a crash fails with "cannot read pg_class without having selected a database".

pub(crate) mod membership;
pub(crate) mod shared_scan;

use std::ffi::{CStr, CString};

use entra::{Label, LabelFault, Revocations};
use pgrx::prelude::*;

use crate::pg::spi::quoted_name;
use crate::pg::text;

/// The role that marks Azure AD roles.
pub(crate) const USER_ROLE: &CStr = c"azure_ad_user";
/// The role of administrators; a member of [`USER_ROLE`].
pub(crate) const ADMIN_ROLE: &CStr = c"azure_ad_admin";
/// The label provider, Azure's own.
pub(crate) const PROVIDER: &CStr = c"pgaadauth";
/// The second label provider of Azure: what is found out about a link that its own label does not say, as its tenant, and since
/// when its tokens count.
pub(crate) const INTERNAL_PROVIDER: &CStr = c"pgaadauth-int";

/// Our own label provider: which roles administrators have made, and whose tokens no longer count.
pub(crate) const OWN_PROVIDER: &CStr = c"azure_ad_auth";

/// A row of pg_authid.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, clippy::struct_field_names, reason = "as the catalog has them")]
pub(crate) struct Role {
    pub(crate) id: pg_sys::Oid,
    pub(crate) name: CString,
    pub(crate) superuser: bool,
    pub(crate) replication: bool,
    pub(crate) bypass_rls: bool,
    pub(crate) can_login: bool,
    pub(crate) create_role: bool,
    pub(crate) create_db: bool,
    pub(crate) inherit: bool,
}

impl Role {
    /// The name, for messages.
    pub(crate) fn display_name(&self) -> String {
        text::decode(self.name.to_bytes())
    }

    /// The name as it is written in a statement, in its own bytes.
    pub(crate) fn quoted(&self) -> Vec<u8> {
        quoted_name(&self.name)
    }

    /// Could step around what guards an Azure AD role, and so can be none.
    pub(crate) const fn is_privileged(&self) -> bool {
        self.superuser || self.replication || self.bypass_rls
    }
}

/// What links a role, if anything does.
#[derive(Debug, Clone)]
pub(crate) enum Link {
    /// No label.
    None,
    /// A label that names no directory object.
    Unbound,
    /// A label that names one.
    Bound(Label),
    /// A label nobody could have set through this library.
    Unreadable(LabelFault),
}

/// What a role is to us.
#[derive(Debug, Clone)]
pub(crate) enum Standing {
    /// None of ours.
    Local,
    /// `azure_ad_user` or `azure_ad_admin` itself.
    Marker,
    /// A member of `azure_ad_user`, directly or not, without a link.
    Inherited,
    /// Linked to a directory object.
    Linked(Label),
}

/// The role of a name.
pub(crate) fn role_named(name: &CStr) -> Option<Role> {
    find(pg_sys::SysCacheIdentifier::AUTHNAME, pg_sys::Datum::from(name.as_ptr()))
}

/// The role of an oid.
pub(crate) fn role_of(id: pg_sys::Oid) -> Option<Role> {
    find(pg_sys::SysCacheIdentifier::AUTHOID, pg_sys::Datum::from(id))
}

#[expect(unsafe_code, clippy::cast_ptr_alignment, reason = "reads the catalog cache, whose rows are aligned")]
fn find(cache: pg_sys::SysCacheIdentifier::Type, key: pg_sys::Datum) -> Option<Role> {
    // SAFETY: the key is of the cache's type; the tuple is pinned until it is released and everything is copied from it.
    unsafe {
        let tuple = pg_sys::SearchSysCache1(cache.cast_signed(), key);
        if tuple.is_null() {
            return None;
        }
        let form = &*pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_authid>();
        let role = Role {
            id: form.oid,
            name: CStr::from_ptr(form.rolname.data.as_ptr()).to_owned(),
            superuser: form.rolsuper,
            replication: form.rolreplication,
            bypass_rls: form.rolbypassrls,
            can_login: form.rolcanlogin,
            create_role: form.rolcreaterole,
            create_db: form.rolcreatedb,
            inherit: form.rolinherit,
        };
        pg_sys::ReleaseSysCache(tuple);
        Some(role)
    }
}

/// Whether a password is stored for a role.
pub(crate) fn has_password(role: pg_sys::Oid) -> bool {
    attribute::<pg_sys::Datum>(role, pg_sys::Anum_pg_authid_rolpassword).is_some()
}

/// Whether a role can be used at any time and by any number of sessions, as it is when it has just been created.
pub(crate) fn is_unlimited(role: pg_sys::Oid) -> bool {
    // No statement makes it null again, which `infinity` is as good as.
    let until = attribute::<i64>(role, pg_sys::Anum_pg_authid_rolvaliduntil);
    attribute::<i32>(role, pg_sys::Anum_pg_authid_rolconnlimit) == Some(-1)
        && until.is_none_or(|until| until == i64::MAX)
}

/// A column of pg_authid; none if it is null, or there is no such role. `T` is of its type, by value.
#[expect(unsafe_code, reason = "reads the catalog cache")]
fn attribute<T: FromDatum>(role: pg_sys::Oid, column: u32) -> Option<T> {
    let cache = pg_sys::SysCacheIdentifier::AUTHOID.cast_signed();
    let column = i16::try_from(column).ok()?;
    let mut is_null = false;
    // SAFETY: the key is of the cache's type; the tuple is pinned until it is released, and a plain value is read from it.
    unsafe {
        let tuple = pg_sys::SearchSysCache1(cache, pg_sys::Datum::from(role));
        if tuple.is_null() {
            return None;
        }
        let datum = pg_sys::SysCacheGetAttr(cache, tuple, column, &raw mut is_null);
        let value = T::from_datum(datum, is_null);
        pg_sys::ReleaseSysCache(tuple);
        value
    }
}

/// Takes in what other processes have committed, so that the next look at the catalogs sees it.
#[expect(unsafe_code, reason = "no safe wrapper")]
pub(crate) fn accept_changes() {
    // SAFETY: called within a transaction, as every login and statement is.
    unsafe { pg_sys::AcceptInvalidationMessages() }
}

/// Whether something holds of a role while it goes by a name. `look` asks core, which looks the
/// name up by itself: between two looks the name may have gone to another role and come back. What
/// was read counts when nothing that others have committed was taken in meanwhile, for until then
/// one name means one role to this process. False where others never leave it in peace.
#[expect(unsafe_code, reason = "reads a counter of the server's")]
pub(crate) fn holds_while_named(role: pg_sys::Oid, name: &CStr, look: impl Fn() -> bool) -> bool {
    const TRIES: usize = 100;
    // SAFETY: a plain value of the main thread: how many messages about changes it has taken in.
    let taken_in = || unsafe { pg_sys::SharedInvalidMessageCounter };
    for _ in 0..TRIES {
        accept_changes();
        if role_named(name).is_none_or(|named| named.id != role) {
            return false;
        }
        let before = taken_in();
        let still_named = role_named(name).is_some_and(|named| named.id == role);
        let holds = still_named && look();
        if taken_in() == before {
            return holds;
        }
    }
    false
}

/// Membership as pg_hba.conf sees it for `+role`: direct or not, and superusers are members of nothing by being superusers.
#[expect(unsafe_code, reason = "no safe wrapper")]
pub(crate) fn is_member(member: pg_sys::Oid, role: pg_sys::Oid) -> bool {
    // SAFETY: reads the catalog cache; both may name no role.
    unsafe { pg_sys::is_member_of_role_nosuper(member, role) }
}

/// Has core forget who is a member of what, so that it looks again when it is next asked.
///
/// acl.c keeps the roles that one role is a member of, namely the role it was last asked about: one
/// list for membership, one for inherited privileges, and from 16 on one for SET ROLE. It drops
/// them when a membership changes, but not before initialize_acl(), which comes after
/// authentication. A list from before that would be believed for the whole session, whatever was
/// revoked while the client was at the prompt. Asked about no role at all, it replaces each list
/// and keeps nothing.
#[expect(unsafe_code, reason = "no safe wrapper")]
pub(crate) fn forget_memberships() {
    // Any other: of two equal ones core says that they are members of each other without looking.
    let (nobody, another) = (pg_sys::InvalidOid, pg_sys::AuthIdRelationId);
    // SAFETY: these read the catalog cache; both may name no role.
    unsafe {
        pg_sys::is_member_of_role_nosuper(nobody, another);
        pg_sys::has_privs_of_role(nobody, another);
        #[cfg(not(feature = "pg15"))]
        pg_sys::member_can_set_role(nobody, another);
    }
}

/// Whether a role is a superuser and no member of `azure_ad_user`. Reads no label.
pub(crate) fn is_superuser_apart(role: &Role) -> bool {
    let is_ours = |role: &Role| role_named(USER_ROLE).is_some_and(|user| is_member(role.id, user.id));
    role.superuser && !is_marker(role) && !is_ours(role)
}

/// The text of a role's label.
#[expect(unsafe_code, reason = "no safe wrapper")]
pub(crate) fn label_text(role: pg_sys::Oid, provider: &CStr) -> Option<String> {
    let object = object_address(role);
    // SAFETY: the result is null or a palloc'd C string of ours, copied and freed at once.
    unsafe {
        let label = pg_sys::GetSecurityLabel(&raw const object, provider.as_ptr());
        if label.is_null() {
            return None;
        }
        let copy = text::decode(CStr::from_ptr(label).to_bytes());
        pg_sys::pfree(label.cast());
        Some(copy)
    }
}

/// How the catalogs name a role.
pub(crate) const fn object_address(role: pg_sys::Oid) -> pg_sys::ObjectAddress {
    pg_sys::ObjectAddress { classId: pg_sys::AuthIdRelationId, objectId: role, objectSubId: 0 }
}

/// What a role's labels say. Both are read, and what either demands of a token is demanded.
pub(crate) fn link_of(role: pg_sys::Oid) -> Link {
    let [own, internal] = shared_scan::labels_of(role, [PROVIDER, INTERNAL_PROVIDER]);
    let Some(own) = own else { return Link::None };
    let internal = internal.map_or_else(|| Ok(Label::default()), |text| Label::parse_internal(&text));
    match (Label::parse_written(&own), internal) {
        (Err(fault), _) | (_, Err(fault)) => Link::Unreadable(fault),
        (Ok(own), Ok(internal)) => {
            let label = own.completed_by(&internal);
            if label.object_id.is_some() { Link::Bound(label) } else { Link::Unbound }
        }
    }
}

/// From when on a role's tokens count, be it linked or not.
pub(crate) fn not_before_of(role: pg_sys::Oid) -> Option<i64> {
    let [own, internal] = shared_scan::labels_of(role, [PROVIDER, INTERNAL_PROVIDER]);
    let own = own.and_then(|text| Label::parse_written(&text).ok()?.not_before);
    own.max(internal.and_then(|text| Label::parse_internal(&text).ok()?.not_before))
}

/// What a role's own label says by itself, whatever has been found out besides.
pub(crate) fn own_label(role: pg_sys::Oid) -> Option<Label> {
    Label::parse_written(&label_text(role, PROVIDER)?).ok()
}

/// Objects whose tokens no longer count: a label of `azure_ad_user`. None: it cannot be read.
pub(crate) fn revocations() -> Option<Revocations> {
    let text = role_named(USER_ROLE).and_then(|user| label_text(user.id, OWN_PROVIDER));
    text.map_or_else(|| Some(Revocations::default()), |text| Revocations::parse(&text))
}

/// Tells every process, on standbys too, that something about a role has changed: labels alone tell nobody.
#[expect(unsafe_code, reason = "no safe wrapper")]
pub(crate) fn announce_change(role: pg_sys::Oid) {
    let (cache, none) = (pg_sys::SysCacheIdentifier::AUTHOID.cast_signed(), std::ptr::null_mut());
    // SAFETY: within a transaction, with whose commit it is told; the tuple is pinned until it is released.
    unsafe {
        let tuple = pg_sys::SearchSysCache1(cache, pg_sys::Datum::from(role));
        if tuple.is_null() {
            return;
        }
        let lock = pg_sys::AccessShareLock.cast_signed();
        let relation = pg_sys::table_open(pg_sys::AuthIdRelationId, lock);
        pg_sys::CacheInvalidateHeapTuple(relation, tuple, none);
        pg_sys::table_close(relation, lock);
        pg_sys::ReleaseSysCache(tuple);
    }
}

/// Whether a role's labels name a directory object.
pub(crate) fn is_linked(role: pg_sys::Oid) -> bool {
    matches!(link_of(role), Link::Bound(_))
}

/// Whether it is `azure_ad_user` or `azure_ad_admin`.
pub(crate) fn is_marker(role: &Role) -> bool {
    [USER_ROLE, ADMIN_ROLE].contains(&role.name.as_c_str())
}

/// What a role is to us. A label that cannot be read makes it an Azure AD role without a link: nobody gets in by it.
pub(crate) fn standing_of(role: &Role) -> Standing {
    if is_marker(role) {
        return Standing::Marker;
    }
    match link_of(role.id) {
        Link::Bound(label) => Standing::Linked(label),
        Link::Unreadable(_) => Standing::Inherited,
        Link::None | Link::Unbound => match role_named(USER_ROLE) {
            Some(user) if is_member(role.id, user.id) => Standing::Inherited,
            _ => Standing::Local,
        },
    }
}

/// The tenant this server is associated with: a label of `azure_ad_admin`, there while an administrator is.
pub(crate) fn associated_tenant() -> Option<entra::Uuid> {
    let admin = role_named(ADMIN_ROLE)?;
    Label::parse_written(&label_text(admin.id, PROVIDER)?).ok()?.tenant_id
}
