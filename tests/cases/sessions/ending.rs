//! What ends logins only, and what ends nothing.

use testbed::client::Outcome;
use testbed::expect::admitted;
use testbed::issuer::*;

use crate::sessions::lifetime::{enter, value};
use crate::{KEY, at_every_door, link};

#[test]
fn what_ends_no_session() {
    at_every_door("", |_, cluster, _provider| {
        link(&cluster, "ann", PERSON, "user");
        let token = KEY.token(&user_v1(unix_now()));
        let mut session = enter(&cluster, "ann", &user_v1(unix_now()));
        cluster.sql("ALTER ROLE ann VALID UNTIL '2000-01-01'");
        admitted(&cluster, "ann", &token);
        cluster.sql("ALTER ROLE ann NOLOGIN");
        let refused = |reason: &str| {
            let mark = cluster.log_mark();
            assert!(matches!(cluster.login("ann", &token), Outcome::Refused(_)), "{reason}");
            cluster.await_log(mark, reason);
        };
        refused("role \"ann\" is not permitted to log in");
        cluster.sql("ALTER ROLE ann LOGIN");
        cluster.set("azure_ad_auth.allowed_clients", APPLICATION);
        refused("azure_ad_auth: refused code=client_not_allowed role=ann ");
        cluster.sql("SELECT pg_sleep(1.5)");
        assert_eq!(value(&mut session, "SELECT 1"), "1");
    });
}
