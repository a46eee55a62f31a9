//! What a line of pg_hba.conf asks of tokens besides the settings, from PostgreSQL 19 on. A line
//! can only take away: a token that the settings do not accept is accepted by no line.

use std::fmt;

use super::audience::doubt_of_permission;
use super::{Policy, parse_clients, parse_list, parse_permission};

/// The options of a line, as they are written; none where the line does not have the option.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LineOptions {
    /// Accepted `aud` values, separated by commas.
    pub audience: Option<String>,
    /// Client applications that may be used, separated by commas.
    pub allowed_clients: Option<String>,
    /// A scope or app role that the token must carry besides that of the setting.
    pub required_permission: Option<String>,
}

impl LineOptions {
    /// The names of the options, each that of the setting that it narrows.
    pub const NAMES: [&str; 3] = ["audience", "allowed_clients", "required_permission"];

    /// Returns the options of a line. `value` returns the value of an option by its name.
    pub fn read(value: impl FnMut(&str) -> Option<String>) -> Self {
        let [audience, allowed_clients, required_permission] = Self::NAMES.map(value);
        Self { audience, allowed_clients, required_permission }
    }

    /// Returns the option that is valid and yet fits no token. Of an audience or a client
    /// application [`Policy::narrowed`] has found that the settings have it, too.
    #[must_use]
    pub fn doubt(&self) -> Option<LineFault> {
        let why = doubt_of_permission(self.required_permission.as_deref()?.trim())?;
        let problem = format!("is one that no token carries: {why}");
        Some(LineFault { option: "required_permission", problem })
    }
}

/// An option of a line that is not valid, so that the line can accept no token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineFault {
    /// The option's name, without PostgreSQL's prefix for options of validators.
    pub option: &'static str,
    /// The reason why it is not valid, in words that follow its name.
    pub problem: String,
}

/// Shows the option by the name that it has in pg_hba.conf.
impl fmt::Display for LineFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "validator.{} {}", self.option, self.problem)
    }
}

impl Policy {
    /// Returns the policy of a line: this one, narrowed by the line's options.
    ///
    /// # Errors
    /// The first option that is empty, does not parse, or lists an audience or a client application
    /// that this policy does not accept. Such a line must accept no token: it does not say what the
    /// administrator meant by it.
    pub fn narrowed(&self, line: &LineOptions) -> Result<Self, LineFault> {
        let mut policy = self.clone();
        if let Some(text) = &line.audience {
            policy.audiences = given("audience", parse_list(text))?;
            let accepted = policy.audiences.iter().all(|item| self.accepts_audience(item));
            within("audience", accepted)?;
        }
        if let Some(text) = &line.allowed_clients {
            policy.clients = given("allowed_clients", parse_clients(text))?;
            let accepted = policy.clients.iter().all(|client| self.accepts_client(Some(*client)));
            within("allowed_clients", accepted)?;
        }
        if let Some(text) = &line.required_permission {
            let names = parse_permission(text).map(|name| name.into_iter().collect());
            let names: Vec<_> = given("required_permission", names)?;
            policy.permissions.extend(names.into_iter().filter(|name| !self.permissions.contains(name)));
        }
        Ok(policy)
    }
}

/// Returns the items of an option, which must have some.
fn given<T>(option: &'static str, items: Result<Vec<T>, String>) -> Result<Vec<T>, LineFault> {
    match items {
        Ok(items) if items.is_empty() => Err(LineFault { option, problem: "is empty".to_owned() }),
        Ok(items) => Ok(items),
        Err(problem) => Err(LineFault { option, problem }),
    }
}

fn within(option: &'static str, is_accepted: bool) -> Result<(), LineFault> {
    let problem = || format!("has an item that azure_ad_auth.{option} does not accept");
    if is_accepted { Ok(()) } else { Err(LineFault { option, problem: problem() }) }
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

    fn fault(policy: &Policy, line: &LineOptions) -> Option<&'static str> {
        policy.narrowed(line).err().map(|fault| fault.option)
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
            audience: Some("https://b.example, 7ABCDEF7-aaaa-bbbb-cccc-000000000007".to_owned()),
            allowed_clients: Some(ONE.to_owned()),
            required_permission: Some("access".to_owned()),
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
        assert_eq!(narrowed.required_permissions(), ["access"]);
        assert_eq!(narrowed.narrowed(&line), Ok(narrowed.clone()), "the same again changes nothing");
    }

    fn audience(text: &str) -> LineOptions {
        LineOptions { audience: Some(text.to_owned()), ..LineOptions::default() }
    }

    fn clients(text: &str) -> LineOptions {
        LineOptions { allowed_clients: Some(text.to_owned()), ..LineOptions::default() }
    }

    fn permission(text: &str) -> LineOptions {
        LineOptions { required_permission: Some(text.to_owned()), ..LineOptions::default() }
    }

    #[test]
    fn a_line_never_accepts_more() {
        let policy = policy(ONE, "access");
        for text in ["api://other", "api://a, api://other", "api://7abcdef7-aaaa-bbbb-cccc-000000000007"] {
            assert_eq!(fault(&policy, &audience(text)), Some("audience"), "{text}");
        }
        for text in [OTHER, &format!("{ONE}, {OTHER}")] {
            assert_eq!(fault(&policy, &clients(text)), Some("allowed_clients"), "{text}");
        }
    }

    #[test]
    fn a_permission_of_a_line_is_required_besides_that_of_the_setting() {
        let narrowed = policy("", "access").narrowed(&permission("admin")).unwrap();
        assert_eq!(narrowed.required_permissions(), ["access", "admin"]);
    }

    #[test]
    fn a_permission_that_no_token_carries_is_doubted() {
        for text in ["'dba'", "api://a/dba", " a/.default "] {
            assert_eq!(
                permission(text).doubt().map(|fault| fault.option),
                Some("required_permission"),
                "{text}"
            );
        }
        for line in [permission("dba"), audience("'api://a'"), LineOptions::default()] {
            assert_eq!(line.doubt(), None, "{line:?}");
        }
    }

    #[test]
    fn an_option_without_a_value_is_a_fault() {
        let policy = policy("", "");
        for text in ["", " ", ",", "a b", "a,,b"] {
            assert_eq!(fault(&policy, &audience(text)), Some("audience"), "{text:?}");
            assert_eq!(fault(&policy, &clients(text)), Some("allowed_clients"), "{text:?}");
            assert_eq!(fault(&policy, &permission(text)), Some("required_permission"), "{text:?}");
        }
        let said = policy.narrowed(&audience("api://x")).unwrap_err().to_string();
        assert_eq!(said, "validator.audience has an item that azure_ad_auth.audience does not accept");
    }
}
