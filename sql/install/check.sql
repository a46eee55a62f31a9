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
