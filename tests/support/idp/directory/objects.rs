//! What a directory holds: users, guests, groups, applications and their properties.

use serde_json::{Map, Value, json};

use super::time::rfc3339;
use crate::issuer::{TENANT, unix_now};

/// The types of object that have paths and permissions of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ObjectType {
    /// A user, member or guest.
    User,
    /// A group.
    Group,
    /// A service principal: the application as a tenant knows it. Its id is `oid` in tokens.
    ServicePrincipal,
    /// An app registration. Its id is in no token.
    Application,
    /// Anything else that can be a member of a group, such as a device.
    Other,
}

impl ObjectType {
    /// Returns the segment of a path that names all objects of this type.
    pub(super) const fn collection(self) -> &'static str {
        match self {
            Self::User => "users",
            Self::Group => "groups",
            Self::ServicePrincipal => "servicePrincipals",
            Self::Application => "applications",
            Self::Other => "devices",
        }
    }

    /// Returns the type that a segment of a path names.
    pub(super) fn of_collection(segment: &str) -> Option<Self> {
        let all = [Self::User, Self::Group, Self::ServicePrincipal, Self::Application];
        all.into_iter().find(|candidate| candidate.collection() == segment)
    }

    /// Returns the name of this type in errors.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::User => "microsoft.graph.user",
            Self::Group => "microsoft.graph.group",
            Self::ServicePrincipal => "microsoft.graph.servicePrincipal",
            Self::Application => "microsoft.graph.application",
            Self::Other => "microsoft.graph.device",
        }
    }

    /// Returns the properties that an answer has when the request selects none.
    pub(super) const fn default_properties(self) -> &'static [&'static str] {
        match self {
            // Without accountEnabled and userType.
            Self::User => &["id", "displayName", "mail", "userPrincipalName"],
            Self::Group => GROUP,
            Self::ServicePrincipal => SERVICE_PRINCIPAL,
            Self::Application => &["id", "appId", "displayName", "createdDateTime"],
            Self::Other => &["id", "displayName", "accountEnabled"],
        }
    }

    /// Returns all properties that objects of this type can have.
    pub(super) const fn properties(self) -> &'static [&'static str] {
        match self {
            Self::User => USER,
            _ => self.default_properties(),
        }
    }

    /// Returns whether a filter can ask for a property of this type.
    pub(super) fn can_filter_by(self, property: &str) -> bool {
        let cannot = ["signInSessionsValidFromDateTime", "disabledByMicrosoftStatus", "visibility"];
        self.properties().contains(&property) && !cannot.contains(&property)
    }
}

const USER: &[&str] = &[
    "id",
    "displayName",
    "mail",
    "userPrincipalName",
    "accountEnabled",
    "userType",
    "createdDateTime",
    "signInSessionsValidFromDateTime",
];
const GROUP: &[&str] = &[
    "id",
    "displayName",
    "mail",
    "mailEnabled",
    "securityEnabled",
    "groupTypes",
    "visibility",
    "createdDateTime",
];
const SERVICE_PRINCIPAL: &[&str] = &[
    "id",
    "appId",
    "displayName",
    "accountEnabled",
    "appOwnerOrganizationId",
    "disabledByMicrosoftStatus",
    "servicePrincipalNames",
    "servicePrincipalType",
];

/// An object of the directory.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    pub(super) kind: ObjectType,
    /// `@odata.type`, which can be one that was not known when the client was written.
    pub(super) odata_type: String,
    /// In lower case.
    pub(super) id: String,
    pub(super) properties: Map<String, Value>,
}

impl Object {
    fn new(kind: ObjectType, id: &str, name: &str) -> Self {
        let id = id.to_ascii_lowercase();
        let mut properties = Map::new();
        properties.insert("id".to_owned(), json!(id));
        properties.insert("displayName".to_owned(), json!(name));
        properties.insert("createdDateTime".to_owned(), json!(rfc3339(unix_now() - 86_400)));
        Self { kind, odata_type: format!("#{}", kind.name()), id, properties }
    }

    /// Makes a user of the tenant who is enabled, and whose mail is the user principal name.
    pub fn user(id: &str, principal_name: &str) -> Self {
        let name = principal_name.split('@').next().unwrap_or_default();
        let created = rfc3339(unix_now() - 86_400);
        Self::new(ObjectType::User, id, name)
            .with("userPrincipalName", principal_name)
            .with("mail", principal_name)
            .with("userType", "Member")
            .with("accountEnabled", true)
            .with("signInSessionsValidFromDateTime", created)
    }

    /// Makes a guest, whose user principal name is made from the mail as Entra does it.
    pub fn guest(id: &str, mail: &str) -> Self {
        let principal_name = format!("{}#EXT#@contoso.onmicrosoft.com", mail.replace('@', "_"));
        Self::user(id, &principal_name).with("userType", "Guest").with("mail", mail)
    }

    /// Makes a security group.
    pub fn group(id: &str, name: &str) -> Self {
        Self::new(ObjectType::Group, id, name)
            .with("securityEnabled", true)
            .with("mailEnabled", false)
            .with("groupTypes", json!([]))
            .with("visibility", Value::Null)
            .with("mail", Value::Null)
    }

    /// Makes an application as the tenant knows it, with the client id of its registration.
    pub fn service_principal(id: &str, client_id: &str, name: &str) -> Self {
        Self::new(ObjectType::ServicePrincipal, id, name)
            .with("appId", client_id)
            .with("servicePrincipalType", "Application")
            .with("accountEnabled", true)
            .with("disabledByMicrosoftStatus", Value::Null)
            .with("appOwnerOrganizationId", TENANT)
            .with("servicePrincipalNames", json!([client_id]))
    }

    /// Makes an app registration.
    pub fn application(id: &str, client_id: &str, name: &str) -> Self {
        Self::new(ObjectType::Application, id, name).with("appId", client_id)
    }

    /// Makes a device.
    pub fn device(id: &str, name: &str) -> Self {
        Self::new(ObjectType::Other, id, name).with("accountEnabled", true)
    }

    /// Sets a property.
    pub fn with(mut self, property: &str, value: impl Into<Value>) -> Self {
        self.properties.insert(property.to_owned(), value.into());
        self
    }

    /// Gives it another `@odata.type`, such as `#microsoft.graph.agentIdentity`.
    pub fn of_type(self, odata_type: &str) -> Self {
        Self { odata_type: odata_type.to_owned(), ..self }
    }

    /// Makes a group one for mail only, which tokens do not list.
    pub fn not_security_enabled(self) -> Self {
        self.with("securityEnabled", false).with("mailEnabled", true)
    }

    /// Makes a group one whose membership is shown with Member.Read.Hidden only.
    pub fn with_hidden_membership(self) -> Self {
        self.with("visibility", "HiddenMembership")
    }

    /// Disables an account or an application.
    pub fn disabled(self) -> Self {
        self.with("accountEnabled", false)
    }

    pub(super) fn has_hidden_membership(&self) -> bool {
        self.properties.get("visibility").is_some_and(|value| value == "HiddenMembership")
    }

    pub(super) fn is_security_enabled(&self) -> bool {
        self.properties.get("securityEnabled").is_some_and(|value| value == true)
    }

    /// Returns whether a property is this text; letters are compared without case.
    pub(super) fn has(&self, property: &str, text: &str) -> bool {
        let found = self.properties.get(property).and_then(Value::as_str);
        found.is_some_and(|found| found.to_lowercase() == text.to_lowercase())
    }
}
