//! `cargo xtask serve`, and the static file server behind it and behind the page's tests.
//!
//! Serves folders to this machine only, as any static host would: no rewriting, no headers that such a host lacks.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread;

use tiny_http::{Header, Method, Request, Response, StatusCode};

use crate::process::{self, say};
use crate::workspace::Workspace;
use crate::{Result, build};

/// What a folder answers with.
pub const INDEX: &str = "index.html";

const DEFAULT_PORT: u16 = 8080;

/// How many ports after the default one are tried when it is taken.
const PORTS_TRIED: u16 = 20;

/// Requests answered at the same time.
const WORKERS: usize = 4;

/// The command.
pub fn command(workspace: &Workspace, arguments: &[String]) -> Result<bool> {
    let options = Options::parse(arguments)?;
    build::site(workspace)?;
    let mounts = || vec![Mount::new("/", workspace.path("www/dist"))];
    let server = match options.port {
        Some(port) => Server::bind(port, mounts())?,
        None => (DEFAULT_PORT..DEFAULT_PORT + PORTS_TRIED)
            .find_map(|port| Server::bind(port, mounts()).ok())
            .map_or_else(|| Server::bind(0, mounts()), Ok)?,
    };
    let address = server.address("/");
    say("Serving the page (Ctrl+C ends it) at");
    println!("{address}");
    if options.open {
        open_browser(&address);
    }
    server.run();
    Ok(true)
}

#[derive(Debug, Default, PartialEq)]
struct Options {
    port: Option<u16>,
    open: bool,
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self> {
        let mut options = Self::default();
        let mut arguments = arguments.iter().map(String::as_str);
        while let Some(argument) = arguments.next() {
            match argument.split_once('=').unwrap_or((argument, "")) {
                ("--open", "") => options.open = true,
                ("--port", attached) => {
                    let value = if attached.is_empty() { arguments.next().unwrap_or("nothing") } else { attached };
                    let port = value.parse().map_err(|_| format!("--port: expected 0 to 65535, got {value}"))?;
                    options.port = Some(port);
                }
                _ => return Err(format!("expected --port N or --open, got `{argument}`")),
            }
        }
        Ok(options)
    }
}

fn open_browser(address: &str) {
    let opener: &[&str] = match std::env::consts::OS {
        "macos" => &["open"],
        "windows" => &["cmd", "/C", "start"],
        _ => &["xdg-open"],
    };
    if let Err(problem) = process::run(Command::new(opener[0]).args(&opener[1..]).arg(address)) {
        say(&format!("{problem}; open the address by hand"));
    }
}

/// A folder and the path under which it is served.
pub struct Mount {
    /// Begins and ends with a slash.
    prefix: String,
    folder: PathBuf,
}

impl Mount {
    pub fn new(prefix: &str, folder: PathBuf) -> Self {
        assert!(prefix.starts_with('/') && prefix.ends_with('/'), "{prefix} must begin and end with a slash");
        Self { prefix: String::from(prefix), folder }
    }
}

/// A server on 127.0.0.1.
pub struct Server {
    http: Arc<tiny_http::Server>,
    mounts: Arc<Vec<Mount>>,
    port: u16,
}

impl Server {
    /// Takes a port; 0 is any free one.
    pub fn bind(port: u16, mounts: Vec<Mount>) -> Result<Self> {
        let http =
            tiny_http::Server::http(("127.0.0.1", port)).map_err(|error| format!("127.0.0.1:{port}: {error}"))?;
        let port = http.server_addr().to_ip().map_or(port, |address| address.port());
        Ok(Self { http: Arc::new(http), mounts: Arc::new(mounts), port })
    }

