//! An agent at its work: from a socket that listens to the last answer.

use std::fs::File;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;

use interprocess::local_socket::tokio::Listener;
use interprocess::local_socket::traits::tokio::Listener as _;
use protocol::Refusal;
use protocol::address::{self, Address};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::PAUSE;
use super::place::listen;
use crate::clock::Now;
use crate::granted::MOST_SOCKETS;
use crate::handover::Testator;
use crate::journal::Peer;
use crate::notify::Events;
use crate::platform::{self, Alarm, FolderWatch, Order, Orders};
use crate::requests::{self, Identity};
use crate::server::Hall;
use crate::service_manager::ServiceManager;
use crate::sessions::Sessions;
use crate::traffic::{Restarted, Silent, Traffic};
use crate::{live, server};

/// An agent at its work.
pub struct Served {
    pub address: Address,
    pub program: PathBuf,
    pub lock: File,
    pub manager: ServiceManager,
    pub identity: Arc<Identity>,
    pub sessions: Arc<Sessions>,
}

impl Served {
    /// Answers until it is told to end, nobody can reach it any more, or another process does.
    pub async fn serve(
        &self,
        mut listener: Listener,
        conversations: Vec<Silent>,
        alarm: Alarm,
        events: Events,
        signals: Orders,
    ) {
        let Self { address, identity, sessions, .. } = self;
        let stop = Arc::new(Notify::new());
        let handle = {
            let (sessions, identity) = (sessions.clone(), identity.clone());
            move |peer, request, work| {
                let (sessions, identity) = (sessions.clone(), identity.clone());
                async move { requests::answer(&sessions, &identity, &peer, request, &work).await }
            }
        };
        let watch = FolderWatch::new(address.folder()).ok();
        let lost = async || match &watch {
            None => std::future::pending().await,
            Some(watch) => {
                while !identity.socket.is_lost() {
                    watch.something_went().await;
                }
            }
        };
        let (traffic, mut orders) = Traffic::new(conversations);
        let traffic = Arc::new(traffic);
        let mut keeping_watch = pin!(sessions.clone().keep_watch(alarm, events));
        let mut serving_live = pin!(live::serve(sessions.clone()));
        let mut termination = pin!(obey(sessions, signals));
        let connections = connections();
        loop {
            let hall = Hall {
                traffic: traffic.clone(),
                sessions: sessions.clone(),
                stop: stop.clone(),
                handle: handle.clone(),
            };
            let granted = server::serve_granted(hall.clone());
            let serving = server::serve(&listener, None, hall, connections);
            tokio::select! {
                // Who comes after the word to end is for the next agent, where the socket stays.
                biased;
                () = stop.notified() => break,
                () = &mut termination => break,
                Some(order) = orders.recv() => {
                    let mut asking = vec![order];
                    asking.extend(std::iter::from_fn(|| orders.try_recv().ok()));
                    traffic.pause(asking.len()).await;
                    let outcome = self.hand_over(&listener, &traffic).await;
                    for order in asking {
                        let _ = order.send(outcome.clone());
                    }
                    if outcome.is_ok() {
                        traffic.all_told().await;
                        return;
                    }
                    traffic.resume();
                    continue;
                }
                () = sessions.unneeded() => {
                    if self.nobody_comes(&listener, &traffic).await {
                        break;
                    }
                    sessions.stay();
                    continue;
                }
                () = lost() => {}
                () = &mut keeping_watch => break,
                () = &mut serving_live => break,
                () = serving => break,
                () = granted => break,
            }
            // An agent that nobody can reach holds sessions for nobody. In a folder that is still ours the socket is
            // made again; with the folder went everything, as it does at the last logout.
            let ours = address::check_folder(address.folder(), platform::own_uid()).unwrap_or(false);
            let empty = address.socket.symlink_metadata().is_err();
            if !ours || !empty {
                break;
            }
            let Ok(again) = listen(&address.socket) else { break };
            listener = again;
            identity.socket.made_again();
        }
        self.manager.stopping();
        identity.socket.withdraw();
        sessions.wipe();
        sessions.desktop().close().await;
    }

    /// Whether nobody needs this agent, and nobody comes in the moment in which it takes its name away. Who does is
    /// served.
    async fn nobody_comes(&self, listener: &Listener, traffic: &Traffic) -> bool {
        let Self { identity, sessions, .. } = self;
        if !traffic.is_still() || !sessions.is_unneeded() {
            return false;
        }
        identity.socket.hide();
        // Who found the name just before is about to knock.
        let Ok(visitor) = timeout(PAUSE, listener.accept()).await else { return true };
        identity.socket.show();
        if let Ok(stream) = visitor {
            traffic.keep_silent(Silent { grant: None, stream });
        }
        false
    }

    /// Leaves everything to a new process, if that comes to life.
    async fn hand_over(&self, listener: &Listener, traffic: &Traffic) -> Result<Restarted, Refusal> {
        // A code that went out from here, after a click, is answered here.
        self.sessions.logins_done().await;
        self.sessions.desktop().close().await;
        let now = Now::read();
        let sessions = self.sessions.state().would_be_lost(now);
        let silent = traffic.take_silent();
        let testator = Testator {
            program: &self.program,
            listener,
            lock: &self.lock,
            conversations: &silent,
            socket_file: self.identity.socket.file_there(),
            managed: self.identity.socket.is_managed(),
            sessions: &self.sessions,
        };
        self.sessions.state().journal.note(
            now,
            &Peer::default(),
            format!("restart: {sessions} sessions handed over"),
        );
        match testator.hand_over().await {
            Ok(pid) => {
                self.manager.succeeded_by(pid).await;
                self.sessions.let_go();
                Ok(Restarted { sessions, pid })
            }
            Err(error) => {
                self.sessions.desktop().open();
                for silent in silent {
                    traffic.keep_silent(silent);
                }
                let problem = format!("{}: {error}", self.program.display());
                self.sessions.state().journal.note(now, &Peer::default(), "restart: failed".to_owned());
                Err(Refusal::NotRestarted { problem })
            }
        }
    }
}

/// Does what signals ask for, until one asks to end.
async fn obey(sessions: &Sessions, mut signals: Orders) {
    loop {
        match signals.next().await {
            Order::End => return,
            Order::Forget => sessions.forget_everything("SIGUSR1"),
            Order::ReadAnew => sessions.read_anew(),
        }
    }
}

/// How many connections are served at once: what the file limit allows, less what the agent needs itself.
fn connections() -> usize {
    let granted = MOST_SOCKETS * server::GRANTED_CONNECTIONS;
    let limit = usize::try_from(platform::raise_file_limit()).unwrap_or(usize::MAX);
    limit.saturating_sub(64 + granted).clamp(8, 4_096)
}
