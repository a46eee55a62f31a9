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
COMMENT ON COLUMN stat.metric IS 'what is counted: admitted, refused, key_waits, key_wait_milliseconds, directory_requests, directory_waits, directory_wait_milliseconds, directory_cache_hits, group_sync, admission_time_bucket, admission_time_count or admission_time_microseconds';
COMMENT ON COLUMN stat.door IS 'password, pam or oauth, the way the token came; seal: a session that ended before its first statement; null: all together';
COMMENT ON COLUMN stat.kind IS 'of admitted: user or service, whose token it was; of directory_requests: look, name, membership or token, what was asked; of directory_waits: statement or login, what waited';
COMMENT ON COLUMN stat.code IS 'of refused: the reason; of directory_requests: the outcome';
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
