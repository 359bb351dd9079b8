//! `compose.yaml` and `Dockerfile`, as far as they can be checked without Docker.

use circolo::config::Serve;
use clap::{Args, Command, FromArgMatches};
use serde_json::Value;
use std::{collections::BTreeSet, path::Path};

/// Settings of KurrentDB that the file may use, as `src/KurrentDB.Core/Configuration/ClusterVNodeOptions.cs` of its public source
/// names them; an environment variable is `KURRENTDB_` and the name in capitals, with `_` between words (docs/server/configuration).
const KURRENTDB_OPTIONS: [&str; 9] =
    ["ClusterSize", "Db", "Index", "Insecure", "Log", "MemDb", "NodePort", "RunProjections", "TelemetryOptout"];

fn file(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)).unwrap()
}

fn compose() -> Value {
    serde_saphyr::from_str(&file("compose.yaml")).unwrap()
}

fn services(compose: &Value) -> impl Iterator<Item = (&String, &Value)> {
    compose["services"].as_object().unwrap().iter()
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().map(|list| list.iter().map(|text| text.as_str().unwrap()).collect()).unwrap_or_default()
}

fn keys(map: &Value) -> BTreeSet<&str> {
    map.as_object().map(|map| map.keys().map(String::as_str).collect()).unwrap_or_default()
}

fn definition() -> Command {
    Serve::augment_args(Command::new("serve"))
}

/// `circolo` takes this command line.
fn parsed(command: &[&str]) -> Option<Serve> {
    match command {
        ["serve", ..] => {
            let matches = definition().try_get_matches_from(command).unwrap_or_else(|error| panic!("{command:?}: {error}"));
            Some(Serve::from_arg_matches(&matches).unwrap())
        }
        // Whatever stands before it is checked, and nothing is done.
        command => {
            let output = std::process::Command::new(circolo_tests::server::binary()).args(command).arg("--help").output().unwrap();
            assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
            None
        }
    }
}

#[test]
fn every_command_line_is_one_that_the_program_takes() {
    let compose = compose();
    let of_circolo: Vec<_> = services(&compose).filter(|(_, service)| service["image"].as_str().unwrap().starts_with("circolo:")).collect();
    let nodes = of_circolo.iter().filter_map(|(_, service)| parsed(&texts(&service["command"]))).count();
    assert_eq!((nodes, of_circolo.len()), (3, 3));
    // That wrong ones are noticed.
    assert!(definition().try_get_matches_from(["serve", "--lissten", "0.0.0.0:8080"]).is_err());
    assert!(definition().try_get_matches_from(["serve", "--listen", "here"]).is_err());
    let output = std::process::Command::new(circolo_tests::server::binary()).args(["token", "--subb", "x", "--help"]).output().unwrap();
    assert!(!output.status.success());
    let environment: BTreeSet<String> =
        definition().get_arguments().filter_map(|argument| Some(argument.get_env()?.to_str()?.to_owned())).collect();
    for (name, service) in &of_circolo {
        for variable in keys(&service["environment"]) {
            assert!(environment.contains(variable), "{name}: the program knows no {variable}");
        }
    }
    let dockerfile = file("Dockerfile");
    let command = dockerfile.lines().find_map(|line| line.strip_prefix("CMD ")).unwrap();
    parsed(&texts(&serde_json::from_str(command).unwrap())).unwrap();
    for line in file("compose.yaml").lines().filter_map(|line| line.split_once("compose exec node-1 circolo ")) {
        parsed(&line.1.split_whitespace().collect::<Vec<_>>());
    }
}

#[test]
fn the_places_of_log_and_read_models_are_services() {
    let compose = compose();
    for (name, node) in services(&compose).filter(|(name, _)| name.starts_with("node-")) {
        let environment = &node["environment"];
        let log = environment["CIRCOLO_LOG"].as_str().unwrap().strip_prefix("kurrentdb://").unwrap();
        assert_eq!(log, "kurrentdb:2113?tls=false");
        let postgres = &compose["services"]["postgres"]["environment"];
        let of = |name: &str| postgres[name].as_str().unwrap();
        let url = format!("postgres://{}:{}@postgres:5432/{}", of("POSTGRES_USER"), of("POSTGRES_PASSWORD"), of("POSTGRES_DB"));
        assert_eq!(environment["CIRCOLO_VIEWS"], url.as_str());
        let serve = parsed(&texts(&node["command"])).unwrap();
        assert!(serve.http.listen.ip().is_unspecified(), "{name} is reached from outside its container");
        let check = texts(&node["healthcheck"]["test"]).last().unwrap().to_string();
        assert_eq!(check, format!("http://127.0.0.1:{}/health/ready", serve.http.listen.port()));
        let [port] = texts(&node["ports"])[..] else { panic!("{name} has one port") };
        assert!(port.ends_with(&format!(":{}", serve.http.listen.port())), "{port}");
        // All nodes have the same folder, which the image makes for the user it runs as.
        let data = serve.storage.folder.data.display().to_string();
        assert_eq!(texts(&node["volumes"]), [format!("data:{data}")]);
        assert!(file("Dockerfile").contains(&format!("mkdir {data} && chown circolo {data}")));
        let advertised = format!("http://{name}:{}", serve.http.listen.port());
        assert!(texts(&node["command"]).ends_with(&["--advertise", &advertised]), "{name}");
    }
}

