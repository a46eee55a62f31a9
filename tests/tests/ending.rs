//! What ends logins only, and what ends nothing.

use trial::client::Outcome;
use trial::expect::admitted;
use trial::issuer::*;

use crate::sessions::{enter, value};
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
        let refused = |message: &str| {
            let Outcome::Refused(error) = cluster.login("ann", &token) else { panic!("{message}") };
            assert!(error.message.contains(message), "{}", error.message);
        };
        refused("role \"ann\" is not permitted to log in");
        cluster.sql("ALTER ROLE ann LOGIN");
        cluster.set("azure_ad_auth.audience", "api://another");
        refused("audience");
        cluster.sql("SELECT pg_sleep(1.5)");
        assert_eq!(value(&mut session, "SELECT 1"), "1");
    });
}
