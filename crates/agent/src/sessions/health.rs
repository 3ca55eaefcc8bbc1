//! What the agent rests on: its configuration, its endpoints, the desktop.

use protocol::Health;

use super::Sessions;
use crate::endpoint::foreign;
use crate::profile::ServiceEndpoints;
use crate::{keyring, logind, notify, prompter};

impl Sessions {
    /// Takes a look at all of it. Calls nobody at AWS, and starts nothing.
    pub async fn health(&self, replaced: bool) -> Health {
        let configuration = self.configuration();
        let waits = configuration.as_ref().is_ok_and(|configuration| configuration.locks());
        let variables = self.environment.shown().iter();
        let mut endpoints: Vec<(String, String)> = variables
            .filter(|(name, _)| name.starts_with("AWS_ENDPOINT_URL"))
            .map(|(name, url)| (name.clone(), url.clone()))
            .collect();
        // What is wrong with the files is told by those who need them.
        if let Ok(files) = self.files().await {
            endpoints.extend(files.names().filter_map(|name| {
                let url = files.section(name)?.get("endpoint_url")?;
                Some((format!("endpoint_url of {name}"), url.to_owned()))
            }));
            endpoints.extend(files.all_services().flat_map(|(name, ServiceEndpoints { sts, iam })| {
                let named = [("sts", sts), ("iam", iam)].into_iter();
                named.filter_map(move |(service, url)| {
                    Some((format!("{service} endpoint_url of [services {name}]"), url.clone()?))
                })
            }));
        }
        let endpoints = endpoints.into_iter().filter_map(|(source, url)| Some((source, foreign(&url)?)));
        let lock_on = async { if waits { logind::problem().await } else { None } };
        let (notifications, lock_on, keyring, seeds) =
            tokio::join!(notify::problem(), lock_on, keyring::state(), keyring::seeds());
        let prompter = configuration.as_ref().map_or(None, |configuration| {
            let is_there = |name| !prompter::find(name, &self.environment.of_children).is_empty();
            let mut configured = configuration.prompters().peekable();
            if configured.peek().is_none() && !is_there(None) {
                return Some("neither pinentry nor zenity nor kdialog is found".to_owned());
            }
            let missing = configured.find(|name| !is_there(Some(name)))?;
            Some(format!("{missing}, the prompter of config.toml, is not found"))
        });
        let leases = self.state().leases.as_mut().and_then(|leases| leases.look().map(str::to_owned));
        Health {
            replaced,
            configuration: configuration.err(),
            endpoints: endpoints.collect(),
            notifications,
            prompter,
            lock_on,
            leases,
            keyring: Some(keyring),
            seeds,
        }
    }
}
