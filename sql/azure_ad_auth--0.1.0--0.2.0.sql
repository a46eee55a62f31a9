-- From version 0.1.0 to 0.2.0: the directory.
--
-- Until this has run, the objects of version 0.1.0 work with the library of 0.2.0.
--
-- What sql/install creates anew stands here too, word for word, with its REVOKE and its COMMENT. What
-- changes is replaced (CREATE OR REPLACE keeps grants, labels and what depends on the object): a
-- function keeps the types of its parameters, a view gets new columns at its end. A function gets
-- new OUT parameters by a change of its row in pg_proc: to drop it would take away the grants that
-- users have made, and fail where an object of theirs depends on it. Grants that
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

-- What was planned with fewer columns of a function's result goes on with them: the executor wants
-- no fewer than it knows of.
UPDATE pg_catalog.pg_proc
SET proallargtypes = ARRAY['text', 'uuid', 'text', 'uuid', 'boolean', 'boolean', 'double precision', 'text', 'double precision']::pg_catalog.regtype[]::pg_catalog.oid[],
    proargmodes = ARRAY['o', 'o', 'o', 'o', 'o', 'o', 'o', 'o', 'o']::pg_catalog."char"[],
    proargnames = ARRAY['role_name', 'object_id', 'object_type', 'tenant_id', 'is_admin', 'is_mfa', 'not_before', 'directory_state', 'directory_checked_at']
WHERE oid = 'azure_ad_auth.list_principals()'::pg_catalog.regprocedure;

CREATE OR REPLACE VIEW principals AS
SELECT role_name, object_id, object_type, tenant_id, is_admin, is_mfa,
       pg_catalog.to_timestamp(not_before) AS tokens_not_before,
       directory_state,
       pg_catalog.to_timestamp(directory_checked_at) AS directory_checked_at
FROM azure_ad_auth.list_principals();
COMMENT ON COLUMN principals.directory_state IS 'what the directory says of the object: active, disabled or deleted; unknown: no look has seen it, or it may not be read';
COMMENT ON COLUMN principals.directory_checked_at IS 'when all linked objects were last looked at; null: not since the server started';

-- sql/install/sync.sql

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

-- sql/install/azure.sql

COMMENT ON FUNCTION pg_catalog.pgaadauth_create_principal(text, boolean, boolean) IS
  'Azure''s name: creates a role and links it to the directory object of that name; an error while the directory is off';

-- sql/install/directory.sql

-- The tenant's directory, and the worker that asks it.
--
-- A view's functions run with the caller's rights, so roles need both.

CREATE FUNCTION refresh_directory()
RETURNS bigint
LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'refresh_directory_wrapper';
REVOKE ALL ON FUNCTION refresh_directory() FROM PUBLIC;
COMMENT ON FUNCTION refresh_directory() IS
  'looks at all linked objects and open sessions in the directory now; returns how many objects it has shown';

CREATE FUNCTION list_directory_status(
  OUT mode text, OUT state text, OUT last_success double precision, OUT last_attempt double precision,
  OUT last_error text, OUT next_attempt double precision, OUT token_expires_at double precision,
  OUT certificate_expires_at double precision, OUT checked bigint, OUT ended bigint, OUT requests bigint,
  OUT failures bigint, OUT throttled_until double precision, OUT worker_pid integer,
  OUT worker_heartbeat double precision)
RETURNS SETOF record
LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'list_directory_status_wrapper';
REVOKE ALL ON FUNCTION list_directory_status() FROM PUBLIC;
COMMENT ON FUNCTION list_directory_status() IS 'what the view directory_status shows';

CREATE FUNCTION list_directory_features(
  OUT feature text, OUT available boolean, OUT permission text, OUT problem text, OUT checked_at double precision)
RETURNS SETOF record
LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'list_directory_features_wrapper';
REVOKE ALL ON FUNCTION list_directory_features() FROM PUBLIC;
COMMENT ON FUNCTION list_directory_features() IS 'what the view directory_features shows';

