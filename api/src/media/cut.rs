//! Moving pictures, freed of everything but the pictures: their frames stay as they are, whatever else is in the file goes.

/// A GIF without comments, texts and what programs put into it. `None` if it does not have the shape of one, to its end.
pub(crate) fn gif(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut rest = Rest(bytes);
    let mut out = Vec::with_capacity(bytes.len());
    let screen = rest.take(13)?;
    out.extend_from_slice(screen);
    out.extend_from_slice(rest.take(colours(screen[10]))?);
    loop {
        match *rest.take(1)?.first()? {
            0x3b => {
                out.push(0x3b);
                return Some(out);
            }
            0x2c => {
                out.push(0x2c);
                let image = rest.take(9)?;
                out.extend_from_slice(image);
                out.extend_from_slice(rest.take(colours(image[8]))?);
                out.extend_from_slice(rest.take(1)?);
                out.extend_from_slice(rest.blocks()?);
            }
            0x21 => {
                let label = *rest.take(1)?.first()?;
                let blocks = rest.blocks()?;
                // How frames follow one another, and how often.
                let looping =
                    blocks.len() == 17 && (blocks.starts_with(b"\x0bNETSCAPE2.0\x03") || blocks.starts_with(b"\x0bANIMEXTS1.0\x03"));
                if (label == 0xf9 && blocks.len() == 6) || (label == 0xff && looping) {
                    out.extend_from_slice(&[0x21, label]);
                    out.extend_from_slice(blocks);
                }
            }
            _ => return None,
        }
    }
}

/// How long a table of colours is that these flags tell of.
fn colours(flags: u8) -> usize {
    if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) }
}

/// What is left of a file.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    /// Blocks that each tell their length, up to an empty one.
    fn blocks(&mut self) -> Option<&'a [u8]> {
        let mut length = 0;
        loop {
            let block = usize::from(*self.0.get(length)?);
            length += block + 1;
            if block == 0 {
                return self.take(length);
            }
        }
    }
}

/// The parts of a `WebP` file that make up its pictures and their colours.
const PICTURES: [&[u8; 4]; 7] = [b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF", b"ICCP"];

/// A `WebP` without what is said of it. `None` if it does not have the shape of one, to its end.
pub(crate) fn webp(bytes: &[u8]) -> Option<Vec<u8>> {
    let length = u32::from_le_bytes(bytes.get(4..8)?.try_into().ok()?);
    if !bytes.starts_with(b"RIFF") || bytes.get(8..12)? != b"WEBP" {
        return None;
    }
    let mut rest = Rest(bytes.get(12..8 + usize::try_from(length).ok()?)?);
    let mut out = b"RIFF\0\0\0\0WEBP".to_vec();
    while !rest.0.is_empty() {
        let head = rest.take(8)?;
        let length = usize::try_from(u32::from_le_bytes(head[4..].try_into().ok()?)).ok()?;
        let content = rest.take(length)?;
        if length % 2 == 1 {
            // Some leave the last byte out that only fills up.
            rest.take(1.min(rest.0.len()))?;
        }
        if PICTURES.iter().any(|name| head.starts_with(*name)) {
            out.extend_from_slice(head);
            let begins = out.len();
            out.extend_from_slice(content);
            if head.starts_with(b"VP8X") {
                // It has neither EXIF nor XMP any more.
                *out.get_mut(begins)? &= !0x0c;
            }
            out.extend(std::iter::repeat_n(0, length % 2));
        }
    }
    let length = u32::try_from(out.len() - 8).ok()?;
    out[4..8].copy_from_slice(&length.to_le_bytes());
    Some(out)
}

/// Whether a JPEG goes to its end. Decoders fill up what is missing.
pub(crate) fn jpeg_is_whole(bytes: &[u8]) -> bool {
    ends(bytes).is_some()
}

/// Whether a PNG goes to its end.
pub(crate) fn png_is_whole(bytes: &[u8]) -> bool {
    let mut rest = Rest(bytes.get(8..).unwrap_or_default());
    while let Some(head) = rest.take(8) {
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
        // A checksum stands behind each part.
        let behind = usize::try_from(length).ok().and_then(|length| rest.take(length.checked_add(4)?));
        if behind.is_none() || head.ends_with(b"IEND") {
            return behind.is_some();
        }
    }
    false
}

/// Walks from marker to marker up to that of the end.
fn ends(bytes: &[u8]) -> Option<()> {
    let mut at = 2;
    loop {
        // Whatever stands before a marker is the picture itself.
        while *bytes.get(at)? != 0xff {
            at += 1;
        }
        while *bytes.get(at)? == 0xff {
            at += 1;
        }
        let marker = *bytes.get(at)?;
        at += 1;
        match marker {
            0xd9 => return Some(()),
            0x00 | 0x01 | 0xd0..=0xd8 => {}
            _ => at += usize::from(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two frames, and words in between.
    fn moving() -> Vec<u8> {
        let frame = b"\x21\xf9\x04\x00\x0a\x00\x00\x00\x2c\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02\x44\x01\x00";
        let mut gif = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\xff\xff\xff\x00\x00\x00".to_vec();
        gif.extend_from_slice(b"\x21\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00");
        gif.extend_from_slice(frame);
        gif.extend_from_slice(b"\x21\xfe\x07at home\x00\x21\xff\x0bXMP DataXMP\x04here\x00");
        gif.extend_from_slice(frame);
        gif.push(0x3b);
        gif
    }

    #[test]
    fn words_in_a_gif_go_and_frames_stay() {
        let mut written = moving();
        written.extend_from_slice(b"behind the end");
        let cut = gif(&written).unwrap();
        let text = String::from_utf8_lossy(&cut).into_owned();
        assert!(!text.contains("home") && !text.contains("XMP") && !text.contains("behind") && text.contains("NETSCAPE"), "{text}");
        assert_eq!(cut.split(|byte| *byte == 0x2c).count(), 3, "two frames");
        assert_eq!(gif(&cut).unwrap(), cut);
        for length in 0..moving().len() {
            assert_eq!(gif(&moving()[..length]), None, "{length}");
        }
    }

    #[test]
    fn what_is_said_in_a_webp_goes() {
        let chunk = |name: &[u8; 4], content: &[u8]| {
            let length = u32::try_from(content.len()).unwrap().to_le_bytes();
            [&name[..], &length, content, &[0][..content.len() % 2]].concat()
        };
        let chunks = [chunk(b"VP8X", b"\x1c123456789"), chunk(b"VP8 ", b"picture"), chunk(b"EXIF", b"at home"), chunk(b"XMP ", b"here")];
        let body = [b"WEBP".to_vec(), chunks.concat()].concat();
        let file = [b"RIFF".to_vec(), u32::try_from(body.len()).unwrap().to_le_bytes().to_vec(), body].concat();
        let cut = webp(&file).unwrap();
        assert_eq!(&cut[12..], [chunk(b"VP8X", b"\x10123456789"), chunk(b"VP8 ", b"picture")].concat());
        assert_eq!(webp(&cut).unwrap(), cut);
        assert_eq!(webp(&file[..file.len() - 6]), None);
    }
}
