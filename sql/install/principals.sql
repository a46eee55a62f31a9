-- Functions about principals and keys. Who may call them is said beside each; what they may do to which role is decided
-- within, for whoever calls (see "Who may link which role" in docs/administration.md).

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

CREATE FUNCTION check_hba(
  OUT file_name text, OUT line integer, OUT door text, OUT verdict text, OUT reason text)
RETURNS SETOF record
LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'check_hba_wrapper';
REVOKE ALL ON FUNCTION check_hba() FROM PUBLIC;
COMMENT ON FUNCTION check_hba() IS
  'the lines of pg_hba.conf that an Azure AD role can match, or that stay open to one that is unlinked, and what is wrong with them: ok, warning or danger, with reasons';

CREATE FUNCTION explain_token(
  token text, role_name text DEFAULT NULL, OUT step text, OUT verdict text, OUT expected text, OUT found text)
RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'explain_token_wrapper';
REVOKE ALL ON FUNCTION explain_token(text, text) FROM PUBLIC;
COMMENT ON FUNCTION explain_token(text, text) IS
  'the checks that a login with an access token would go through, as a role or as anyone, and what each would find; the last row has the refusal code';

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

CREATE FUNCTION check_configuration(
  OUT level text, OUT topic text, OUT message text, OUT what_to_do text)
RETURNS SETOF record
LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'check_configuration_wrapper';
REVOKE ALL ON FUNCTION check_configuration() FROM PUBLIC;
COMMENT ON FUNCTION check_configuration() IS
  'whether everything that a login with a token depends on is as it should be, and what to do where it is not';

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
