//! Pictures come out as they were meant, and nothing but the picture.

use super::*;
use image::{Rgb, RgbImage, Rgba, RgbaImage};

const MOST: u64 = 50_000_000;
/// Latitude and longitude, and which way is up: as cameras write it.
const PLACE: &[u8] = b"46.8508N 9.5320E";

/// Dark at the left, bright at the right.
fn photo(width: u32, height: u32) -> DynamicImage {
    RgbImage::from_fn(width, height, |x, _| Rgb([u8::try_from(x * 255 / width).unwrap(); 3])).into()
}

/// EXIF that says how the picture is turned, and where it was taken.
fn exif(orientation: u8) -> Vec<u8> {
    let mut exif = b"II\x2a\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    exif.extend_from_slice(&[orientation, 0, 0, 0, 0, 0, 0, 0]);
    exif.extend_from_slice(PLACE);
    exif
}

fn written(media_type: MediaType, image: &DynamicImage, orientation: Option<u8>) -> Vec<u8> {
    let mut bytes = vec![];
    match media_type {
        MediaType::Jpeg => {
            let mut encoder = JpegEncoder::new_with_quality(&mut bytes, 95);
            if let Some(way) = orientation {
                encoder.set_exif_metadata(exif(way)).unwrap();
            }
            image.write_with_encoder(encoder).unwrap();
        }
        MediaType::Png => {
            let mut encoder = PngEncoder::new(&mut bytes);
            if let Some(way) = orientation {
                encoder.set_exif_metadata(exif(way)).unwrap();
            }
            image.write_with_encoder(encoder).unwrap();
        }
        MediaType::Webp => {
            let mut encoder = WebPEncoder::new_lossless(&mut bytes);
            if let Some(way) = orientation {
                encoder.set_exif_metadata(exif(way)).unwrap();
            }
            image.write_with_encoder(encoder).unwrap();
        }
        _ => image.write_to(&mut Cursor::new(&mut bytes), ImageFormat::Gif).unwrap(),
    }
    bytes
}

fn holds(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|part| part == what)
}

#[test]
fn what_is_said_of_a_picture_goes_and_it_is_turned_as_it_was_meant() {
    for media_type in [MediaType::Jpeg, MediaType::Png, MediaType::Webp] {
        for (orientation, size) in [(1, (200, 100)), (6, (100, 200))] {
            let file = written(media_type, &photo(200, 100), Some(orientation));
            assert!(holds(&file, PLACE), "{media_type:?}: the test writes it");
            let Prepared { whole, thumbnails } = prepare(&file, media_type, MOST).unwrap();
            assert_eq!((whole.media_type, (whole.width, whole.height)), (media_type, size), "{orientation}");
            let read = decode(&whole.bytes, media_type, MOST).unwrap();
            assert_eq!((read.image.dimensions(), read.turned), (size, false), "{media_type:?}");
            // What was at the left is above when it is turned to the right.
            let (dark, bright) = (read.image.get_pixel(2, 2).0[0], read.image.get_pixel(size.0 - 3, size.1 - 3).0[0]);
            assert!(dark < 20 && bright > 235, "{media_type:?} {orientation}: {dark} {bright}");
            for bytes in thumbnails.iter().map(|(_, copy)| &copy.bytes).chain([&whole.bytes]) {
                assert!(!holds(bytes, PLACE) && !holds(bytes, b"Exif") && !holds(bytes, b"EXIF"), "{media_type:?}");
            }
        }
    }
}

#[test]
fn smaller_copies_are_made_of_what_is_larger() {
    let sizes = |image: &DynamicImage| {
        let made = prepare(&written(MediaType::Png, image, None), MediaType::Png, MOST).unwrap();
        made.thumbnails.into_iter().map(|(size, copy)| (size, copy.media_type, copy.width, copy.height)).collect::<Vec<_>>()
    };
    assert_eq!(sizes(&photo(160, 100)), []);
    assert_eq!(
        sizes(&photo(2_000, 500)),
        [
            (ThumbnailSize::Small, MediaType::Jpeg, 160, 40),
            (ThumbnailSize::Medium, MediaType::Jpeg, 640, 160),
            (ThumbnailSize::Large, MediaType::Jpeg, 1_600, 400),
        ]
    );
    let glass: DynamicImage = RgbaImage::from_pixel(300, 30, Rgba([9, 9, 9, 100])).into();
    assert_eq!(sizes(&glass), [(ThumbnailSize::Small, MediaType::Png, 160, 16)]);
}

#[test]
fn half_a_picture_is_none() {
    for media_type in [MediaType::Jpeg, MediaType::Png, MediaType::Webp, MediaType::Gif] {
        let file = written(media_type, &photo(64, 64), None);
        prepare(&file, media_type, MOST).unwrap();
        for length in [0, 3, 20, file.len() / 2, file.len() - 3] {
            assert_eq!(prepare(&file[..length], media_type, MOST), Err(Unfit::Unreadable), "{length} bytes of {media_type:?}");
        }
        let other = if media_type == MediaType::Png { MediaType::Jpeg } else { MediaType::Png };
        assert!(prepare(&file, other, MOST).is_err());
    }
}

#[test]
fn a_picture_that_tells_of_too_many_pixels_is_not_decoded() {
    let file = written(MediaType::Png, &photo(100, 100), None);
    assert_eq!(prepare(&file, MediaType::Png, 9_999), Err(Unfit::TooManyPixels));
    prepare(&file, MediaType::Png, 10_000).unwrap();
    // Width and height stand behind the first eight bytes and the name of the first part, with a checksum.
    let mut bomb = file;
    bomb[16..24].copy_from_slice(&[0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60]);
    let sum = crc(&bomb[12..29]).to_be_bytes();
    bomb[29..33].copy_from_slice(&sum);
    assert_eq!(prepare(&bomb, MediaType::Png, MOST), Err(Unfit::TooManyPixels));
}

/// The checksum of PNG.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { 0xedb8_8320 ^ (crc >> 1) } else { crc >> 1 })
    })
}
