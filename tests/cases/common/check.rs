//! check_configuration().

use testbed::cluster::Cluster;
use testbed::idp::Provider;
use testbed::issuer::PERSON;
use testbed::scene::Scene;

use super::statements::link;

/// A pg_hba.conf about which there is nothing to say.
const SOUND_HBA: &str = "local all postgres trust\nlocal all +azure_ad_user trust\n\
                         hostssl all +azure_ad_user 127.0.0.1/32 trust\n";

/// Starts a server about whose configuration there is nothing to say. `ann` is linked.
pub(crate) fn sound_scene(settings: &str) -> (Cluster, Provider) {
    let (cluster, provider) = Scene::new().settings(settings).hba(SOUND_HBA).start();
    link(&cluster, "ann", PERSON, "user");
    (cluster, provider)
}
