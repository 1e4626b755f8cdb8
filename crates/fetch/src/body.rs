//! A response body, decoded while it arrives.

use crate::error::excerpt;
use flate2::write::MultiGzDecoder;
use reqwest::Response;
use reqwest::header::CONTENT_ENCODING;
use std::io::{self, Write};

/// A body while it arrives.
pub(crate) enum Body {
    Plain(Capped),
    Gzip(Box<MultiGzDecoder<Capped>>),
}

impl Body {
    /// A body in the content encoding that the response names; the name of the encoding if it is not supported.
    pub fn new(response: &Response, max: usize) -> Result<Self, String> {
        let encoding = response.headers().get(CONTENT_ENCODING).map(|value| value.as_bytes());
        let encoding = String::from_utf8_lossy(encoding.unwrap_or_default()).trim().to_ascii_lowercase();
        let body = Capped { bytes: Vec::new(), max, is_full: false, is_out_of_memory: false };
        match encoding.as_str() {
            "" | "identity" => Ok(Self::Plain(body)),
            "gzip" | "x-gzip" => Ok(Self::Gzip(Box::new(MultiGzDecoder::new(body)))),
            other => Err(excerpt(other)),
        }
    }

    pub fn write(&mut self, chunk: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(body) => body.write_all(chunk),
            Self::Gzip(decoder) => decoder.write_all(chunk),
        }
    }

    pub fn end(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Gzip(decoder) => decoder.try_finish(),
        }
    }

    /// What has been decoded so far.
    pub fn read(&self) -> &Capped {
        match self {
            Self::Plain(body) => body,
            Self::Gzip(decoder) => decoder.get_ref(),
        }
    }

    /// The decoded bytes, moved out.
    pub fn take(mut self) -> Vec<u8> {
        let body = match &mut self {
            Self::Plain(body) => body,
            Self::Gzip(decoder) => decoder.get_mut(),
        };
        std::mem::take(&mut body.bytes)
    }
}

/// Bytes up to a maximum; writing more fails.
pub(crate) struct Capped {
    pub bytes: Vec<u8>,
    max: usize,
    pub is_full: bool,
    pub is_out_of_memory: bool,
}

impl Write for Capped {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        let room = self.max - self.bytes.len();
        self.is_full |= part.len() > room;
        let part = part.get(..room).unwrap_or(part);
        if self.bytes.try_reserve(part.len()).is_err() {
            self.is_out_of_memory = true;
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        self.bytes.extend_from_slice(part);
        if self.is_full { Err(io::Error::other("it is too large")) } else { Ok(part.len()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(encoding: &str, parts: &[&[u8]], max: usize) -> Result<Vec<u8>, String> {
        let response = http::Response::builder().header(CONTENT_ENCODING, encoding).body("").unwrap();
        let mut body = Body::new(&Response::from(response), max)?;
        for part in parts {
            body.write(part).map_err(|error| error.to_string())?;
        }
        body.end().map_err(|error| error.to_string())?;
        Ok(body.take())
    }

    #[test]
    fn a_body_is_decoded_by_any_name_of_gzip_and_capped() {
        let text = "model ".repeat(1000).into_bytes();
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&text).unwrap();
        let gzip = encoder.finish().unwrap();
        for encoding in ["gzip", "x-gzip", "X-GZip", " gzip "] {
            let by_byte: Vec<&[u8]> = gzip.chunks(1).collect();
            assert_eq!(read(encoding, &[&gzip], 6000), Ok(text.clone()), "{encoding}");
            assert_eq!(read(encoding, &by_byte, 6000), Ok(text.clone()), "{encoding}");
            assert_eq!(read(encoding, &[&gzip], 5999).unwrap_err(), "it is too large");
            assert!(read(encoding, &[&gzip[..gzip.len() - 1]], 6000).is_err(), "it is cut");
            assert!(read(encoding, &[&text], 6000).is_err(), "it is not gzip");
        }
        for encoding in ["", "identity"] {
            assert_eq!(read(encoding, &[&text[..10], &text[10..]], 6000), Ok(text.clone()));
            assert_eq!(read(encoding, &[&text[..10], &text[10..]], 5999).unwrap_err(), "it is too large");
        }
        assert_eq!(read("br", &[], 6000).unwrap_err(), "br");
        assert_eq!(read("gzip, br", &[], 6000).unwrap_err(), "gzip, br");
    }
}
