//! Reads what the shared catalogs say about roles, in ways that work before a database is selected.
//!
//! During a login only these may be read: pg_authid by name or oid, pg_auth_members by member,
//! pg_shseclabel by object. Their relations are nailed in the relation cache for that purpose.
//! Anything else works while the caches are warm, and after a crash fails with "cannot read
//! pg_class without having selected a database".

mod label;
mod marker;
pub(crate) mod membership;
mod role;

pub(crate) use crate::catalog::label::{
    INTERNAL_PROVIDER, Link, OWN_PROVIDER, PROVIDER, associated_tenant, is_linked, label_text, labelled_by,
    link_of, linked_objects, links_and_marks, mark_of, not_before_of, own_label, revocations,
};
pub(crate) use crate::catalog::marker::{
    ADMIN_ROLE, Standing, USER_ROLE, administrator_ids, any_link, holds_admin_role, is_marker,
    is_superuser_apart, labelled_roles, markers, standing_of,
};
pub(crate) use crate::catalog::role::{
    Role, all_roles, allows_connections, has_password, holds_while_named, is_unlimited, role_named, role_of,
};
pub(crate) use crate::pg::acl::{forget_memberships, is_member};
pub(crate) use crate::pg::syscache::{accept_changes, announce_change};
