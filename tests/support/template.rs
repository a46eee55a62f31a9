//! What all servers of a test run are made from.

use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex};

use crate::ca::Authority;
use crate::installation::{Installation, succeed};
use crate::mutex::lock;
use crate::scratch::Folder;

/// The programs, the certificate authority, and an initialised data directory to copy.
pub struct Template {
    /// The programs.
    pub installation: Installation,
    /// The authority that signs the certificates of all servers and providers.
    pub authority: Authority,
    folder: Folder,
    is_initialised: Mutex<bool>,
}

/// The template of all tests of a run. Its folder is removed when the process ends.
static SHARED: LazyLock<Arc<Template>> = LazyLock::new(|| {
    #[expect(unsafe_code, reason = "statics are not dropped")]
    // SAFETY: registers a function that only removes files.
    unsafe {
        libc::atexit(remove_shared);
    }
    Arc::new(Template::new(Installation::chosen()))
});

extern "C" fn remove_shared() {
    let _ = std::fs::remove_dir_all(SHARED.folder.path());
}

impl Template {
    /// Returns the template that all tests of this process share, made for the chosen installation.
    pub fn shared() -> &'static Arc<Self> {
        &SHARED
    }

    /// Makes a template for an installation.
    pub fn new(installation: Installation) -> Self {
        let folder = Folder::new("template");
        let authority = Authority::new("Authority of the tests");
        folder.write("ca.pem", authority.pem());
        Self { installation, authority, folder, is_initialised: Mutex::new(false) }
    }

    /// Returns the path of the authority's certificate.
    pub fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Returns a data directory as initdb makes it. The first call runs initdb.
    pub(crate) fn data(&self) -> PathBuf {
        let path = self.folder.path().join("data");
        let mut is_initialised = lock(&self.is_initialised);
        if !*is_initialised {
            let mut initdb = self.installation.command("initdb");
            initdb.arg("-D").arg(&path);
            initdb.args(["-U", "postgres", "-E", "UTF8", "-A", "trust", "--no-sync", "--wal-segsize=1"]);
            succeed(&mut initdb);
            *is_initialised = true;
        }
        path
    }
}
