//! What becomes of a person's request: a page view, a download, or nothing but a number. Pure.

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Becomes {
    /// GET of a page, answered by 200 to 205, 207 to 299 or 304: an event `page_view`.
    PageView,
    /// The same of a document, an archive, a program, sound or film: an event `download`.
    Download,
    /// The same of a style sheet, script, picture, font, feed or data.
    Asset,
    /// 206: a piece of a file whose beginning was counted.
    Piece,
    /// Another 3xx.
    Redirect,
    /// 4xx and 5xx.
    Failure,
    /// Another method, 1xx, no status (the client went away), or no request that the server could read.
    Other,
}

impl Becomes {
    pub(super) const ALL: [Self; 7] = [
        Self::PageView,
        Self::Download,
        Self::Asset,
        Self::Piece,
        Self::Redirect,
        Self::Failure,
        Self::Other,
    ];

    /// The value of the dimension `becomes`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::PageView => "page_view",
            Self::Download => "download",
            Self::Asset => "asset",
            Self::Piece => "piece",
            Self::Redirect => "redirect",
            Self::Failure => "failure",
            Self::Other => "other",
        }
    }

    pub(super) fn is_event(self) -> bool {
        matches!(self, Self::PageView | Self::Download)
    }
}

const ASSETS: &[&str] = &[
    "css",
    "js",
    "mjs",
    "map",
    "wasm",
    "json",
    "webmanifest",
    "xml",
    "rss",
    "atom",
    "txt",
    "png",
    "jpg",
    "jpeg",
    "gif",
    "svg",
    "webp",
    "avif",
    "ico",
    "bmp",
    "tif",
    "tiff",
    "woff",
    "woff2",
    "ttf",
    "otf",
    "eot",
    "vtt",
    "cur",
    "less",
    "scss",
    "ts",
    "m3u8",
    "m4s",
];
const DOWNLOADS: &[&str] = &[
    "pdf", "zip", "gz", "tgz", "bz2", "xz", "zst", "7z", "rar", "tar", "doc", "docx", "xls", "xlsx", "xlsm",
    "ppt", "pptx", "odt", "ods", "odp", "rtf", "csv", "epub", "mobi", "azw3", "exe", "msi", "dmg", "pkg",
    "deb", "rpm", "apk", "ipa", "jar", "iso", "bin", "torrent", "mp3", "mp4", "m4a", "m4v", "ogg", "oga",
    "ogv", "wav", "flac", "aac", "avi", "mov", "mkv", "webm", "wmv", "ics", "vcf", "ai", "psd", "eps",
    "parquet",
];

/// Decides by method, status and path; the query does not count: `/style.css?v=3` is an asset, `/a?file=x.pdf` a page.
pub(super) fn decide(method: &[u8], target: &[u8], status: Option<u16>) -> Becomes {
    let status = match status {
        Some(status) if method == b"GET" && target.starts_with(b"/") => status,
        Some(400..) => return Becomes::Failure,
        _ => return Becomes::Other,
    };
    match status {
        206 => Becomes::Piece,
        200..=299 | 304 => of_path(target),
        300..=399 => Becomes::Redirect,
        400.. => Becomes::Failure,
        _ => Becomes::Other,
    }
}

fn of_path(target: &[u8]) -> Becomes {
    let end = memchr::memchr3(b'?', b'#', b';', target).unwrap_or(target.len());
    let path = &target[..end];
    let name = memchr::memrchr(b'/', path).map_or(path, |slash| &path[slash + 1..]);
    let Some(dot) = memchr::memrchr(b'.', name) else { return Becomes::PageView };
    let mut lower = [0; 12];
    let extension = &name[dot + 1..];
    let Some(held) = lower.get_mut(..extension.len()) else { return Becomes::PageView };
    held.copy_from_slice(extension);
    held.make_ascii_lowercase();
    let is_of = |list: &[&str]| list.iter().any(|known| known.as_bytes() == held);
    match () {
        () if is_of(ASSETS) => Becomes::Asset,
        () if is_of(DOWNLOADS) => Becomes::Download,
        () => Becomes::PageView,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_page_is_decided_by_the_path_without_the_query() {
        for (request, status, becomes) in [
            ("GET /", 200, Becomes::PageView),
            ("GET /a.html?x=1", 200, Becomes::PageView),
            ("GET /v1.2/about", 304, Becomes::PageView),
            ("GET /product.php;jsessionid=1.css", 200, Becomes::PageView),
            ("GET /view?file=report.pdf", 200, Becomes::PageView),
            ("GET /report.PDF?download=1", 200, Becomes::Download),
            ("GET /app.3f2a.css?v=3", 200, Becomes::Asset),
            ("GET /favicon.ico", 304, Becomes::Asset),
            ("GET /film.mp4", 206, Becomes::Piece),
            ("GET /old", 301, Becomes::Redirect),
            ("GET /none", 404, Becomes::Failure),
            ("POST /order", 200, Becomes::Other),
            ("POST /order", 500, Becomes::Failure),
            ("HEAD /", 200, Becomes::Other),
            ("GET *", 200, Becomes::Other),
            ("GET /", 101, Becomes::Other),
        ] {
            let (method, target) = request.split_once(' ').unwrap();
            assert_eq!(
                decide(method.as_bytes(), target.as_bytes(), Some(status)),
                becomes,
                "{request} {status}"
            );
        }
        assert_eq!(decide(b"GET", b"/", None), Becomes::Other);
        assert_eq!(decide(b"", b"", Some(400)), Becomes::Failure);
    }
}
