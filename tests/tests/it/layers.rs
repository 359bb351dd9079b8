//! The layers of the house: who may depend on whom, and who may use which driver or framework.

mod names;

use cargo_metadata::{CargoOpt, DependencyKind, Metadata, MetadataCommand};
use names::{Arrows, Modules, circle};
use std::path::Path;

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
    // `icu_properties` and `unicode-normalization` are tables of Unicode; `schemars` and `utoipa` describe values.
    let allowed = ["icu_properties", "schemars", "serde", "serde_json", "thiserror", "time", "unicode-normalization", "utoipa", "uuid"];
    for dependency in dependencies(&metadata(), "circolo-domain") {
        assert!(allowed.contains(&dependency.as_str()), "circolo-domain gained {dependency}: is it pure?");
    }
}

/// Each file of the engine can be read with those below it and without those above; so can each folder.
#[test]
fn no_file_and_no_folder_of_the_engine_names_itself_by_way_of_others() {
    let arrows = Modules::of(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../projections/src"))).arrows();
    let is_inside = |file: &str| file.starts_with("engine::");
    assert!(arrows.keys().filter(|file| is_inside(file)).count() > 20, "the engine is not where this test looks for it");
    let mut folders = Arrows::new();
    for (file, named) in arrows.iter().filter(|(file, _)| is_inside(file)) {
        let vague = named.iter().find(|other| (is_inside(other) || *other == "engine") && !arrows.contains_key(*other));
        assert_eq!(vague, None, "{file} names a folder; what it needs is in a file");
        let named = named.iter().filter(|other| is_inside(other) && folder(other) != folder(file)).map(|other| folder(other).to_owned());
        folders.entry(folder(file).to_owned()).or_default().extend(named);
    }
    assert_eq!(circle(&arrows, is_inside), None, "files");
    assert_eq!(circle(&folders, |_| true), None, "folders");
}

/// `engine::builds` of `engine::builds::fold`; what stands alone is a folder of its own.
fn folder(file: &str) -> &str {
    file.match_indices("::").nth(1).map_or(file, |(at, _)| &file[..at])
}
