use std::path::PathBuf;

use clap::Args;
use hlf_network::network::{Agreed, Change, Network};

use super::change::{self, Shown};
use super::doctor::explained;
use super::part;
use super::plan::read;
use super::up::{Programs, options};
use crate::app::App;
use crate::failure::{Exit, Invalid};

#[derive(Debug, Args)]
#[command(
    after_help = "It takes the steps that `caretrail network plan` shows. After an interruption the same command goes on, \
                        without --spec too; one that cannot succeed is given up for another by --instead.\n\n\
                        Where each hospital has its own part, it makes the channel what consortium.toml says when own keys are \
                        enough for it. Else it writes the change, signed by them, to --out, says who is missing, and ends with \
                        75: they sign it with `caretrail network change sign`.\n\n\
                        Example:\n  caretrail network apply --spec consortium.toml"
)]
pub(crate) struct Apply {
    /// The consortium as it shall be, TOML.
    #[arg(long, value_name = "FILE")]
    spec: Option<PathBuf>,
    /// Give up an interrupted apply of another spec for this one.
    #[arg(long, requires = "spec")]
    instead: bool,
    /// File for a change that others must sign.
    #[arg(long, value_name = "FILE", default_value = "change.json")]
    out: PathBuf,
    /// A snapshot by which the peers that come join, instead of by the channel's first block.
    #[arg(long, value_name = "DIR", requires = "spec")]
    snapshot: Option<PathBuf>,
    #[command(flatten)]
    programs: Programs,
}

impl Apply {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        if let Some(own) = part::own(app)? {
            return self.apply_part(own, app).await;
        }
        let network = Network::existing(&app.network_folder())?;
        let target = self.spec.as_deref().map(read).transpose()?;
        let options = options(&self.programs, network.spec())?;
        let progress = app.progress();
        if let (Some(snapshot), Some(target)) = (&self.snapshot, &target) {
            let mut joining = 0_usize;
            let plan =
                if self.instead { network.plan_instead(target)? } else { network.plan(Some(target))? };
            for planned in plan.changes {
                if let Change::AddPeer { organization, peer } = planned.change
                    && let Some(organization) = target.organization(&organization)
                {
                    network.join_by_snapshot(&organization.host(&peer), snapshot, &progress).await?;
                    joining += 1;
                }
            }
            if joining == 0 {
                let problem = "no peer comes with this spec, so nothing joins by --snapshot; leave it out";
                return Err(Invalid(problem.to_owned()).into());
            }
        }
        let applied = match target.as_ref().filter(|_| self.instead) {
            Some(target) => network.apply_instead(target, &options, &progress).await,
            None => network.apply(target.as_ref(), &options, &progress).await,
        };
        let network = explained(app, applied.map_err(Into::into)).await?;
        app.printer.data(&network.status().await?)?;
        Ok(Exit::Done)
    }

    async fn apply_part(self, own: Network, app: &App) -> anyhow::Result<Exit> {
        part::demand_no_spec(self.spec.as_deref())?;
        if self.out.exists() && change::read(std::slice::from_ref(&self.out)).is_err() {
            let problem =
                format!("`{}` exists and is no proposal; name another file with --out", self.out.display());
            return Err(Invalid(problem).into());
        }
        let (proposal, exit) = match own.agree(&app.progress()).await? {
            Agreed::InForce(proposal) => {
                app.printer.say(format!("in force: {}", proposal.title()));
                return Ok(Exit::Done);
            }
            Agreed::ToSign(proposal) => (proposal, Exit::Waiting),
            _ => {
                app.printer.say("the channel is as consortium.toml says");
                return Ok(Exit::Done);
            }
        };
        change::write(&self.out, &proposal)?;
        app.printer.say(format!("others must sign `{}`: see who is missing", self.out.display()));
        app.printer.data(&Shown::of(&proposal, &own.channel_config().await?)?)?;
        Ok(exit)
    }
}
