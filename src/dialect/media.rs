//! What kind of media a file is, and `data:` URLs.

use tollgate_filters::chat::MediaKind;

/// `data:image/png;base64,AAAA` -> (`image/png`, `AAAA`). `None` where it is another kind of URL, or not base64.
pub fn data_url(url: &str) -> Option<(&str, &str)> {
    let (head, data) = url.strip_prefix("data:")?.split_once(',')?;
    let mime = head.strip_suffix(";base64")?;
    Some((mime.split(';').next().unwrap_or(mime), data))
}

pub fn to_data_url(mime: &str, base64: &str) -> String {
    format!("data:{mime};base64,{base64}")
}

/// What a MIME type is read as.
pub fn kind_of(mime: &str) -> MediaKind {
    match mime.split('/').next() {
        Some("image") => MediaKind::Image,
        Some("audio") => MediaKind::Audio,
        Some("video") => MediaKind::Video,
        _ => MediaKind::Document,
    }
}

/// The MIME type that the end of a file's name or of a URL's path tells.
pub fn mime_of(name: &str) -> Option<&'static str> {
    let path = name.split(['?', '#']).next().unwrap_or(name);
    let ending = path.rsplit_once('.')?.1.to_ascii_lowercase();
    Some(match ending.as_str() {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "heic" => "image/heic",
        "wav" => "audio/wav",
        "mp3" => "audio/mp3",
        "ogg" => "audio/ogg",
        "flac" => "audio/flac",
        "m4a" => "audio/m4a",
        "aac" => "audio/aac",
        "mp4" => "video/mp4",
        "mov" => "video/mov",
        "webm" => "video/webm",
        "mpeg" | "mpg" => "video/mpeg",
        "pdf" => "application/pdf",
        "txt" => "text/plain",
        "md" => "text/markdown",
        "html" | "htm" => "text/html",
        "csv" => "text/csv",
        "json" => "application/json",
        "xml" => "text/xml",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_url_is_taken_apart_and_put_together() {
        let url = to_data_url("image/png", "AAAA");
        assert_eq!(data_url(&url), Some(("image/png", "AAAA")));
        assert_eq!(data_url("data:text/plain;charset=utf-8;base64,QQ=="), Some(("text/plain", "QQ==")));
        assert_eq!(data_url("data:text/plain,hello"), None);
        assert_eq!(data_url("https://a.example/b.png"), None);
    }

    #[test]
    fn a_name_tells_its_type() {
        assert_eq!(mime_of("https://a.example/b.PNG?x=1.pdf"), Some("image/png"));
        assert_eq!(mime_of("report"), None);
    }
}
