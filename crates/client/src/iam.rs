//! Calls of IAM's, which the agent makes.

use protocol::{Ask, IamAnswer, IamCall, Refusal, Reply, Request, Signed};

use crate::agent::{Agent, unexpected};
use crate::failure::{Exit, Failure};
use crate::message;
use crate::mfa::Asker;

/// How often a session may be gone again as soon as it is there.
const ROUNDS: u32 = 3;

/// What makes calls for a profile.
pub struct Iam<'a> {
    agent: &'a Agent,
    profile: Option<String>,
    /// The profile whose key signed the last call.
    signer: Option<String>,
    asker: Asker<'a>,
}

impl<'a> Iam<'a> {
    /// For a profile, or the configured default one. Whom to ask where a session needs a code is the asker's.
    pub fn new(agent: &'a Agent, profile: Option<&str>, asker: Asker<'a>) -> Self {
        Self { agent, profile: profile.map(str::to_owned), signer: None, asker }
    }

    /// The profile whose key signed the last call: the one asked for, or the one that it assumes its role from.
    pub fn signer(&self) -> &str {
        self.signer.as_deref().or(self.profile.as_deref()).unwrap_or("default")
    }

    /// Makes a call. A refusal is a failure.
    pub fn call(&mut self, signed: &Signed, call: &IamCall) -> Result<IamAnswer, Failure> {
        self.try_call(signed, call)?.map_err(|refusal| message::refused(&refusal))
    }

    /// Makes a call, and asks for a code where it is to be signed by a session and there is none.
    pub fn try_call(
        &mut self,
        signed: &Signed,
        call: &IamCall,
    ) -> Result<Result<IamAnswer, Refusal>, Failure> {
        for _ in 0..ROUNDS {
            let request = |ask| Request::Iam {
                profile: self.profile.clone(),
                call: call.clone(),
                signed: signed.clone(),
                ask,
            };
            let reply = match signed {
                Signed::Session => self.asker.try_get(|ask, _| request(ask))?,
                Signed::LongTerm | Signed::Key { .. } => {
                    match self.agent.ask(request(Ask::Never), self.asker.interrupt())?.reply {
                        Reply::Refused(refusal) => Err(refusal),
                        reply => Ok(reply),
                    }
                }
            };
            match reply {
                Ok(Reply::Iam { profile, answer }) => {
                    self.signer = Some(profile);
                    return Ok(Ok(answer));
                }
                // A code was taken: now the call can be made.
                Ok(Reply::Session(_)) => {}
                Ok(_) => return Err(unexpected()),
                Err(refusal) => return Ok(Err(refusal)),
            }
        }
        Err(Failure::new(Exit::Failed, "the session is gone as soon as it is there"))
    }
}