/// An image that somebody may name otherwise: by which variable, and which it is else.
fn replaceable(image: &str) -> Option<(&str, &str)> {
    image.strip_prefix("${")?.strip_suffix('}')?.split_once(":-")
}

/// It has the number of a version, or a digest of the registry.
fn is_pinned(image: &str) -> bool {
    match image.split_once("@sha256:") {
        Some((_, digest)) => digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => image.rsplit_once(':').is_some_and(|(_, tag)| tag.starts_with(|first: char| first.is_ascii_digit())),
    }
}

#[test]
fn images_of_others_can_be_named_by_digest_as_the_document_says() {
    let (compose, dockerfile, document) = (compose(), file("Dockerfile"), file("docs/operations.md"));
    let arguments = dockerfile.lines().filter_map(|line| line.strip_prefix("ARG ")?.split_once('='));
    let others = services(&compose).filter_map(|(_, service)| replaceable(service["image"].as_str().unwrap()));
    let images: Vec<_> = arguments.chain(others).collect();
    assert_eq!(images.len(), 4, "{images:?}");
    for (name, image) in images {
        assert!(is_pinned(image) && document.contains(&format!("digest {name} {image} >> .env")), "{name}: {image}");
        let given = compose["services"]["node-1"]["build"]["args"][name].as_str().and_then(replaceable);
        assert!(!dockerfile.contains(name) || given == Some((name, image)), "{name} does not reach the build");
    }
    // All that is fetched goes by one of them.
    assert!(dockerfile.lines().filter(|line| line.starts_with("FROM ")).all(|line| line.starts_with("FROM ${")));
    assert!(is_pinned(&format!("postgres@sha256:{}", "0f".repeat(32))));
    for loose in ["postgres", "postgres:latest", "postgres@sha256:0f", &format!("postgres@sha256:{}", "xy".repeat(32))] {
        assert!(!is_pinned(loose), "{loose}");
    }
}

#[test]
fn what_is_referred_to_is_there() {
    let compose = compose();
    let (services_there, mut ports) = (keys(&compose["services"]), BTreeSet::new());
    let mut used = BTreeSet::new();
    for (name, service) in services(&compose) {
        let image = service["image"].as_str().unwrap();
        let image = replaceable(image).map_or(image, |(_, image)| image);
        assert!(is_pinned(image), "{name}: {image} is not pinned");
        for volume in texts(&service["volumes"]) {
            used.insert(volume.split_once(':').unwrap().0);
        }
        for port in texts(&service["ports"]) {
            assert!(port.starts_with("127.0.0.1:"), "{name}: {port} is open to the world");
            assert!(ports.insert(port.split(':').nth(1).unwrap()), "{port} is taken twice");
        }
        for (target, how) in service["depends_on"].as_object().into_iter().flatten() {
            assert!(services_there.contains(target.as_str()), "{name} waits for {target}, which is not there");
            let target = &compose["services"][target];
            assert_eq!(how["condition"], "service_healthy", "{name}");
            assert!(target["healthcheck"]["test"].is_array(), "{name}");
        }
    }
    assert_eq!(used, keys(&compose["volumes"]), "volumes that are used, and those that are declared");
}

#[test]
fn settings_of_kurrentdb_are_documented_ones() {
    let compose = compose();
    let variable = |option: &str| {
        let words = option.chars().enumerate().flat_map(|(at, letter)| {
            let gap = (at > 0 && letter.is_ascii_uppercase()).then_some('_');
            gap.into_iter().chain([letter.to_ascii_uppercase()])
        });
        format!("KURRENTDB_{}", words.collect::<String>())
    };
    let known: BTreeSet<String> = KURRENTDB_OPTIONS.into_iter().map(variable).collect();
    assert!(known.contains("KURRENTDB_RUN_PROJECTIONS"));
    for name in keys(&compose["services"]["kurrentdb"]["environment"]) {
        assert!(known.contains(name), "{name}");
    }
}

#[test]
fn the_image_is_built_with_the_compiler_that_the_workspace_asks_for() {
    let (dockerfile, manifest) = (file("Dockerfile"), file("Cargo.toml"));
    let version = manifest.lines().find_map(|line| line.strip_prefix("rust-version = ")).unwrap().trim_matches('"');
    assert!(dockerfile.contains(&format!("ARG RUST_IMAGE=rust:{version}-")), "{version}");
    let program = env!("CARGO_PKG_VERSION");
    assert!(file("compose.yaml").contains(&format!("image: circolo:{program}")), "{program}");
    assert!(dockerfile.contains("--package circolo ") && file("api/Cargo.toml").contains("name = \"circolo\""));
}
