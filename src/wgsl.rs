//! Shader sources as they are shipped: without comments, indentation and spaces at the ends of lines.
//!
//! Floor 0. Lines stay where they are, so that the numbers in a browser's messages are those of the files.

/// What stands before each text in a file of several, with its name behind it; no stripped shader has it.
const HEAD: char = '#';

/// A file of several texts, each under its name.
pub fn file<'a>(texts: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    texts.map(|(name, text)| format!("{HEAD}{name}\n{text}\n")).collect()
}

/// The text of a name in such a file.
pub fn text<'a>(file: &'a str, name: &str) -> Option<&'a str> {
    let texts = file.split(HEAD).filter_map(|part| part.split_once('\n'));
    texts.filter(|(found, _)| *found == name).map(|(_, text)| text).next()
}

/// Copies WGSL to `to` without what no compiler needs, and counts the bytes; what `to` has no room for is only counted. There are no
/// block comments in our shaders.
pub const fn strip(text: &str, to: &mut [u8]) -> usize {
    let text = text.as_bytes();
    let (mut at, mut len, mut spaces, mut is_start) = (0, 0, 0, true);
    while at < text.len() {
        if text[at] == b'/' && at + 1 < text.len() && text[at + 1] == b'/' {
            while at < text.len() && text[at] != b'\n' {
                at += 1;
            }
            continue;
        }
        if text[at] == b' ' {
            spaces += 1;
        } else {
            let kept = if is_start || text[at] == b'\n' { 0 } else { spaces };
            let mut space = 0;
            while space <= kept {
                if len < to.len() {
                    to[len] = if space < kept { b' ' } else { text[at] };
                }
                len += 1;
                space += 1;
            }
            spaces = 0;
            is_start = text[at] == b'\n';
        }
        at += 1;
    }
    len
}

/// Some files of WGSL, one behind the other, stripped when this crate is compiled; nothing without the feature `shaders`, for then they
/// are a file of their own, which only those load who can use it ([`file`]).
#[macro_export]
macro_rules! shader {
    ($($file:literal),+) => {{
        const WHOLE: &str = concat!($(include_str!($file)),+);
        const LEN: usize = $crate::wgsl::strip(WHOLE, &mut []);
        const BYTES: [u8; LEN] = {
            let mut bytes = [0; LEN];
            $crate::wgsl::strip(WHOLE, &mut bytes);
            bytes
        };
        const TEXT: &str = match std::str::from_utf8(&BYTES) {
            Ok(text) => text,
            Err(_) => panic!("what is left of UTF-8 is UTF-8"),
        };
        if cfg!(feature = "shaders") { TEXT } else { "" }
    }};
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_file_of_several_texts_gives_them_back() {
        let file = super::file([("a", "fn f() {\n}"), ("ab", "fn g() {}")].into_iter());
        assert_eq!(super::text(&file, "a"), Some("fn f() {\n}\n"));
        assert_eq!(super::text(&file, "ab"), Some("fn g() {}\n"));
        assert_eq!(super::text(&file, "b"), None);
        assert_eq!(super::text("<!doctype html>", "a"), None);
    }
}
