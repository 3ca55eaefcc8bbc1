//! Where botocore (the AWS CLI, boto3) sends a call, and where we do, in every combination of what says so.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{Endpoint, Partition};
use crate::environment::{Environment, Service};
use crate::profile::{self, ConfigFiles};

/// Variables and a config file in, the endpoints of STS and IAM out: none for AWS's own.
const BOTOCORE: &str = r"
import json, os, sys, tempfile
import botocore.session
from botocore.configprovider import ConfiguredEndpointProvider
from botocore.exceptions import InvalidConfigError
file = tempfile.NamedTemporaryFile()
answers = []
for variables, config in json.load(sys.stdin):
    open(file.name, 'w').write(config)
    os.environ.clear()
    os.environ.update(variables, AWS_CONFIG_FILE=file.name, AWS_SHARED_CREDENTIALS_FILE='/nonexistent')
    answer = []
    for service in ['sts', 'iam']:
        session = botocore.session.Session(profile='dev')
        # As create_client does; a client of its own takes a tenth of a second each.
        if session.get_config_variable('ignore_configured_endpoint_urls'):
            answer.append(None)
            continue
        try:
            answer.append(ConfiguredEndpointProvider(
                session.full_config, session.get_scoped_config(), service).provide())
        except InvalidConfigError:
            answer.append('refused')
    answers.append(answer)
json.dump(answers, sys.stdout)
";

type Variables = BTreeMap<&'static str, &'static str>;

/// All combinations of a few variables and a profile's settings.
fn combinations() -> Vec<(Variables, String)> {
    let mut all = Vec::new();
    let services = [
        "",
        "services = local\n",
        // That of IAM alone; and a section that is not there.
        "services = half\n",
        "services = nowhere\n",
    ];
    let sections = "[services local]\nsts =\n  endpoint_url = http://127.0.0.1:1/services\n  other = x\niam = \n   endpoint_url=http://127.0.0.1:2/services\n\
                    [services half]\ns3 =\n  endpoint_url = http://127.0.0.1:9\niam =\n  endpoint_url = http://127.0.0.1:3/half\n";
    for of_sts in ["", "http://127.0.0.1:4/sts"] {
        for of_all in ["", "http://127.0.0.1:5/all"] {
            for ignored in ["", "true", "False"] {
                let named = [
                    ("AWS_ENDPOINT_URL_STS", of_sts),
                    ("AWS_ENDPOINT_URL", of_all),
                    ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", ignored),
                ];
                let variables: Variables = named.into_iter().filter(|(_, value)| !value.is_empty()).collect();
                for services in services {
                    for own in ["", "endpoint_url = http://127.0.0.1:6/profile\n"] {
                        for ignored in ["", "ignore_configured_endpoint_urls = True\n"] {
                            let config = format!("{sections}[profile dev]\n{services}{own}{ignored}");
                            all.push((variables.clone(), config));
                        }
                    }
                }
            }
        }
    }
    all
}

/// As botocore writes it down.
async fn ours(variables: &Variables, config: &str) -> Vec<Option<String>> {
    let find = |name: &str| variables.get(name).map(OsString::from);
    let environment = Environment::read(find, Path::new("/"), None);
    let files = ConfigFiles::of_texts(config.to_owned(), String::new()).await.unwrap();
    let target = profile::target(&files, "dev").unwrap();
    [Service::Sts, Service::Iam]
        .map(|service| match Endpoint::new(&environment, service, "dev", &target, Partition::Aws) {
            Ok(endpoint) => endpoint.url,
            Err(_) => Some("refused".to_owned()),
        })
        .into()
}

#[tokio::test]
async fn a_call_goes_where_botocores_goes() {
    let combinations = combinations();
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/test-tools/bin/python3");
    let mut botocore = Command::new(python)
        .args(["-c", BOTOCORE])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this test needs botocore; tests/run installs all that is needed");
    let mut questions = botocore.stdin.take().unwrap();
    questions.write_all(&serde_json::to_vec(&combinations).unwrap()).unwrap();
    drop(questions);
    let answers = botocore.wait_with_output().unwrap().stdout;
    let theirs: Vec<Vec<Option<String>>> = serde_json::from_slice(&answers).unwrap();
    assert_eq!(theirs.len(), combinations.len());
    for ((variables, config), theirs) in combinations.iter().zip(theirs) {
        assert_eq!(ours(variables, config).await, theirs, "{variables:?}\n{config}");
    }
}
