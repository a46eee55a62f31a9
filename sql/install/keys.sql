-- Signing keys and the worker that fetches them.
--
-- A view's functions run with the caller's rights, so roles need both.

CREATE FUNCTION refresh_keys()
RETURNS integer
LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'refresh_keys_wrapper';
REVOKE ALL ON FUNCTION refresh_keys() FROM PUBLIC;
COMMENT ON FUNCTION refresh_keys() IS
  'fetches the signing keys now, whatever the cooldown says, and returns how many there are';

CREATE FUNCTION list_signing_keys(
  OUT key_id text, OUT issuer text, OUT fetched_at double precision, OUT expires_at double precision,
  OUT source text, OUT first_seen double precision)
RETURNS SETOF record
LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'list_signing_keys_wrapper';
REVOKE ALL ON FUNCTION list_signing_keys() FROM PUBLIC;
COMMENT ON FUNCTION list_signing_keys() IS 'what the view signing_keys shows';

CREATE FUNCTION list_key_status(
  OUT source text, OUT state text, OUT fetching boolean, OUT keys integer, OUT last_success double precision,
  OUT last_attempt double precision, OUT last_error text, OUT next_attempt double precision, OUT fetches bigint,
  OUT failures bigint, OUT on_demand_fetches bigint, OUT worker_pid integer, OUT worker_heartbeat double precision)
RETURNS SETOF record
LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'list_key_status_wrapper';
REVOKE ALL ON FUNCTION list_key_status() FROM PUBLIC;
COMMENT ON FUNCTION list_key_status() IS 'what the view key_status shows';

CREATE VIEW signing_keys AS
SELECT key_id, issuer,
       pg_catalog.to_timestamp(fetched_at) AS fetched_at,
       pg_catalog.to_timestamp(expires_at) AS expires_at,
       source,
       pg_catalog.to_timestamp(first_seen) AS first_seen,
       pg_catalog.to_timestamp(fetched_at) AS last_seen
FROM azure_ad_auth.list_signing_keys();
REVOKE ALL ON signing_keys FROM PUBLIC;
COMMENT ON VIEW signing_keys IS 'public keys that access tokens are verified by';
COMMENT ON COLUMN signing_keys.key_id IS 'kid of the key';
COMMENT ON COLUMN signing_keys.issuer IS 'issuer the key is for, where the key document names it';
COMMENT ON COLUMN signing_keys.fetched_at IS 'last successful fetch';
COMMENT ON COLUMN signing_keys.expires_at IS 'until when the key is used if no further fetch succeeds';
COMMENT ON COLUMN signing_keys.source IS 'where the key was fetched from';
COMMENT ON COLUMN signing_keys.first_seen IS 'first fetch that had the key, restarts of the server included';
COMMENT ON COLUMN signing_keys.last_seen IS 'last fetch that had the key: a successful one without it takes it away';

CREATE VIEW key_status AS
SELECT source, state, fetching, keys,
       pg_catalog.to_timestamp(last_success) AS last_success,
       pg_catalog.to_timestamp(last_attempt) AS last_attempt,
       last_error,
       pg_catalog.to_timestamp(next_attempt) AS next_attempt,
       fetches, failures, on_demand_fetches, worker_pid,
       pg_catalog.to_timestamp(worker_heartbeat) AS worker_heartbeat
FROM azure_ad_auth.list_key_status();
REVOKE ALL ON key_status FROM PUBLIC;
COMMENT ON VIEW key_status IS 'how fetching the signing keys goes: one row';
COMMENT ON COLUMN key_status.source IS 'where keys are fetched from; null: the settings do not say';
COMMENT ON COLUMN key_status.state IS 'empty, fresh, due, in flight, failing or too old; logins are possible but in the first and the last';
COMMENT ON COLUMN key_status.fetching IS 'whether a fetch is running, in whatever state';
COMMENT ON COLUMN key_status.keys IS 'keys at hand, be they too old';
COMMENT ON COLUMN key_status.last_success IS 'when the keys at hand were fetched, be it before the server started';
COMMENT ON COLUMN key_status.last_attempt IS 'when the last fetch began, since the server started';
COMMENT ON COLUMN key_status.last_error IS 'why the last fetch failed; null: it did not';
COMMENT ON COLUMN key_status.next_attempt IS 'when the next fetch is due; null: one is running';
COMMENT ON COLUMN key_status.fetches IS 'fetches that have ended since the server started';
COMMENT ON COLUMN key_status.failures IS 'those of them that failed';
COMMENT ON COLUMN key_status.on_demand_fetches IS 'fetches caused by logins with unknown keys since the server started';
COMMENT ON COLUMN key_status.worker_pid IS 'process id of the key worker; null: it is away for a second, or the server is stopping';
COMMENT ON COLUMN key_status.worker_heartbeat IS 'when the key worker last had a look; at least once a minute';
