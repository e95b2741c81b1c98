//! The texts of the shaders: inside the module where it is built with the feature `shaders`, else in a file beside it. Only who can use
//! WebGPU has to load that, and hands it over here before the first pipeline is made.

use crate::kernels;
use crate::wgsl;
use std::sync::OnceLock;

static FILE: OnceLock<String> = OnceLock::new();

/// True when there is nothing to load.
pub fn are_here() -> bool {
    cfg!(feature = "shaders") || FILE.get().is_some()
}

/// Takes the file; false when it is not the one.
pub fn provide(file: String) -> bool {
    let mut stems = kernels::KERNELS.iter().map(|kernel| kernel.stem).chain([kernels::GROUP]);
    let is_whole = stems.all(|stem| wgsl::text(&file, stem).is_some());
    if is_whole {
        FILE.get_or_init(|| file);
    }
    is_whole
}

/// The WGSL of a stem.
///
/// # Panics
/// Before the file was handed over, where one is needed.
pub fn text(stem: &str) -> &'static str {
    match FILE.get() {
        None => kernels::shader(stem),
        Some(file) => wgsl::text(file, stem).expect("the file is of this module"),
    }
}
