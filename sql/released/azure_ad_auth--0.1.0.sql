-- Version 0.1.0, as CREATE EXTENSION installed it: tests install it and upgrade. Never changed again.

-- Checks the schema before this extension creates anything in it, because it may have existed
-- before. Objects that other roles have put into it could be called in place of the extension's,
-- with the rights of the caller. Nothing in here is looked up in that schema.
DO $$
DECLARE
  home CONSTANT pg_catalog.oid := 'azure_ad_auth'::pg_catalog.regnamespace;
  stranger pg_catalog.name;
  what pg_catalog.text := 'belongs to';
BEGIN
  SELECT r.rolname INTO stranger
  FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_roles r ON r.oid OPERATOR(pg_catalog.=) n.nspowner
  WHERE n.oid OPERATOR(pg_catalog.=) home AND NOT r.rolsuper;
  IF stranger IS NULL THEN
    what := 'has objects of';
    SELECT r.rolname INTO stranger
    FROM pg_catalog.pg_roles r
    JOIN (SELECT proowner FROM pg_catalog.pg_proc WHERE pronamespace OPERATOR(pg_catalog.=) home
          UNION ALL SELECT relowner FROM pg_catalog.pg_class WHERE relnamespace OPERATOR(pg_catalog.=) home
          UNION ALL SELECT typowner FROM pg_catalog.pg_type WHERE typnamespace OPERATOR(pg_catalog.=) home
          UNION ALL SELECT oprowner FROM pg_catalog.pg_operator WHERE oprnamespace OPERATOR(pg_catalog.=) home) AS o(owner)
      ON r.oid OPERATOR(pg_catalog.=) o.owner
    WHERE NOT r.rolsuper
    LIMIT 1;
  END IF;
  IF stranger IS NOT NULL THEN
    RAISE EXCEPTION USING
      ERRCODE = 'object_not_in_prerequisite_state',
      MESSAGE = pg_catalog.format('schema "azure_ad_auth" %s role "%s", which is no superuser', what, stranger),
      DETAIL = 'Calls of the extension''s functions could go to functions of that role.',
      HINT = 'See what is in it, then: DROP SCHEMA azure_ad_auth CASCADE;';
  END IF;
END
$$;

-- Roles and the directory objects they are linked to. The functions decide which caller may change
-- which role (docs/administrators.md, "Who may link which role").
--
-- A view's functions run with the caller's rights, so roles need both.

CREATE FUNCTION set_admin(role_name text, object_id uuid, object_type text DEFAULT 'user')
RETURNS void
LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE
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

CREATE FUNCTION repair()
RETURNS SETOF text
LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'repair_wrapper';
REVOKE ALL ON FUNCTION repair() FROM PUBLIC;
COMMENT ON FUNCTION repair() IS
  'completes what security labels say (memberships, guards, passwords, association), as after restoring a dump; says what it did';

CREATE FUNCTION list_principals(
  OUT role_name text, OUT object_id uuid, OUT object_type text, OUT tenant_id uuid,
  OUT is_admin boolean, OUT is_mfa boolean, OUT not_before double precision)
RETURNS SETOF record
LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'list_principals_wrapper';
REVOKE ALL ON FUNCTION list_principals() FROM PUBLIC;
COMMENT ON FUNCTION list_principals() IS 'what the view principals shows';

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

-- Sessions that logged in with a token, and the claims of their own token.
--
-- A view's functions run with the caller's rights, so roles need both.

CREATE FUNCTION list_sessions(
  OUT pid integer, OUT role_name text, OUT object_id uuid, OUT tenant_id uuid, OUT kind text, OUT via_group uuid,
  OUT client_app uuid, OUT display_name text, OUT token_id text, OUT key_id text, OUT logged_in_at double precision,
  OUT token_issued_at double precision, OUT token_expires_at double precision, OUT door text)
RETURNS SETOF record
LANGUAGE c STRICT VOLATILE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'list_sessions_wrapper';
COMMENT ON FUNCTION list_sessions() IS 'what the view sessions shows';

CREATE FUNCTION session_claims()
RETURNS jsonb
LANGUAGE c STRICT STABLE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'session_claims_wrapper';
COMMENT ON FUNCTION session_claims() IS
  'the claims of the token this session logged in with; null if it logged in with none';

CREATE FUNCTION session_claim(name text)
RETURNS text
LANGUAGE c STRICT STABLE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'session_claim_wrapper';
COMMENT ON FUNCTION session_claim(text) IS
  'one claim of the token this session logged in with, as text; null if there is none';

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