    /// URL of a path on this server.
    pub fn address(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Answers requests for ever.
    pub fn run(self) {
        for worker in self.start() {
            worker.join().ok();
        }
    }

    /// Answers requests beside the caller until this program ends.
    pub fn start(&self) -> Vec<thread::JoinHandle<()>> {
        let worker = || {
            let (http, mounts) = (Arc::clone(&self.http), Arc::clone(&self.mounts));
            thread::spawn(move || {
                while let Ok(request) = http.recv() {
                    respond(request, &mounts);
                }
            })
        };
        std::iter::repeat_with(worker).take(WORKERS).collect()
    }
}

fn respond(request: Request, mounts: &[Mount]) {
    let answer = match request.method() {
        Method::Get | Method::Head => resolve(mounts, request.url()),
        _ => Answer::NotAllowed,
    };
    // A browser that goes away while it is answered is no error of ours.
    let _gone = match answer {
        Answer::File(path) => match File::open(&path) {
            Ok(file) => {
                let response = Response::from_file(file)
                    .with_header(header("Content-Type", content_type(&path)))
                    .with_header(header("Cache-Control", "no-cache"));
                request.respond(response)
            }
            Err(_) => request.respond(plain(404, "Not found")),
        },
        Answer::Folder(location) => request.respond(plain(301, "Moved").with_header(header("Location", &location))),
        Answer::NotFound => request.respond(plain(404, "Not found")),
        Answer::NotAllowed => request.respond(plain(405, "Not allowed").with_header(header("Allow", "GET, HEAD"))),
    };
}

fn plain(status: u16, text: &str) -> Response<std::io::Cursor<Vec<u8>>> {
    Response::from_string(text)
        .with_status_code(StatusCode(status))
        .with_header(header("Content-Type", content_type(Path::new("plain.txt"))))
}

fn header(name: &str, value: &str) -> Header {
    Header::from_bytes(name, value).expect("paths in headers are percent-encoded, all else is ASCII")
}

/// What a request gets.
#[derive(Debug, PartialEq)]
enum Answer {
    File(PathBuf),
    /// The path names a folder without its last slash, against which relative links would go wrong: where it really is.
    Folder(String),
    NotFound,
    NotAllowed,
}

/// Finds the file of a request's target, which is a path with or without a query.
fn resolve(mounts: &[Mount], target: &str) -> Answer {
    let path = target.split(['?', '#']).next().unwrap_or_default();
    for mount in mounts {
        if path.strip_suffix('/').is_none() && format!("{path}/") == mount.prefix {
            return Answer::Folder(mount.prefix.clone());
        }
        if let Some(rest) = path.strip_prefix(&mount.prefix) {
            return resolve_in(&mount.folder, path, rest).unwrap_or(Answer::NotFound);
        }
    }
    Answer::NotFound
}

/// `None` is not found, for whatever reason.
fn resolve_in(folder: &Path, path: &str, rest: &str) -> Option<Answer> {
    let root = fs::canonicalize(folder).ok()?;
    let mut file = root.clone();
    for segment in rest.split('/').filter(|segment| !segment.is_empty()) {
        let segment = percent_decode(segment)?;
        // A segment is one name: nothing that climbs, and nothing that is a path by itself on some system.
        if segment == "." || segment == ".." || segment.contains(['/', '\\', ':', '\0']) {
            return None;
        }
        file.push(segment);
    }
    // A link inside the folder must not lead out of it either.
    let file = fs::canonicalize(&file).ok()?;
    if !file.starts_with(&root) {
        return None;
    }
    if file.is_dir() {
        if !path.ends_with('/') {
            // `//host/…` would send the browser to another host.
            return Some(Answer::Folder(format!("/{}/", path.trim_start_matches('/'))));
        }
        let index = file.join(INDEX);
        return index.is_file().then_some(Answer::File(index));
    }
    (file.is_file() && !path.ends_with('/')).then_some(Answer::File(file))
}

/// Undoes `%41`; `None` when that is not UTF-8 or not hexadecimal.
fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        if byte == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return None;
            }
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &after[2..];
        } else {
            bytes.push(byte);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

/// MIME type by extension. Browsers compile wasm while it arrives only when it is `application/wasm`, and run modules
/// only when they are JavaScript by type.
fn content_type(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()).unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "wasm" => "application/wasm",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "txt" | "md" | "ts" => "text/plain; charset=utf-8",
        "csv" => "text/csv; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use super::*;
    use crate::workspace::Scratch;

    fn site(name: &str) -> (Scratch, Vec<Mount>) {
        let files = [
            ("secret.txt", "secret"),
            ("dist/index.html", "<!doctype html>"),
            ("dist/assets/unroll_bg.wasm", "\0asm"),
            ("dist/assets/a b.js", "export {};"),
            ("dist/guide/index.html", "guide"),
        ];
        let scratch = Scratch::new(name, &files);
        let mounts = vec![Mount::new("/sub/path/", scratch.0.join("dist"))];
        (scratch, mounts)
    }

    #[test]
    fn options_take_a_port_in_both_spellings_and_name_what_they_do_not_know() {
        let parse = |text: &str| Options::parse(&text.split_whitespace().map(String::from).collect::<Vec<_>>());
        assert_eq!(parse("--port 3000 --open"), Ok(Options { port: Some(3000), open: true }));
        assert_eq!(parse("--port=3000"), Ok(Options { port: Some(3000), open: false }));
        assert_eq!(parse("--port 70000"), Err(String::from("--port: expected 0 to 65535, got 70000")));
        assert_eq!(parse("--port"), Err(String::from("--port: expected 0 to 65535, got nothing")));
        assert_eq!(parse("--host x"), Err(String::from("expected --port N or --open, got `--host`")));
    }

    #[test]
    fn files_are_found_below_the_prefix_only() {
        let (scratch, mounts) = site("prefix");
        let file = |path: &str| Answer::File(fs::canonicalize(scratch.0.join("dist").join(path)).expect("it exists"));
        assert_eq!(resolve(&mounts, "/sub/path/"), file("index.html"));
        assert_eq!(resolve(&mounts, "/sub/path/?seed=1"), file("index.html"));
        assert_eq!(resolve(&mounts, "/sub/path/assets/unroll_bg.wasm"), file("assets/unroll_bg.wasm"));
        assert_eq!(resolve(&mounts, "/sub/path/assets/a%20b.js"), file("assets/a b.js"));
        assert_eq!(resolve(&mounts, "/sub/path/guide/"), file("guide/index.html"));
        assert_eq!(resolve(&mounts, "/"), Answer::NotFound);
        assert_eq!(resolve(&mounts, "/assets/unroll_bg.wasm"), Answer::NotFound);
        assert_eq!(resolve(&mounts, "/sub/path/assets/"), Answer::NotFound);
        assert_eq!(resolve(&mounts, "/sub/path/index.html/"), Answer::NotFound);
        assert_eq!(resolve(&mounts, "/sub/path/missing.js"), Answer::NotFound);
    }

    #[test]
    fn folders_get_their_slash_and_stay_on_this_host() {
        let (_scratch, mounts) = site("folders");
        assert_eq!(resolve(&mounts, "/sub/path"), Answer::Folder(String::from("/sub/path/")));
        assert_eq!(resolve(&mounts, "/sub/path/guide?x"), Answer::Folder(String::from("/sub/path/guide/")));
        let at_root = [Mount::new("/", _scratch.0.join("dist"))];
        assert_eq!(resolve(&at_root, "//guide"), Answer::Folder(String::from("/guide/")));
    }

    #[test]
    fn nothing_outside_the_folder_is_served() {
        let (scratch, mounts) = site("traversal");
        for target in [
            "/sub/path/../secret.txt",
            "/sub/path/%2e%2e/secret.txt",
            "/sub/path/..%2fsecret.txt",
            "/sub/path/assets/../../secret.txt",
            "/sub/path/..\\secret.txt",
            "/sub/path/%5c..%5csecret.txt",
            "/sub/path/%00",
            "/sub/path/%zz",
            "/sub/path/%+1",
            "/sub/path/%f",
            "/sub/path/%ff",
        ] {
            assert_eq!(resolve(&mounts, target), Answer::NotFound, "{target}");
        }
        let absolute = format!("/sub/path/{}", scratch.0.join("secret.txt").display());
        assert_eq!(resolve(&mounts, &absolute), Answer::NotFound);
    }

    #[cfg(unix)]
    #[test]
    fn links_do_not_lead_out_of_the_folder() {
        let (scratch, mounts) = site("links");
        std::os::unix::fs::symlink(scratch.0.join("secret.txt"), scratch.0.join("dist/link.txt")).expect("linkable");
        assert_eq!(resolve(&mounts, "/sub/path/link.txt"), Answer::NotFound);
    }

    /// Sends one request and returns the whole response.
    fn exchange(port: u16, request: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the server listens");
        write!(stream, "{request} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").expect("it reads");
        let mut response = String::new();
        stream.read_to_string(&mut response).expect("it answers in UTF-8");
        response
    }

    #[test]
    fn server_speaks_http_with_types_methods_and_errors() {
        let (_scratch, mounts) = site("http");
        let server = Server::bind(0, mounts).expect("some port is free");
        let workers = server.start();
        assert_eq!(workers.len(), WORKERS);
        let port = server.port;
        assert_eq!(server.address("/sub/path/"), format!("http://127.0.0.1:{port}/sub/path/"));

        let wasm = exchange(port, "GET /sub/path/assets/unroll_bg.wasm");
        assert!(wasm.starts_with("HTTP/1.1 200"), "{wasm}");
        assert!(wasm.contains("Content-Type: application/wasm\r\n"), "{wasm}");
        assert!(wasm.contains("Content-Length: 4\r\n") && wasm.ends_with("\r\n\r\n\0asm"), "{wasm}");

        let head = exchange(port, "HEAD /sub/path/");
        assert!(head.starts_with("HTTP/1.1 200") && head.ends_with("\r\n\r\n"), "{head}");
        assert!(head.contains("Content-Type: text/html; charset=utf-8\r\n"), "{head}");

        assert!(exchange(port, "GET /sub/path/missing").starts_with("HTTP/1.1 404"));
        let moved = exchange(port, "GET /sub/path");
        assert!(moved.starts_with("HTTP/1.1 301") && moved.contains("Location: /sub/path/\r\n"), "{moved}");
        let post = exchange(port, "POST /sub/path/");
        assert!(post.starts_with("HTTP/1.1 405") && post.contains("Allow: GET, HEAD\r\n"), "{post}");
    }

    #[test]
    fn a_taken_port_is_an_error_that_names_it() {
        let (_scratch, mounts) = site("taken");
        let first = Server::bind(0, mounts).expect("some port is free");
        let error = Server::bind(first.port, Vec::new()).err().expect("the port is taken");
        assert!(error.starts_with(&format!("127.0.0.1:{}: ", first.port)), "{error}");
    }
}
