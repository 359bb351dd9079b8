//! What a file is, by its first bytes, and whether that is what was claimed.

use circolo_domain::media::MediaType;

/// So many first bytes tell what a file is.
pub(crate) const ENOUGH: usize = 8 * 1024;

/// What a file that begins so is, if it is one that may be stored and nothing else than was claimed.
pub(crate) fn is_it(claim: MediaType, begins: &[u8]) -> bool {
    match found(begins) {
        Some(found) if found == claim => true,
        // The same container: whether there are pictures in it the first bytes do not tell.
        Some(MediaType::Mp4) => claim == MediaType::M4a,
        _ => false,
    }
}

fn found(begins: &[u8]) -> Option<MediaType> {
    if begins.starts_with(b"PK\x03\x04") {
        // Documents and programs are archives, too; they are served as such.
        return Some(MediaType::Zip);
    }
    match infer::get(begins)?.mime_type() {
        "audio/m4a" => Some(MediaType::M4a),
        known => MediaType::ALL.iter().copied().find(|of| of.as_str() == known),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_what_it_begins_like() {
        for (begins, claim) in [
            (&b"\xff\xd8\xff\xe0\x00\x10JFIF"[..], MediaType::Jpeg),
            (b"\x89PNG\r\n\x1a\n", MediaType::Png),
            (b"GIF89a\x01\x00\x01\x00", MediaType::Gif),
            (b"RIFF\x10\x00\x00\x00WEBPVP8 ", MediaType::Webp),
            (b"%PDF-1.7\n", MediaType::Pdf),
            (b"PK\x03\x04\x14\x00", MediaType::Zip),
            (b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom", MediaType::Mp4),
            (b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom", MediaType::M4a),
            (b"\x00\x00\x00\x14ftypqt  \x00\x00\x00\x00qt  ", MediaType::Quicktime),
            (b"OggS\x00\x02", MediaType::Ogg),
            (b"ID3\x03\x00", MediaType::Mp3),
        ] {
            assert!(is_it(claim, begins), "{claim:?}");
            for other in MediaType::ALL.iter().filter(|other| **other != claim) {
                let same = [claim, *other].iter().all(|one| [MediaType::Mp4, MediaType::M4a].contains(one));
                assert!(same || !is_it(*other, begins), "{claim:?} as {other:?}");
            }
        }
        for neither in [&b""[..], b"<html><script>", b"<?xml version=\"1.0\"?><svg>", b"<svg xmlns=", b"#!/bin/sh", b"MZ\x90\x00", b"plain"]
        {
            assert!(MediaType::ALL.iter().all(|claim| !is_it(*claim, neither)), "{neither:?}");
        }
    }
}
