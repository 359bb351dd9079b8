//! The layers of the house: who may depend on whom, and who may use which driver or framework.

use cargo_metadata::{CargoOpt, DependencyKind, Metadata, MetadataCommand};

fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        .features(CargoOpt::AllFeatures)
        .no_deps()
        .exec()
        .unwrap()
}

/// Direct dependencies of a workspace crate, without those of its tests.
fn dependencies(metadata: &Metadata, name: &str) -> Vec<String> {
    let package = metadata.packages.iter().find(|package| package.name.as_str() == name).unwrap();
    package.dependencies.iter().filter(|d| d.kind != DependencyKind::Development).map(|d| d.name.clone()).collect()
}

const LAYERS: [&str; 5] = ["circolo-domain", "circolo-events", "circolo-projections", "circolo", "circolo-tests"];

#[test]
fn each_layer_depends_on_those_below_it_only() {
    let metadata = metadata();
    assert_eq!(metadata.workspace_packages().len(), LAYERS.len(), "a crate is missing in this test");
    for (level, name) in LAYERS.iter().enumerate() {
        for dependency in dependencies(&metadata, name) {
            if let Some(other) = LAYERS.iter().position(|layer| *layer == dependency) {
                assert!(other < level, "{name} must not depend on {dependency}");
            }
        }
    }
}

#[test]
fn drivers_and_frameworks_stay_in_their_rooms() {
    let rooms: [(&str, &[&str]); 7] = [
        ("sqlx", &["circolo-events", "circolo-projections", "circolo-tests"]),
        ("rusqlite", &["circolo-events", "circolo-projections", "circolo-tests"]),
        ("kurrentdb", &["circolo-events", "circolo-tests"]),
        ("axum", &["circolo", "circolo-tests"]),
        ("tower-http", &["circolo"]),
        ("tokio", &["circolo-events", "circolo-projections", "circolo", "circolo-tests"]),
        ("clap", &["circolo", "circolo-tests"]),
    ];
    let metadata = metadata();
    for name in LAYERS {
        for dependency in dependencies(&metadata, name) {
            if let Some((_, allowed)) = rooms.iter().find(|(library, _)| *library == dependency) {
                assert!(allowed.contains(&name), "{name} must not use {dependency}");
            }
        }
    }
}

#[test]
fn the_domain_is_pure() {
    // `icu_properties` and `unicode-normalization` are tables of Unicode.
    let allowed = ["icu_properties", "schemars", "serde", "serde_json", "thiserror", "time", "unicode-normalization", "uuid"];
    for dependency in dependencies(&metadata(), "circolo-domain") {
        assert!(allowed.contains(&dependency.as_str()), "circolo-domain gained {dependency}: is it pure?");
    }
}
