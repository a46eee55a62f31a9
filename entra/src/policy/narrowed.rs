//! What a line of pg_hba.conf asks of tokens besides the settings. A line can only take away: what
//! the settings do not accept, no line can make acceptable.

use super::{Misconfigured, Policy, parse_clients, parse_list, parse_permission};

/// The options of a line, as they were written; none where the line does not have the option.
#[derive(Debug, Clone, Copy, Default)]
pub struct LineOptions<'s> {
    /// Accepted `aud` values, separated by commas.
    pub audience: Option<&'s str>,
    /// Client applications that may be used, separated by commas.
    pub allowed_clients: Option<&'s str>,
    /// A scope or app role the token must carry.
    pub required_permission: Option<&'s str>,
}

impl Policy {
    /// Returns the policy of a line: this one, narrowed by the line's options.
    ///
    /// # Errors
    /// The first option that is empty, does not parse, or has an item that this policy does not
    /// accept. Nobody may be let in by such a line: the administrator has meant something by it
    /// that it does not say.
    pub fn narrowed(&self, line: &LineOptions<'_>) -> Result<Self, Misconfigured> {
        let mut policy = self.clone();
        if let Some(text) = line.audience {
            policy.audiences = given("audience", parse_list(text))?;
            let accepted = policy.audiences.iter().all(|item| self.accepts_audience(item));
            within("audience", accepted)?;
        }
        if let Some(text) = line.allowed_clients {
            policy.clients = given("allowed_clients", parse_clients(text))?;
            let accepted = policy.clients.iter().all(|client| self.accepts_client(Some(*client)));
            within("allowed_clients", accepted)?;
        }
        if let Some(text) = line.required_permission {
            let permission = parse_permission(text).map(|name| name.into_iter().collect::<Vec<_>>());
            let permission = given("required_permission", permission)?.pop();
            within("required_permission", self.permission.is_none() || self.permission == permission)?;
            policy.permission = permission;
        }
        Ok(policy)
    }
}

/// Returns the items of an option, which has some.
fn given<T>(setting: &'static str, items: Result<Vec<T>, String>) -> Result<Vec<T>, Misconfigured> {
    match items {
        Ok(items) if items.is_empty() => Err(Misconfigured { setting, problem: "is empty".to_owned() }),
        Ok(items) => Ok(items),
        Err(problem) => Err(Misconfigured { setting, problem }),
    }
}

fn within(setting: &'static str, is_accepted: bool) -> Result<(), Misconfigured> {
    let problem = || "has an item that the setting of this name does not accept".to_owned();
    if is_accepted { Ok(()) } else { Err(Misconfigured { setting, problem: problem() }) }
}

#[cfg(test)]
mod tests {
    use super::LineOptions;
    use crate::{Cloud, Policy, RawPolicy};

    const ONE: &str = "22222222-aaaa-bbbb-cccc-000000000002";
    const OTHER: &str = "33333333-aaaa-bbbb-cccc-000000000003";

    fn policy(clients: &str, permission: &str) -> Policy {
        Policy::parse(&RawPolicy {
            tenant_id: "11111111-aaaa-bbbb-cccc-000000000001",
            audience: "api://a, https://b.example/, 7abcdef7-aaaa-bbbb-cccc-000000000007",
            cloud: Cloud::Public,
            issuers: "",
            allowed_clients: clients,
            required_permission: permission,
            clock_skew: 60,
        })
        .unwrap()
    }

    fn fault(policy: &Policy, line: LineOptions<'_>) -> Option<&'static str> {
        policy.narrowed(&line).err().map(|fault| fault.setting)
    }

    #[test]
    fn a_line_without_options_changes_nothing() {
        let policy = policy(ONE, "access");
        assert_eq!(policy.narrowed(&LineOptions::default()), Ok(policy));
    }

    #[test]
    fn a_line_takes_away() {
        let all = policy("", "");
        let line = LineOptions {
            audience: Some("https://b.example, 7ABCDEF7-aaaa-bbbb-cccc-000000000007"),
            allowed_clients: Some(ONE),
            required_permission: Some("access"),
        };
        let narrowed = all.narrowed(&line).unwrap();
        for audience in ["https://b.example/", "7abcdef7-aaaa-bbbb-cccc-000000000007"] {
            assert!(narrowed.accepts_audience(audience), "{audience}");
        }
        assert!(all.accepts_audience("api://a") && !narrowed.accepts_audience("api://a"));
        let (one, other) = (ONE.parse().unwrap(), OTHER.parse().unwrap());
        assert!(narrowed.accepts_client(Some(one)));
        assert!(all.accepts_client(Some(other)) && !narrowed.accepts_client(Some(other)));
        assert!(all.accepts_client(None) && !narrowed.accepts_client(None));
        assert_eq!(narrowed.required_permission(), Some("access"));
        assert_eq!(narrowed.narrowed(&line), Ok(narrowed.clone()), "the same again changes nothing");
    }

    #[test]
    fn a_line_never_gives() {
        let policy = policy(ONE, "access");
        let none = LineOptions::default();
        for line in [
            LineOptions { audience: Some("api://other"), ..none },
            LineOptions { audience: Some("api://a, api://other"), ..none },
            LineOptions { audience: Some("api://7abcdef7-aaaa-bbbb-cccc-000000000007"), ..none },
        ] {
            assert_eq!(fault(&policy, line), Some("audience"), "{line:?}");
        }
        let both = format!("{ONE}, {OTHER}");
        for clients in [OTHER, both.as_str()] {
            let line = LineOptions { allowed_clients: Some(clients), ..none };
            assert_eq!(fault(&policy, line), Some("allowed_clients"), "{line:?}");
        }
        let line = LineOptions { required_permission: Some("other"), ..none };
        assert_eq!(fault(&policy, line), Some("required_permission"));
    }

    #[test]
    fn an_option_that_says_nothing_is_a_fault() {
        let (policy, none) = (policy("", ""), LineOptions::default());
        for text in ["", " ", ",", "a b", "a,,b"] {
            let line = LineOptions { audience: Some(text), ..none };
            assert_eq!(fault(&policy, line), Some("audience"), "{text:?}");
            let line = LineOptions { allowed_clients: Some(text), ..none };
            assert_eq!(fault(&policy, line), Some("allowed_clients"), "{text:?}");
            let line = LineOptions { required_permission: Some(text), ..none };
            assert_eq!(fault(&policy, line), Some("required_permission"), "{text:?}");
        }
    }
}
