//! A server that plays AWS STS and the needed parts of IAM and S3, for the tests and the demo.
//!
//! It shares no code with the product nor with the AWS SDK, so that it is an independent judge of
//! what they send: it checks signatures, clocks, keys, codes, policies and durations, and says what
//! AWS says. It has its own clock, makes trouble on demand, and nothing in it needs a test to sleep.
//!
//! ```
//! let simulator = aws_simulator::Simulator::start();
//! let alice = simulator.user("111122223333", "alice");
//! let serial = alice.device("alice");
//! let ops = simulator.role(aws_simulator::Role::new("111122223333", "ops"));
//! // … send a client with alice's key to simulator.endpoint(), with
//! let code = simulator.unused_code(&serial).unwrap();
//! // … and then
//! assert!(simulator.calls_of("GetSessionToken").is_empty());
//! ```

mod action;
mod answer;
mod base;
mod calls;
mod clock;
mod control;
mod fault;
mod federation;
mod iam;
mod known;
mod policy;
mod random;
mod request;
mod role;
mod s3;
mod server;
mod signature;
mod sts;
mod totp;
mod user;
mod validation;
mod world;
mod xml;

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;

pub use calls::Call;
pub use fault::{Fault, Hold, Injection};
pub use known::make_known;
pub use role::Role;
pub use user::User;

use calls::CallLog;
use clock::Clock;
use fault::{Faults, Gates};
use policy::Document;
use user::ADMINISTRATOR_ACCESS;
use world::{CredentialKind, Device, Issued, Policies, RoleRecord, UserName, UserRecord, World};

/// A running server. All methods block only for as long as they say; dropping it stops the server.
pub struct Simulator {
    address: SocketAddr,
    state: Arc<State>,
    stop: Option<oneshot::Sender<Infallible>>,
    thread: Option<JoinHandle<()>>,
}

/// What the server's thread and the test share.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) clock: Clock,
    pub(crate) world: Mutex<World>,
    pub(crate) calls: CallLog,
    pub(crate) faults: Faults,
    pub(crate) gates: Gates,
    pub(crate) control: AtomicBool,
}

impl Simulator {
    /// Starts on a free port of 127.0.0.1.
    pub fn start() -> Simulator {
        Simulator::start_on((Ipv4Addr::LOCALHOST, 0).into()).expect("there is a free port on 127.0.0.1")
    }

