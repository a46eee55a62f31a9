-- The two roles, and whatever labels of a restored dump ask for. Fails, and says what to do, if a role of one of the names
-- is used for something else.
SELECT azure_ad_auth.repair();

COMMENT ON ROLE azure_ad_user IS 'marks roles that log in with an Azure AD access token';
COMMENT ON ROLE azure_ad_admin IS 'administrators of Azure AD roles';

-- Every role may ask what the token of its own session says.
GRANT USAGE ON SCHEMA azure_ad_auth TO PUBLIC;

-- Administrators call these without being superusers.
GRANT EXECUTE ON FUNCTION
  create_principal(text, uuid, text, boolean, boolean),
  update_principal(text, uuid, text, boolean, boolean),
  link_or_update_principal(text, uuid, text, boolean, boolean),
  drop_principal(text),
  directory_lookup(text, text),
  sync_group_members(boolean),
  revoke_tokens(text, timestamptz),
  revoke_principal(uuid),
  explain_token(text, text),
  list_principals(),
  pg_catalog.pgaadauth_create_principal(text, boolean, boolean),
  pg_catalog.pgaadauth_create_principal_with_oid(text, text, text, boolean, boolean),
  pg_catalog.pgaadauth_update_principal_with_oid(text, text, text, boolean, boolean),
  pg_catalog.pgaadauth_list_principals(boolean),
  pg_catalog.pgaadauth_sync_roles_for_group_members()
TO azure_ad_admin;
GRANT SELECT ON principals TO azure_ad_admin;

-- Monitoring roles can read this and change nothing.
GRANT EXECUTE ON FUNCTION
  check_configuration(), check_hba(), list_directory_features(), list_directory_status(), list_principals(), list_signing_keys(), list_key_status(), list_stat(), list_stat_principals()
TO pg_monitor;
GRANT SELECT ON principals, directory_features, directory_status, signing_keys, key_status, stat, stat_principals TO pg_monitor;
