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
