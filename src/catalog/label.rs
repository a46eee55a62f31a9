//! Reads the labels of roles.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CStr;

use entra::{Label, LabelFault, Mark, PrincipalKind, Revocations, Uuid};
use pgrx::prelude::*;

use crate::catalog::marker::{ADMIN_ROLE, USER_ROLE};
use crate::catalog::role::{Role, role_named, role_of};
use crate::pg::security_label;
use crate::pg::shared_relation::SHARED_LABELS;
use crate::pg::text;

/// The label provider, Azure's own.
pub(crate) const PROVIDER: &CStr = c"pgaadauth";
/// The second label provider of Azure. Its labels add to a link what the role's own label does not
/// say: its tenant, and since when its tokens count.
pub(crate) const INTERNAL_PROVIDER: &CStr = c"pgaadauth-int";
/// The label provider of this extension: which roles administrators have created, what the
/// synchronisation of groups has done, and whose tokens no longer count.
pub(crate) const OWN_PROVIDER: &CStr = c"azure_ad_auth";

/// What the labels of a role say about its link.
#[derive(Debug, Clone)]
pub(crate) enum Link {
    /// No label.
    None,
    /// A label that names no directory object.
    Unbound,
    /// A label that names one.
    Bound(Label),
    /// A label that could not have been set through this library.
    Unreadable(LabelFault),
}

/// Returns the text of a role's label.
pub(crate) fn label_text(role: pg_sys::Oid, provider: &CStr) -> Option<String> {
    security_label::get(role, provider).map(|label| text::decode(label.to_bytes()))
}

/// Returns what a role's labels say. Both are read, and what either demands of a token is demanded.
pub(crate) fn link_of(role: pg_sys::Oid) -> Link {
    let [own, internal] = labels_of(role, [PROVIDER, INTERNAL_PROVIDER]);
    link_from(own, internal)
}

fn link_from(own: Option<String>, internal: Option<String>) -> Link {
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

/// Returns whether a role's labels name a directory object.
pub(crate) fn is_linked(role: pg_sys::Oid) -> bool {
    matches!(link_of(role), Link::Bound(_))
}

/// Returns from when on a role's tokens count, be it linked or not.
pub(crate) fn not_before_of(role: pg_sys::Oid) -> Option<i64> {
    let [own, internal] = labels_of(role, [PROVIDER, INTERNAL_PROVIDER]);
    let own = own.and_then(|text| Label::parse_written(&text).ok()?.not_before);
    own.max(internal.and_then(|text| Label::parse_internal(&text).ok()?.not_before))
}

/// Returns what a role's own label says, without its second label.
pub(crate) fn own_label(role: pg_sys::Oid) -> Option<Label> {
    Label::parse_written(&label_text(role, PROVIDER)?).ok()
}

/// Returns what this extension's own label remembers about a role; none: it cannot be read.
pub(crate) fn mark_of(role: pg_sys::Oid) -> Option<Mark> {
    mark_from(label_text(role, OWN_PROVIDER))
}

fn mark_from(text: Option<String>) -> Option<Mark> {
    text.map_or_else(|| Some(Mark::default()), |text| Mark::parse(&text))
}

/// Returns the links and the marks of all roles that have a label, by oid. Reads every label there
/// is, and nothing else.
pub(crate) fn links_and_marks() -> BTreeMap<u32, (Link, Option<Mark>)> {
    let providers = [PROVIDER, INTERNAL_PROVIDER, OWN_PROVIDER];
    let labels = SHARED_LABELS.rows(&[], |label| {
        let provider = label.get::<Vec<u8>>(3)?;
        let place = providers.iter().position(|name| name.to_bytes() == provider)?;
        let is_role = label.get::<pg_sys::Oid>(2)? == pg_sys::AuthIdRelationId;
        let role = label.get::<pg_sys::Oid>(1).filter(|_| is_role)?;
        Some((role.to_u32(), place, text::decode(&label.get::<Vec<u8>>(4)?)))
    });
    let mut by_role: BTreeMap<u32, [Option<String>; 3]> = BTreeMap::new();
    for (role, place, text) in labels {
        if let Some(label) = by_role.entry(role).or_default().get_mut(place) {
            *label = Some(text);
        }
    }
    let read = |[own, internal, mark]: [Option<String>; 3]| (link_from(own, internal), mark_from(mark));
    by_role.into_iter().map(|(role, labels)| (role, read(labels))).collect()
}

/// Returns the objects whose tokens no longer count: a label of `azure_ad_user`. None: it cannot be
/// read.
pub(crate) fn revocations() -> Option<Revocations> {
    let text = role_named(USER_ROLE).and_then(|user| label_text(user.id, OWN_PROVIDER));
    text.map_or_else(|| Some(Revocations::default()), |text| Revocations::parse(&text))
}

/// Returns the tenant that this server is associated with: a label of `azure_ad_admin`, there while
/// an administrator is.
pub(crate) fn associated_tenant() -> Option<Uuid> {
    let admin = role_named(ADMIN_ROLE)?;
    Label::parse_written(&label_text(admin.id, PROVIDER)?).ok()?.tenant_id
}

/// Returns the roles that have a label of one of these providers, each once, by oid.
pub(crate) fn labelled_by(providers: &[&CStr]) -> Vec<Role> {
    let ids = SHARED_LABELS.rows(&[], |label| {
        let provider = label.get::<Vec<u8>>(3)?;
        let ours = providers.iter().any(|name| name.to_bytes() == provider);
        let is_role = label.get::<pg_sys::Oid>(2)? == pg_sys::AuthIdRelationId;
        label.get::<pg_sys::Oid>(1).filter(|_| is_role && ours)
    });
    let ids: BTreeSet<_> = ids.into_iter().map(pg_sys::Oid::to_u32).collect();
    ids.into_iter().map(pg_sys::Oid::from).filter_map(role_of).collect()
}

/// Most linked objects that are looked at in the directory.
const MAX_LINKED: usize = 250_000;

/// Returns the roles whose own label names a directory object, with the object and its kind, in no
/// order; at most so many that they fit into the memory of a worker. Reads every label there is,
/// and nothing else.
pub(crate) fn linked_objects() -> Vec<(pg_sys::Oid, Uuid, Option<PrincipalKind>)> {
    let room = Cell::new(MAX_LINKED);
    SHARED_LABELS.rows(&[], |label| {
        let is_own = label.get::<Vec<u8>>(3)? == PROVIDER.to_bytes();
        let is_role = label.get::<pg_sys::Oid>(2)? == pg_sys::AuthIdRelationId;
        if !is_own || !is_role || room.get() == 0 {
            return None;
        }
        let role = label.get::<pg_sys::Oid>(1)?;
        let label = Label::parse_written(&text::decode(&label.get::<Vec<u8>>(4)?)).ok()?;
        let object = label.object_id?;
        room.set(room.get() - 1);
        Some((role, object, label.kind))
    })
}

/// Returns the labels of a role by these providers, in one look.
fn labels_of<const N: usize>(role: pg_sys::Oid, providers: [&CStr; N]) -> [Option<String>; N] {
    let mut labels = [const { None }; N];
    let found = SHARED_LABELS.rows(&[role, pg_sys::AuthIdRelationId], |label| {
        let provider = label.get::<Vec<u8>>(3)?;
        let place = providers.iter().position(|name| name.to_bytes() == provider)?;
        Some((place, text::decode(&label.get::<Vec<u8>>(4)?)))
    });
    for (place, label) in found {
        if let Some(text) = labels.get_mut(place) {
            *text = Some(label);
        }
    }
    labels
}
