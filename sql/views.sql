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

CREATE VIEW sessions AS
SELECT pid, role_name, object_id, tenant_id, kind, via_group, client_app, display_name, token_id, key_id,
       pg_catalog.to_timestamp(logged_in_at) AS logged_in_at,
       pg_catalog.to_timestamp(token_issued_at) AS token_issued_at,
       pg_catalog.to_timestamp(token_expires_at) AS token_expires_at,
       door
FROM azure_ad_auth.list_sessions();
GRANT SELECT ON sessions TO PUBLIC;
COMMENT ON VIEW sessions IS 'sessions that logged in with an access token: all of them for pg_monitor, the one that asks for everybody';
COMMENT ON COLUMN sessions.pid IS 'process id, as in pg_stat_activity';
COMMENT ON COLUMN sessions.role_name IS 'the role it logged in as; null: it has been dropped';
COMMENT ON COLUMN sessions.object_id IS 'the token''s own object: the person or application';
COMMENT ON COLUMN sessions.tenant_id IS 'the token''s tenant';
COMMENT ON COLUMN sessions.kind IS 'user: a person''s token; service: an application''s own';
COMMENT ON COLUMN sessions.via_group IS 'the group the role was linked to, of which the person is a member; null: the role was linked to the object itself';
COMMENT ON COLUMN sessions.client_app IS 'the application the token was issued to';
COMMENT ON COLUMN sessions.display_name IS 'a name to show, from the token; names change and are reassigned, so compare object_id';
COMMENT ON COLUMN sessions.token_id IS 'uti of the token, to find the sign-in in Entra''s logs';
COMMENT ON COLUMN sessions.key_id IS 'kid of the key that signed the token';
COMMENT ON COLUMN sessions.logged_in_at IS 'when it was let in';
COMMENT ON COLUMN sessions.token_issued_at IS 'iat of the token';
COMMENT ON COLUMN sessions.token_expires_at IS 'exp of the token';
COMMENT ON COLUMN sessions.door IS 'password, pam or oauth: the way the token came';

CREATE VIEW stat AS
SELECT metric, door, kind, code, le, value, pg_catalog.to_timestamp(since) AS since
FROM azure_ad_auth.list_stat();
REVOKE ALL ON stat FROM PUBLIC;
COMMENT ON VIEW stat IS 'what logins with a token came to on the whole server: always the same rows, those that are zero too';
COMMENT ON COLUMN stat.metric IS 'what is counted: admitted, refused, key_waits, key_wait_milliseconds, admission_time_bucket, admission_time_count or admission_time_microseconds';
COMMENT ON COLUMN stat.door IS 'password, pam or oauth, the way the token came; seal: a session that ended before its first statement; null: all together';
COMMENT ON COLUMN stat.kind IS 'of admitted: user or service, whose token it was';
COMMENT ON COLUMN stat.code IS 'of refused: the reason';
COMMENT ON COLUMN stat.le IS 'of admission_time_bucket: counted are those that took no more than so many seconds from the token''s arrival to the decision';
COMMENT ON COLUMN stat.value IS 'how many';
COMMENT ON COLUMN stat.since IS 'when all began at zero: the start of the server, or the last stat_reset()';

CREATE VIEW stat_principals AS
SELECT role_name,
       pg_catalog.to_timestamp(last_admitted) AS last_admitted,
       pg_catalog.to_timestamp(last_refused) AS last_refused,
       last_code, admitted, refused
FROM azure_ad_auth.list_stat_principals();
REVOKE ALL ON stat_principals FROM PUBLIC;
COMMENT ON VIEW stat_principals IS 'what logins came to for each linked role, of the 1024 that were tried last';
COMMENT ON COLUMN stat_principals.role_name IS 'the role; null: it has been dropped';
COMMENT ON COLUMN stat_principals.last_admitted IS 'when a token was last accepted for it';
COMMENT ON COLUMN stat_principals.last_refused IS 'when a login was last refused';
COMMENT ON COLUMN stat_principals.last_code IS 'why it was refused then';
COMMENT ON COLUMN stat_principals.admitted IS 'tokens accepted since the role came on this list';
COMMENT ON COLUMN stat_principals.refused IS 'logins refused since the role came on this list';
