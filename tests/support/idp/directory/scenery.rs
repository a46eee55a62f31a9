//! What a test says about a directory: what it holds, what may be read, how it fails.

use std::path::Path;

use serde_json::{Value, json};

use super::Directory;
use super::credentials::{ClientCertificate, Federation, RegisteredCertificate};
use super::identity::IdentityEndpoint;
use super::lag::Lag;
use super::objects::{Object, ObjectType};
use super::permissions::Permissions;
use super::store::Store;
use super::time::rfc3339;
use super::trouble::{Place, Trouble};
use crate::mutex::lock;

/// Objects and memberships. A change is seen when the lag lets it be seen.
impl Directory {
    fn change(&self, change: impl FnOnce(&mut Store) + Send + 'static) {
        lock(&self.data).replication.apply(Box::new(change));
    }

    /// Adds an object, or replaces the one with its id.
    pub fn add(&self, object: Object) {
        self.change(|store| store.add(object));
    }

    /// Adds a user of the tenant.
    pub fn add_user(&self, id: &str, principal_name: &str) {
        self.add(Object::user(id, principal_name));
    }

    /// Adds a guest with this mail.
    pub fn add_guest(&self, id: &str, mail: &str) {
        self.add(Object::guest(id, mail));
    }

    /// Adds a security group.
    pub fn add_group(&self, id: &str, name: &str) {
        self.add(Object::group(id, name));
    }

    /// Adds an application as the tenant knows it.
    pub fn add_service_principal(&self, id: &str, client_id: &str, name: &str) {
        self.add(Object::service_principal(id, client_id, name));
    }

    /// Makes an object, which may be a group, a member of a group.
    pub fn add_member(&self, group: &str, id: &str) {
        let (group, id) = (group.to_owned(), id.to_owned());
        self.change(move |store| store.add_member(&group, &id));
    }

    /// Ends a direct membership.
    pub fn remove_member(&self, group: &str, id: &str) {
        let (group, id) = (group.to_owned(), id.to_owned());
        self.change(move |store| store.remove_member(&group, &id));
    }

    /// Sets a property of an object.
    pub fn set(&self, id: &str, property: &str, value: impl Into<Value>) {
        let (id, property, value) = (id.to_owned(), property.to_owned(), value.into());
        self.change(move |store| {
            if let Some(object) = store.object_mut(&id) {
                object.properties.insert(property, value);
            }
        });
    }

    /// Disables an account or an application.
    pub fn disable(&self, id: &str) {
        self.set(id, "accountEnabled", false);
    }

    /// Enables an account or an application.
    pub fn enable(&self, id: &str) {
        self.set(id, "accountEnabled", true);
    }

    /// Revokes a user's sign-in sessions at a time in Unix seconds.
    pub fn revoke_sessions(&self, id: &str, at: i64) {
        self.set(id, "signInSessionsValidFromDateTime", rfc3339(at));
    }

    /// Changes the user principal name of a user, or the display name of another object.
    pub fn rename(&self, id: &str, name: &str) {
        let (id, name) = (id.to_owned(), name.to_owned());
        self.change(move |store| {
            if let Some(object) = store.object_mut(&id) {
                let is_user = object.kind == ObjectType::User;
                let property = if is_user { "userPrincipalName" } else { "displayName" };
                object.properties.insert(property.to_owned(), json!(name));
            }
        });
    }

    /// Deletes an object. It can be restored, and is among the deleted items.
    pub fn delete(&self, id: &str) {
        let id = id.to_owned();
        self.change(move |store| store.delete(&id));
    }

    /// Restores a deleted object with its memberships.
    pub fn restore(&self, id: &str) {
        let id = id.to_owned();
        self.change(move |store| store.restore(&id));
    }

    /// Deletes an object for good.
    pub fn purge(&self, id: &str) {
        let id = id.to_owned();
        self.change(move |store| store.purge(&id));
    }

    /// Sets how long further changes stay unseen.
    pub fn lag(&self, lag: Lag) {
        lock(&self.data).replication.set_lag(lag);
    }
}

/// What Graph lets the server's application read.
impl Directory {
    /// Grants a permission, or the role "Directory Readers" by the name Directory.Read.All.
    pub fn grant(&self, permission: &str) {
        lock(&self.data).permissions.grant(permission);
    }

    /// Withdraws a permission.
    pub fn withdraw(&self, permission: &str) {
        lock(&self.data).permissions.withdraw(permission);
    }

    /// Grants these permissions and withdraws all others.
    pub fn permit_only(&self, permissions: &[&str]) {
        lock(&self.data).permissions = Permissions::of(permissions);
    }

    /// Makes tokens let read what was permitted when they were issued, as those of Entra do.
    /// Without it a change of permissions counts at once.
    pub fn tokens_keep_permissions(&self, keep: bool) {
        lock(&self.data).tokens.keep_permissions = keep;
    }

    /// Sets the greatest length of a page; none: 100, and up to 999 where the request says so.
    pub fn page_length(&self, length: Option<usize>) {
        lock(&self.data).options.page_length = length;
    }