CREATE VIEW directory_status AS
SELECT mode, state,
       pg_catalog.to_timestamp(last_success) AS last_success,
       pg_catalog.to_timestamp(last_attempt) AS last_attempt,
       last_error,
       pg_catalog.to_timestamp(next_attempt) AS next_attempt,
       pg_catalog.to_timestamp(token_expires_at) AS token_expires_at,
       pg_catalog.to_timestamp(certificate_expires_at) AS certificate_expires_at,
       checked, ended, requests, failures,
       pg_catalog.to_timestamp(throttled_until) AS throttled_until,
       worker_pid,
       pg_catalog.to_timestamp(worker_heartbeat) AS worker_heartbeat
FROM azure_ad_auth.list_directory_status();
REVOKE ALL ON directory_status FROM PUBLIC;
COMMENT ON VIEW directory_status IS 'how asking the directory goes: one row';
COMMENT ON COLUMN directory_status.mode IS 'how the server proves who it is: the setting azure_ad_auth.directory';
COMMENT ON COLUMN directory_status.state IS 'off, empty, fresh, due, in flight, failing or too old: three intervals without a success';
COMMENT ON COLUMN directory_status.last_success IS 'when all linked objects were last looked at, since the server started';
COMMENT ON COLUMN directory_status.last_attempt IS 'when the last look began, since the server started';
COMMENT ON COLUMN directory_status.last_error IS 'why the directory cannot be asked, or why the last look failed; null: it did not';
COMMENT ON COLUMN directory_status.next_attempt IS 'when the next look is due; null: one is running, or none is scheduled';
COMMENT ON COLUMN directory_status.token_expires_at IS 'when the server''s own access token ends; null: it has none';
COMMENT ON COLUMN directory_status.certificate_expires_at IS 'when the certificate ends that proves who the server is';
COMMENT ON COLUMN directory_status.checked IS 'objects that the last look asked about: those that roles are linked to, and those that are logged in';
COMMENT ON COLUMN directory_status.ended IS 'principals that are known to be disabled or deleted, and memberships that are known to have ended while a token from before may be valid';
COMMENT ON COLUMN directory_status.requests IS 'requests since the server started, those for tokens included';
COMMENT ON COLUMN directory_status.failures IS 'those of them that were not answered';
COMMENT ON COLUMN directory_status.throttled_until IS 'until when Microsoft Graph does not want to be asked; null: it may be asked';
COMMENT ON COLUMN directory_status.worker_pid IS 'process id of the directory worker; null: it is away for a second, or the server is stopping';
COMMENT ON COLUMN directory_status.worker_heartbeat IS 'when the worker last went round; at least once a minute while the directory is on';

CREATE VIEW directory_features AS
SELECT feature, available, permission, problem,
       pg_catalog.to_timestamp(checked_at) AS checked_at
FROM azure_ad_auth.list_directory_features();
REVOKE ALL ON directory_features FROM PUBLIC;
COMMENT ON VIEW directory_features IS 'what the server''s application may read in the directory';
COMMENT ON COLUMN directory_features.feature IS 'user names, group names, application names, account states, application states, group membership or group sync';
COMMENT ON COLUMN directory_features.available IS 'whether an answer has shown that it works; null: no answer has shown anything yet';
COMMENT ON COLUMN directory_features.permission IS 'the application permissions of Microsoft Graph that it needs';
COMMENT ON COLUMN directory_features.problem IS 'why it does not work';
COMMENT ON COLUMN directory_features.checked_at IS 'when an answer last showed it';

-- sql/install/stat.sql

COMMENT ON COLUMN stat.metric IS 'what is counted: admitted, refused, key_waits, key_wait_milliseconds, directory_requests, directory_waits, directory_wait_milliseconds, directory_cache_hits, group_sync, admission_time_bucket, admission_time_count or admission_time_microseconds';
COMMENT ON COLUMN stat.kind IS 'of admitted: user or service, whose token it was; of directory_requests: look, name, membership or token, what was asked; of directory_waits: statement or login, what waited';
COMMENT ON COLUMN stat.code IS 'of refused: the reason; of directory_requests: the outcome';

-- sql/install/roles.sql

GRANT EXECUTE ON FUNCTION directory_lookup(text, text), sync_group_members(boolean), pg_catalog.pgaadauth_sync_roles_for_group_members() TO azure_ad_admin;
GRANT EXECUTE ON FUNCTION list_directory_features(), list_directory_status() TO pg_monitor;
GRANT SELECT ON directory_features, directory_status TO pg_monitor;
