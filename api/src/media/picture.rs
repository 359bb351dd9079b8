//! Pictures: measured before they are decoded, turned as they are meant, freed of what is said of them, and made small.

use super::cut;
use circolo_domain::media::{MediaType, ThumbnailSize};
use image::{
    DynamicImage, ExtendedColorType, GenericImageView, ImageDecoder, ImageEncoder, ImageError, ImageFormat, ImageReader, Limits,
    codecs::{jpeg::JpegEncoder, png::PngEncoder, webp::WebPEncoder},
    imageops::FilterType,
    metadata::Orientation,
};
use std::io::Cursor;

/// The longest side, in pixels.
const LONGEST: u32 = 16_384;
/// Bytes of a pixel at most while it is decoded, for the picture and for what it is decoded by.
const PER_PIXEL: u64 = 16;
/// How good a photo stays that is written anew, of 100.
const PHOTO: u8 = 90;
/// The same of small copies.
const COPY: u8 = 82;

/// A picture as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Encoded {
    pub media_type: MediaType,
    pub bytes: Vec<u8>,
    pub width: u32,
    pub height: u32,
}

/// A picture and its smaller copies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Prepared {
    pub whole: Encoded,
    pub thumbnails: Vec<(ThumbnailSize, Encoded)>,
}

/// Why there is no picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// It is broken, or not whole.
    Unreadable,
    /// It would take too much memory.
    TooManyPixels,
}

impl From<ImageError> for Unfit {
    fn from(error: ImageError) -> Self {
        if matches!(error, ImageError::Limits(_)) { Self::TooManyPixels } else { Self::Unreadable }
    }
}

const fn format(media_type: MediaType) -> Option<ImageFormat> {
    match media_type {
        MediaType::Jpeg => Some(ImageFormat::Jpeg),
        MediaType::Png => Some(ImageFormat::Png),
        MediaType::Webp => Some(ImageFormat::WebP),
        MediaType::Gif => Some(ImageFormat::Gif),
        _ => None,
    }
}

/// A picture that was decoded, with what its colours mean.
struct Decoded {
    image: DynamicImage,
    turned: bool,
    colours: Option<Vec<u8>>,
}

/// Makes of `bytes`, which are said to be of this type, what is stored. Takes long, and much memory.
pub(crate) fn prepare(bytes: &[u8], media_type: MediaType, most: u64) -> Result<Prepared, Unfit> {
    let whole_as_it_stands = match media_type {
        MediaType::Jpeg => cut::jpeg_is_whole(bytes),
        MediaType::Png => cut::png_is_whole(bytes),
        _ => true,
    };
    if !whole_as_it_stands {
        return Err(Unfit::Unreadable);
    }
    let decoded = decode(bytes, media_type, most)?;
    let whole = whole(bytes, media_type, &decoded)?;
    let (width, height) = decoded.image.dimensions();
    let mut thumbnails = vec![];
    let mut larger = &decoded.image;
    let mut kept;
    for size in ThumbnailSize::ALL.into_iter().rev().filter(|size| size.side() < width.max(height)) {
        kept = larger.resize(size.side(), size.side(), FilterType::Triangle);
        let copy = if is_opaque(&kept) { jpeg(&kept, COPY, decoded.colours.as_deref()) } else { png(&kept, None) }?;
        thumbnails.push((size, copy));
        larger = &kept;
    }
    thumbnails.reverse();
    Ok(Prepared { whole, thumbnails })
}

fn decode(bytes: &[u8], media_type: MediaType, most: u64) -> Result<Decoded, Unfit> {
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format(media_type).ok_or(Unfit::Unreadable)?);
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(LONGEST), Some(LONGEST));
    limits.max_alloc = Some(most.saturating_mul(PER_PIXEL));
    reader.limits(limits);
    let mut decoder = reader.into_decoder()?;
    // Before anything is decoded: a file of a few bytes may tell of a picture that fills the memory.
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > most {
        return Err(Unfit::TooManyPixels);
    }
    if width == 0 || height == 0 {
        return Err(Unfit::Unreadable);
    }
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let colours = decoder.icc_profile().ok().flatten();
    let mut image = DynamicImage::from_decoder(decoder)?;
    image.apply_orientation(orientation);
    Ok(Decoded { image, turned: orientation != Orientation::NoTransforms, colours })
}

/// The picture itself. What may move is cut, everything else is written anew, so that nothing is in it but the picture.
fn whole(bytes: &[u8], media_type: MediaType, decoded: &Decoded) -> Result<Encoded, Unfit> {
    let (image, colours) = (&decoded.image, decoded.colours.as_deref());
    let cut = |bytes: Option<Vec<u8>>| {
        let bytes = bytes.ok_or(Unfit::Unreadable)?;
        Ok(Encoded { media_type, bytes, width: image.width(), height: image.height() })
    };
    match media_type {
        MediaType::Jpeg => jpeg(image, PHOTO, colours),
        MediaType::Gif => cut(cut::gif(bytes)),
        MediaType::Webp if !decoded.turned => cut(cut::webp(bytes)),
        MediaType::Webp => webp(image),
        _ => png(image, colours),
    }
}

/// Whether nothing can be seen through it.
fn is_opaque(image: &DynamicImage) -> bool {
    !image.color().has_alpha() || image.pixels().all(|(_, _, pixel)| pixel.0[3] == u8::MAX)
}

/// What colours mean, if they are of this sort.
fn of_sort(colours: Option<&[u8]>, sort: [u8; 4]) -> Option<Vec<u8>> {
    colours.filter(|profile| profile.get(16..20) == Some(&sort[..])).map(<[u8]>::to_vec)
}

fn jpeg(image: &DynamicImage, quality: u8, colours: Option<&[u8]>) -> Result<Encoded, Unfit> {
    let (width, height) = image.dimensions();
    let mut bytes = vec![];
    let mut encoder = JpegEncoder::new_with_quality(&mut bytes, quality);
    let grey = !image.color().has_color();
    if let Some(profile) = of_sort(colours, if grey { *b"GRAY" } else { *b"RGB " }) {
        // An encoder that cannot keep it shows the colours as most do.
        let _ = encoder.set_icc_profile(profile);
    }
    if grey {
        encoder.write_image(&image.to_luma8(), width, height, ExtendedColorType::L8)?;
    } else {
        encoder.write_image(&image.to_rgb8(), width, height, ExtendedColorType::Rgb8)?;
    }
    Ok(Encoded { media_type: MediaType::Jpeg, bytes, width, height })
}

fn png(image: &DynamicImage, colours: Option<&[u8]>) -> Result<Encoded, Unfit> {
    let (width, height) = image.dimensions();
    let mut bytes = vec![];
    let mut encoder = PngEncoder::new(&mut bytes);
    if let Some(profile) = of_sort(colours, if image.color().has_color() { *b"RGB " } else { *b"GRAY" }) {
        // As above.
        let _ = encoder.set_icc_profile(profile);
    }
    image.write_with_encoder(encoder)?;
    Ok(Encoded { media_type: MediaType::Png, bytes, width, height })
}

fn webp(image: &DynamicImage) -> Result<Encoded, Unfit> {
    let (width, height) = image.dimensions();
    let mut bytes = vec![];
    WebPEncoder::new_lossless(&mut bytes).write_image(&image.to_rgba8(), width, height, ExtendedColorType::Rgba8)?;
    Ok(Encoded { media_type: MediaType::Webp, bytes, width, height })
}

#[cfg(test)]
#[path = "picture_tests.rs"]
mod tests;
