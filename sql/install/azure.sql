-- Azure's own functions, with its names, parameters, result columns and texts ("Manage Microsoft
-- Entra users", Azure Database for PostgreSQL), so that scripts written for it run unchanged: those
-- that name directory objects by their names where the directory can be asked. All of them call the
-- functions of this extension.

CREATE FUNCTION pg_catalog.pgaadauth_create_principal(roleName text, isAdmin boolean, isMfa boolean)
RETURNS text
LANGUAGE sql VOLATILE PARALLEL UNSAFE
RETURN azure_ad_auth.create_principal(roleName, NULL::pg_catalog.uuid, NULL::pg_catalog.text, isAdmin, isMfa);
COMMENT ON FUNCTION pg_catalog.pgaadauth_create_principal(text, boolean, boolean) IS
  'Azure''s name: creates a role and links it to the directory object of that name; an error while the directory is off';

CREATE FUNCTION pg_catalog.pgaadauth_create_principal_with_oid(
  roleName text, objectId text, objectType text, isAdmin boolean, isMfa boolean)
RETURNS text
LANGUAGE sql VOLATILE PARALLEL UNSAFE
RETURN azure_ad_auth.create_principal(roleName, objectId::pg_catalog.uuid, objectType, isAdmin, isMfa);
COMMENT ON FUNCTION pg_catalog.pgaadauth_create_principal_with_oid(text, text, text, boolean, boolean) IS
  'Azure''s name: creates a role and links it to a directory object';

CREATE FUNCTION pg_catalog.pgaadauth_update_principal_with_oid(
  roleName text, objectId text, objectType text, isAdmin boolean, isMfa boolean)
RETURNS text
LANGUAGE sql VOLATILE PARALLEL UNSAFE
RETURN azure_ad_auth.link_or_update_principal(roleName, objectId::pg_catalog.uuid, objectType, isAdmin, isMfa);
COMMENT ON FUNCTION pg_catalog.pgaadauth_update_principal_with_oid(text, text, text, boolean, boolean) IS
  'Azure''s name: links a role that exists to a directory object, or to another one, or on other terms';

-- Live servers call the first column rolname, Azure's documentation rolename; scripts use either.
-- The columns of a live server come first, in its order, for scripts that address columns by
-- number.
CREATE FUNCTION pg_catalog.pgaadauth_list_principals(isAdminValue boolean)
RETURNS TABLE (
  rolname name, principalType text, objectId text, tenantId text, isMfa integer, isAdmin integer, rolename name)
LANGUAGE sql VOLATILE PARALLEL UNSAFE
BEGIN ATOMIC
  SELECT role_name::pg_catalog.name, object_type, object_id::pg_catalog.text, tenant_id::pg_catalog.text,
         is_mfa::pg_catalog.int4, is_admin::pg_catalog.int4, role_name::pg_catalog.name
  FROM azure_ad_auth.principals
  WHERE is_admin OR isAdminValue IS NOT TRUE
  ORDER BY role_name;
END;
COMMENT ON FUNCTION pg_catalog.pgaadauth_list_principals(boolean) IS
  'Azure''s name: the linked roles; with true, the administrators among them';

REVOKE ALL ON FUNCTION
  pg_catalog.pgaadauth_create_principal(text, boolean, boolean),
  pg_catalog.pgaadauth_create_principal_with_oid(text, text, text, boolean, boolean),
  pg_catalog.pgaadauth_update_principal_with_oid(text, text, text, boolean, boolean),
  pg_catalog.pgaadauth_list_principals(boolean)
FROM PUBLIC;
