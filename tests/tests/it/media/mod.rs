//! Stories of files: uploaded, read by parts, shown, and gone when nobody needs them.

mod bounds;
mod check;
mod kept;
mod shown;

use axum::{
    body::Body,
    http::{Request, header},
};
use circolo_tests::{
    actor::{Actor, Reply},
    stories,
    world::World,
};
use image::{DynamicImage, ImageFormat, Rgb, RgbImage, metadata::Orientation};
use serde_json::json;
use std::{
    collections::BTreeMap,
    fs,
    io::Cursor,
    path::{Path, PathBuf},
};
use uuid::Uuid;

stories!(
    a_picture_is_read_whole_small_and_in_parts,
    a_document_comes_as_an_attachment,
    what_a_camera_writes_into_a_photo_is_gone,
    a_repeat_uploads_nothing_more
);

/// A picture of this size, as PNG.
pub fn picture(width: u32, height: u32) -> Vec<u8> {
    let image: DynamicImage =
        RgbImage::from_fn(width, height, |x, y| Rgb([u8::try_from(x % 256).unwrap(), u8::try_from(y % 256).unwrap(), 9])).into();
    let mut bytes = vec![];
    image.write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png).unwrap();
    bytes
}

/// A document with these words in it.
pub fn document(words: &str) -> Vec<u8> {
    format!("%PDF-1.7\n% {words}\n").into_bytes()
}

/// Uploads a file, in pieces and without saying how long it is.
pub async fn send(by: &Actor, media_type: &str, bytes: &[u8], query: &str) -> Reply {
    let pieces: Vec<Result<Vec<u8>, std::io::Error>> = bytes.chunks(50_000).map(|piece| Ok(piece.to_vec())).collect();
    let body = Body::from_stream(futures::stream::iter(pieces));
    let request = Request::post(format!("/v1/media{query}")).header(header::CONTENT_TYPE, media_type);
    by.raw(request.body(body).unwrap()).await
}

/// Uploads a picture; its id.
pub async fn upload(by: &Actor, bytes: &[u8]) -> Uuid {
    send(by, "image/png", bytes, "").await.expect(201).id()
}

/// Where a file is read.
pub fn path(id: Uuid) -> String {
    format!("/v1/media/{id}")
}

/// All files below a folder, with what is in them.
pub fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.clone(), fs::read(&path).unwrap_or_default());
        }
    }
    found
}

/// The uploaded files of a world.
pub fn stored(world: &World) -> BTreeMap<PathBuf, Vec<u8>> {
    files(&world.folder().join("media"))
}

