//! The claims of a token, checked in the order of trust.
//!
//! The claims and their meaning are described in "Access token claims reference" (Microsoft), and
//! the registered ones in RFC 7519 section 4.1. Names (`upn`, `preferred_username` and others) can
//! be changed and reassigned, so they are shown and never compared.

use uuid::Uuid;

use crate::authority::version_of_issuer;
use crate::header::MediaType;
use crate::ids::parse_uuid;
use crate::json::{Json, Object};
use crate::kinds::TokenKind;
use crate::limits;
use crate::policy::Policy;
use crate::refusal::Refusal;
use crate::step::{Observer, Step};
use crate::token::{Groups, Members, Token};
use crate::untrusted::Untrusted;

/// The members of the claims object. None of them is trusted before [`Claims::check`].
pub(crate) struct Claims(Object);

/// The parts of a token around its claims that decide too: the key that signed it, and the header.
pub(crate) struct Envelope<'e> {
    /// `kid`.
    pub(crate) key_id: &'e str,
    /// The issuer of the key, where it has one.
    pub(crate) key_issuer: Option<&'e str>,
    /// `typ`.
    pub(crate) media_type: MediaType,
}

/// Returns the claim in which tokens of a version name their client application.
fn application_claim(version: &str) -> &'static str {
    if version == "1.0" { "appid" } else { "azp" }
}

impl Claims {
    /// Takes the members of a claims object that has been read.
    pub(crate) const fn new(members: Object) -> Self {
        Self(members)
    }

    /// Checks every claim against `policy` at `now` (Unix seconds), and the issuer of the signing
    /// key where it has one. The caller must have verified the signature.
    pub(crate) fn check(
        self,
        envelope: &Envelope<'_>,
        policy: &Policy,
        now: i64,
        observer: &mut impl Observer,
    ) -> Result<Token, Refusal> {
        observer.step(Step::Version);
        let version = self.version()?;
        observer.step(Step::Tenant);
        let tenant = self.tenant(policy)?;
        observer.step(Step::Issuer);
        self.check_issuer(envelope.key_issuer, policy)?;
        observer.step(Step::Audience);
        self.check_audience(policy)?;
        observer.step(Step::Validity);
        let (issued_at, expires_at) = self.check_times(policy.clock_skew(), now)?;
        observer.step(Step::Bearer);
        self.check_bearer(version, envelope.media_type)?;
        observer.step(Step::Client);
        let application = self.check_client(version, policy)?;
        observer.step(Step::Permission);
        self.check_permission(policy)?;
        observer.step(Step::Kind);
        let kind = self
            .kind()?
            .ok_or_else(|| invalid("scp", "a token of a user has one, and this is none of an application"))?;
        observer.step(Step::Object);
        Ok(Token {
            tenant,
            object_id: self.uuid("oid")?,
            kind,
            application,
            groups: self.groups()?,
            methods: self.methods()?,
            issued_at,
            expires_at,
            display_name: self.first_text(&["upn", "preferred_username", "unique_name"]),
            token_id: self.first_text(&["uti"]),
            key_id: envelope.key_id.to_owned(),
            members: Members(self.0),
        })
    }

    fn version(&self) -> Result<&str, Refusal> {
        match self.text("ver")? {
            version @ ("1.0" | "2.0") => Ok(version),
            _ => Err(invalid("ver", "neither 1.0 nor 2.0")),
        }
    }

    fn tenant(&self, policy: &Policy) -> Result<Uuid, Refusal> {
        let found = self.uuid("tid")?;
        if found == policy.tenant() {
            Ok(found)
        } else {
            Err(Refusal::WrongTenant { expected: policy.tenant(), found })
        }
    }