    /// Starts on an address; an error if it is taken.
    pub fn start_on(address: SocketAddr) -> io::Result<Simulator> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let state = Arc::new(State::default());
        let (stop, stopped) = oneshot::channel();
        let name = known::THREAD.to_owned() + std::thread::current().name().unwrap_or("?");
        let thread = std::thread::Builder::new().name(name).spawn({
            let state = Arc::clone(&state);
            move || server::run(listener, &state, stopped)
        })?;
        Ok(Simulator { address, state, stop: Some(stop), thread: Some(thread) })
    }

    /// `http://127.0.0.1:PORT`, for `AWS_ENDPOINT_URL`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Lets anyone who can connect ask for codes and calls (`/_simulator/code`, `/_simulator/calls`).
    pub fn enable_control(&self) {
        self.state.control.store(true, Ordering::SeqCst);
    }

    // The world.

    /// Adds a user with one active key, no device, all rights, and a policy that denies nearly all without MFA.
    pub fn user(&self, account: &str, name: &str) -> User {
        assert_account(account);
        let user = User {
            account: account.to_owned(),
            name: name.to_owned(),
            arn: UserName { account: account.to_owned(), name: name.to_owned() }.arn(),
            access_key_id: random::identifier("AKIA"),
            secret_access_key: random::secret(),
            state: Arc::clone(&self.state),
        };
        let record = UserRecord {
            id: random::identifier("AIDA"),
            created_at: self.state.clock.now(),
            policies: Policies::default(),
            denied: std::collections::BTreeSet::new(),
        };
        let everything =
            r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;
        let everything = Document::parse(everything).expect("the document is one");
        {
            let mut world = locked(&self.state.world);
            world.managed.insert(ADMINISTRATOR_ACCESS.to_owned(), everything);
            world.users.insert(user.user_name(), record);
        }
        user.may_do_everything(true);
        user.must_use_mfa(true);
        user.add_key(&user.access_key_id, &user.secret_access_key);
        user
    }

    /// Adds a role, or replaces it; its ARN comes back.
    pub fn role(&self, role: Role) -> String {
        assert_account(&role.account);
        let arn = role.arn();
        let record = RoleRecord { role, id: random::identifier("AROA") };
        locked(&self.state.world).roles.insert(arn.clone(), record);
        arn
    }

    /// Names an account.
    pub fn name_account(&self, account: &str, alias: &str) {
        assert_account(account);
        locked(&self.state.world).aliases.insert(account.to_owned(), alias.to_owned());
    }

    /// Makes a hardware token that nobody has yet, with a serial number such as `GAHT12345678`.
    pub fn token(&self, serial: &str) {
        locked(&self.state.world).devices.insert(serial.to_owned(), Device::new());
    }

    /// The MFA devices that there are, enabled or not, by serial number.
    pub fn devices(&self) -> Vec<(String, bool)> {
        let world = locked(&self.state.world);
        world.devices.iter().map(|(serial, device)| (serial.clone(), device.owner.is_some())).collect()
    }

    /// A device's seed, as an authenticator app takes it: base32.
    pub fn seed(&self, serial: &str) -> String {
        let world = locked(&self.state.world);
        let device = world.devices.get(serial).unwrap_or_else(|| panic!("there is no device {serial}"));
        base::base32(&device.seed)
    }

    /// Makes a long-term key inactive.
    pub fn deactivate_key(&self, access_key_id: &str) {
        if let Some(credential) = locked(&self.state.world).credentials.get_mut(access_key_id)
            && let CredentialKind::LongTerm { active, .. } = &mut credential.kind
        {
            *active = false;
        }
    }

    /// From now on a new key is not known to so many requests that it signs, as AWS takes a while.
    pub fn new_keys_unknown_for(&self, requests: u32) {
        locked(&self.state.world).new_keys_unknown_for = requests;
    }

    /// Whether a request that is signed by this long-term key would be taken.
    pub fn is_good_key(&self, access_key_id: &str, secret_access_key: &str) -> bool {
        let world = locked(&self.state.world);
        world.credentials.get(access_key_id).is_some_and(|credential| {
            matches!(credential.kind, CredentialKind::LongTerm { active: true, .. })
                && credential.secret == secret_access_key
        })
    }

    /// Removes a long-term key or a session.
    pub fn delete_key(&self, access_key_id: &str) {
        locked(&self.state.world).credentials.remove(access_key_id);
    }

    /// Ends a session now, the clock left alone.
    pub fn expire_session(&self, access_key_id: &str) {
        let now = self.state.clock.now();
        if let Some(credential) = locked(&self.state.world).credentials.get_mut(access_key_id)
            && let CredentialKind::Session { expires_at, .. } = &mut credential.kind
        {
            *expires_at = now;
        }
    }

    /// Gives the next session begun these credentials, letter by letter; several queue up.
    pub fn plant_credentials(&self, access_key_id: &str, secret_access_key: &str, session_token: &str) {
        make_known("secret key", secret_access_key);
        make_known("session token", session_token);
        locked(&self.state.world).planted.push_back(Issued {
            access_key_id: access_key_id.to_owned(),
            secret_access_key: secret_access_key.to_owned(),
            session_token: session_token.to_owned(),
        });
    }

    /// The console's sign-in tokens that were given and not used yet.
    pub fn sign_in_tokens(&self) -> Vec<String> {
        locked(&self.state.world).sign_in_tokens.keys().cloned().collect()
    }

    // Codes.

    /// The code the device shows now, used or not.
    pub fn code(&self, serial: &str) -> String {
        self.code_at(serial, 0)
    }

    /// The code of a step before (negative) or after this one.
    pub fn code_at(&self, serial: &str, step_offset: i64) -> String {
        self.state.code(serial, step_offset).unwrap_or_else(|| panic!("there is no device {serial}"))
    }

    /// This step's code, else the next one's, if it would be accepted: two in 30 seconds. The step
    /// before is left out, as it could end on the way.
    pub fn unused_code(&self, serial: &str) -> Option<String> {
        self.state.unused_code(serial)
    }

    // Time.

    /// Moves the simulator's clock.
    pub fn advance(&self, by: Duration) {
        self.state.clock.advance(by);
    }

    /// Sets the simulator's clock to the system's plus this many seconds.
    pub fn set_offset(&self, seconds: i64) {
        self.state.clock.set_offset(seconds);
    }

    /// The simulator's time, in seconds since 1970.
    pub fn now(&self) -> i64 {
        self.state.clock.now()
    }

    // Trouble.

    /// Lets requests meet trouble: `fault(Fault::Throttle.on("AssumeRole").times(2))`. Of several
    /// faults a request meets the first that is meant for it.
    pub fn fault(&self, injection: impl Into<Injection>) {
        self.state.faults.inject(injection.into());
    }

    /// Ends all faults. What already hangs goes on hanging.
    pub fn clear_faults(&self) {
        self.state.faults.clear();
    }

    /// Parks requests for an action as they arrive, until the hold is released or dropped. They
    /// are in the log already, and are carried out, or meet their fault, afterwards.
    pub fn hold(&self, action: &str) -> Hold {
        self.state.gates.hold(action)
    }

    // The log.

    /// All requests, in the order they arrived.
    pub fn calls(&self) -> Vec<Call> {
        self.state.calls.all()
    }

    /// The requests for one action.
    pub fn calls_of(&self, action: &str) -> Vec<Call> {
        self.calls().into_iter().filter(|call| call.action == action).collect()
    }

    /// Empties the log.
    pub fn clear_calls(&self) {
        self.state.calls.clear();
    }

    /// Waits until the log holds `count` requests for an action, answered or not; false if that
    /// takes too long.
    #[must_use]
    pub fn wait_for_calls(&self, action: &str, count: usize, timeout: Duration) -> bool {
        self.wait_until(timeout, |calls| calls.iter().filter(|call| call.action == action).count() >= count)
    }

    /// Waits until the log satisfies a condition; false if that takes too long.
    #[must_use]
    pub fn wait_until(&self, timeout: Duration, condition: impl Fn(&[Call]) -> bool) -> bool {
        self.state.calls.wait_until(timeout, condition)
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl State {
    pub(crate) fn code(&self, serial: &str, step_offset: i64) -> Option<String> {
        let step = totp::step_at(self.clock.now()) + step_offset;
        let code = totp::code(&locked(&self.world).devices.get(serial)?.seed, step);
        make_known("code", &code);
        Some(code)
    }

    pub(crate) fn unused_code(&self, serial: &str) -> Option<String> {
        let world = locked(&self.world);
        let device = world.devices.get(serial)?;
        let step = totp::step_at(self.clock.now()) + device.ahead;
        let unused = device.last_accepted.map_or(step, |last| step.max(last + 1));
        let code = (unused <= step + 1).then(|| totp::code(&device.seed, unused))?;
        make_known("code", &code);
        Some(code)
    }
}

/// A panic in one test's thread leaves the data whole: nothing here is changed in two halves.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn assert_account(account: &str) {
    let digits = account.bytes().all(|byte| byte.is_ascii_digit());
    assert!(digits && account.len() == 12, "an account is 12 digits, not {account:?}");
}
