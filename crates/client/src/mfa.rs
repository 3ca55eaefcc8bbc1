//! Gets past `needs_mfa`: finds whom to ask, asks, tries the code.

use std::time::{Duration, Instant};

use protocol::{Ask, AwsMfa, CODE_DIGITS, Question, Refusal, Reply, Request, Secret};

use crate::agent::{Agent, Connection, unexpected};
use crate::args::Code;
use crate::environment::writes_unicode;
use crate::failure::{Exit, Failure};
use crate::message;
use crate::platform::{self, Interrupt, Terminal};
use crate::prompt::{Entry, Note, Prompt};

/// How many wrong codes a person may type.
const TRIES: u32 = 3;

/// Whoever knows the code: the command line, the person, or nobody.
pub struct Asker<'a> {
    agent: &'a Agent,
    /// A code that was given, until it is used.
    given: Option<Secret>,
    terminal: Option<Terminal>,
    waits: bool,
    opening: Opening,
    /// Who asks: a person's command, or a prompt that nobody called.
    manners: Manners,
}

/// What a code opens.
#[derive(Default)]
struct Opening {
    duration: Option<u32>,
    at_least: Option<u32>,
    /// What aws-mfa's options describe, in the place of a profile's session.
    aws_mfa: Option<AwsMfa>,
}

impl Opening {
    fn request(&self, profile: &str, code: Secret) -> Request {
        match &self.aws_mfa {
            Some(wanted) => {
                let wanted = wanted.clone();
                Request::AwsMfa { wanted, ask: Ask::Never, force: false, code: Some(code) }
            }
            None => Request::Login {
                profile: Some(profile.to_owned()),
                code,
                duration: self.duration,
                at_least: self.at_least,
            },
        }
    }
}

/// How to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manners {
    /// A person ran this and waits for it.
    Called,
    /// A prompt asks by itself: not while another terminal is asking, and not for long.
    Uncalled,
}

/// How long a prompt asks that nobody called.
const UNCALLED_PATIENCE: Duration = Duration::from_mins(1);

impl<'a> Asker<'a> {
    /// Takes the code that was given, if one was, and else looks for a terminal.
    pub fn new(agent: &'a Agent, code: &Code, no_prompt: bool) -> Result<Self, Failure> {
        let given = code.code.as_ref().map(given).transpose()?;
        let terminal = if no_prompt { None } else { Terminal::open() };
        let manners = Manners::Called;
        let opening = Opening { duration: code.duration, ..Opening::default() };
        Ok(Self { agent, given, terminal, waits: !no_prompt, opening, manners })
    }

    /// A code opens what aws-mfa's options describe.
    pub fn set_aws_mfa(&mut self, wanted: AwsMfa) {
        self.opening.aws_mfa = Some(wanted);
    }

    /// For a prompt that asks by itself. `None` where there is no terminal, or something is typed already.
    pub fn uncalled(agent: &'a Agent) -> Option<Self> {
        let mut terminal = Terminal::open()?;
        // Whole lines can be seen as the terminal is, the beginning of one only key by key.
        terminal.take_keys().ok()?;
        let typed = terminal.wait(None, Duration::ZERO).ok()? == platform::Event::Key;
        terminal.restore();
        if typed {
            return None;
        }
        let manners = Manners::Uncalled;
        Some(Self {
            agent,
            given: None,
            terminal: Some(terminal),
            waits: false,
            opening: Opening::default(),
            manners,
        })
    }

    /// A session that is opened shall last at least so many seconds, where nobody names a duration.
    pub fn set_at_least(&mut self, seconds: Option<u32>) {
        self.opening.at_least = seconds;
    }

    /// Puts the request to the agent until it is answered. Where a code was needed and taken, the reply is that
    /// of the login.
    pub fn get(&mut self, request: impl FnMut(Ask, Round) -> Request) -> Result<Reply, Failure> {
        self.try_get(request)?.map_err(|refusal| message::refused(&refusal))
    }

