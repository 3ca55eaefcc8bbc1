//! The way to AWS: whose certificates are trusted, and which proxy is gone through.

use std::fs;
use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Stdio};

use crate::errors::check;
use crate::support::{Run, Sandbox, exported, tool};

/// What openssl is told of the certificates; its own configuration counts for nothing.
const EXTENSIONS: &str = "\
[req]
distinguished_name = name
[name]
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
[server]
basicConstraints = CA:FALSE
subjectAltName = DNS:NAME
";

/// A certificate authority that no system knows.
pub struct Authority {
    folder: PathBuf,
}

impl Authority {
    fn new(sandbox: &Sandbox, name: &str) -> Self {
        let folder = sandbox.home().join(name);
        fs::create_dir(&folder).unwrap();
        let authority = Self { folder };
        authority.extensions("unused.example");
        authority.openssl("req -x509 -extensions ca -config extensions -subj /CN=authority -days 2 -out ca.pem -keyout ca.key -nodes -newkey ec -pkeyopt ec_paramgen_curve:prime256v1");
        authority
    }

    /// The certificate to trust.
    pub fn certificate(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// A server for this host name in front of the simulator.
    fn server(&self, sandbox: &Sandbox, name: &str) -> Helper {
        self.extensions(name);
        self.openssl("req -new -config extensions -subj /CN=server -out server.csr -keyout server.key -nodes -newkey ec -pkeyopt ec_paramgen_curve:prime256v1");
        self.openssl("x509 -req -in server.csr -CA ca.pem -CAkey ca.key -set_serial 1 -days 2 -extfile extensions -extensions server -out server.pem");
        let endpoint = sandbox.simulator.endpoint();
        let file = |name: &str| self.folder.join(name).to_str().unwrap().to_owned();
        let port = endpoint.rsplit(':').next().unwrap();
        Helper::start(sandbox, &["tls", &file("server.pem"), &file("server.key"), port])
    }

    fn extensions(&self, name: &str) {
        fs::write(self.folder.join("extensions"), EXTENSIONS.replace("NAME", name)).unwrap();
    }

    fn openssl(&self, arguments: &str) {
        let mut command = std::process::Command::new(tool("openssl"));
        let run = Run::of(command.args(arguments.split(' ')).current_dir(&self.folder));
        assert_eq!(run.status, 0, "openssl {arguments}: {run:?}");
    }
}

/// A server or proxy of `tests/support/tls_proxy.py`.
pub struct Helper {
    process: Child,
    port: String,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Helper {
    /// Starts one as the script's own words say.
    pub fn start(sandbox: &Sandbox, arguments: &[&str]) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/support/tls_proxy.py");
        let mut command = sandbox.command("/usr/bin/python3", [script]);
        let mut process =
            command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let port = lines.next().expect("it says its port").unwrap();
        Self { process, port, lines }
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> &str {
        &self.port
    }

    /// The AWS that is reached over TLS.
    fn endpoint(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    /// Ends it, and returns the requests that it saw.
    pub fn requests(mut self) -> Vec<String> {
        drop(self.process.stdin.take());
        self.lines.by_ref().map(Result::unwrap).collect()
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A machine whose AWS is reached over TLS, with a certificate of an authority that it does not know.
pub fn over_tls() -> (Sandbox, Authority, Helper) {
    let mut sandbox = Sandbox::new();
    let authority = Authority::new(&sandbox, "authority");
    let server = authority.server(&sandbox, "localhost");
    sandbox.set("AWS_ENDPOINT_URL", server.endpoint());
    (sandbox, authority, server)
}

/// Tries a code that is long over, and checks that it came as far as AWS.
#[track_caller]
fn reaches_aws(sandbox: &Sandbox) {
    let before = sandbox.simulator.calls().len();
    let run = sandbox.run(&["login", "dev", "--code", &sandbox.simulator.code_at(&sandbox.serial, -100)]);
    check(&run, 4, &["did not accept the code"]);
    assert_eq!(sandbox.simulator.calls().len(), before + 1);
}

#[test]
fn a_session_is_opened_over_tls_by_the_authority_of_aws_ca_bundle() {
    let (mut sandbox, authority, server) = over_tls();
    sandbox.set("AWS_CA_BUNDLE", authority.certificate());
    let terminal = sandbox.terminal(&["env", "dev"]);
    terminal.wait_for("MFA code for dev");
    assert!(terminal.shows(&server.endpoint()), "an endpoint that is not AWS's is named");
    terminal.type_in(&sandbox.code());
    let run = terminal.finish();
    assert_eq!(run.status, 0, "{run:?}");
    assert!(exported(&run.stdout, &[])["AWS_ACCESS_KEY_ID"].starts_with("ASIA"));
    assert_eq!(sandbox.simulator.calls_of("GetSessionToken").len(), 1);
}

#[test]
fn an_unknown_authority_is_not_trusted_and_gets_no_code() {
    let (mut sandbox, authority, server) = over_tls();
    // It calls itself by the same name.
    let stranger = Authority::new(&sandbox, "stranger");
    let code = sandbox.code();
    let refused = |sandbox: &Sandbox| {
        let run = sandbox.run(&["login", "dev", "--code", &code]);
        check(&run, 7, &["certificate", "not trusted", &server.endpoint()]);
        assert!(run.hint().contains("AWS_CA_BUNDLE"), "{run:?}");
        assert!(!run.stderr.contains("used up"), "{run:?}");
        assert!(sandbox.simulator.calls().is_empty(), "nothing was sent");
    };
    refused(&sandbox);
    // The agent knows that the code did not go out.
    refused(&sandbox);
    sandbox.run(&["agent", "stop"]);

    // The bundle is trusted instead of the system's certificates, not beside them.
    sandbox.set("AWS_CA_BUNDLE", stranger.certificate());
    sandbox.set("SSL_CERT_FILE", authority.certificate());
    refused(&sandbox);
    sandbox.run(&["agent", "stop"]);

    sandbox.set("AWS_CA_BUNDLE", authority.certificate());
    sandbox.unset("SSL_CERT_FILE");
    let run = sandbox.run(&["login", "dev", "--code", &code]);
    assert_eq!(run.status, 0, "{run:?}");
}

#[test]
fn a_certificate_for_another_host_is_not_trusted() {
    let mut sandbox = Sandbox::new();
    let authority = Authority::new(&sandbox, "authority");
    sandbox.set("AWS_CA_BUNDLE", authority.certificate());
    let other = authority.server(&sandbox, "elsewhere.example");
    sandbox.set("AWS_ENDPOINT_URL", other.endpoint());
    let code = sandbox.code();
    let refused = |sandbox: &Sandbox| {
        for _ in 0..2 {
            let run = sandbox.run(&["login", "dev", "--code", &code]);
            check(&run, 7, &["certificate", "not trusted", &other.endpoint(), "elsewhere.example"]);
            assert!(!run.stderr.contains("used up"), "{run:?}");
        }
        assert!(sandbox.simulator.calls().is_empty());
        sandbox.run(&["agent", "stop"]);
    };
    refused(&sandbox);
    // Behind a proxy it is no better.
    let proxy = Helper::start(&sandbox, &["connect"]);
    sandbox.set("HTTPS_PROXY", format!("http://127.0.0.1:{}", proxy.port));
    refused(&sandbox);
    sandbox.unset("HTTPS_PROXY");
    assert_eq!(proxy.requests().len(), 2);

    // It was the name alone.
    let right = authority.server(&sandbox, "localhost");
    sandbox.set("AWS_ENDPOINT_URL", right.endpoint());
    assert_eq!(sandbox.run(&["login", "dev", "--code", &code]).status, 0);
}

#[test]
fn a_server_without_tls_gets_no_code() {
    let mut sandbox = Sandbox::new();
    let silent = server(|_| {});
    let plain = sandbox.simulator.endpoint();
    for endpoint in [plain.replace("http:", "https:"), format!("https://{silent}")] {
        sandbox.set("AWS_ENDPOINT_URL", &endpoint);
        for _ in 0..2 {
            let run = sandbox.run(&["login", "dev", "--code", "000001"]);
            check(&run, 7, &["cannot reach", &endpoint]);
            assert!(!run.stderr.contains("used up"), "{run:?}");
        }
        sandbox.run(&["agent", "stop"]);
    }
    assert!(sandbox.simulator.calls().is_empty());
}

#[test]
fn an_answer_that_is_no_http_leaves_the_code_used() {
    for answer in [&b"HTTP/1.1 200 OK\r\nx: \xff\r\ncontent-length: 0\r\n\r\n"[..], b"\xff\r\n\r\n"] {
        let mut sandbox = Sandbox::new();
        let server = server(move |mut stream| {
            // Until the code has arrived.
            let mut bytes = [0; 16_384];
            let mut read = 0;
            while !bytes[..read].windows(16).any(|window| window == b"TokenCode=000001") {
                match stream.read(&mut bytes[read..]).unwrap() {
                    0 => return,
                    more => read += more,
                }
            }
            stream.write_all(answer).unwrap();
        });
        sandbox.set("AWS_ENDPOINT_URL", format!("http://{server}"));
        check(&sandbox.run(&["login", "dev", "--code", "000001"]), 7, &["may be used up"]);
        check(&sandbox.run(&["login", "dev", "--code", "000001"]), 4, &["used already"]);
    }
}

/// A server of a few lines, which gets one connection after the other.
fn server(answer: impl Fn(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || listener.incoming().map_while(Result::ok).for_each(answer));
    address
}

#[test]
fn a_bundle_that_cannot_be_used_is_named() {
    let (mut sandbox, authority, _server) = over_tls();
    let bundle = sandbox.home().join("bundle.pem");
    sandbox.set("AWS_CA_BUNDLE", &bundle);
    let code = sandbox.code();
    let good = fs::read_to_string(authority.certificate()).unwrap();
    let key = fs::read_to_string(authority.folder.join("ca.key")).unwrap();
    let body = |body: &str| format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n");
    let cases = [
        None,
        Some(String::new()),
        Some("garbage\n".to_owned()),
        Some(key),
        Some(body("no base64!")),
        Some(body("")),
        // PEM as it should be, and no certificate in it.
        Some(body("Z2FyYmFnZQ==")),
        Some(format!("{good}{}", body("Z2FyYmFnZQ=="))),
        Some(good[..good.len() / 2].to_owned()),
    ];
    for contents in cases {
        if let Some(contents) = &contents {
            fs::write(&bundle, contents).unwrap();
        }
        let run = sandbox.run(&["login", "dev", "--code", &code]);
        assert_eq!(run.status, 5, "{contents:?}: {run:?}");
        check(&run, 5, &[bundle.to_str().unwrap(), "AWS_CA_BUNDLE"]);
        assert!(!run.stderr.contains("BEGIN") && !run.stderr.contains("garbage"), "{run:?}");
    }
    assert!(sandbox.simulator.calls().is_empty());
    // Once it is mended, the same agent goes on with the same code.
    let pid = sandbox.agent_pid();
    fs::write(&bundle, good).unwrap();
    let run = sandbox.run(&["login", "dev", "--code", &code]);
    assert_eq!(run.status, 0, "{run:?}");
    assert_eq!(sandbox.agent_pid(), pid);
}

/// A machine whose AWS is reached over TLS, by word of the profile, with these further settings of it.
fn by_profile(sandbox: &mut Sandbox, server: &Helper, settings: &str) {
    sandbox.unset("AWS_ENDPOINT_URL");
    let (serial, endpoint) = (&sandbox.serial, server.endpoint());
    let config = format!("[profile dev]\nmfa_serial = {serial}\nendpoint_url = {endpoint}\n{settings}");
    sandbox.write(".aws/config", &config);
}

/// The AWS CLI on that machine, with the profile's key.
fn aws_cli(sandbox: &Sandbox) -> Run {
    let mut aws = sandbox.command(tool("aws"), ["sts", "get-caller-identity", "--profile", "dev"]);
    Run::of(aws.env("AWS_DEFAULT_REGION", "eu-central-1"))
}

#[test]
fn a_profiles_ca_bundle_is_trusted_for_its_calls_and_a_variable_wins() {
    let (mut sandbox, authority, server) = over_tls();
    let stranger = Authority::new(&sandbox, "stranger");
    let bundle = |authority: &Authority| format!("ca_bundle = {}\n", authority.certificate().display());
    by_profile(&mut sandbox, &server, &bundle(&authority));
    let elsewhere = format!("[profile other]\nmfa_serial = {}\n", sandbox.serial);
    let config = fs::read_to_string(sandbox.home().join(".aws/config")).unwrap();
    let key = fs::read_to_string(sandbox.home().join(".aws/credentials")).unwrap();
    sandbox.write(".aws/credentials", &format!("{key}{}", key.replace("[dev]", "[other]")));
    sandbox.write(".aws/config", &format!("{config}{elsewhere}endpoint_url = {}\n", server.endpoint()));
    sandbox.log_in("dev");
    assert_eq!(aws_cli(&sandbox).status, 0);
    // Another profile trusts it no more than before, by the same agent.
    let pid = sandbox.agent_pid();
    let code = sandbox.code();
    let run = sandbox.run(&["login", "other", "--force", "--code", &code]);
    check(&run, 7, &["certificate", "not trusted", &server.endpoint()]);
    assert!(run.hint().contains("ca_bundle = FILE in the profile"), "{run:?}");
    // What it names now counts, without a word to the agent: another file, below the home, and what is in it.
    by_profile(&mut sandbox, &server, "ca_bundle = ~/bundle.pem\n");
    fs::copy(stranger.certificate(), sandbox.home().join("bundle.pem")).unwrap();
    check(&sandbox.run(&["login", "dev", "--force", "--code", &code]), 7, &["not trusted"]);
    fs::copy(authority.certificate(), sandbox.home().join("bundle.pem")).unwrap();
    assert_eq!(sandbox.run(&["login", "dev", "--force", "--code", &code]).status, 0);
    assert_eq!(sandbox.agent_pid(), pid);
    sandbox.run(&["agent", "stop"]);

    // The variable wins, here and in the AWS CLI.
    by_profile(&mut sandbox, &server, &bundle(&authority));
    sandbox.set("AWS_CA_BUNDLE", stranger.certificate());
    check(&sandbox.run(&["login", "dev", "--code", "123456"]), 7, &["not trusted"]);
    assert!(aws_cli(&sandbox).stderr.contains("CERTIFICATE_VERIFY_FAILED"));
    sandbox.run(&["agent", "stop"]);
    by_profile(&mut sandbox, &server, &bundle(&stranger));
    sandbox.set("AWS_CA_BUNDLE", authority.certificate());
    sandbox.simulator.advance(std::time::Duration::from_mins(1));
    sandbox.log_in("dev");
    assert_eq!(aws_cli(&sandbox).status, 0);
}

#[test]
fn a_profiles_bundle_that_cannot_be_used_is_named_with_the_profile() {
    let (mut sandbox, _authority, server) = over_tls();
    let bundle = sandbox.home().join("bundle.pem");
    by_profile(&mut sandbox, &server, &format!("ca_bundle = {}\n", bundle.display()));
    for contents in [None, Some("garbage\n")] {
        if let Some(contents) = contents {
            fs::write(&bundle, contents).unwrap();
        }
        let run = sandbox.run(&["login", "dev", "--code", "123456"]);
        check(&run, 5, &[bundle.to_str().unwrap(), "ca_bundle of profile dev names it"]);
        assert!(!run.stderr.contains("garbage"), "{run:?}");
    }
    by_profile(&mut sandbox, &server, "ca_bundle = bundle.pem\n");
    let run = sandbox.run(&["login", "dev", "--code", "123456"]);
    check(&run, 5, &["ca_bundle = bundle.pem in profile dev cannot work"]);
    assert_eq!(run.hint(), "it must be a file's whole path, or one below ~/");
    assert!(sandbox.simulator.calls().is_empty());
}

#[test]
fn an_empty_bundle_variable_is_none() {
    let (mut sandbox, authority, _server) = over_tls();
    sandbox.set("AWS_CA_BUNDLE", "");
    // In the place of the system's certificates.
    sandbox.set("SSL_CERT_FILE", authority.certificate());
    sandbox.log_in("dev");
    let status = sandbox.run(&["status"]);
    assert!(status.stdout.contains("SSL_CERT_FILE"), "{status:?}");
    assert!(!status.stdout.contains("AWS_CA_BUNDLE"), "{status:?}");
}

#[test]
fn https_goes_through_the_proxy_whose_password_is_shown_nowhere() {
    let (mut sandbox, authority, server) = over_tls();
    sandbox.set("AWS_CA_BUNDLE", authority.certificate());
    let proxy = Helper::start(&sandbox, &["connect"]);
    sandbox.set("HTTPS_PROXY", format!("http://u:needle@127.0.0.1:{}", proxy.port));
    sandbox.log_in("dev");
    shown_without_password(&sandbox, &proxy);
    assert_eq!(proxy.requests(), [format!("CONNECT localhost:{} HTTP/1.1 u:needle", server.port)]);
}

/// Checks that the proxy is shown, and its password is not, wherever the agent speaks.
#[track_caller]
fn shown_without_password(sandbox: &Sandbox, proxy: &Helper) {
    for arguments in [&["status"][..], &["status", "--json"], &["agent", "status"], &["agent", "log"]] {
        let run = sandbox.run(arguments);
        assert_eq!(run.status, 0, "{run:?}");
        assert!(!format!("{run:?}").contains("needle"), "{run:?}");
    }
    let status = sandbox.run(&["status"]).stdout;
    assert!(status.contains(&format!("***@127.0.0.1:{}", proxy.port)), "{status}");
}

#[test]
fn every_proxy_variable_that_is_shown_counts() {
    let (mut sandbox, authority, server) = over_tls();
    sandbox.set("AWS_CA_BUNDLE", authority.certificate());
    for variable in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        let proxy = Helper::start(&sandbox, &["connect"]);
        // As curl does, the HTTP client takes one without a scheme.
        sandbox.set(variable, format!("u:needle@127.0.0.1:{}", proxy.port));
        reaches_aws(&sandbox);
        shown_without_password(&sandbox, &proxy);
        sandbox.run(&["agent", "stop"]);
        sandbox.unset(variable);
        assert_eq!(
            proxy.requests(),
            [format!("CONNECT localhost:{} HTTP/1.1 u:needle", server.port)],
            "{variable}"
        );
    }
}

#[test]
fn no_proxy_exempts() {
    let (mut sandbox, authority, server) = over_tls();
    sandbox.set("AWS_CA_BUNDLE", authority.certificate());
    let proxy = Helper::start(&sandbox, &["connect"]);
    sandbox.set("HTTPS_PROXY", format!("http://127.0.0.1:{}", proxy.port));
    sandbox.set("NO_PROXY", "localhost");
    reaches_aws(&sandbox);
    sandbox.run(&["agent", "stop"]);
    // Another host's exemption is none of ours.
    sandbox.set("NO_PROXY", "sts.example");
    reaches_aws(&sandbox);
    assert_eq!(proxy.requests(), [format!("CONNECT localhost:{} HTTP/1.1 -", server.port)]);
}

#[test]
fn what_is_not_encrypted_does_not_leave_this_machine_through_a_proxy() {
    let mut sandbox = Sandbox::new();
    let proxy = Helper::start(&sandbox, &["connect"]);
    for variable in ["HTTP_PROXY", "ALL_PROXY"] {
        sandbox.set(variable, format!("http://127.0.0.1:{}", proxy.port));
    }
    reaches_aws(&sandbox);
    assert_eq!(proxy.requests(), [""; 0]);
}

#[test]
fn a_proxy_that_refuses_or_is_gone_costs_no_code() {
    let (mut sandbox, authority, server) = over_tls();
    sandbox.set("AWS_CA_BUNDLE", authority.certificate());
    let code = sandbox.code();
    let fails = |sandbox: &Sandbox| {
        let run = sandbox.run(&["login", "dev", "--code", &code]);
        check(&run, 7, &["cannot reach", &server.endpoint()]);
        assert!(!run.stderr.contains("needle") && !run.stderr.contains("used up"), "{run:?}");
    };
    let proxy = Helper::start(&sandbox, &["refuse"]);
    sandbox.set("HTTPS_PROXY", format!("http://u:needle@127.0.0.1:{}", proxy.port));
    fails(&sandbox);
    fails(&sandbox);
    assert_eq!(proxy.requests().len(), 2);
    // Now nobody listens there.
    fails(&sandbox);
    fails(&sandbox);
    assert!(sandbox.simulator.calls().is_empty());
    sandbox.run(&["agent", "stop"]);
    sandbox.unset("HTTPS_PROXY");
    assert_eq!(sandbox.run(&["login", "dev", "--code", &code]).status, 0);
}

#[test]
fn the_host_follows_region_partition_fips_and_dual_stack_of_variables_and_profile() {
    // The variables, the profile's settings, the partition of its device, and the host that is called.
    type Case = (&'static [(&'static str, &'static str)], &'static str, &'static str, &'static str);
    let cases: [Case; 9] = [
        (&[], "region = eu-central-1", "aws", "sts.eu-central-1.amazonaws.com"),
        (&[], "", "aws", "sts.us-east-1.amazonaws.com"),
        (&[], "region = cn-north-1", "aws-cn", "sts.cn-north-1.amazonaws.com.cn"),
        (&[], "", "aws-us-gov", "sts.us-gov-west-1.amazonaws.com"),
        (&[], "region = us-west-2\nuse_fips_endpoint = true", "aws", "sts-fips.us-west-2.amazonaws.com"),
        (&[], "region = us-west-2\nuse_dualstack_endpoint = true", "aws", "sts.us-west-2.api.aws"),
        (
            &[("AWS_USE_FIPS_ENDPOINT", "true")],
            "region = us-west-2",
            "aws",
            "sts-fips.us-west-2.amazonaws.com",
        ),
        // A variable wins over the profile.
        (
            &[("AWS_USE_FIPS_ENDPOINT", "false"), ("AWS_USE_DUALSTACK_ENDPOINT", "true")],
            "region = us-west-2\nuse_fips_endpoint = true",
            "aws",
            "sts.us-west-2.api.aws",
        ),
        (&[], "region = us-west-2\nendpoint_url = https://sts.example", "aws", "sts.example"),
    ];
    for (variables, settings, partition, host) in cases {
        let mut sandbox = Sandbox::new();
        sandbox.unset("AWS_ENDPOINT_URL");
        for (name, value) in variables {
            sandbox.set(name, value);
        }
        let serial = sandbox.serial.replace("arn:aws:", &format!("arn:{partition}:"));
        sandbox.write(".aws/config", &format!("[profile dev]\nmfa_serial = {serial}\n{settings}\n"));
        let proxy = Helper::start(&sandbox, &["refuse"]);
        sandbox.set("HTTPS_PROXY", format!("http://127.0.0.1:{}", proxy.port));
        let run = sandbox.run(&["login", "dev", "--code", "123456"]);
        assert_eq!(run.status, 7, "{host}: {run:?}");
        assert_eq!(proxy.requests(), [format!("CONNECT {host}:443 HTTP/1.1 -")], "{variables:?} {settings}");
    }
}

#[test]
fn iam_and_sts_have_endpoints_of_their_own() {
    for (variables, settings, hosts) in [
        (&[][..], "region = eu-central-1", ["iam.amazonaws.com:443", "sts.eu-central-1.amazonaws.com:443"]),
        (
            &[
                ("AWS_ENDPOINT_URL_IAM", "https://iam.example:1"),
                ("AWS_ENDPOINT_URL", "https://all.example:2"),
            ],
            "endpoint_url = https://profile.example",
            ["iam.example:1", "all.example:2"],
        ),
        (
            &[("AWS_ENDPOINT_URL_STS", "https://sts.example:1")],
            "endpoint_url = https://profile.example:2",
            ["profile.example:2", "sts.example:1"],
        ),
    ] {
        let mut sandbox = Sandbox::new();
        sandbox.unset("AWS_ENDPOINT_URL");
        for (name, value) in variables {
            sandbox.set(name, value);
        }
        // IAM is asked for the device where no file names it.
        for (serial, host) in [("", hosts[0]), (&*format!("mfa_serial = {}", sandbox.serial), hosts[1])] {
            sandbox.write(".aws/config", &format!("[profile dev]\n{settings}\n{serial}\n"));
            let proxy = Helper::start(&sandbox, &["refuse"]);
            sandbox.set("HTTPS_PROXY", format!("http://127.0.0.1:{}", proxy.port));
            let run = sandbox.run(&["login", "dev", "--code", "123456"]);
            assert_eq!(run.status, 7, "{host}: {run:?}");
            let mut requests = proxy.requests();
            // A call without a code is tried again.
            requests.dedup();
            assert_eq!(requests, [format!("CONNECT {host} HTTP/1.1 -")]);
            sandbox.run(&["agent", "stop"]);
        }
    }
}
