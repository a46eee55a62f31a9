-- Shows the checks of a login with a token.

CREATE FUNCTION explain_token(
  token text, role_name text DEFAULT NULL, OUT step text, OUT verdict text, OUT expected text, OUT found text)
RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'explain_token_wrapper';
REVOKE ALL ON FUNCTION explain_token(text, text) FROM PUBLIC;
COMMENT ON FUNCTION explain_token(text, text) IS
  'the checks that a login with an access token would go through, as a role or as anyone, and what each would find; the last row has the refusal code';
