use std::collections::BTreeMap;
use std::path::PathBuf;

use caretrail_model::role::{ROLE_ATTRIBUTE, Role, SUBJECT_ATTRIBUTE};
use clap::Args;
use hlf_network::ca::CaError;
use hlf_network::network::{IssueError, Network};
use hlf_network::spec::{NodeOu, User, UserKey};

use crate::app::App;
use crate::failure::{Exit, Invalid};

#[derive(Debug, Args)]
#[command(
    after_help = "The certificate names nobody: its common name is the random subject, which every member of the channel \
                        sees.\n\nExample:\n  caretrail identity issue north/ada --role clinician"
)]
pub(crate) struct Issue {
    /// `ORGANISATION/NAME`; the name stays in the state folder.
    name: String,
    /// What the identity is.
    #[arg(long)]
    role: Role,
}

impl Issue {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let network = Network::existing(&app.network_folder())?;
        issue(&network, &self.name, self.role).await?;
        let actor = app.actor_of(&self.name)?;
        app.printer.data(&super::show::Shown::new(&self.name, &actor, self.role))?;
        Ok(Exit::Done)
    }
}

/// Issues an identity, and says where its folder is; one that is there already is an error.
pub(crate) async fn issue(network: &Network, name: &str, role: Role) -> anyhow::Result<PathBuf> {
    let (organization, user) = name
        .split_once('/')
        .ok_or_else(|| Invalid(format!("`{name}` is no `ORGANISATION/NAME`, such as `north/ada`")))?;
    let organization = network.spec().organization(organization).ok_or_else(|| {
        let known: Vec<_> = network.spec().organizations.iter().map(|o| o.name.as_str()).collect();
        Invalid(format!("there is no organisation `{organization}`: there are {}", known.join(", ")))
    })?;
    let user = User {
        name: user.to_owned(),
        node_ou: if role == Role::Admin { NodeOu::Admin } else { NodeOu::Client },
        common_name: Some("random".to_owned()),
        attributes: BTreeMap::from([
            (ROLE_ATTRIBUTE.to_owned(), role.as_str().to_owned()),
            (SUBJECT_ATTRIBUTE.to_owned(), "{common_name}".to_owned()),
        ]),
        key: UserKey::default(),
    };
    match network.issue_user(organization, &user).await {
        Err(IssueError::Ca(error @ (CaError::Exists(_) | CaError::Name(_)))) => {
            Err(Invalid(error.to_string()).into())
        }
        result => Ok(result?),
    }
}
