//! Reads a form, as far as fakes need it: `multipart/form-data` (RFC 7578), or URL-encoded, as clients send one without files.

use mkt_connect::testing::Received;

/// One part of a form.
pub(super) struct Part {
    pub(super) name: String,
    pub(super) file_name: Option<String>,
    pub(super) content: Vec<u8>,
}

impl Part {
    fn of(name: &str, value: &str) -> Self {
        Self { name: name.to_owned(), file_name: None, content: value.as_bytes().to_vec() }
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.content).into_owned()
    }
}

/// The parts in their order; nothing when the body is not such a form.
pub(super) fn parse(request: &Received) -> Option<Vec<Part>> {
    let content_type = request.header("content-type")?;
    if content_type.starts_with("application/x-www-form-urlencoded") {
        let fields = url::form_urlencoded::parse(&request.body);
        return Some(fields.map(|(name, value)| Part::of(&name, &value)).collect());
    }
    let boundary = content_type.strip_prefix("multipart/form-data; boundary=")?.trim_matches('"');
    let (first, between) = (format!("--{boundary}\r\n"), format!("\r\n--{boundary}"));
    let mut rest = request.body.strip_prefix(first.as_bytes())?;
    let mut parts = Vec::new();
    loop {
        let head_ends = find(rest, b"\r\n\r\n")?;
        let head = std::str::from_utf8(rest.get(..head_ends)?).ok()?;
        let body = rest.get(head_ends + 4..)?;
        let body_ends = find(body, between.as_bytes())?;
        let disposition = head
            .lines()
            .find(|line| line.to_ascii_lowercase().starts_with("content-disposition: form-data;"))?;
        parts.push(Part {
            name: parameter(disposition, "name")?,
            file_name: parameter(disposition, "filename"),
            content: body.get(..body_ends)?.to_vec(),
        });
        rest = body.get(body_ends + between.len()..)?;
        if rest.starts_with(b"--") {
            return Some(parts);
        }
        rest = rest.strip_prefix(b"\r\n")?;
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

fn parameter(line: &str, name: &str) -> Option<String> {
    let start = line.find(&format!("; {name}=\""))? + name.len() + 4;
    let value = line.get(start..)?;
    let value = value.get(..value.find('"')?)?;
    Some(value.replace("%22", "\"").replace("%0D", "\r").replace("%0A", "\n"))
}
