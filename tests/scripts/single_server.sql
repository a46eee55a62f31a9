-- As for Azure Database for PostgreSQL Single Server, by the administrator.
SET aad_validate_oids_in_tenant = off;
CREATE ROLE myuser WITH LOGIN PASSWORD '44444444-aaaa-bbbb-cccc-000000000004' IN ROLE azure_ad_user;
CREATE USER "user1@yourtenant.onmicrosoft.com" WITH PASSWORD '22222222-aaaa-bbbb-cccc-000000000002' IN ROLE azure_ad_user;
CREATE ROLE deployer WITH LOGIN NOSUPERUSER INHERIT CREATEDB CREATEROLE NOREPLICATION PASSWORD '33333333-aaaa-bbbb-cccc-000000000003' IN ROLE azure_ad_user;
ALTER ROLE myuser CREATEDB;
CREATE ROLE readers;
CREATE ROLE "reader@yourtenant.onmicrosoft.com" WITH LOGIN PASSWORD '22222222-aaaa-bbbb-cccc-000000000002' IN ROLE azure_ad_user;
GRANT azure_ad_user TO "user1@yourtenant.onmicrosoft.com";
REVOKE azure_ad_user FROM "reader@yourtenant.onmicrosoft.com";
DROP ROLE "reader@yourtenant.onmicrosoft.com";
SELECT r.rolname FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member
  WHERE m.roleid = 'azure_ad_user'::regrole ORDER BY r.rolname COLLATE "C";
