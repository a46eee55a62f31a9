-- From version 0.1.0 to 0.2.0: the directory.
--
-- Until this has run, the objects of version 0.1.0 work with the library of 0.2.0.
--
-- What sql/install creates anew stands here too, word for word, with its REVOKE and its COMMENT. What
-- changes is replaced (CREATE OR REPLACE keeps grants, labels and what depends on the object): a
-- function keeps the types of its parameters, a view gets new columns at its end. Grants that
-- sql/install/roles.sql makes are made at the end. `an_upgraded_extension_is_a_fresh_one`
-- (tests/cases/link/extension_upgrade.rs) compares the outcome with a fresh installation.
\echo Use "ALTER EXTENSION azure_ad_auth UPDATE TO '0.2.0'" to load this file. \quit

-- sql/install/link.sql

CREATE OR REPLACE FUNCTION set_admin(role_name text, object_id uuid DEFAULT NULL, object_type text DEFAULT NULL)
RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'set_admin_wrapper';

CREATE FUNCTION directory_lookup(
  name text, object_type text DEFAULT NULL,
  OUT object_id uuid, OUT object_type text, OUT name text, OUT enabled boolean, OUT detail text)
RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'directory_lookup_wrapper';
REVOKE ALL ON FUNCTION directory_lookup(text, text) FROM PUBLIC;
COMMENT ON FUNCTION directory_lookup(text, text) IS
  'every object of the directory that a name, mail address, client id or object id could mean; links nothing';

-- sql/install/azure.sql

COMMENT ON FUNCTION pg_catalog.pgaadauth_create_principal(text, boolean, boolean) IS
  'Azure''s name: creates a role and links it to the directory object of that name; an error while the directory is off';

-- sql/install/roles.sql

GRANT EXECUTE ON FUNCTION directory_lookup(text, text) TO azure_ad_admin;
