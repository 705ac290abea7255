//! A `multipart/form-data` body (RFC 7578) in memory.

use crate::id::sha256_hex;

/// Fields and files in their order.
#[derive(Default)]
pub(super) struct Form {
    parts: Vec<Part>,
}

struct Part {
    name: String,
    /// The file's name and media type, where the part is one.
    file: Option<(String, String)>,
    content: Vec<u8>,
}

impl Form {
    pub(super) fn field(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.parts.push(Part { name: name.into(), file: None, content: value.into().into_bytes() });
    }

    pub(super) fn file(&mut self, name: &str, file_name: &str, media_type: &str, content: &[u8]) {
        let file = Some((file_name.to_owned(), media_type.to_owned()));
        self.parts.push(Part { name: name.to_owned(), file, content: content.to_vec() });
    }

    /// The content type and the body. The boundary is made of the content's hash: the same form has the same bytes, and
    /// a content that holds its own boundary cannot be written on purpose.
    pub(super) fn encode(self) -> (String, Vec<u8>) {
        let mut all = Vec::new();
        for part in &self.parts {
            all.extend_from_slice(part.name.as_bytes());
            all.extend_from_slice(&part.content);
        }
        let boundary = format!("mkt-{:.40}", sha256_hex(&all));
        let mut body = Vec::with_capacity(all.len() + self.parts.len() * 160);
        for part in &self.parts {
            body.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
            let name = quoted(&part.name);
            let head = match &part.file {
                None => format!("Content-Disposition: form-data; name={name}\r\n\r\n"),
                Some((file_name, media_type)) => format!(
                    "Content-Disposition: form-data; name={name}; filename={}\r\nContent-Type: {media_type}\r\n\r\n",
                    quoted(file_name)
                ),
            };
            body.extend_from_slice(head.as_bytes());
            body.extend_from_slice(&part.content);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
        (format!("multipart/form-data; boundary={boundary}"), body)
    }
}

/// As browsers do (WHATWG HTML, "multipart/form-data encoding algorithm"): the three bytes that would end the name.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('\r', "%0D").replace('\n', "%0A").replace('"', "%22"))
}
