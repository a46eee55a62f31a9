//! Dumps of roles, and servers to restore them on.

use testbed::cluster::Cluster;
use testbed::idp::Provider;
use testbed::issuer::{APPLICATION, GROUP, PERSON, TENANT};
use testbed::scene::{ADMIN, Scene, provider};

/// Everything that links, and that follows from a link, as text.
pub(crate) const FACTS: &str = "SELECT string_agg(line, E'\\n' ORDER BY line) FROM ( \
    SELECT 'role ' || rolname || rolcanlogin || rolcreaterole || rolcreatedb || (rolpassword IS NULL) AS line \
    FROM pg_authid WHERE rolname !~ '^pg_' \
    UNION ALL SELECT 'label ' || objoid::regrole || provider || label FROM pg_shseclabel \
    UNION ALL SELECT 'member ' || roleid::regrole || member::regrole || grantor::regrole || admin_option \
    FROM pg_auth_members WHERE roleid::regrole::text !~ '^pg_' \
    UNION ALL SELECT 'setting ' || setrole::regrole || coalesce(datname, '') || unnest(setconfig) \
    FROM pg_db_role_setting LEFT JOIN pg_database d ON d.oid = setdatabase) _";

/// Starts a server without the extension.
pub(crate) fn server_without_extension() -> (Cluster, Provider) {
    let provider = provider();
    let cluster = Scene::new().keys_from(&provider).create();
    cluster.start();
    (cluster, provider)
}

/// Returns what `pg_dumpall -r` writes about the roles of a Flexible Server: two labels each, no
/// role azure_ad_user.
pub(crate) fn flexible_dump() -> String {
    let role = |name: &str, attributes: &str, label: &str, kind: &str, object: &str| {
        format!(
            "CREATE ROLE \"{name}\";\n\
             ALTER ROLE \"{name}\" WITH NOSUPERUSER INHERIT {attributes} LOGIN NOREPLICATION NOBYPASSRLS;\n\
             SECURITY LABEL FOR pgaadauth ON ROLE \"{name}\" IS '{label}';\n\
             SECURITY LABEL FOR \"pgaadauth-int\" ON ROLE \"{name}\" IS 'type={kind},oid={object},tenant_id={TENANT}';\n"
        )
    };
    let plain = "NOCREATEROLE NOCREATEDB";
    [
        "CREATE ROLE azure_pg_admin;\nALTER ROLE azure_pg_admin WITH NOLOGIN;\n".to_owned(),
        role("admin@contoso.example", "CREATEROLE CREATEDB", "aadauth,admin", "user", ADMIN),
        role("ann@contoso.example", plain, "aadauth", "user", PERSON),
        role("Database Readers", plain, "aadauth", "group", GROUP),
        role("billing", plain, "aadauth", "service", APPLICATION),
        "GRANT azure_pg_admin TO \"admin@contoso.example\";\n".to_owned(),
    ]
    .concat()
}

pub(crate) fn not_handed_over(role: &str) -> String {
    format!(
        "notice role \"{role}\" was created by an Azure AD administrator elsewhere, on Azure or before PostgreSQL 16, and administrators here cannot \
         manage it yet"
    )
}