    /// Checks the issuer by exact comparison, as Microsoft's validators do. The issuer of a key is
    /// a template or a fixed text.
    fn check_issuer(&self, key_issuer: Option<&str>, policy: &Policy) -> Result<(), Refusal> {
        let wrong = |of, found: &str| Refusal::WrongIssuer {
            of,
            expected: policy.issuers().to_vec(),
            found: Untrusted::new(found),
        };
        let issuer = self.text("iss")?;
        if !policy.accepts_issuer(issuer) {
            return Err(wrong("token", issuer));
        }
        match key_issuer {
            Some(template) if !policy.accepts_issuer_template(template) => Err(wrong("key", template)),
            _ => Ok(()),
        }
    }

    fn check_audience(&self, policy: &Policy) -> Result<(), Refusal> {
        let found = self.text("aud")?;
        if policy.accepts_audience(found) {
            return Ok(());
        }
        Err(Refusal::WrongAudience { expected: policy.audiences().to_vec(), found: Untrusted::new(found) })
    }

    /// Checks `nbf`, `iat` and `exp`, which must all be there. A token is valid while `now` < `exp`
    /// (RFC 7519 section 4.1.4), with a leeway either way.
    fn check_times(&self, skew: i64, now: i64) -> Result<(i64, i64), Refusal> {
        let (not_before, issued_at, expires_at) =
            (self.seconds("nbf")?, self.seconds("iat")?, self.seconds("exp")?);
        for (claim, valid_from) in [("nbf", not_before), ("iat", issued_at)] {
            if now.saturating_add(skew) < valid_from {
                return Err(Refusal::NotYetValid { claim, valid_from, now, skew });
            }
        }
        if now >= expires_at.saturating_add(skew) {
            return Err(Refusal::Expired { expired_at: expires_at, now, skew });
        }
        Ok((issued_at, expires_at))
    }

    /// Checks that this is an access token which its bearer may use.
    ///
    /// A token with `cnf` may be used only with a proof that its holder has a key (RFC 7800), which
    /// a password is not. Tokens that are not access tokens say so in `typ`, or have another `ver`
    /// than their issuer gives to access tokens.
    fn check_bearer(&self, version: &str, media_type: MediaType) -> Result<(), Refusal> {
        if self.0.contains_key("cnf") {
            return Err(invalid("cnf", "present: the token is bound to a key of its holder"));
        }
        if media_type == MediaType::Other {
            return Err(invalid("typ", "neither JWT nor at+jwt"));
        }
        match version_of_issuer(self.text("iss")?) {
            Some(wanted) if wanted != version => Err(invalid("ver", "not the version of this issuer")),
            _ => Ok(()),
        }
    }

    fn check_client(&self, version: &str, policy: &Policy) -> Result<Option<Uuid>, Refusal> {
        let name = application_claim(version);
        let found = self.0.contains_key(name).then(|| self.uuid(name)).transpose()?;
        if policy.accepts_client(found) { Ok(found) } else { Err(Refusal::ClientNotAllowed { found }) }
    }

    /// Checks the required permissions. A user's permissions are in `scp`, a service's in `roles`.
    fn check_permission(&self, policy: &Policy) -> Result<(), Refusal> {
        let required = policy.required_permissions();
        if required.is_empty() {
            return Ok(());
        }
        let (claim, held) = if self.kind()? == Some(TokenKind::Service) {
            ("roles", self.texts("roles")?.unwrap_or_default())
        } else {
            ("scp", self.scopes()?.unwrap_or_default())
        };
        let is_missing = |name: &&String| !held.contains(&name.as_str());
        let Some(missing) = required.iter().find(is_missing) else { return Ok(()) };
        let found = Untrusted::new(&held.join(" "));
        Err(Refusal::PermissionMissing { claim, required: missing.clone(), found })
    }

    /// Returns the kind of the token. It is a service's if `idtyp` says so, or if it has no scopes
    /// and its subject is its object; it is a user's if it has scopes. An ID token is neither.
    pub(crate) fn kind(&self) -> Result<Option<TokenKind>, Refusal> {
        let delegated = self.scopes()?.is_some();
        if self.optional_text("idtyp")? == Some("app") {
            return Ok(Some(TokenKind::Service));
        }
        if delegated {
            return Ok(Some(TokenKind::User));
        }
        let own = self.optional_text("sub")?.and_then(parse_uuid);
        Ok((own == Some(self.uuid("oid")?)).then_some(TokenKind::Service))
    }