    /// The same for who knows what to do about a refusal of the request itself.
    pub fn try_get(
        &mut self,
        mut request: impl FnMut(Ask, Round) -> Request,
    ) -> Result<Result<Reply, Refusal>, Failure> {
        let mut round = Round::First;
        loop {
            let ask = match (self.manners, round) {
                // The question ended without us: with the session, or with the agent. Nobody is asked twice.
                (Manners::Uncalled, Round::Withdrawn) => Ask::Never,
                _ => self.ask(),
            };
            let answer = self.agent.ask(request(ask, round), self.interrupt())?;
            let question = match answer.reply {
                Reply::Refused(Refusal::NeedsMfa(question)) => question,
                Reply::Refused(refusal) => return Ok(Err(refusal)),
                reply => return Ok(Ok(reply)),
            };
            let answered = if ask == Ask::Never && self.manners == Manners::Uncalled {
                return Err(message::refused(&Refusal::NeedsMfa(question)));
            } else if let Some(code) = self.given.take() {
                match self.login(&question.profile, code)? {
                    Ok(session) => Some(session),
                    // Another client may have opened the session with the same code.
                    Err(used @ Refusal::UsedCode { .. }) => {
                        match self.agent.ask(request(Ask::Never, round), self.interrupt())?.reply {
                            Reply::Refused(_) => return Err(message::refused(&used)),
                            reply => return Ok(Ok(reply)),
                        }
                    }
                    Err(refusal) => return Err(message::refused(&refusal)),
                }
            } else if self.terminal.is_some() {
                self.ask_person(&question, &answer.connection)?
            } else {
                return Err(message::refused(&Refusal::NeedsMfa(question)));
            };
            if let Some(session) = answered {
                return Ok(Ok(session));
            }
            round = Round::Withdrawn;
        }
    }

    /// How long a new session shall last, where the person said so, in seconds.
    pub fn duration(&self) -> Option<u32> {
        self.opening.duration
    }

    /// The code that was given was not needed.
    pub fn has_unused_code(&self) -> bool {
        self.given.is_some()
    }

    fn ask(&self) -> Ask {
        match (&self.given, &self.terminal) {
            // Who has the code waits for nobody who is still being asked for it.
            (Some(_), _) => Ask::Never,
            (None, Some(_)) if self.manners == Manners::Uncalled => Ask::PersonUnlessAsked,
            (None, Some(_)) => Ask::Person,
            _ if self.waits => Ask::Wait,
            _ => Ask::Never,
        }
    }

    /// What ends a wait for the agent.
    pub fn interrupt(&self) -> Interrupt<'_> {
        self.terminal.as_ref().and_then(Terminal::interrupt)
    }

    /// Asks until a code is taken. `None`: the question was withdrawn, the session came from elsewhere.
    fn ask_person(&mut self, question: &Question, claim: &Connection) -> Result<Option<Reply>, Failure> {
        let Some(terminal) = &mut self.terminal else { return Ok(None) };
        let mut prompt = Prompt::new(terminal, question, writes_unicode());
        if self.manners == Manners::Uncalled {
            prompt.set_patience(UNCALLED_PATIENCE);
        }
        let mut note = Note::None;
        let mut tries_left = TRIES;
        loop {
            let code = match prompt.ask(note, Some(claim.descriptor()))? {
                Entry::Code(code) => code,
                Entry::Withdrawn | Entry::Key(_) => return Ok(None),
            };
            let request = self.opening.request(&question.profile, code);
            let reply = login(self.agent, request, prompt.interrupt())?;
            let Err(refusal) = reply else { return Ok(reply.ok()) };
            match &refusal {
                Refusal::WrongCode { .. } if tries_left > 1 => {
                    tries_left -= 1;
                    note = Note::Wrong { tries_left };
                }
                Refusal::UsedCode { wait_seconds, .. } => {
                    note = Note::Used { next_at: Instant::now() + Duration::from_secs(*wait_seconds) };
                }
                _ => return Err(message::refused(&refusal)),
            }
        }
    }

    fn login(&self, profile: &str, code: Secret) -> Result<Result<Reply, Refusal>, Failure> {
        login(self.agent, self.opening.request(profile, code), self.interrupt())
    }
}

/// Which time a request is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Round {
    /// The first.
    First,
    /// Again, since the session came from elsewhere while we asked.
    Withdrawn,
}

fn login(
    agent: &Agent,
    request: Request,
    interrupt: Interrupt<'_>,
) -> Result<Result<Reply, Refusal>, Failure> {
    match agent.ask(request, interrupt)?.reply {
        Reply::Refused(refusal) => Ok(Err(refusal)),
        reply @ (Reply::Session(_) | Reply::Credentials(_)) => Ok(Ok(reply)),
        _ => Err(unexpected()),
    }
}

/// The code of `--code`, which is checked before anything is sent.
fn given(code: &Secret) -> Result<Secret, Failure> {
    let code = if code.expose() == "-" {
        let line = platform::stdin_line(64).map_err(|error| {
            Failure::new(Exit::Usage, format!("cannot read the MFA code from stdin: {error}"))
        })?;
        Secret::new(String::from_utf8_lossy(line.trim_ascii()).into_owned())
    } else {
        code.clone()
    };
    let digits = code.expose().bytes().all(|byte| byte.is_ascii_digit());
    if code.expose().len() == CODE_DIGITS && digits {
        Ok(code)
    } else {
        Err(message::refused(&Refusal::MalformedCode))
    }
}
