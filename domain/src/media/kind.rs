//! What files may be: a closed set of types, so that nothing runs where it is shown.

use serde::{Deserialize, Serialize};

/// Types that belong together: they have one limit and are shown in one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// Looked at.
    Image,
    /// Played.
    Video,
    /// Heard.
    Audio,
    /// Kept.
    File,
}

macro_rules! types {
    ($($(#[$doc:meta])* $name:ident $text:literal $family:ident $extension:literal),* $(,)?) => {
        /// What a file is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub enum MediaType {
            $($(#[$doc])* #[serde(rename = $text)] $name),*
        }

        impl MediaType {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// As it stands in `Content-Type`.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text),*
                }
            }

            /// What it is treated as.
            pub const fn family(self) -> Family {
                match self {
                    $(Self::$name => Family::$family),*
                }
            }

            /// What names of such files end in.
            pub const fn extension(self) -> &'static str {
                match self {
                    $(Self::$name => $extension),*
                }
            }
        }
    };
}

types! {
    /// A photo.
    Jpeg "image/jpeg" Image "jpg",
    /// A picture.
    Png "image/png" Image "png",
    /// A picture.
    Webp "image/webp" Image "webp",
    /// A picture that may move.
    Gif "image/gif" Image "gif",
    /// A film.
    Mp4 "video/mp4" Video "mp4",
    /// A film.
    Webm "video/webm" Video "webm",
    /// A film.
    Quicktime "video/quicktime" Video "mov",
    /// Sound.
    Mp3 "audio/mpeg" Audio "mp3",
    /// Sound.
    M4a "audio/mp4" Audio "m4a",
    /// Sound.
    Ogg "audio/ogg" Audio "ogg",
    /// A document.
    Pdf "application/pdf" File "pdf",
    /// Several files in one.
    Zip "application/zip" File "zip",
}

impl MediaType {
    /// What `text` claims, without its parameters; also by names that programs still send.
    pub fn claimed(text: &str) -> Option<Self> {
        let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let essence = match essence.as_str() {
            "image/jpg" => "image/jpeg",
            "audio/mp3" => "audio/mpeg",
            "audio/m4a" | "audio/x-m4a" => "audio/mp4",
            "application/x-zip-compressed" => "application/zip",
            other => other,
        };
        Self::ALL.iter().copied().find(|known| known.as_str() == essence)
    }
}

/// Smaller copies of pictures, by the longest side they have at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ThumbnailSize {
    /// 160 pixels.
    Small,
    /// 640 pixels.
    Medium,
    /// 1,600 pixels.
    Large,
}

impl ThumbnailSize {
    /// All of them, the smallest first.
    pub const ALL: [Self; 3] = [Self::Small, Self::Medium, Self::Large];

    /// The longest side, in pixels.
    pub const fn side(self) -> u32 {
        match self {
            Self::Small => 160,
            Self::Medium => 640,
            Self::Large => 1_600,
        }
    }

    /// As it is asked for.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Medium => "medium",
            Self::Large => "large",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_read_however_it_is_spelt_and_what_could_run_is_none() {
        for (claim, read) in [
            ("image/png", MediaType::Png),
            ("Image/JPEG; charset=binary", MediaType::Jpeg),
            ("image/jpg", MediaType::Jpeg),
            ("audio/x-m4a", MediaType::M4a),
        ] {
            assert_eq!(MediaType::claimed(claim), Some(read), "{claim}");
        }
        for none in ["", "image/svg+xml", "text/html", "text/plain", "application/xhtml+xml", "application/javascript", "image/*", "png"] {
            assert_eq!(MediaType::claimed(none), None, "{none}");
        }
        for known in MediaType::ALL {
            assert_eq!(serde_json::to_value(known).unwrap(), known.as_str());
        }
    }
}
