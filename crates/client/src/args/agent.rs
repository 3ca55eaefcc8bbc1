//! `mfa-agent agent`.

use clap::Subcommand;

use super::{Grant, Revoke};

/// `mfa-agent agent`
#[derive(Debug, PartialEq, Eq, Subcommand)]
pub enum Agent {
    /// Be the agent, in the foreground
    Run {
        /// Keep its key where the kernel itself cannot read it; the machine does not hibernate then
        #[arg(long, value_name = "KIND", value_parser = ["memfd-secret"])]
        memory: Option<String>,
    },
    /// Start it, unless it runs
    Start,
    /// Wipe everything and end it
    Stop,
    /// Start it anew, and lose no session
    Restart,
    /// The same as `mfa-agent status`
    Status {
        /// For programs
        #[arg(long)]
        json: bool,
    },
    /// Show who asked for what
    Log,
    /// Make a socket that gives out some profiles and takes no orders, for another host or a container
    #[command(
        long_about = "Make a socket that gives out some profiles and takes no orders, for another host or a container.\n\nIts path is printed. Whoever can connect to it gets these profiles' credentials while their sessions last, and nothing else: codes are typed here, where the agent runs. It ends by itself, by `agent revoke` and with the agent; `agent restart` keeps it. See docs/remote.md.",
        after_long_help = "Examples:\n  ssh -R /run/user/1000/mfa-agent.sock:$(mfa-agent agent grant dev) HOST\n  docker run --user $(id -u) -v $(mfa-agent agent grant dev):/run/mfa-agent.sock \\\n    -e MFA_AGENT_SOCK=/run/mfa-agent.sock IMAGE\n  mfa-agent agent grant --profile dev --profile ops --expires 8h\n\nThere: export MFA_AGENT_SOCK=…, then mfa-agent env, exec, use as ever."
    )]
    Grant(Grant),
    /// End grants
    Revoke(Revoke),
}
