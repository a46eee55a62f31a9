-- The synchronisation of groups.

CREATE FUNCTION sync_group_members(
  dry_run boolean DEFAULT false,
  OUT role_name text, OUT group_role text, OUT action text, OUT detail text)
RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'sync_group_members_wrapper';
REVOKE ALL ON FUNCTION sync_group_members(boolean) FROM PUBLIC;
COMMENT ON FUNCTION sync_group_members(boolean) IS
  'gives roles to the members of linked groups now, and returns what was done; with true, what would be done';

-- Azure's name for it, with columns of our own.
CREATE FUNCTION pg_catalog.pgaadauth_sync_roles_for_group_members(
  OUT role_name text, OUT group_role text, OUT action text, OUT detail text)
RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'sync_group_members_if_on_wrapper';
REVOKE ALL ON FUNCTION pg_catalog.pgaadauth_sync_roles_for_group_members() FROM PUBLIC;
COMMENT ON FUNCTION pg_catalog.pgaadauth_sync_roles_for_group_members() IS
  'Azure''s name: gives roles to the members of linked groups now; an error while azure_ad_auth.group_sync is off';
