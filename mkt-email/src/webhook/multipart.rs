//! The text fields of a `multipart/form-data` body (RFC 7578), as the older webhooks of Mailgun send it.

/// The most parts that are read.
const MAX_PARTS: usize = 500;

/// The fields in their order; files are left out. Nothing when the body is not such a form.
pub(super) fn fields(content_type: &str, body: &[u8]) -> Option<Vec<(String, String)>> {
    let boundary = content_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then(|| value.trim().trim_matches('"'))
    })?;
    if boundary.is_empty() || boundary.len() > 70 {
        return None;
    }
    let first = format!("--{boundary}");
    let next = format!("\r\n--{boundary}");
    let mut rest = body.get(find(body, first.as_bytes())? + first.len()..)?;
    let mut fields = Vec::new();
    for _ in 0..MAX_PARTS {
        if rest.starts_with(b"--") {
            return Some(fields);
        }
        rest = rest.strip_prefix(b"\r\n")?;
        let end = find(rest, next.as_bytes())?;
        let (part, after) = rest.split_at_checked(end)?;
        rest = after.get(next.len()..)?;
        let head_end = find(part, b"\r\n\r\n")?;
        let head = std::str::from_utf8(part.get(..head_end)?).ok()?;
        let content = part.get(head_end + 4..)?;
        let disposition = head.split("\r\n").find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.trim().eq_ignore_ascii_case("content-disposition").then_some(value)
        })?;
        if parameter(disposition, "filename").is_none() {
            let text = String::from_utf8_lossy(content).into_owned();
            fields.push((parameter(disposition, "name")?, text));
        }
    }
    None
}

/// A quoted or bare parameter of a header.
fn parameter(header: &str, name: &str) -> Option<String> {
    header.split(';').skip(1).find_map(|parameter| {
        let (found, value) = parameter.split_once('=')?;
        found.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"').to_owned())
    })
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_and_files_are_left_out() {
        let body = "--xx\r\nContent-Disposition: form-data; name=\"event\"\r\n\r\nbounced\r\n--xx\r\n\
                    Content-Disposition: form-data; name=\"attachment-1\"; filename=\"a;b\"\r\nContent-Type: text/plain\r\n\r\n\
                    hello\r\n--xx\r\ncontent-disposition: form-data; name=code\r\n\r\n550\r\n--xx--\r\n";
        let read = fields("multipart/form-data; boundary=\"xx\"", body.as_bytes()).unwrap();
        let expected = [("event", "bounced"), ("code", "550")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(read, expected);
        for (kind, body) in [
            ("multipart/form-data", body),
            ("multipart/form-data; boundary=yy", body),
            ("multipart/form-data; boundary=xx", "--xx\r\nno head"),
            ("multipart/form-data; boundary=xx", "--xx\r\n\r\n\r\nno disposition\r\n--xx--"),
            ("multipart/form-data; boundary=xx", "--xx"),
        ] {
            assert_eq!(fields(kind, body.as_bytes()), None, "{kind}: {body}");
        }
    }
}
