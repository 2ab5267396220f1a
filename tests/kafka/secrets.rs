//! Encryption and login: a real broker that asks for both, and secrets that nobody gets to see.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use xtask::kafka::{Cluster, Listener};

use super::{Acme, done, folder, jars, piped};
use crate::support::{Call, call, files, orders};
use crate::tables::{rows, wait};

const USER: &str = "silversmith";
/// Such as occur nowhere else.
const PASSWORD: &str = "password-of-the-user-8d1f6a";
const KEY_PASSWORD: &str = "password-of-the-key-c27e90";

/// Runs `openssl` in `folder`.
fn openssl(folder: &Path, arguments: &str) {
    let mut openssl = Command::new("openssl");
    openssl.current_dir(folder).args(arguments.split_whitespace());
    piped(&mut openssl, b"");
}

/// Makes an authority, and certificates of it for a broker and for a host, whose key is encrypted.
fn certify(folder: &Path) {
    const EC: &str = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1";
    fs::create_dir_all(folder).expect("the folder is ours");
    fs::write(folder.join("names"), "subjectAltName=IP:127.0.0.1").expect("the folder is ours");
    openssl(folder, &format!("req -x509 {EC} -nodes -keyout ca.key -out ca.pem -subj /CN=authority -days 2"));
    openssl(folder, &format!("req -x509 {EC} -nodes -keyout other.key -out other.pem -subj /CN=other -days 2"));
    openssl(folder, &format!("req {EC} -nodes -keyout broker.key -out broker.csr -subj /CN=broker"));
    openssl(folder, &format!("req {EC} -passout pass:{KEY_PASSWORD} -keyout host.key -out host.csr -subj /CN=host"));
    for (name, more) in [("broker", "-extfile names"), ("host", "")] {
        let sign = "-CA ca.pem -CAkey ca.key -CAcreateserial -days 2";
        openssl(folder, &format!("x509 -req -in {name}.csr {sign} {more} -out {name}.pem"));
    }
    let read = |name| fs::read_to_string(folder.join(name)).expect("it was made");
    fs::write(folder.join("store.pem"), read("broker.key") + &read("broker.pem")).expect("the folder is ours");
}

/// A way in that asks for a certificate, a user and a password.
fn guarded(certificates: &Path) -> Listener {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    let path = |name| certificates.join(name).display().to_string();
    let settings = [
        ("ssl.keystore.type", "PEM".to_owned()),
        ("ssl.keystore.location", path("store.pem")),
        ("ssl.truststore.type", "PEM".to_owned()),
        ("ssl.truststore.location", path("ca.pem")),
        ("ssl.client.auth", "required".to_owned()),
        ("sasl.enabled.mechanisms", "PLAIN,SCRAM-SHA-512".to_owned()),
        (
            "plain.sasl.jaas.config",
            format!("org.apache.kafka.common.security.plain.PlainLoginModule required user_{USER}=\"{PASSWORD}\";"),
        ),
        (
            "scram-sha-512.sasl.jaas.config",
            "org.apache.kafka.common.security.scram.ScramLoginModule required;".to_owned(),
        ),
    ];
    let settings = settings.map(|(name, value)| (name.to_owned(), value)).to_vec();
    let port = free.expect("a port is free").port();
    Listener { protocol: "SASL_SSL", port, advertised: port, settings }
}

/// acme behind the guarded way in: `kafka` states how to log in.
fn behind(cluster: &Cluster, guarded: &Listener, certificates: &Path, name: &str, login: &str) -> Acme {
    let acme = Acme::on(cluster, name, 1, &[]);
    for name in ["ca.pem", "other.pem", "host.pem", "host.key"] {
        acme.workshop
            .write(&format!("tenants/acme/secrets/{name}"), fs::read(certificates.join(name)).expect("it was made"));
    }
    acme.workshop.write("tenants/acme/secrets/password", format!("{PASSWORD}\n"));
    acme.workshop.write("tenants/acme/secrets/key-password", format!("{KEY_PASSWORD}\n"));
    acme.workshop.write("tenants/acme/secrets/wrong", "another-password\n");
    acme.workshop.edit("tenants/acme/tenant.yaml", |text| {
        text.replace(&cluster.bootstrap(), &format!("127.0.0.1:{}", guarded.port))
    });
    acme.state(login);
    acme
}

