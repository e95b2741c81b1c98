//! Shader sources as they are shipped: without comments, indentation and spaces at the ends of lines.
//!
//! Floor 0. Lines stay where they are, so that the numbers in a browser's messages are those of the files.

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

/// Some files of WGSL, one behind the other, stripped when this crate is compiled.
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
        TEXT
    }};
}
