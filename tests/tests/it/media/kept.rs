//! How files are kept: under keys, for their owner alone, and as long as somebody needs them.

use super::{document, path, picture, send, stored, upload};
use crate::given::UNKNOWN;
use circolo_domain::{
    MediaId, PersonId, Span, TextOwner, Timestamp,
    media::{GRACE, UNUSED},
    testing::NOON,
};
use circolo_events::{
    media::{Files, Name, Part},
    sealing::{Owner, Random},
};
use circolo_tests::{stories, world::World};
use serde_json::json;
use std::os::unix::fs::PermissionsExt;
use uuid::Uuid;

stories!(what_nothing_shows_for_a_day_is_gone, what_is_uploaded_is_sealed_under_its_owners_key, files_of_which_no_event_tells_are_removed,);

async fn what_nothing_shows_for_a_day_is_gone(world: World) {
    let ann = world.person("Ann").await;
    let (shown, spare) = (upload(&ann, &picture(200, 200)).await, upload(&ann, &picture(300, 300)).await);
    ann.put("/v1/me/avatar", json!({ "media_id": shown })).await.expect(200);
    let files = stored(&world).len();
    world.clock().advance(UNUSED);
    // Strictly within a day it is the uploader's, whenever somebody sweeps.
    ann.get(&path(spare)).await.expect_problem(404, "not_found");
    ann.put("/v1/me/avatar", json!({ "media_id": spare })).await.expect_problem(422, "unknown_media");
    world.settled().await;
    assert_eq!(world.app().sweep(false).await.unwrap().unused, 0, "what was accepted at the last moment is waited for");
    world.clock().advance(GRACE);
    assert_eq!(world.app().sweep(true).await.unwrap().unused, 1);
    assert_eq!((world.app().sweep(true).await.unwrap().unused, stored(&world).len()), (0, files - 2));
    ann.get(&path(shown)).await.expect(200);
    // A day counts from when nothing shows it any more.
    ann.delete("/v1/me/avatar").await.expect(200);
    world.clock().advance(Span::micros(UNUSED.as_micros() - 1));
    ann.get(&path(shown)).await.expect(200);
    ann.put("/v1/me/avatar", json!({ "media_id": shown })).await.expect(200);
    ann.delete("/v1/me/avatar").await.expect(200);
    world.clock().advance(Span::micros(UNUSED.as_micros() - 1));
    ann.get(&path(shown)).await.expect(200);
    world.clock().advance(GRACE);
    world.clock().advance(Span::micros(1));
    ann.get(&path(shown)).await.expect_problem(404, "not_found");
    world.settled().await;
    assert_eq!((world.app().sweep(false).await.unwrap().unused, stored(&world).len()), (1, 0));
    ann.get(&path(shown)).await.expect_problem(404, "not_found");
}

async fn what_is_uploaded_is_sealed_under_its_owners_key(world: World) {
    const MARK: &str = "zqmarkzq";
    let (ann, bea) = (world.person("Ann").await, world.person("Bea").await);
    let id = send(&ann, "application/pdf", &document(MARK), &format!("?name={MARK}.pdf")).await.expect(201).id();
    let face = upload(&ann, &picture(200, 200)).await;
    ann.put("/v1/me/avatar", json!({ "media_id": face })).await.expect(200);
    world.settled().await;
    let lying = stored(&world);
    assert_eq!(lying.len(), 3);
    for (file, bytes) in super::files(world.folder()) {
        assert!(!bytes.windows(MARK.len()).any(|part| part == MARK.as_bytes()), "{}", file.display());
        assert!(!lying.contains_key(&file) || !bytes.windows(4).any(|part| part == b"IHDR" || part == b"%PDF"), "{}", file.display());
    }
    for file in lying.keys() {
        let rights = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((rights(file), rights(file.parent().unwrap())), (0o600, 0o700), "{}", file.display());
    }
    assert_eq!(ann.get(&path(id)).await.expect(200).header("content-disposition"), format!("attachment; filename=\"{MARK}.pdf\""));
    bea.get(&path(face)).await.expect(200);
    // Their key goes, and everything under it.
    let keys = world.store().sealing().unwrap().keys();
    keys.destroy(Owner::from(TextOwner::Person(PersonId(ann.id())))).await.unwrap();
    for (reader, file) in [(&ann, id), (&ann, face), (&bea, face)] {
        assert_eq!(reader.get(&path(file)).await.visible(), reader.get(&path(UNKNOWN)).await.visible());
    }
    send(&ann, "application/pdf", &document("more"), "").await.expect(404);
}

async fn files_of_which_no_event_tells_are_removed(world: World) {
    let ann = world.person("Ann").await;
    let known = upload(&ann, &picture(20, 20)).await;
    ann.put("/v1/me/avatar", json!({ "media_id": known })).await.expect(200);
    let files = Files::in_folder(&world.folder().join("media")).unwrap();
    let keys = world.store().sealing().unwrap().keys();
    // Somebody's process died before the event; a second try of what is there left its file.
    for media in [MediaId(UNKNOWN), MediaId(known)] {
        let name = Name { media, file: Uuid::from_u128(9), part: Part::Whole };
        let mut writer = files.write(name, PersonId(ann.id()), keys, Random::system()).await.unwrap();
        writer.put(b"half").await.unwrap();
        writer.end().await.unwrap();
    }
    assert_eq!((stored(&world).len(), world.app().sweep(true).await.unwrap().untold), (3, 0), "it may be on its way");
    // The store tells the time by a clock of its own.
    let now: Timestamp = circolo::clock::system()();
    world.clock().advance(now.since(NOON));
    world.clock().advance(Span::hours(25));
    assert_eq!((world.app().sweep(true).await.unwrap().untold, stored(&world).len()), (2, 1));
    ann.get(&path(known)).await.expect(200);
}
