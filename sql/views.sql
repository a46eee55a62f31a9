-- Views. A view's functions run with the caller's rights, so both are granted.

CREATE VIEW principals AS
SELECT role_name, object_id, object_type, tenant_id, is_admin, is_mfa,
       pg_catalog.to_timestamp(not_before) AS tokens_not_before
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

CREATE VIEW signing_keys AS
SELECT key_id, issuer,
       pg_catalog.to_timestamp(fetched_at) AS fetched_at,
       pg_catalog.to_timestamp(expires_at) AS expires_at,
       source
FROM azure_ad_auth.list_signing_keys();
REVOKE ALL ON signing_keys FROM PUBLIC;
COMMENT ON VIEW signing_keys IS 'public keys that access tokens are verified by';
COMMENT ON COLUMN signing_keys.key_id IS 'kid of the key';
COMMENT ON COLUMN signing_keys.issuer IS 'issuer the key is for, where the key document names it';
COMMENT ON COLUMN signing_keys.fetched_at IS 'last successful fetch';
COMMENT ON COLUMN signing_keys.expires_at IS 'until when the key is used if no further fetch succeeds';
COMMENT ON COLUMN signing_keys.source IS 'where the key was fetched from';