async fn a_picture_is_read_whole_small_and_in_parts(world: World) {
    let ann = world.person("Ann").await;
    let sent = picture(800, 600);
    let uploaded = send(&ann, "image/png", &sent, "?name=Gipfel%20%C3%BC.png").await.expect(201);
    let (id, bytes) = (uploaded.id(), uploaded.json()["bytes"].as_u64().unwrap());
    assert_eq!(uploaded.json(), json!({ "id": id, "type": "image/png", "bytes": bytes, "width": 800, "height": 600 }));
    assert_eq!(uploaded.location(), path(id));
    assert!(uploaded.header("circolo-position").parse::<i64>().unwrap() > 0);

    let whole = ann.get(&path(id)).await.expect(200);
    let read = image::load_from_memory(&whole.bytes).unwrap();
    assert!(read == image::load_from_memory(&sent).unwrap(), "the picture is the same");
    for (name, value) in [
        ("content-type", "image/png"),
        ("content-length", &bytes.to_string()),
        ("accept-ranges", "bytes"),
        ("etag", &format!("\"{id}.whole\"")),
        ("cache-control", "private, no-cache"),
        ("content-disposition", "inline; filename=\"Gipfel _.png\"; filename*=UTF-8''Gipfel%20%C3%BC.png"),
        ("x-content-type-options", "nosniff"),
        ("content-security-policy", "default-src 'none'; sandbox; frame-ancestors 'none'"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        assert_eq!(whole.header(name), value, "{name}");
    }
    for (range, from, to) in [("bytes=0-9", 0, 10), ("bytes=100-", 100, bytes), ("bytes=-7", bytes - 7, bytes)] {
        let part = ann.with("range", range).get(&path(id)).await.expect(206);
        let expected = whole.bytes.slice(usize::try_from(from).unwrap()..usize::try_from(to).unwrap());
        assert_eq!((part.header("content-range"), &part.bytes), (&*format!("bytes {from}-{}/{bytes}", to - 1), &expected), "{range}");
    }
    let beyond = ann.with("range", &format!("bytes={bytes}-")).get(&path(id)).await.expect_problem(416, "range_not_satisfiable");
    assert_eq!(beyond.header("content-range"), format!("bytes */{bytes}"));
    let known = ann.with("if-none-match", whole.header("etag")).get(&path(id)).await.expect(304);
    assert_eq!((known.bytes.len(), known.header("etag")), (0, whole.header("etag")));
    let head = ann.send(axum::http::Method::HEAD, &path(id), ()).await.expect(200);
    assert_eq!((head.bytes.len(), head.header("content-length")), (0, &*bytes.to_string()));
    // Whoever takes compressed answers gets the file as it is.
    assert_eq!(ann.with("accept-encoding", "gzip").get(&path(id)).await.expect(200).header("content-encoding"), "");

    for (size, width, height, media_type) in
        [("small", 160, 120, "image/jpeg"), ("medium", 640, 480, "image/jpeg"), ("large", 800, 600, "image/png")]
    {
        let copy = ann.get(&format!("{}?size={size}", path(id))).await.expect(200);
        let read = image::load_from_memory(&copy.bytes).unwrap();
        assert_eq!((copy.header("content-type"), read.width(), read.height()), (media_type, width, height), "{size}");
        assert_eq!(copy.header("etag") == whole.header("etag"), size == "large");
    }
    ann.get(&format!("{}?size=huge", path(id))).await.expect_problem(400, "bad_query");
}

async fn a_document_comes_as_an_attachment(world: World) {
    let ann = world.person("Ann").await;
    // Longer than what is sealed at a time.
    let sent = [document("minutes"), vec![b'x'; 200_000]].concat();
    let uploaded = send(&ann, "application/pdf", &sent, "").await.expect(201);
    let id = uploaded.id();
    assert_eq!(uploaded.json(), json!({ "id": id, "type": "application/pdf", "bytes": sent.len() }));
    for query in ["", "?size=small"] {
        let read = ann.with("accept-encoding", "gzip").get(&format!("{}{query}", path(id))).await.expect(200);
        assert!(read.bytes == sent, "byte by byte");
        assert_eq!(read.header("content-disposition"), format!("attachment; filename=\"{id}.pdf\""));
        assert_eq!((read.header("content-encoding"), read.header("content-length")), ("", &*sent.len().to_string()));
    }
    let part = ann.with("range", "bytes=65530-131080").get(&path(id)).await.expect(206);
    assert!(part.bytes == sent[65_530..131_081]);
}

async fn what_a_camera_writes_into_a_photo_is_gone(world: World) {
    const PLACE: &[u8] = b"46.8508N 9.5320E";
    let ann = world.person("Ann").await;
    let mut plain = vec![];
    RgbImage::from_pixel(200, 100, Rgb([200, 30, 30])).write_to(&mut Cursor::new(&mut plain), ImageFormat::Jpeg).unwrap();
    // EXIF says that it is turned, and where it was taken.
    let exif = [b"Exif\0\0II\x2a\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0".as_slice(), PLACE].concat();
    let length = u16::try_from(exif.len() + 2).unwrap().to_be_bytes();
    let photo = [&plain[..2], &[0xff, 0xe1], &length, &exif, &plain[2..]].concat();
    assert!(photo.windows(PLACE.len()).any(|part| part == PLACE));
    let uploaded = send(&ann, "image/jpeg", &photo, "").await.expect(201);
    uploaded.clone().expect_json(json!({ "type": "image/jpeg", "width": 100, "height": 200 }));
    for query in ["", "?size=small"] {
        let read = ann.get(&format!("{}{query}", path(uploaded.id()))).await.expect(200);
        assert!(!read.bytes.windows(PLACE.len()).any(|part| part == PLACE) && !read.bytes.windows(4).any(|part| part == b"Exif"));
        let reader = image::ImageReader::new(Cursor::new(&read.bytes)).with_guessed_format().unwrap();
        let mut decoder = reader.into_decoder().unwrap();
        assert_eq!(image::ImageDecoder::orientation(&mut decoder).unwrap(), Orientation::NoTransforms);
    }
}

async fn a_repeat_uploads_nothing_more(world: World) {
    let ann = world.person("Ann").await.with("idempotency-key", "once");
    let first = send(&ann, "application/pdf", &document("one"), "").await.expect(201);
    let lying = stored(&world);
    assert_eq!(lying.len(), 1);
    let again = send(&ann, "application/pdf", &document("one"), "").await.expect(201);
    assert_eq!((again.json(), again.header("circolo-position")), (first.json(), first.header("circolo-position")));
    send(&ann, "application/pdf", &document("two"), "").await.expect_problem(409, "key_reused");
    send(&ann, "application/pdf", &document("one"), "?name=other").await.expect_problem(409, "key_reused");
    assert!(stored(&world) == lying, "nothing else was stored");
}