    fn scopes(&self) -> Result<Option<Vec<&str>>, Refusal> {
        let Some(text) = self.optional_text("scp")? else { return Ok(None) };
        let scopes: Vec<&str> = text.split(' ').filter(|scope| !scope.is_empty()).collect();
        if scopes.is_empty() { Err(invalid("scp", "empty")) } else { Ok(Some(scopes)) }
    }

    /// Returns the groups. Entries that are not object ids (`sAMAccountName`, say) never match, so
    /// they are only counted.
    pub(crate) fn groups(&self) -> Result<Groups, Refusal> {
        let elsewhere = match self.0.get("_claim_names") {
            None => false,
            Some(Json::Object(names)) => names.contains_key("groups"),
            Some(_) => return Err(invalid("_claim_names", "not an object")),
        };
        if elsewhere || self.0.get("hasgroups") == Some(&Json::Bool(true)) {
            return Ok(Groups::Overage);
        }
        let listed = self.texts("groups")?.unwrap_or_default();
        let ids: Vec<_> = listed.iter().filter_map(|group| parse_uuid(group)).collect();
        Ok(Groups::Listed { others: listed.len() - ids.len(), ids })
    }

    fn methods(&self) -> Result<Option<Vec<String>>, Refusal> {
        Ok(self.texts("amr")?.map(|methods| methods.into_iter().map(str::to_owned).collect()))
    }

    /// Returns whether there is a claim of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Returns the number of claims.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// Returns the claim in which this token names its client application.
    pub(crate) fn client_claim(&self) -> &'static str {
        self.version().map_or("azp", application_claim)
    }

    /// Returns a claim that is an integer, to show it.
    pub(crate) fn whole_number(&self, name: &str) -> Option<i64> {
        self.0.get(name)?.as_integer()
    }

    /// Returns a claim with its name, to show it: escaped and cut.
    pub(crate) fn shown(&self, name: &str) -> String {
        let value = match self.0.get(name) {
            None => return format!("no {name}"),
            Some(Json::Text(text)) => Untrusted::new(text).to_string(),
            Some(Json::Number(digits)) => Untrusted::new(digits).to_string(),
            Some(Json::Bool(value)) => value.to_string(),
            Some(other) => match other.as_texts() {
                Some(texts) => Untrusted::new(&texts.join(" ")).to_string(),
                None => "of another kind".to_owned(),
            },
        };
        format!("{name} {value}")
    }

    /// Returns the first of these claims that is a text.
    fn first_text(&self, names: &[&str]) -> Option<Untrusted> {
        names.iter().find_map(|name| self.0.get(*name)?.as_text()).map(Untrusted::new)
    }

    fn seconds(&self, name: &'static str) -> Result<i64, Refusal> {
        self.0.get(name).and_then(Json::as_integer).ok_or_else(|| invalid(name, "not an integer"))
    }

    fn uuid(&self, name: &'static str) -> Result<Uuid, Refusal> {
        parse_uuid(self.text(name)?).ok_or_else(|| invalid(name, "not a uuid"))
    }

    fn text(&self, name: &'static str) -> Result<&str, Refusal> {
        self.optional_text(name)?.ok_or_else(|| invalid(name, "missing"))
    }

    fn optional_text(&self, name: &'static str) -> Result<Option<&str>, Refusal> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Json::Text(text)) if text.len() <= limits::MAX_SETTING_BYTES => Ok(Some(text)),
            Some(_) => Err(invalid(name, "not a string of usual length")),
        }
    }

    fn texts(&self, name: &'static str) -> Result<Option<Vec<&str>>, Refusal> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        value.as_texts().map(Some).ok_or_else(|| invalid(name, "not an array of strings"))
    }
}

const fn invalid(claim: &'static str, problem: &'static str) -> Refusal {
    Refusal::InvalidClaims { claim, problem }
}
