//! The JavaScript boundary.
//!
//! Floor 8. Values come in as trees that are checked field by field, typed arrays cross through js-sys, headers and tables through
//! serde. No borrow is held across an await and no view of wasm memory across a call. The types are in `types.d.ts`.
//! The only floor that names wasm-bindgen, js-sys and web-sys.

mod batch;
mod catalog;
mod cliff;
mod device;
mod session;
mod value;

use wasm_bindgen::prelude::*;

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = include_str!("types.d.ts");

/// Runs once, when the module is loaded: a panic becomes a readable message in the console.
#[wasm_bindgen(start)]
pub fn start() {
    console_error_panic_hook::set_once();
}

/// What no kernel of the CPU engine can be faster than, in 10⁹ operations a second: products and sums in registers alone, for about ten
/// milliseconds, a hundred times what a browser's clock tells apart. Take the best of many calls: browsers optimise code once it has been
/// called some times.
#[wasm_bindgen(js_name = simdLimit)]
pub fn simd_limit() -> f64 {
    const ROUNDS: u32 = 1_250_000;
    let started = session::now();
    std::hint::black_box(crate::kernels::simd::saturate(ROUNDS));
    f64::from(crate::kernels::simd::SATURATING) * f64::from(ROUNDS) / 1e6 / (session::now() - started)
}

/// How many parameters the network of a configuration has, N = Σ_p |p| over the tensors p that [`crate::nn::Model::parameters`] lists:
/// weights and biases that training changes, the output layer included. No session is built and no memory taken; whether one would fit
/// is not looked at. Throws an error that names the field when the configuration cannot be used.
#[wasm_bindgen(js_name = countParameters)]
pub fn count_parameters(
    #[wasm_bindgen(unchecked_param_type = "SessionConfig")] config: &JsValue,
) -> Result<usize, JsValue> {
    let (_, model) = crate::train::Config::read(value::read(config)).and_then(|c| c.build()).map_err(|e| error(&e))?;
    Ok(model.len())
}

/// A JavaScript error with the parts of ours as properties.
fn error(error: &crate::error::Error) -> JsValue {
    let js = js_sys::Error::new(&error.to_string());
    if let crate::error::Error::Invalid { field, expected, got } = error {
        for (name, value) in [("field", field), ("expected", expected), ("got", got)] {
            let set = js_sys::Reflect::set(&js, &name.into(), &value.into());
            debug_assert!(set.is_ok(), "an error object takes properties");
        }
    }
    js.into()
}

/// Serialises plain data; maps become objects, missing values null.
fn to_js<T: serde::Serialize>(value: &T) -> JsValue {
    value
        .serialize(&serde_wasm_bindgen::Serializer::json_compatible())
        .expect("headers and tables hold nothing that JavaScript lacks")
}

/// Sets a property of an object that was just made.
fn set(object: &JsValue, name: &str, value: &JsValue) {
    js_sys::Reflect::set(object, &name.into(), value).expect("a plain object takes properties");
}
