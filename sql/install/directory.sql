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
