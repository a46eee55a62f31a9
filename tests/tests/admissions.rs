//! Who gets in: A1 to A3 of door/password.rs.

use serde_json::json;
use trial::cluster::Cluster;
use trial::expect::admitted;
use trial::issuer::*;

use crate::{KEY, scene};

fn link(cluster: &Cluster, role: &str, object: &str, kind: &str) {
    cluster.sql(&format!("SELECT azure_ad_auth.create_principal('{role}', '{object}', '{kind}')"));
}

#[test]
fn users_groups_and_applications_with_tokens_of_both_versions() {
    let (cluster, _provider) = scene("");
    let now = unix_now();
    link(&cluster, "ann", PERSON, "user");
    link(&cluster, "robot", APPLICATION, "service");
    link(&cluster, "robot by client id", CLIENT, "service");
    link(&cluster, "dbas", GROUP, "group");
    for claims in [user_v1(now), user_v2(now)] {
        admitted(&cluster, "ann", &KEY.token(&claims));
    }
    for claims in [app_v1(now), app_v2(now)] {
        admitted(&cluster, "robot", &KEY.token(&claims));
        admitted(&cluster, "robot by client id", &KEY.token(&claims));
    }
    admitted(&cluster, "dbas", &KEY.token(&user_v1(now)));
    admitted(&cluster, "dbas", &KEY.token(&with(app_v2(now), "groups", json!([GROUP]))));
}

#[test]
fn zz_show() {
    let (cluster, _provider) = scene("");
    let now = unix_now();
    link(&cluster, "ann", PERSON, "user");
    println!("{:?}", cluster.login("ann", &KEY.token(&user_v1(now))));
    println!("{:?}", cluster.login("ann", &KEY.token(&user_v1(now - 100000))));
    println!("{:?}", cluster.login("ann", "x.y"));
    println!(
        "{:?}",
        cluster.psql(
            "ann",
            &KEY.token(&user_v1(now)),
            "select current_user, * from pg_stat_ssl where pid=pg_backend_pid()"
        )
    );
    println!("{}", cluster.sql("select * from azure_ad_auth.principals"));
    println!("{}", cluster.sql("select * from azure_ad_auth.signing_keys"));
    println!("{}", cluster.sql("select azure_ad_auth.refresh_keys()"));
    println!("{}", cluster.sql("select azure_ad_auth.repair()"));
    println!("{}", cluster.sql("select rolname, setconfig, provider, label from pg_roles r left join pg_db_role_setting s on setrole=r.oid left join pg_shseclabel l on l.objoid=r.oid where rolname !~ '^pg_'"));
    println!("{}", trial::expect::ours(&cluster.log()));
}
