-- Roles and the directory objects they are linked to. The functions decide which caller may change
-- which role (docs/administrators.md, "Who may link which role").
--
-- A view's functions run with the caller's rights, so roles need both.

CREATE FUNCTION set_admin(role_name text, object_id uuid DEFAULT NULL, object_type text DEFAULT NULL)
RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'set_admin_wrapper';
REVOKE ALL ON FUNCTION set_admin(text, uuid, text) FROM PUBLIC;
COMMENT ON FUNCTION set_admin(text, uuid, text) IS
  'makes a role the only Azure AD administrator; creates it if need be';

CREATE FUNCTION remove_admin(role_name text DEFAULT NULL)
RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'remove_admin_wrapper';
REVOKE ALL ON FUNCTION remove_admin(text) FROM PUBLIC;
COMMENT ON FUNCTION remove_admin(text) IS
  'makes one Azure AD administrator, or every one, a plain Azure AD user; without any, token logins are disabled';

CREATE FUNCTION create_principal(
  role_name text, object_id uuid DEFAULT NULL, object_type text DEFAULT NULL,
  is_admin boolean DEFAULT false, is_mfa boolean DEFAULT false)
RETURNS text
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'create_principal_wrapper';
REVOKE ALL ON FUNCTION create_principal(text, uuid, text, boolean, boolean) FROM PUBLIC;
COMMENT ON FUNCTION create_principal(text, uuid, text, boolean, boolean) IS
  'creates a role, or takes one that is not linked, and links it to a directory object';

CREATE FUNCTION update_principal(
  role_name text, object_id uuid DEFAULT NULL, object_type text DEFAULT NULL,
  is_admin boolean DEFAULT false, is_mfa boolean DEFAULT false)
RETURNS text
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'update_principal_wrapper';
REVOKE ALL ON FUNCTION update_principal(text, uuid, text, boolean, boolean) FROM PUBLIC;
COMMENT ON FUNCTION update_principal(text, uuid, text, boolean, boolean) IS
  'links a linked role to another directory object, or on other terms; its grants and what it owns stay';

CREATE FUNCTION link_or_update_principal(
  role_name text, object_id uuid, object_type text, is_admin boolean, is_mfa boolean)
RETURNS text
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'link_or_update_principal_wrapper';
REVOKE ALL ON FUNCTION link_or_update_principal(text, uuid, text, boolean, boolean) FROM PUBLIC;
COMMENT ON FUNCTION link_or_update_principal(text, uuid, text, boolean, boolean) IS
  'what pgaadauth_update_principal_with_oid() does: update_principal(), and for a role that is not linked yet links it';

CREATE FUNCTION drop_principal(role_name text)
RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'drop_principal_wrapper';
REVOKE ALL ON FUNCTION drop_principal(text) FROM PUBLIC;
COMMENT ON FUNCTION drop_principal(text) IS
  'unlinks a role, which stays; its sessions end when this is committed';

CREATE FUNCTION revoke_tokens(role_name text, issued_before timestamptz DEFAULT now())
RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'revoke_tokens_wrapper';
REVOKE ALL ON FUNCTION revoke_tokens(text, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION revoke_tokens(text, timestamptz) IS
  'refuses access tokens for a role that were issued before a time, and ends its sessions that came in with one';

CREATE FUNCTION revoke_principal(object_id uuid)
RETURNS integer
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'revoke_principal_wrapper';
REVOKE ALL ON FUNCTION revoke_principal(uuid) FROM PUBLIC;
COMMENT ON FUNCTION revoke_principal(uuid) IS
  'refuses a directory object''s access tokens issued until now, for every role, groups'' roles too, and ends the sessions that came in with one; returns how many roles are linked to the object';

CREATE FUNCTION directory_lookup(
  name text, object_type text DEFAULT NULL,
  OUT object_id uuid, OUT object_type text, OUT name text, OUT enabled boolean, OUT detail text)
RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'directory_lookup_wrapper';
REVOKE ALL ON FUNCTION directory_lookup(text, text) FROM PUBLIC;
COMMENT ON FUNCTION directory_lookup(text, text) IS
  'every object of the directory that a name, mail address, client id or object id could mean; links nothing';

CREATE FUNCTION repair()
RETURNS SETOF text
LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'repair_wrapper';
REVOKE ALL ON FUNCTION repair() FROM PUBLIC;
COMMENT ON FUNCTION repair() IS
  'completes what security labels say (memberships, guards, passwords, association), as after restoring a dump; says what it did';

CREATE FUNCTION list_principals(
  OUT role_name text, OUT object_id uuid, OUT object_type text, OUT tenant_id uuid,
  OUT is_admin boolean, OUT is_mfa boolean, OUT not_before double precision,
  OUT directory_state text, OUT directory_checked_at double precision)
RETURNS SETOF record
LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'list_principals_wrapper';
REVOKE ALL ON FUNCTION list_principals() FROM PUBLIC;
COMMENT ON FUNCTION list_principals() IS 'what the view principals shows';

CREATE VIEW principals AS
SELECT role_name, object_id, object_type, tenant_id, is_admin, is_mfa,
       pg_catalog.to_timestamp(not_before) AS tokens_not_before,
       directory_state,
       pg_catalog.to_timestamp(directory_checked_at) AS directory_checked_at
FROM azure_ad_auth.list_principals();
REVOKE ALL ON principals FROM PUBLIC;
COMMENT ON VIEW principals IS 'roles that are linked to a directory object';
COMMENT ON COLUMN principals.role_name IS 'the role';
COMMENT ON COLUMN principals.object_id IS 'id of the user, group or service principal; for an application also its client id';
COMMENT ON COLUMN principals.object_type IS 'user, group or service; null: a user or a service';
COMMENT ON COLUMN principals.tenant_id IS 'tenant the object belongs to; null: the configured one';
COMMENT ON COLUMN principals.is_admin IS 'administers other Azure AD roles';
COMMENT ON COLUMN principals.is_mfa IS 'needs a token that says its user passed multi-factor authentication';
COMMENT ON COLUMN principals.tokens_not_before IS 'tokens issued earlier are refused';
COMMENT ON COLUMN principals.directory_state IS 'what the directory says of the object: active, disabled or deleted; unknown: no look has seen it, or it may not be read';
COMMENT ON COLUMN principals.directory_checked_at IS 'when all linked objects were last looked at; null: not since the server started';
