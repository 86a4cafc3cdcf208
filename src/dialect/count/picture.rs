//! How large a picture is, read from the beginning of its file, and how many tokens that makes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::tokens::bare;

/// How much of a file is read for its size: a JPEG may have a preview of up to 64 kB in front of it.
const HEAD: usize = 160 * 1024;
/// A picture of which nothing is known.
const USUAL: (u64, u64) = (1024, 1024);
/// OpenAI's pictures in patches have at most this many.
const MAX_PATCHES: u64 = 1536;

/// How a family of models counts pictures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Vision {
    /// OpenAI: so many for the picture, and so many for each square of 512.
    Tiles { base: u64, tile: u64 },
    /// OpenAI's smaller models: patches of 32 by 32, each for so many hundredths of a token.
    Patches { hundredths: u64 },
    /// A token for 750 pixels.
    Claude,
    /// 258 for a small picture, or for each square of 768.
    Gemini,
}

impl Vision {
    /// OpenAI's and Google's and Anthropic's published figures; other models are taken to be like GPT-4o.
    pub(super) fn of(model: &str) -> Self {
        let name = bare(model);
        let starts = |starts: &[&str]| starts.iter().any(|start| name.starts_with(start));
        match name {
            _ if starts(&["claude"]) => Self::Claude,
            _ if starts(&["gemini", "gemma"]) => Self::Gemini,
            _ if starts(&["gpt-4o-mini"]) => Self::Tiles { base: 2833, tile: 5667 },
            _ if starts(&["gpt-4.1-mini"]) => Self::Patches { hundredths: 162 },
            _ if starts(&["gpt-4.1-nano"]) => Self::Patches { hundredths: 246 },
            _ if starts(&["o4-mini"]) => Self::Patches { hundredths: 172 },
            _ if starts(&["gpt-5"]) && name.contains("-mini") => Self::Patches { hundredths: 162 },
            _ if starts(&["gpt-5"]) && name.contains("-nano") => Self::Patches { hundredths: 246 },
            _ if starts(&["gpt-5"]) => Self::Tiles { base: 70, tile: 140 },
            _ if starts(&["o1", "o3"]) => Self::Tiles { base: 75, tile: 150 },
            _ => Self::Tiles { base: 85, tile: 170 },
        }
    }

    /// The tokens of a picture of this width and height.
    pub(super) fn tokens(self, size: Option<(u64, u64)>, detail: Option<&str>) -> u64 {
        let (width, height) = size.filter(|(w, h)| *w > 0 && *h > 0).unwrap_or(USUAL);
        match self {
            Self::Tiles { base, .. } if detail == Some("low") => base,
            Self::Tiles { base, tile } => {
                let (width, height) = within(width, height, 2048);
                let shorter = width.min(height);
                let to = |side: u64| if shorter > 768 { side * 768 / shorter } else { side };
                base + tile * to(width).div_ceil(512) * to(height).div_ceil(512)
            }
            Self::Patches { hundredths } => {
                let patches = width.div_ceil(32).saturating_mul(height.div_ceil(32));
                patches.min(MAX_PATCHES) * hundredths / 100
            }
            Self::Claude => {
                let (width, height) = within(width, height, 1568);
                (width * height / 750).clamp(1, 1600)
            }
            Self::Gemini if width.max(height) <= 384 => 258,
            Self::Gemini => {
                let (width, height) = within(width, height, 3072);
                258 * width.div_ceil(768) * height.div_ceil(768)
            }
        }
    }
}

/// The picture made smaller until its longer side is no longer than `side`.
fn within(width: u64, height: u64, side: u64) -> (u64, u64) {
    let longer = width.max(height);
    if longer <= side {
        return (width, height);
    }
    ((width * side / longer).max(1), (height * side / longer).max(1))
}

/// Width and height of a PNG, JPEG, GIF or WebP in base64.
pub(super) fn size(base64: &str) -> Option<(u64, u64)> {
    let head = base64.as_bytes().get(..HEAD).unwrap_or(base64.as_bytes());
    let whole = if head.len() < base64.len() { head.len() / 4 * 4 } else { head.len() };
    let bytes = STANDARD.decode(&head[..whole]).ok()?;
    match bytes.as_slice() {
        [0x89, b'P', b'N', b'G', ..] => Some((big(&bytes, 16, 4)?, big(&bytes, 20, 4)?)),
        [b'G', b'I', b'F', b'8', ..] => Some((little(&bytes, 6, 2)?, little(&bytes, 8, 2)?)),
        [0xff, 0xd8, ..] => jpeg(&bytes),
        [b'R', b'I', b'F', b'F', ..] => webp(&bytes),
        _ => None,
    }
}

fn big(bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    let bytes = bytes.get(at..at + length)?;
    Some(bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
}

fn little(bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    let bytes = bytes.get(at..at + length)?;
    Some(bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
}

/// Goes from segment to segment until the one that begins the picture.
fn jpeg(bytes: &[u8]) -> Option<(u64, u64)> {
    let mut at = 2;
    loop {
        match (*bytes.get(at)?, *bytes.get(at + 1)?) {
            (0xff, 0xff) => at += 1,
            // All that begin a frame, but not the tables among them.
            (0xff, 0xc0..=0xcf) if !matches!(bytes[at + 1], 0xc4 | 0xc8 | 0xcc) => {
                return Some((big(bytes, at + 7, 2)?, big(bytes, at + 5, 2)?));
            }
            (0xff, _) => at += 2 + usize::try_from(big(bytes, at + 2, 2)?).ok()?,
            _ => return None,
        }
    }
}

fn webp(bytes: &[u8]) -> Option<(u64, u64)> {
    match bytes.get(12..16)? {
        b"VP8X" => Some((little(bytes, 24, 3)? + 1, little(bytes, 27, 3)? + 1)),
        b"VP8 " => Some((little(bytes, 26, 2)? & 0x3fff, little(bytes, 28, 2)? & 0x3fff)),
        b"VP8L" => {
            let bits = little(bytes, 21, 4)?;
            Some(((bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1))
        }
        _ => None,
    }
}