-- Counts how logins ended.
--
-- A view's functions run with the caller's rights, so roles need both.

CREATE FUNCTION list_stat(
  OUT metric text, OUT door text, OUT kind text, OUT code text, OUT le double precision, OUT value bigint,
  OUT since double precision)
RETURNS SETOF record
LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'list_stat_wrapper';
REVOKE ALL ON FUNCTION list_stat() FROM PUBLIC;
COMMENT ON FUNCTION list_stat() IS 'what the view stat shows';

CREATE FUNCTION list_stat_principals(
  OUT role_name text, OUT last_admitted double precision, OUT last_refused double precision, OUT last_code text,
  OUT admitted bigint, OUT refused bigint)
RETURNS SETOF record
LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'list_stat_principals_wrapper';
REVOKE ALL ON FUNCTION list_stat_principals() FROM PUBLIC;
COMMENT ON FUNCTION list_stat_principals() IS 'what the view stat_principals shows';

CREATE FUNCTION stat_reset()
RETURNS void
LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'stat_reset_wrapper';
REVOKE ALL ON FUNCTION stat_reset() FROM PUBLIC;
COMMENT ON FUNCTION stat_reset() IS 'sets what the views stat and stat_principals show to zero';

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

-- Checks of the configuration. They change nothing.

CREATE FUNCTION check_hba(
  OUT file_name text, OUT line integer, OUT door text, OUT verdict text, OUT reason text)
RETURNS SETOF record
LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'check_hba_wrapper';
REVOKE ALL ON FUNCTION check_hba() FROM PUBLIC;
COMMENT ON FUNCTION check_hba() IS
  'the lines of pg_hba.conf that an Azure AD role can match, or that stay open to one that is unlinked, and what is wrong with them: ok, warning or danger, with reasons';

CREATE FUNCTION check_configuration(
  OUT level text, OUT topic text, OUT message text, OUT what_to_do text)
RETURNS SETOF record
LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'check_configuration_wrapper';
REVOKE ALL ON FUNCTION check_configuration() FROM PUBLIC;
COMMENT ON FUNCTION check_configuration() IS
  'whether everything that a login with a token depends on is as it should be, and what to do where it is not';

-- Shows the checks of a login with a token.

CREATE FUNCTION explain_token(
  token text, role_name text DEFAULT NULL, OUT step text, OUT verdict text, OUT expected text, OUT found text)
RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'explain_token_wrapper';
REVOKE ALL ON FUNCTION explain_token(text, text) FROM PUBLIC;
COMMENT ON FUNCTION explain_token(text, text) IS
  'the checks that a login with an access token would go through, as a role or as anyone, and what each would find; the last row has the refusal code';

-- Azure's own functions, with its names, parameters, result columns and texts ("Manage Microsoft
-- Entra users", Azure Database for PostgreSQL), so that scripts written for it run unchanged where
-- they name directory objects by their ids. All of them call the functions of this extension.

CREATE FUNCTION pg_catalog.pgaadauth_create_principal(roleName text, isAdmin boolean, isMfa boolean)
RETURNS text
LANGUAGE sql VOLATILE PARALLEL UNSAFE
RETURN azure_ad_auth.create_principal(roleName, NULL::pg_catalog.uuid, NULL::pg_catalog.text, isAdmin, isMfa);
COMMENT ON FUNCTION pg_catalog.pgaadauth_create_principal(text, boolean, boolean) IS
  'Azure''s name for linking a role to the directory object of that name: an error here, where no directory is asked; see pgaadauth_create_principal_with_oid';

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
  revoke_tokens(text, timestamptz),
  revoke_principal(uuid),
  explain_token(text, text),
  list_principals(),
  pg_catalog.pgaadauth_create_principal(text, boolean, boolean),
  pg_catalog.pgaadauth_create_principal_with_oid(text, text, text, boolean, boolean),
  pg_catalog.pgaadauth_update_principal_with_oid(text, text, text, boolean, boolean),
  pg_catalog.pgaadauth_list_principals(boolean)
TO azure_ad_admin;
GRANT SELECT ON principals TO azure_ad_admin;

-- Monitoring roles can read this and change nothing.
GRANT EXECUTE ON FUNCTION
  check_configuration(), check_hba(), list_principals(), list_signing_keys(), list_key_status(), list_stat(), list_stat_principals()
TO pg_monitor;
GRANT SELECT ON principals, signing_keys, key_status, stat, stat_principals TO pg_monitor;
