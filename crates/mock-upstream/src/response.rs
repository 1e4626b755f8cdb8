//! Writes one HTTP/1.1 response: chunked and compressed as OpenRouter sends it, or with a fault.

use crate::{MAX_WAIT, Scenario};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) fn write<S: Write>(
    stream: &mut S,
    scenario: &Scenario,
    catalogues: &Path,
    accepts_gzip: bool,
) -> io::Result<()> {
    if scenario.stall.as_deref() == Some("headers") {
        std::thread::sleep(MAX_WAIT);
        return Ok(());
    }
    let (status, body) = match body(scenario, catalogues) {
        Ok(body) => (scenario.status.unwrap_or(200), body),
        Err(error) => {
            (404, json!({"error": {"code": 404, "message": error.to_string()}}).to_string().into_bytes())
        }
    };
    let accepts_gzip = accepts_gzip && !scenario.plain;
    let body = if accepts_gzip { gzip(&body)? } else { body };
    let mut head = format!(
        "HTTP/1.1 {status} Mock\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\
         vary: Accept-Encoding\r\nconnection: close\r\n"
    );
    if accepts_gzip {
        let encoding = scenario.encoding.as_deref().unwrap_or("gzip");
        head.push_str(&format!("content-encoding: {encoding}\r\n"));
    }
    for (name, value) in [("location", &scenario.location), ("retry-after", &scenario.retry_after)] {
        if let Some(value) = value {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    write!(stream, "{head}\r\n")?;
    write_body(stream, scenario, &body)
}

fn write_body<S: Write>(stream: &mut S, scenario: &Scenario, body: &[u8]) -> io::Result<()> {
    let half = body.len() / 2;
    let end = scenario.cut.unwrap_or(body.len()).min(body.len());
    let end = if scenario.stall.is_some() { half } else { end };
    let chunk = if scenario.drip { 1 } else { 16 * 1024 };
    for part in body.get(..end).unwrap_or_default().chunks(chunk) {
        write!(stream, "{:x}\r\n", part.len())?;
        stream.write_all(part)?;
        stream.write_all(b"\r\n")?;
        if scenario.drip {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    stream.flush()?;
    match (&scenario.stall, scenario.cut) {
        (Some(_), _) => std::thread::sleep(MAX_WAIT),
        (None, Some(_)) => {}
        (None, None) => stream.write_all(b"0\r\n\r\n")?,
    }
    stream.flush()
}

fn gzip(body: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body)?;
    encoder.finish()
}

fn body(scenario: &Scenario, catalogues: &Path) -> io::Result<Vec<u8>> {
    if let Some(text) = &scenario.body {
        return Ok(text.clone().into_bytes());
    }
    if let Some(bytes) = scenario.bytes {
        let mut blank = Vec::new();
        io::repeat(b' ').take(bytes).read_to_end(&mut blank)?;
        return Ok(blank);
    }
    let recorded = recorded(scenario.catalogue.as_deref(), catalogues)?;
    if scenario.alters() { altered(&recorded, scenario) } else { Ok(recorded) }
}

/// The recorded bytes of a catalogue; without a name, of the last one in name order.
fn recorded(name: Option<&str>, catalogues: &Path) -> io::Result<Vec<u8>> {
    let path = match name {
        Some(name) if name.contains(['/', '\\']) => {
            return Err(io::Error::other("the name of a catalogue must be a file name"));
        }
        Some(name) => {
            let plain = catalogues.join(format!("{name}.json"));
            if plain.exists() { plain } else { catalogues.join(format!("{name}.json.gz")) }
        }
        None => newest(catalogues)?,
    };
    let mut file = File::open(&path)?;
    let mut body = Vec::new();
    match path.extension().is_some_and(|extension| extension == "gz") {
        true => GzDecoder::new(file).read_to_end(&mut body)?,
        false => file.read_to_end(&mut body)?,
    };
    Ok(body)
}

fn newest(catalogues: &Path) -> io::Result<PathBuf> {
    let mut names: Vec<OsString> =
        std::fs::read_dir(catalogues)?.flatten().map(|entry| entry.file_name()).collect();
    names.sort();
    let name = names.pop().ok_or_else(|| io::Error::other("the folder has no catalogues"))?;
    Ok(catalogues.join(name))
}

/// The catalogue without some models. `total_count` is the remaining number unless the scenario sets it.
fn altered(recorded: &[u8], scenario: &Scenario) -> io::Result<Vec<u8>> {
    let mut document: Value = serde_json::from_slice(recorded)?;
    let Some(data) = document.get_mut("data").and_then(Value::as_array_mut) else {
        return Err(io::Error::other("the catalogue has no data list"));
    };
    let id = |model: &Value| model.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
    data.retain(|model| !scenario.without.contains(&id(model)));
    if let Some(author) = &scenario.only {
        data.retain(|model| id(model).split_once('/').is_some_and(|(name, _)| name == author));
    }
    data.truncate(scenario.take.unwrap_or(usize::MAX));
    let count = data.len() as u64;
    if let Some(document) = document.as_object_mut() {
        document.insert("total_count".into(), scenario.total_count.unwrap_or(count).into());
        document.insert("links".into(), json!({"next": scenario.next}));
    }
    Ok(serde_json::to_vec(&document)?)
}
