-- As for Azure Database for PostgreSQL Flexible Server, by an administrator.
SELECT * FROM pgaadauth_list_principals(isAdminValue => true);
SELECT * FROM pgaadauth_create_principal_with_oid('ann@contoso.example', '22222222-aaaa-bbbb-cccc-000000000002', 'user', false, false);
SELECT pg_catalog.pgaadauth_create_principal_with_oid(roleName => 'billing', objectId => '33333333-aaaa-bbbb-cccc-000000000003',
  objectType => 'service', isAdmin => false, isMfa => false);
CREATE ROLE "Database Readers" LOGIN;
SECURITY LABEL for "pgaadauth" on role "Database Readers" is 'aadauth,oid=55555555-aaaa-bbbb-cccc-000000000005,type=group';
CREATE ROLE deputy LOGIN CREATEDB;
SECURITY LABEL for "pgaadauth" on role "deputy" is 'aadauth,oid=77777777-aaaa-bbbb-cccc-000000000007,type=user,admin';
SELECT pgaadauth_update_principal_with_oid(roleName => 'billing', objectId => '44444444-aaaa-bbbb-cccc-000000000004',
  objectType => 'service', isAdmin => false, isMfa => false);
SELECT rolename, principaltype, objectid, ismfa, isadmin FROM pgaadauth_list_principals(false)
  ORDER BY rolename COLLATE "C";
DROP ROLE billing;
