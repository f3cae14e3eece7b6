//! Embeds the pages: every file of `scripts/pages.sh` with compressed variants, hash and media type.
//!
//! `SORTIE_DIST` overrides the folder, which is the workspace's `dist` by default. Without a build of the pages a
//! placeholder page explains how to build them.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

#[path = "src/assets/page.rs"]
mod page;

const NOT_BUILT: &str = "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<base href=\"/\">\n\
    <title>Sortie Recording</title>\n<p>The pages are not built: run <code>make build</code>.\n</html>\n";

fn main() -> io::Result<()> {
    println!("cargo:rerun-if-env-changed=SORTIE_DIST");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=src/assets/page.rs");
    // A new migration changes the crate's embedded list.
    println!("cargo:rerun-if-changed=migrations");
    let manifest = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let dist =
        std::env::var_os("SORTIE_DIST").map_or_else(|| manifest.join("../dist"), PathBuf::from);
    let out = PathBuf::from(variable("OUT_DIR")?).join("assets");
    if out.exists() {
        fs::remove_dir_all(&out)?;
    }
    fs::create_dir_all(&out)?;
    let release = variable("PROFILE")? == "release";

    // With a watched folder that does not exist, Cargo would rebuild the crate every time.
    if !dist.exists() {
        let _ = fs::create_dir(&dist);
    }
    println!("cargo:rerun-if-changed={}", dist.display());
    let mut files = Vec::new();
    if dist.join("index.html").is_file() {
        list(&dist, &dist, &mut files)?;
    } else {
        println!("cargo:warning=the pages are not built: run `make build`");
        files.push(("index.html".to_owned(), NOT_BUILT.as_bytes().to_vec()));
    }
    files.sort();

    let mut table = "&[\n".to_owned();
    for (number, (path, content)) in files.iter().enumerate() {
        let entry = entry(&out, number, path, content, release)?;
        table.push_str(&entry);
    }
    table.push_str("]\n");
    fs::write(out.join("table.rs"), table)
}

fn variable(name: &str) -> io::Result<String> {
    std::env::var(name).map_err(|error| io::Error::other(format!("{name}: {error}")))
}

/// Returns all files under `folder`, by their path below `root` with slashes.
fn list(root: &Path, folder: &Path, files: &mut Vec<(String, Vec<u8>)>) -> io::Result<()> {
    println!("cargo:rerun-if-changed={}", folder.display());
    for item in fs::read_dir(folder)? {
        let path = item?.path();
        if path.is_dir() {
            list(root, &path, files)?;
            continue;
        }
        println!("cargo:rerun-if-changed={}", path.display());
        let parts: Vec<_> = path
            .strip_prefix(root)
            .map_err(io::Error::other)?
            .components()
            .map(|part| part.as_os_str().to_string_lossy())
            .collect();
        // Hidden files, such as temporary files of editors.
        if !parts.iter().any(|part| part.starts_with('.')) {
            files.push((parts.join("/"), fs::read(&path)?));
        }
    }
    Ok(())
}

/// Writes a file's variants and returns its line of the table.
fn entry(
    out: &Path,
    number: usize,
    path: &str,
    content: &[u8],
    release: bool,
) -> io::Result<String> {
    let mut hash = String::new();
    for byte in &Sha256::digest(content)[..16] {
        let _ = write!(hash, "{byte:02x}");
    }
    let policy = if path.ends_with(".html") {
        let html = std::str::from_utf8(content)
            .map_err(|error| io::Error::other(format!("{path}: {error}")))?;
        Some(page::content_security_policy(html))
    } else {
        None
    };
    let identity = include(out, number, "identity", content)?;
    let compressed = |name: &str, bytes: Vec<u8>| -> io::Result<String> {
        // Formats that are compressed already (PNG, WOFF2) are sent unchanged.
        if bytes.len() < content.len() {
            Ok(format!("Some({})", include(out, number, name, &bytes)?))
        } else {
            Ok("None".to_owned())
        }
    };
    let brotli = compressed("br", brotli(content, if release { 11 } else { 5 })?)?;
    let gzip = compressed("gz", gzip(content)?)?;
    Ok(format!(
        "    Asset {{ path: {path:?}, media_type: {:?}, hash: Cow::Borrowed({hash:?}), hashed_name: {}, \
         policy: {policy:?}, identity: {identity}, brotli: {brotli}, gzip: {gzip} }},\n",
        page::media_type(path),
        page::is_hashed(path),
    ))
}

fn include(out: &Path, number: usize, name: &str, bytes: &[u8]) -> io::Result<String> {
    let file = out.join(format!("{number}.{name}"));
    fs::write(&file, bytes)?;
    Ok(format!(
        "Cow::Borrowed(include_bytes!({:?}) as &[u8])",
        file.display().to_string()
    ))
}

fn brotli(content: &[u8], quality: i32) -> io::Result<Vec<u8>> {
    let params = brotli::enc::BrotliEncoderParams {
        quality,
        size_hint: content.len(),
        ..Default::default()
    };
    let mut packed = Vec::new();
    brotli::BrotliCompress(&mut &content[..], &mut packed, &params)?;
    Ok(packed)
}

fn gzip(content: &[u8]) -> io::Result<Vec<u8>> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(content)?;
    packed.finish()
}
