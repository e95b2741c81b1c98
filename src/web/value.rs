//! From JavaScript values to the trees that configurations are read from.

use crate::options::Value;
use wasm_bindgen::{JsCast, JsValue};

/// Depth at which a tree is cut, so that a cycle ends.
const DEPTH: usize = 8;

/// Reads a value. What has no place in a configuration becomes text that names it, and is refused with that text.
pub fn read(value: &JsValue) -> Value {
    tree(value, DEPTH)
}

fn tree(value: &JsValue, depth: usize) -> Value {
    if value.is_null() || value.is_undefined() {
        return Value::Null;
    }
    if let Some(b) = value.as_bool() {
        return Value::Bool(b);
    }
    if let Some(n) = value.as_f64() {
        return Value::Number(n);
    }
    if let Some(text) = value.as_string() {
        return Value::Text(text);
    }
    if depth == 0 {
        return Value::Text("too deep an object".to_owned());
    }
    if let Some(array) = value.dyn_ref::<js_sys::Array>() {
        return Value::List(array.iter().map(|item| tree(&item, depth - 1)).collect());
    }
    if value.is_function() || value.is_symbol() || value.is_bigint() || js_sys::ArrayBuffer::is_view(value) {
        return Value::Text(name(value));
    }
    match value.dyn_ref::<js_sys::Object>() {
        Some(object) => Value::Map(
            js_sys::Object::entries(object)
                .iter()
                .map(|entry| {
                    let entry: js_sys::Array = entry.unchecked_into();
                    (entry.get(0).as_string().unwrap_or_default(), tree(&entry.get(1), depth - 1))
                })
                .collect(),
        ),
        None => Value::Text(name(value)),
    }
}

/// What a value is, for an error message.
pub fn name(value: &JsValue) -> String {
    if value.is_null() || value.is_undefined() {
        return "nothing".to_owned();
    }
    if value.is_object() {
        let name = js_sys::Object::get_prototype_of(value).constructor().name().as_string().unwrap_or_default();
        return if js_sys::ArrayBuffer::is_view(value) || js_sys::Array::is_array(value) {
            let length = js_sys::Reflect::get(value, &"length".into()).ok().and_then(|n| n.as_f64()).unwrap_or(0.0);
            format!("{name} of {length}")
        } else {
            name
        };
    }
    let kind = value.js_typeof().as_string().unwrap_or_default();
    match value.as_f64() {
        Some(n) => n.to_string(),
        None => value.as_string().map_or(kind, |text| format!("\"{text}\"")),
    }
}