/// Runs to the end with all logs on and both secrets in the environment.
fn run(acme: &Acme, arguments: &str) -> Call {
    let mut command = acme.workshop.silversmith(&format!("{arguments} --lake lake"));
    call(command.env("SILVERSMITH_LOG", "trace").env("THE_PASSWORD", PASSWORD).env("THE_KEY_PASSWORD", KEY_PASSWORD))
}

/// Fails where a secret is in what was said or in any byte of the lake, packed or not.
fn assert_secret(acme: &Acme, said: &[&Call], key: &str) {
    let secrets: Vec<&str> = [PASSWORD, KEY_PASSWORD].into_iter().chain(key.lines().skip(1).take(1)).collect();
    let shown = |where_: &str, bytes: &[u8]| {
        for secret in &secrets {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{where_} shows a secret: {secret}");
        }
    };
    for call in said {
        shown("what was printed", format!("{}{}", call.stdout, call.stderr).as_bytes());
    }
    for file in files(&acme.workshop.lake()) {
        shown(&file.display().to_string(), &fs::read(&file).expect("the lake is ours"));
    }
    let lake = silversmith::lake::Lake::open(&acme.workshop.lake()).expect("the lake is there");
    for table in wait(lake.tables("acme")).expect("the lake can be listed") {
        shown(&table, format!("{:?}", rows(&acme.workshop.lake(), &format!("acme/{table}"))).as_bytes());
    }
}

#[test]
fn a_guarded_broker_is_read_and_no_secret_is_shown() {
    let store = tempfile::tempdir().expect("there is room for temporary files");
    let certificates = store.path();
    certify(certificates);
    let guarded = guarded(certificates);
    let cluster = done(Cluster::start_with(&jars(), &folder("guarded"), &guarded));
    let mut tool = cluster.tool("kafka.admin.ConfigCommand");
    tool.args(["--alter", "--entity-type", "users", "--entity-name", USER]);
    piped(tool.args(["--add-config", &format!("SCRAM-SHA-512=[password={PASSWORD}]")]), b"");
    let key = fs::read_to_string(certificates.join("host.key")).expect("it was made");
    assert!(key.contains("ENCRYPTED"), "{key}");

    let tls = "ca: secrets/ca.pem, certificate: secrets/host.pem, key: secrets/host.key";
    let from_environment = format!(
        "tls: {{ {tls}, key_password: {{ env: THE_KEY_PASSWORD }} }}, \
         sasl: {{ mechanism: SCRAM-SHA-512, username: {USER}, password: {{ env: THE_PASSWORD }} }}"
    );
    let from_files = format!(
        "tls: {{ {tls}, key_password: {{ file: secrets/key-password }} }}, \
         sasl: {{ mechanism: PLAIN, username: {USER}, password: {{ file: secrets/password }} }}"
    );
    for (name, login) in [("scram", &from_environment), ("plain", &from_files)] {
        let acme = behind(&cluster, &guarded, certificates, name, login);
        acme.produce(&orders(100, 41));
        let ran = run(&acme, "run tenants");
        assert_eq!(ran.code, 0, "{ran:?}");
        acme.assert_whole(name);
        let lag = run(&acme, "lag acme");
        assert!(lag.code == 0 && lag.stdout.contains("readable"), "{lag:?}");

        // The right key of a user who says a wrong password.
        let tenant = "tenants/acme/tenant.yaml";
        acme.workshop.edit(tenant, |text| {
            text.replace("password: { env: THE_PASSWORD }", "password: { file: secrets/wrong }")
                .replace("password: { file: secrets/password }", "password: { file: secrets/wrong }")
        });
        let refused = run(&acme, "run tenants");
        assert_eq!(refused.code, 1, "{refused:?}");
        let error = refused.stderr.lines().find(|line| line.contains("tenant `acme` stopped")).unwrap_or_default();
        assert!(error.contains("the brokers refuse this host"), "{}", refused.stderr);
        assert!(!refused.stderr.contains("another-password"), "{}", refused.stderr);

        // A broker that another authority vouches for is nobody to talk to.
        acme.workshop.edit(tenant, |text| text.replace("ca: secrets/ca.pem", "ca: secrets/other.pem"));
        let mistrusted = run(&acme, "lag acme");
        assert!(mistrusted.code == 1 && mistrusted.stderr.contains("no broker told"), "{mistrusted:?}");
        assert_secret(&acme, &[&ran, &lag, &refused, &mistrusted], &key);
    }
}
