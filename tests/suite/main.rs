//! One suite for every target: the host, and headless Chromium through `wasm-pack test --headless --chrome`.
//!
//! Fixtures enter by `include_str!`, so that nothing is read from disk. Each test is a plain `#[test]` on the host and a
//! `#[wasm_bindgen_test(unsupported = test)]` in the browser.

mod blocks;
mod files;
mod golden;
#[cfg(any(target_arch = "wasm32", feature = "native-gpu"))]
mod gpu;
mod gradcheck;
mod group;
mod identities;
mod panels;
mod proof;
mod seq2seq;
mod streaming;
mod support;
mod training;
mod twins;

#[cfg(target_arch = "wasm32")]
wasm_bindgen_test::wasm_bindgen_test_configure!(run_in_browser);
