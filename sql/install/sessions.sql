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