    /// Makes getByIds show when sessions were revoked. Without it that property is missing there.
    pub fn show_session_times_in_get_by_ids(&self, show: bool) {
        lock(&self.data).options.session_times_in_get_by_ids = show;
    }

    /// Makes getByIds want Directory.Read.All. Without it the permissions of the types do.
    pub fn get_by_ids_needs_directory(&self, needs: bool) {
        lock(&self.data).options.get_by_ids_needs_directory = needs;
    }

    /// Makes lists of members have service principals. Without it they are left out.
    pub fn list_service_principals(&self, list: bool) {
        lock(&self.data).options.lists_service_principals = list;
    }

    /// Makes advanced queries leave out an object.
    pub fn leave_out_of_index(&self, id: &str) {
        lock(&self.data).options.not_indexed.push(id.to_ascii_lowercase());
    }

    /// Returns a root of Graph, as a setting takes it.
    pub fn graph_url(&self) -> String {
        format!("https://127.0.0.1:{}/graph", self.port)
    }

    /// Serves Graph under a further path, such as `/dod`.
    pub fn serve_graph_at(&self, path: &str) {
        lock(&self.data).roots.push(path.to_owned());
    }
}

/// How the server's application proves who it is, and the tokens it gets.
impl Directory {
    /// Registers a secret in place of all others.
    pub fn set_secret(&self, secret: &str) {
        let mut data = lock(&self.data);
        data.record.credential(secret);
        data.credentials.secrets = vec![(secret.to_owned(), false)];
    }

    /// Makes all secrets expire.
    pub fn expire_secrets(&self) {
        for (_, expired) in &mut lock(&self.data).credentials.secrets {
            *expired = true;
        }
    }

    /// Registers a certificate besides those that are.
    pub fn register(&self, certificate: &ClientCertificate) {
        lock(&self.data).credentials.certificates.push(certificate.registered());
    }

    /// Registers a certificate of somebody else's making besides those that are. It is in its time.
    /// `public_key`: as it stands in the certificate.
    pub fn register_certificate(&self, der: &[u8], public_key: &[u8]) {
        lock(&self.data).credentials.certificates.push(RegisteredCertificate::of(der, public_key));
    }

    /// Removes all certificates.
    pub fn remove_certificates(&self) {
        lock(&self.data).credentials.certificates.clear();
    }

    /// Revokes all certificates that are registered.
    pub fn revoke_certificates(&self) {
        for certificate in &mut lock(&self.data).credentials.certificates {
            certificate.is_revoked = true;
        }
    }

    /// Registers a federated credential.
    pub fn trust(&self, federation: Federation) {
        lock(&self.data).credentials.federations.push(federation);
    }

    /// Notes that a text is secret: [`Self::misplaced_secrets`] looks for it.
    pub fn keep_secret(&self, text: &str) {
        lock(&self.data).record.credential(text);
    }

    /// Sets the life of further tokens in seconds; none: as long as Entra's. A token whose life is
    /// 0 or less is rejected at once.
    pub fn token_lifetime(&self, seconds: Option<i64>) {
        lock(&self.data).tokens.lifetime = seconds;
    }

    /// Makes the token endpoint write numbers as texts.
    pub fn numbers_as_strings(&self, strings: bool) {
        lock(&self.data).tokens.numbers_as_strings = strings;
    }

    /// Makes Graph reject all tokens that have been issued.
    pub fn revoke_tokens(&self) {
        lock(&self.data).tokens.revoke();
    }

    /// Has applications and machines be given this token for a resource besides Graph.
    pub fn issue_for(&self, resource: &str, token: &str) {
        lock(&self.data).tokens.resources.insert(resource.to_owned(), token.to_owned());
    }

    /// Starts the identity endpoint of a virtual machine.
    pub fn virtual_machine(&self) -> IdentityEndpoint {
        IdentityEndpoint::start(self.clone(), None)
    }

    /// Starts the identity endpoint of a machine connected to Azure Arc, which writes its
    /// challenges to a folder.
    pub fn arc_machine(&self, folder: &Path) -> IdentityEndpoint {
        IdentityEndpoint::start(self.clone(), Some(folder))
    }
}

/// Faults. A fault of a kind comes before those of all requests; of two at the same place, the one
/// that was set earlier comes first.
impl Directory {
    /// Spoils the answers at a place until [`Self::recover`], in place of all earlier faults there.
    pub fn fail(&self, place: Place, trouble: Trouble) {
        let mut data = lock(&self.data);
        data.faults.mend(place);
        data.faults.add(place, trouble, None);
    }

    /// Spoils this many answers at a place, after those that earlier faults there spoil.
    pub fn fail_times(&self, times: usize, place: Place, trouble: Trouble) {
        lock(&self.data).faults.add(place, trouble, Some(times));
    }

    /// Mends all faults at a place.
    pub fn recover(&self, place: Place) {
        lock(&self.data).faults.mend(place);
    }
}
